"""Components of codes, masks, drawings and texts: what they show and what they send."""

import base64
import json

import numpy as np
import pytest
import torch
from helpers_board import pictures, shown
from helpers_browser import canvas

import genmodels as gm
from tabs import components
from tabs.components.draw_pad import SIDE
from tabs.components.mask_pad import mask_text

pytestmark = pytest.mark.browser


# --- Codes, masks and drawings ----------------------------------------------------------------------------------------


def test_each_slider_has_the_number_of_its_dimension(board):
    dims = [{"index": i, "label": f"#{i + 1}"} for i in (2, 0, 3, 1)]
    z = [0.123, -1.5, 2.0, 4.4]
    board.show(sliders={"model": "m", "z": z, "dims": dims, "unused": 1})
    board.until(lambda: board.page.locator("#sliders input").count() == 4)
    out = board.page.locator("#sliders output")
    assert [out.nth(k).text_content() for k in range(4)] == ["2.00", "0.12", "4.40", "-1.50"]
    assert [board.page.locator(f"#sliders .rows >> nth={k} >> input").count() for k in range(3)] == [2, 1, 1]
    ranges = board.page.locator("#sliders input").evaluate_all("all => all.map(r => [+r.min, +r.max])")
    assert ranges == [[-3, 3], [-3, 3], [-5, 5], [-3, 3]]
    board.page.locator("#sliders input").nth(0).focus()
    _, _, sent = board.event(lambda: board.page.keyboard.press("ArrowLeft"))
    assert sent["z"] == [0.123, -1.5, 1.9, 4.4]  # the others stay as exact as they were
    assert out.nth(0).text_content() == "1.90"
    _, _, sent = board.event(board.page.locator("#sliders input").nth(1).dblclick)
    board.until(lambda: board.received[-1][2]["z"] == [0, -1.5, 1.9, 4.4])
    board.show(sliders={"model": "m", "z": [0.5, 0.25, -0.75, 0], "dims": dims, "unused": 1})
    board.until(lambda: out.nth(0).text_content() == "-0.75")
    assert [out.nth(k).text_content() for k in range(4)] == ["-0.75", "0.50", "0.00", "0.25"]


MASK = "#mask canvas"


def show_mask(board, mask):
    x = pictures(1, 28, 28)[0]
    board.show(mask={**components.raw(x), "mask": mask_text(mask)})
    return x


def test_a_mask_is_painted_where_the_brush_goes(board):
    x = show_mask(board, np.zeros((28, 28)))
    board.until(lambda: np.array_equal(canvas(board.page, MASK)[6::12, 6::12], shown(x)))
    _, _, mask = board.event(lambda: board.drag(MASK, (0.2, 0.3), (0.6, 0.3)))
    rows, columns = np.nonzero(mask)
    assert mask.shape == (28, 28) and mask.dtype == bool
    assert (rows.min(), rows.max()) == (6, 10)  # 2.8 pixels around 8.4
    assert (columns.min(), columns.max()) == (3, 19)  # and around 5.6 to 16.8
    drawn = canvas(board.page, MASK)[6::12, 6::12].astype(int)
    painted = np.abs(drawn - (0.25 * shown(x).astype(int) + 0.75 * np.array([255, 64, 150]))).max(2) < 3
    assert np.array_equal(painted, mask)
    _, _, more = board.event(lambda: board.drag(MASK, (0.3, 0.8), (0.5, 0.8)))  # another stroke does not begin at the last one
    rows, columns = np.nonzero(more & ~mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 24, 6, 16) and more[mask].all()


def test_halves_and_keys_of_the_mask(board):
    show_mask(board, np.eye(28))
    _, _, mask = board.event(board.page.locator("#mask .half").click)
    assert np.array_equal(mask, np.arange(28)[:, None].repeat(28, 1) >= 14)
    _, _, mask = board.event(board.page.locator("#mask .clear").click)
    assert not mask.any()
    board.drag(MASK, (10.5 / 28, 20.5 / 28))  # puts the brush there
    board.page.locator(MASK).focus()
    _, _, mask = board.event(lambda: board.page.keyboard.press("Delete"))
    assert not mask.any()
    for _ in range(3):
        board.page.keyboard.press("ArrowUp")
    board.page.keyboard.press("Space")
    for _ in range(6):
        board.page.keyboard.press("ArrowRight")
    _, _, mask = board.event(lambda: board.page.keyboard.press("Space"))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 19, 8, 18)
    _, _, mask = board.event(lambda: board.page.keyboard.press("Delete"))
    assert not mask.any()


