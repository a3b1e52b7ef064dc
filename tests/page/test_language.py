"""Texts in the language of the page."""

import threading

import gradio as gr
import pytest

from genmodels.messages import Message
from tabs import events, flow, gan, vae
from tabs.denoiser import comparison, noise, pictures
from tabs.diffusion import editing, quality, sampling
from tabs.language import LANGUAGES, _, catalogue, current, of_scripts, pgettext, use
from tabs.transformer import poems, runs, surprisal


@pytest.fixture(autouse=True)
def catalogues(monkeypatch):
    """Two words of Chinese, whatever the page's own catalogues say."""
    words = {
        "Seed": "种子",
        "{name} must be {allowed}, not {value}.": "{name}必须是{allowed}，不能是 {value}。",
        "a number": "数",
    }
    monkeypatch.setattr(catalogue("zh"), "_catalog", {**words, "smiling\x04no": "否"})


def test_a_text_is_in_the_language_of_the_block():
    assert [_("Seed"), current()] == ["Seed", "en"]
    with use("zh"):
        assert [_("Seed"), _("Not there"), _(""), pgettext("smiling", "no"), pgettext("other", "no")] == [
            *("种子", "Not there", "", "否", "no")
        ]
        with use("en"):
            assert _("Seed") == "Seed"
        assert current() == "zh"
    assert current() == "en"


def test_a_language_belongs_to_its_thread_and_ends_with_an_error():
    found = []

    def fail():
        with use("zh"):
            thread = threading.Thread(target=lambda: found.append(current()))
            thread.start()
            thread.join()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [found, current()] == [["en"], "en"]


def test_an_errors_message_is_a_text_with_values_that_are_translated_too():
    message = Message("{name} must be {allowed}, not {value}.", name=Message("Seed"), allowed=Message("a number"), value="{x}")
    assert str(ValueError(message)) == message == "Seed must be a number, not {x}."
    with use("zh"):
        assert _(message) == "种子必须是数，不能是 {x}。"


def test_there_is_a_catalogue_for_every_language():
    for tag in list(LANGUAGES)[1:]:
        assert of_scripts(tag)["Play"] and "" not in of_scripts(tag)
    assert of_scripts(next(iter(LANGUAGES))) == {}


OPENED = {
    "samples of the flow": lambda: flow.sampling.open_dataset("mnist")["stage"]["pictures"][0]["label"],
    "likelihood": lambda: flow.likelihood.open_dataset("mnist")["verdict"]["text"],
    "comparison": lambda: flow.likelihood.open_dataset("mnist")["comparison"]["labels"][0],
    "layers": lambda: flow.likelihood.open_dataset("mnist")["layers"]["rows"][0],
    "samples of the GAN": lambda: gan.sampling.open_dataset("mnist")["stage"]["pictures"][0]["label"],
    "training": lambda: gan.training.open_dataset("mnist")["film"]["label"],
    "map": lambda: vae.latent_map.show("mnist")["map"]["maps"][0]["title"],
}


@pytest.mark.parametrize("name", OPENED)
def test_what_is_computed_once_is_in_the_language_of_each_page(monkeypatch, name):
    monkeypatch.setattr(catalogue("zh"), "gettext", "译：{}".format)
    opened = OPENED[name]
    english = opened()
    with use("zh"):
        assert opened().startswith("译：")
    assert opened() == english and "译" not in english


def test_handlers_answer_in_the_language_of_the_page(monkeypatch):
    monkeypatch.setattr(catalogue("zh"), "gettext", lambda text: f"<{text}>")
    with use("zh"):
        source = pictures.example("photo", 0)
        stage = comparison.show(source, "photo", kind="missing block", strength=25)["stage"]
        names = [part["name"] for part in stage["pictures"]]
        assert names == ["<noisy>", "<our network>", "<clean picture>", "<removed noise>"]
        assert stage["caption"].startswith("<<512 × 512 pixels, 256 × 256 of them on the stage.> Our network")
        assert noise.choose_kind("speckle", "photo")["strength"]["label"] == "<Strength, % of each pixel's value>"
        noisy = editing.show_noise(editing.PICTURES.example("mnist", 0), t=0.5)["noisy"]
        assert noisy["label"] == f"<Your picture with noise: {noisy['caption']}>" and noisy["caption"][0] == "<"
        assert quality.show("mnist")["chart"]["y"] == "<FID of 1,000 pictures (lower is better)>"
        shown = surprisal.show("To be£")["surprisal"]
        assert shown["notes"] == "<Not in the training text, left out: £.>" and shown["stats"].endswith(">")


@pytest.mark.parametrize("language, expected", [("zh", "«{}»"), ("en", "{}")])
def test_a_stream_answers_in_the_language_of_the_page_whenever_it_runs(monkeypatch, language, expected):
    monkeypatch.setattr(catalogue("zh"), "gettext", lambda text: f"«{text}»")
    handlers, outputs = [], {"stage": gr.JSON(), "words": gr.Textbox()}

    def steps():
        try:
            yield {"stage": {}, "words": _("first")}
            yield {"stage": {}, "words": Message("second")}
            yield {"stage": {}, "words": ""}
        except events.Stopped:
            yield {"stage": {}, "words": _("stopped")}
        raise ValueError(Message("third"))

    with use(language):  # while the page is built
        events.Runs().stream(lambda run, *args, **flags: handlers.append(run), steps, {}, outputs, rate=1e9)
    counter = events.RunCounter()
    run = handlers[0](counter, 1)
    assert [next(run)[outputs["words"]] for _step in range(2)] == [expected.format("first"), expected.format("second")]
    with pytest.raises(gr.Error, match=expected.format("third")):
        list(run)
    run = handlers[0](counter, 2)
    next(run)
    counter.stop(3)
    assert expected.format("stopped") in [output.get(outputs["words"]) for output in run if isinstance(output, dict)]


def test_what_is_computed_once_is_shown_in_each_language(monkeypatch):
    monkeypatch.setattr(catalogue("zh"), "gettext", lambda text: f"<{text}>")
    runs._openings.clear()
    for language, begin in (("zh", "<"), ("en", ""), ("zh", "<")):
        with use(language):
            assert sampling.open_dataset("mnist")["stage"]["rows"][1] == begin + "predicted x_0" + ">" * bool(begin)
            *_steps, opened = poems.open_poem()
            assert ("<字 characters>" in opened["stage"]["stats"]) == bool(begin) and opened["lines"].startswith("import")
