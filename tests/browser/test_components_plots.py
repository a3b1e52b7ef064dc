"""Components that draw maps, planes and plots: exact positions, and what they send."""

import base64
import itertools
import json

import numpy as np
import pytest
import torch
from helpers_board import HISTOGRAM, H, W, pictures
from helpers_browser import canvas

from tabs import components
from tabs.components.family_rows import FamilyRows
from tabs.components.playground import pack_points, unpack_points
from tabs.components.sortable_table import SortableTable

pytestmark = pytest.mark.browser


# --- Maps and planes --------------------------------------------------------------------------------------------------


BOUNDS = {"x0": -2.0, "x1": 6.0, "y0": 10.0, "y1": 30.0}
MAP = "#map canvas.map"


def test_the_map_has_x_to_the_right_and_y_upwards(board):
    x = pictures(16)
    points = [{"x": 4, "y": 25, "label": 3}, {"x": -1, "y": 12.5, "label": 1}]
    value = {**components.sheet(x, 4), "title": "VAE", "bounds": BOUNDS, "points": json.dumps(points)}
    board.show(map={"maps": [value], "classes": [str(i) for i in range(10)]})
    board.page.wait_for_selector(MAP)
    for u, v in ((0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.6, 0.3)):
        board.page.mouse.move(*board.point(MAP, u, v))
        board.shows_picture("#map .view", x[4 * int(4 * v) + int(4 * u)])
        position = [float(k) for k in board.texts("#map .position")[0].split(", ")]
        assert position == pytest.approx([-2 + 8 * u, 30 - 20 * v], abs=0.15)
        name, event, data = board.event(lambda u=u, v=v: board.page.mouse.click(*board.point(MAP, u, v)))
        assert (name, event) == ("map", "click")
        assert (data["u"], data["v"]) == pytest.approx((u, v), abs=0.01)
    drawn = canvas(board.page, MAP).astype(int)
    for u, v, colour in ((0.75, 0.25, (255, 93, 93)), (0.125, 0.875, (255, 157, 60))):  # of classes 3 and 1
        assert np.abs(drawn[int(560 * v), int(560 * u)] - colour).max() < 3
    assert board.texts("#map .legend .item")[3] == "3"


def test_the_background_of_the_map_is_its_pictures(board):
    grey = torch.linspace(0.1, 0.9, 16)[:, None, None, None].expand(-1, 1, 2, 2)
    value = {**components.sheet(grey, 4), "title": "VAE", "bounds": BOUNDS, "points": "[]"}
    board.show(map={"maps": [value], "classes": []})
    board.page.locator("#map .toggle input").uncheck()
    board.page.mouse.move(*board.point(MAP, 0.99, 0.99))
    centres = [(70 + 140 * row, 70 + 140 * column) for row in range(4) for column in range(4)]

    def same():
        drawn = canvas(board.page, MAP)
        levels = [drawn[place][0] / 255 for place in centres]
        return np.abs(np.array(levels) - grey[:, 0, 0, 0].numpy()).max() < 0.01

    board.until(same)
    board.page.locator("#map .toggle input").check()


def test_the_map_by_keyboard(board):
    value = {**components.sheet(pictures(16), 4), "title": "VAE", "bounds": BOUNDS, "points": "[]"}
    board.show(map={"maps": [value], "classes": []})
    board.page.wait_for_selector(MAP)
    board.page.mouse.click(*board.point(MAP, 0.5, 0.5))
    board.page.locator(MAP).focus()
    u, v = board.event(lambda: board.page.keyboard.press("Enter"))[2].values()
    for key, du, dv in (
        ("ArrowLeft", -1, 0),
        ("ArrowUp", 0, -1),
        ("ArrowUp", 0, -1),
        ("ArrowRight", 1, 0),
        ("ArrowDown", 0, 1),
    ):
        board.page.keyboard.press(key)
        u, v = u + du / 40, v + dv / 40
        data = board.event(lambda: board.page.keyboard.press("Enter"))[2]
        assert (data["u"], data["v"]) == pytest.approx((u, v), abs=1e-6)


PLANE = "#plane .data canvas"


def plane(points="", panels=None, **values):
    value = {
        "points": points,
        "own": True,
        "note": "",
        "step": 3,
        "live": False,
        "panels": json.dumps(panels or {}),
        "curves": "{}",
    }
    return value | values