def test_a_drawing_is_sent_as_it_stands_on_the_pad(board):
    _, _, ink = board.event(lambda: board.drag("#pad canvas", (0.2, 0.15), (0.7, 0.15)))
    assert ink.shape == (SIDE, SIDE)
    rows, columns = np.nonzero(ink > 128)
    assert (rows.min(), rows.max()) == pytest.approx((0.15 * SIDE - 5.5, 0.15 * SIDE + 5.5), abs=1.5)
    assert (columns.min(), columns.max()) == pytest.approx((0.2 * SIDE - 5.5, 0.7 * SIDE + 5.5), abs=1.5)
    assert ink[21, 60] == 255 and ink[100, 60] == 0  # white on black
    _, _, two_strokes = board.event(lambda: board.drag("#pad canvas", (0.3, 0.8), (0.3, 0.6)))
    assert (two_strokes >= ink).all() and two_strokes[100, 42] == 255
    board.page.locator("#pad button").click()
    board.page.locator("#pad canvas").focus()
    board.page.keyboard.press("Space")
    for _ in range(5):
        board.page.keyboard.press("ArrowRight")
    _, _, ink = board.event(lambda: board.page.keyboard.press("Space"))
    rows, columns = np.nonzero(ink > 128)
    assert rows.mean() == pytest.approx(30, abs=1) and columns.max() > 90 and columns.min() > 60


def test_a_drawing_is_emptied_by_the_visitor_and_by_the_page(board):
    board.event(lambda: board.drag("#pad canvas", (0.2, 0.15), (0.7, 0.15)))
    name, event, ink = board.event(board.page.locator("#pad button").click)
    assert (name, event, ink) == ("pad", "release", None)
    board.event(lambda: board.drag("#pad canvas", (0.2, 0.15), (0.7, 0.15)))
    board.show(pad=None)
    board.until(lambda: canvas(board.page, "#pad canvas")[42, 120].max() == 0)


# --- Texts ------------------------------------------------------------------------------------------------------------


def token(symbol, p=0.5, alternatives=()):
    others = [{"symbol": s, "p": q} for s, q in alternatives]
    return json.dumps({"symbol": symbol, "p": p, "entropy": 1.0, "kind": "", "alternatives": others}) + "\n"


def text(board):
    return "".join(board.texts("#text .token"))


