"""The Chinese texts have the formulas, numbers, links, code and placeholders of the English ones, and the glossary's words."""

import gettext
import re
from collections import Counter
from pathlib import Path

import messages
import pytest
from babel.messages import pofile
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
TABS = sorted({file.parent.name for file in (ROOT / "tabs").glob("*/about*.md")})
LONG_TEXTS = [*(f"tabs/{tab}/about.zh.md" for tab in TABS), "README.zh.md"]
CATALOGS = sorted((ROOT / "tabs" / "locale" / "zh" / "LC_MESSAGES").glob("*.po"))
TABLES = {"README.md#models", "README.md#speed"}  # the Chinese README links to what is measured and written by a program
# Other translations of the glossary's terms
NOT_OUR_WORDS = (
    *("隐空间", "潜空间", "标准化流", "正则化流", "自动编码器", "鉴别器", "令牌", "模式坍塌", "后验崩溃"),
    *("重新参数化", "困惑值", "降噪"),
)

FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def read(file):
    return (ROOT / file).read_text(encoding="utf-8")


def formulas(text):
    """Without the words in them."""
    return [re.sub(r"\\text\{[^{}]*\}", r"\\text{}", " ".join(f.split())) for f in FORMULA.findall(FENCED.sub("", text))]


def numbers(text):
    text = text.replace("00 万像素", " 百万像素")  # megapixels are counted in tens of thousands
    return re.findall(r"\d+(?:[.,]\d+)*", LINK.sub("]", FORMULA.sub("", FENCED.sub("", text))))


FACTS = {
    "headings": lambda text: re.findall(r"^#+(?= )", FENCED.sub("", text), re.MULTILINE),
    "list items": lambda text: re.findall(r"^- ", text, re.MULTILINE),
    "placeholders": lambda text: PLACEHOLDER.findall(FORMULA.sub("", FENCED.sub("", text))),
    "formulas": formulas,
    "links": LINK.findall,
    "fenced code": FENCED.findall,
    "code": lambda text: re.findall(r"`[^`\n]+`", FENCED.sub("", text)),
    "numbers": numbers,
}


def commands(text):
    """Lines of fenced code without what explains them."""
    return [re.split(r"\s{2,}|\s#", line)[0] for block in FENCED.findall(text) for line in block.splitlines() if line]


def prose(text):
    """A README without its front matter and what programs write between markers."""
    text = re.sub(r"\A---\n.*?^---\n", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"<!-- ([\w-]+):begin -->.*?<!-- \1:end -->", "", text, flags=re.DOTALL)


def letters(text):
    return re.findall("[A-Za-z]+", PLACEHOLDER.sub("", text))


def flaws(text):
    """Asterisks that Markdown would show, half-width punctuation, and a missing space between Chinese and Latin."""
    asterisks = re.findall(r".{0,20}\*.{0,20}", MarkdownIt("commonmark").enable("table").render(text))
    return asterisks + re.findall(r"[\u4e00-\u9fff](?:[,;:!?]|[A-Za-z0-9]).{0,9}|.{0,9}[A-Za-z0-9][\u4e00-\u9fff]", text)


def entries(file):
    with file.open("rb") as opened:
        catalog = pofile.read_po(opened, locale="zh", abort_invalid=True)
    return catalog, [message for message in catalog if message.id]


each_catalog = pytest.mark.parametrize("file", CATALOGS, ids=lambda file: file.stem)


# --- Explanations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", FACTS)
@pytest.mark.parametrize("tab", TABS)
def test_an_explanation_has_the_facts_of_the_english_one(tab, facts):
    english, chinese = (Counter(FACTS[facts](read(f"tabs/{tab}/{name}"))) for name in ("about.md", "about.zh.md"))
    assert chinese == english  # in any order: sentences are built otherwise