def lit(board, selector, u, v, reach=0.02):
    """The brightest channels of a canvas around (u, v), each from 0 to 1, from the top left."""
    drawn = canvas(board.page, selector).astype(int)
    side, r = len(drawn), max(2, round(reach * len(drawn)))
    row, column = round(v * side), round(u * side)
    return drawn[max(0, row - r) : row + r, max(0, column - r) : column + r].reshape(-1, 3).max(0)


def test_the_plane_has_x_to_the_right_and_y_upwards(board):
    points = pack_points([[0.5, 0.25], [-0.75, -0.5]])
    board.show(
        plane=plane(points, {"vae": {"samples": pack_points([[0.5, -0.75]]), "energy": 0.123, "nats": -1.5, "modes": 7}})
    )
    board.until(lambda: board.texts("#plane .step") == ["Step 3"] and "2 points" in board.texts("#plane .data footer"))
    assert lit(board, PLANE, 0.75, 0.375).min() > 150 and lit(board, PLANE, 0.125, 0.75).min() > 150
    assert lit(board, PLANE, 0.75, 0.625).max() < 60
    blue = lit(board, "#plane .panel:nth-child(2) canvas", 0.75, 0.875)
    assert blue[2] > 150 and blue[2] > blue[0] + 60
    assert board.texts("#plane .panel:nth-child(2) footer") == ["energy distance 0.123 · log-likelihood −1.50 · 7 of 8 modes"]


def test_what_is_inside_a_family_and_that_it_broke(board):
    density = np.zeros((4, 4), np.uint8)
    density[0, 3] = 255  # the upper right
    lines = np.zeros((2, 21, 2))
    lines[0], lines[1] = np.linspace([0.5, -1], [0.5, 1], 21), np.linspace([-1, -0.5], [1, -0.5], 21)
    inside = {"map": base64.b64encode(density.tobytes()).decode(), "lines": pack_points(lines)}
    arrows = np.array([[[-0.5, 0.5], [1, 0]], [[0.5, 0.5], [1, 0]], [[-0.5, -0.5], [1, 0]], [[0.5, -0.5], [0, 1]]])
    paths = np.tile(np.linspace([-1, 0], [1, 0], 5), (24, 1, 1))
    field = {"arrows": pack_points(arrows), "paths": pack_points(paths)}
    codes = {"codes": pack_points([[0.0, 0.0]])}
    panels = {
        "vae": {"inside": codes},
        "flow": {"inside": inside},
        "diffusion": {"inside": field, "broken": "Too <b>fast</b>."},
    }
    board.show(plane=plane(panels=panels))
    flow, diffusion = "#plane .panel:nth-child(4) canvas", "#plane .panel:nth-child(5) canvas"
    board.until(lambda: lit(board, flow, 0.9, 0.1).min() > 150)
    assert lit(board, flow, 0.1, 0.9).max() < 60
    orange, teal = lit(board, flow, 0.75, 0.5), lit(board, flow, 0.25, 0.75)
    assert orange[0] > orange[2] + 30 and teal[1] > teal[0] + 30
    assert lit(board, diffusion, 0.4, 0.25).min() > 80 > lit(board, diffusion, 0.1, 0.25).max()  # from left to right
    assert lit(board, diffusion, 0.75, 0.62).min() > 80 > lit(board, diffusion, 0.75, 0.88).max()  # and upwards
    assert lit(board, diffusion, 0.5, 0.5)[2] > 100
    assert lit(board, "#plane .panel:nth-child(2) canvas", 0.84, 0.84)[2] > 100  # in the corner
    assert board.texts("#plane .panel:nth-child(5) .frame p") == ["Too <b>fast</b>."]
    board.page.locator("#plane .show input").nth(2).click()
    board.until(lambda: lit(board, flow, 0.9, 0.1).max() < 60)
    board.page.locator("#plane .show input").nth(2).click()


def test_curves_of_a_training(board):
    curves = {
        "energy": {"vae": [[0, 0.4], [10, 0.1]], "gan": [[0, 0.5], [10, 0.0]]},
        "nats": {"vae": [[0, -3.0], [10, -1.0]], "gan": []},
    }
    board.show(plane=plane(panels={"vae": {}}, curves=json.dumps(curves)))
    board.until(lambda: board.page.locator("#plane .energy polyline").count() == 2)
    first, second = [
        [float(k) for k in pair.split(",")]
        for pair in board.page.locator("#plane .energy polyline").nth(1).get_attribute("points").split()
    ]
    assert second[0] > first[0] and second[1] > first[1]  # to the right, and down
    assert "VAE 0.10" in board.page.locator("#plane .energy svg").get_attribute("aria-label")
    assert board.page.locator("#plane .nats polyline").first.get_attribute("stroke") == "#3b82f6"


