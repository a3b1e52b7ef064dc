"""Texts in the language of the page."""

import threading

import pytest

from genmodels.messages import Message
from tabs.language import LANGUAGES, _, catalogue, current, of_scripts, pgettext, use


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