@pytest.mark.parametrize("file", LONG_TEXTS)
def test_a_long_text_is_set_as_chinese_is(file):
    text = FORMULA.sub(" x ", FENCED.sub("", read(file)))
    assert flaws(text) == []
    assert re.findall(r".*[\u4e00-\u9fff，。；：]\n[^\n#>|-].*", text) == [], "a browser shows this line break as a space"


# --- The catalogue ----------------------------------------------------------------------------------------------------


@each_catalog
def test_the_catalogue_has_a_translation_with_the_same_placeholders_for_every_text(file):
    catalog, found = entries(file)
    assert (catalog.charset, catalog.fuzzy) == ("utf-8", False)
    assert len(found) > 100
    assert [m.id for m in found if m.fuzzy or not m.string] == []
    assert list(catalog.obsolete) == []
    assert [m.id for m in found if set(PLACEHOLDER.findall(m.id)) != set(PLACEHOLDER.findall(m.string))] == []
    assert read(file).count("\nmsgid ") == len(found) + 1, "a text is there twice"


@pytest.mark.parametrize("domain", ["page", "scripts"])
def test_a_catalogue_has_all_texts_of_the_sources_with_their_contexts_and_no_other(domain):
    _, translated = entries(messages.file_of("zh", domain))
    assert {(m.context, m.id) for m in translated} == {(m.context, m.id) for m in messages.extracted(domain) if m.id}


@each_catalog
def test_a_catalogue_is_compiled(file):
    _, translated = entries(file)
    with file.with_suffix(".mo").open("rb") as compiled:
        translations = gettext.GNUTranslations(compiled)
    for m in translated:
        assert (translations.pgettext(m.context, m.id) if m.context else translations.gettext(m.id)) == m.string


@each_catalog
def test_a_translation_is_chinese_or_a_name(file):
    _, found = entries(file)
    latin = [m for m in found if not CHINESE.search(m.string)]
    words = [(m.id, letters(m.id), letters(m.string)) for m in latin]
    assert [text for text, english, translated in words if translated != english] == []
    assert len({text for text, english, _ in words if english}) < 25


@each_catalog
def test_translations_are_set_as_chinese_is(file):
    _, found = entries(file)
    found = {m.id: flaws(PLACEHOLDER.sub("。", m.string)) for m in found}
    assert {text: found[text] for text in found if found[text]} == {}


# --- README -----------------------------------------------------------------------------------------------------------


def test_the_chinese_readme_has_the_sections_commands_links_and_numbers_of_the_english_one():
    english, chinese = prose(read("README.md")), prose(read("README.zh.md"))
    assert FACTS["headings"](chinese) == FACTS["headings"](english)
    assert commands(chinese) == commands(english)
    assert Counter(FACTS["code"](chinese)) == Counter(FACTS["code"](english))
    assert Counter(numbers(chinese)) == Counter(numbers(english))
    assert "README.zh.md" in LINK.findall(english)
    assert set(LINK.findall(chinese)) == set(LINK.findall(english)) - {"README.zh.md"} | {"README.md", *TABLES}


def test_the_measured_tables_of_the_chinese_readme_are_links_to_those_of_the_english_one():
    """So its numbers cannot be out of date."""
    english = read("README.md")
    assert ":begin -->" not in read("README.zh.md")
    for section in ("Models", "Speed"):
        assert f"README.md#{section.lower()}" in TABLES
        assert ":begin -->" in re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", english, re.DOTALL | re.MULTILINE)[1]


# --- Words ------------------------------------------------------------------------------------------------------------


def test_the_chinese_texts_use_the_words_of_the_glossary():
    files = [*LONG_TEXTS, *CATALOGS]
    text = "\n".join(map(read, files))
    rows = [line.strip("| ").split(" | ") for line in read("docs/glossary.md").splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 120
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), key=str.lower)
    assert [term for _, terms in rows for term in terms.split("、") if term not in text] == []
    assert [word for word in NOT_OUR_WORDS if word in text] == []