def test_points_are_drawn_where_the_visitor_presses(board):
    steps = itertools.count(10)  # a value that is the same again is not shown
    board.show(plane=plane(step=next(steps)))

    def edit(do):
        """The points that are sent, and shown in return."""
        _, _, data = board.event(do)
        board.show(plane=plane(data["points"], step=next(steps)))
        return unpack_points(data["points"])

    for u, v in ((0.75, 0.25), (0.25, 0.75), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)):
        drawn = edit(lambda u=u, v=v: board.drag(PLANE, (u, v)))
    assert drawn[:3].mean(0) == pytest.approx([0.5, 0.5], abs=0.08)
    assert drawn[3:6].mean(0) == pytest.approx([-0.5, -0.5], abs=0.08)
    assert len(drawn) == 12  # not more than are allowed
    board.page.locator("#plane .erase").click()
    assert len(edit(lambda: board.drag(PLANE, (0.5, 0.5)))) == 6
    board.page.locator("#plane .erase").click()
    assert len(edit(lambda: board.page.locator("#plane .undo").click())) == 12
    assert len(edit(lambda: board.page.locator("#plane .clear").click())) == 0
    board.page.locator(PLANE).focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight"):
        board.page.keyboard.press(key)
    drawn = edit(lambda: board.page.keyboard.press("Space"))
    assert drawn.mean(0) == pytest.approx([2 * 0.06, 4 * 0.06], abs=0.08)


def test_what_is_drawn_while_the_page_is_late_is_not_lost(board):
    board.show(plane=plane(step=5))
    board.page.locator(PLANE).focus()
    _, _, first = board.event(lambda: board.page.keyboard.press("Space"))
    board.page.keyboard.press("Space")
    board.show(plane=plane(pack_points([[0.9, 0.9]])))  # of an earlier run
    assert board.texts("#plane .data footer") == ["6 points"]
    _, _, second = board.event(lambda: board.show(plane=plane(first["points"])))
    assert len(unpack_points(first["points"])) == 3 and len(unpack_points(second["points"])) == 6
    board.show(plane=plane(pack_points([[0.9, 0.9]]), own=False))  # another shape was chosen
    assert board.texts("#plane .data footer") == ["1 points"]


# --- Plots ------------------------------------------------------------------------------------------------------------


def test_marks_of_a_likelihood_and_of_a_score(board):
    x = pictures(1)[0]
    edges = {"edges": [1, 2, 3], "real": [0.4, 0.6], "generated": [0.5, 0.5]}
    axes = [{"title": f"axis {k}", "histogram": edges, "score": score} for k, score in enumerate((1.5, 99))]
    board.show(likelihood={**components.raw(x), "text": "words", "datasets": ["own", "other"], "axes": json.dumps(axes)})
    board.shows_picture("#likelihood canvas", x)
    plot = board.width("#likelihood svg") - 24
    assert [board.number("#likelihood .mark", "x1", k) for k in (0, 1)] == pytest.approx([12 + plot / 4, 12 + plot])
    assert board.texts("#likelihood figcaption") == ["axis 0", "axis 1"]
    assert board.texts("#likelihood .key .real b, #likelihood .key .generated b") == ["own", "other"]
    colours = "spans => spans.map(span => span.className)"  # the first data set is the real one's colour, in curves and key
    assert board.page.locator("#likelihood .key span").evaluate_all(colours)[:2] == ["real", "generated"]
    rows = [{"label": name, "score": score} for name, score in (("a", -1.5), ("b", 1.0), ("c", 0))]
    value = {"text": "words", "score": -0.5, "histogram": json.dumps(HISTOGRAM), "by_label": json.dumps(rows)}
    board.show(verdict={**components.raw(x), **value})
    board.shows_picture("#verdict canvas", x)
    plot = board.width("#verdict svg") - 24
    assert board.number("#verdict .mark.yours", "x1") == pytest.approx(12 + plot * 0.375)
    board.page.locator("#verdict summary").click()
    assert board.texts("#verdict .kind output") == ["−1.5", "+1.0", "0"]
    assert board.texts("#verdict .best span") == ["b"]
    shares = board.page.locator("#verdict .kind i").evaluate_all("all => all.map(i => +i.style.getPropertyValue('--share'))")
    assert shares == [0.125, 0.75, 0.5]