def test_tokens_of_a_run_that_was_left_are_dropped(board):
    alternatives = [("x", 0.5), ("y", 0.3), ("z", 0.2)]
    tokens = "".join(token(s, alternatives=alternatives) for s in "abcdef")
    board.show(text={"tokens": tokens[: len(tokens) // 2], "turn": 7, "live": True})
    assert text(board) == "abc"
    board.show(text={"tokens": tokens, "turn": 7, "request": {"title": "t"}})
    assert text(board) == "abcdef"
    board.page.locator("#text .token").nth(3).click()
    board.until(lambda: board.received[-1] == ("text", "click", {"text": "abc"}))
    assert "as uncertain as among 2.7 equally likely" in board.texts("#text .summary")[0]  # e: the entropy is a nat
    assert board.texts("#text .alternative b") == ["x", "y", "z"]
    assert board.texts("#text .alternative span") == ["50 %", "30 %", "20 %"]
    sent = board.event(board.page.locator("#text .alternative").nth(1).click)
    assert sent == ("text", "input", {"text": "abcy", "keep": 4, "request": {"title": "t"}})
    assert text(board) == "abcy"
    board.show(text={"tokens": tokens + token("g"), "turn": 7, "live": True})  # late, of the run before
    assert text(board) == "abcy"
    board.show(text={"tokens": token("h") + token("i"), "turn": 8, "keep": 4})
    assert text(board) == "abcyhi"
    assert board.page.locator("#text .token.yours").all_inner_texts() == ["y"]
    sent = board.event(board.page.locator("#text .more").click)
    assert sent[:2] == ("text", "release") and sent[2]["text"] == "abcyhi" and sent[2]["keep"] == 6
    board.show(text={"tokens": token("h") + token("i") + token("j"), "turn": 8, "keep": 4})  # and again
    assert text(board) == "abcyhi"


def test_a_token_is_coloured_by_its_surprisal(board):
    board.show(text={"tokens": "".join(token("a", p) for p in (1, 0.5, 0.25, 0.125, 2**-7, 2**-12)), "turn": 20})
    styles = board.page.locator("#text .token").evaluate_all(
        "all => all.map(t => [t.style.getPropertyValue('--hue'), +t.style.getPropertyValue('--alpha')])"
    )
    assert [hue for hue, _ in styles] == ["var(--expected)"] * 2 + ["var(--surprising)"] * 4
    assert [alpha for _, alpha in styles] == pytest.approx([0.34, 0.17, 0, 0.124, 0.62, 0.62], abs=0.001)
    titles = board.page.locator("#text .token").evaluate_all("all => all.map(t => t.title)")
    assert titles == ["100 %", "50 %", "25 %", "13 %", "0.8 %", "< 0.1 %"]


LOGITS = torch.tensor([3.0, 2.5, 2.5, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -3.0, -4.0, -6.0])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"temperature": 0},
        {"temperature": 0.5},
        {"temperature": 2},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": 4},
        {"top_k": 12},
        {"top_p": 0.3},
        {"top_p": 0.8},
        {"top_p": 0},
        {"min_p": 0.05},
        {"min_p": 0.3},  # of the most likely one: the absolute value would leave fewer
        {"min_p": 1},
        {"temperature": 1.5, "top_k": 6, "top_p": 0.9, "min_p": 0.2},
    ],
)
def test_the_bars_are_what_the_model_would_sample_from(board, changed):
    options = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0} | changed
    symbols, logits = json.dumps(list("abcdefghijkl")), " ".join(f"{v:g}" for v in LOGITS.tolist())
    board.show(next={"context": "ab", "symbols": symbols, "logits": logits, "options": options})
    expected = gm.transformer.warp_logits(LOGITS, **options)
    rows = board.page.locator("#next .row output")
    board.until(lambda: rows.count() == 10)
    shares = rows.evaluate_all("all => all.map(o => +o.title)")
    assert shares == pytest.approx(expected[:10].tolist(), abs=1e-4)
    assert [text == "cut" for text in rows.all_inner_texts()] == [p == 0 for p in expected[:10].tolist()]
    assert f"{int((expected > 0).sum())} of 12 tokens remain" in board.texts("#next .summary")[0]
    bars = board.page.locator("#next .row").evaluate_all(
        "all => all.map(r => [+r.style.getPropertyValue('--model'), +r.style.getPropertyValue('--warped')])"
    )
    model = LOGITS.softmax(0)
    highest = max(model.max(), expected.max()).item()
    assert np.array(bars) == pytest.approx(torch.stack([model, expected], 1)[:10].numpy() / highest, abs=1e-4)


def test_attention_is_from_a_row_to_its_columns(board):
    maps = np.zeros((2, 2, 3, 3), np.uint8)  # layers, heads, queries, keys
    maps[0, 0] = [[255, 0, 0], [51, 204, 0], [0, 255, 0]]
    maps[0, 1] = [[255, 0, 0], [51, 204, 0], [102, 51, 102]]
    maps[1, 0, 2] = [255, 0, 0]
    encoded = base64.b64encode(maps.tobytes()).decode()
    board.show(attention={"symbols": json.dumps(list("abc")), "n": 3, "layers": 2, "heads": 2, "maps": encoded})

    def weights():
        return board.page.locator("#attention .token").evaluate_all("all => all.map(t => parseInt(t.title) || 0)")

    board.until(lambda: weights() == [20, 60, 20])  # the mean of the heads, of the last token
    board.page.locator("#attention .heads button").nth(1).click()
    assert weights() == [0, 100, 0]
    board.page.locator("#attention .heads button").nth(2).click()
    assert weights() == [40, 20, 40]
    assert "“a” 2 back (40 %), itself (40 %), “b” 1 back (20 %)" in board.texts("#attention .summary")[0]
    board.page.locator("#attention .token").nth(1).click()
    assert weights() == [20, 80, 0]
    board.page.locator("#attention .layers button").nth(1).click()
    board.page.locator("#attention .heads button").nth(1).click()
    board.page.locator("#attention .token").nth(2).click()
    assert weights() == [100, 0, 0]
    drawn = canvas(board.page, "#attention canvas").astype(int)
    assert drawn[20, 3].min() > 200 and drawn[3, 20].max() < 60  # the last row attends to the first column