def test_a_chart_has_low_values_at_the_bottom(board):
    lines = [components.line("DDIM", [(4, 100.0), (16, 10.0)]), components.line("Heun", [(8, 1.0)])]
    board.show(chart={"lines": lines, "floor": 0.1, "x": "calls", "y": "FID"})
    board.until(lambda: board.page.locator("#chart circle").count() == 3)
    x, y = ([board.number("#chart circle", name, k) for k in range(3)] for name in ("cx", "cy"))
    left, right = 66, board.width("#chart svg") - 10
    assert x == pytest.approx([left, right, (left + right) / 2])
    assert y[0] < y[1] < y[2] < board.number("#chart .floor", "y1") < 258
    assert y[1] - y[0] == pytest.approx(y[2] - y[1])  # logarithmic
    assert (
        board.page.locator("#chart svg").get_attribute("aria-label").startswith("FID against calls. DDIM: 100 at 4, 10 at 16")
    )


def test_a_dot_is_that_of_its_family_where_another_was_not_measured(board):
    points = [
        {"title": "A", "x": None, "y": 1.0},
        {"title": "B", "x": 0.01, "y": 4.0, "size": 0.25},
        {"title": "C", "x": 0.5, "y": 1.0, "size": 0.75},
    ]
    texts = {"x": "time", "y": "FID", "size": "Larger: more.", "missing": "Not measured: A."}
    board.show(scatter={"points": json.dumps(points), "floor": 0.5, **texts})
    board.until(lambda: board.page.locator("#scatter .point").count() == 2)
    x, y, r = ([board.number("#scatter .point circle:not(.target)", name, k) for k in range(2)] for name in ("cx", "cy", "r"))
    assert x[0] < x[1] and y[0] < y[1] < board.number("#scatter .floor", "y1") and r == [7, 13]
    assert board.texts("#scatter figcaption") == ["Larger: more. Not measured: A."]
    click = board.page.locator("#scatter .point .target").nth(1).click
    assert board.event(click) == ("scatter", "input", {"index": 2})
    assert [point.get_attribute("aria-pressed") for point in board.page.locator("#scatter .point").all()] == ["false", "true"]


def test_a_table_is_sorted_by_numbers_and_what_was_not_measured_comes_last(board):
    rows = [("VAE", [("9", 9.0), ("none", None)]), ("GAN", [("10", 10.0), ("2", 2.0)]), ("flow", [("none", None), ("1", 1.0)])]
    board.show(table=SortableTable.value(["family", "FID", "bits"], rows, "Numbers."))
    heads, names = board.page.locator("#table thead button"), "#table tbody th"
    board.until(lambda: board.texts(names) == ["VAE", "GAN", "flow"])
    for column, order in (
        (1, "VAE GAN flow"),
        (1, "GAN VAE flow"),
        (2, "flow GAN VAE"),
        (0, "flow GAN VAE"),
        (0, "VAE GAN flow"),
    ):
        heads.nth(column).click()
        assert board.texts(names) == order.split()
    assert board.page.locator("#table th[aria-sort=descending]").all_inner_texts() == ["family"]
    assert board.texts("#table tbody tr:last-child td") == ["none", "1"]
    heads.nth(1).click()
    assert board.event(board.page.locator(f"{names} button").nth(1).click) == ("table", "input", {"index": 1})
    heads.nth(1).click()  # wherever the row stands
    assert board.texts(names) == ["GAN", "VAE", "flow"]
    assert board.event(board.page.locator(f"{names} button").first.click) == ("table", "input", {"index": 1})


def test_each_sample_of_a_family_stands_in_its_row(board):
    x = pictures(3)
    row = {"title": "A", "state": "done", "facts": [["ms", "3"]], "n": 3, "w": W, "h": H, "values": ["1.5", "2.5", "3.5"]}
    waiting = {"name": "b", "title": "B", "state": "waiting", "facts": []}
    rows = {"a": ({"name": "a", **row}, components.sheet(x, 3)["source"]), "b": (waiting, "")}
    board.show(rows=FamilyRows.value(rows))
    for k in range(3):
        board.shows_picture(f"#rows .done figure:nth-child({k + 1}) canvas", x[k])
    assert board.texts("#rows .done figcaption") == row["values"] and board.texts("#rows h4") == ["A", "B"]
    assert board.page.locator("#rows .waiting canvas").count() == 0
