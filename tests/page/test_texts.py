"""What the page says of controls, labels, pictures and measurements: in Chinese on the Chinese page, else in English."""

import importlib
import pkgutil
import re
import shutil
from typing import Annotated

import fastapi
import gradio as gr
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import Field, field_validator

import genmodels as gm
import tabs
from genmodels.messages import Message, joined, message_of
from hosting import calls
from tabs import events, families, labels, lane, programs, sources
from tabs.controls import SEED, ControlError, Controls, Seed, number, radio, slider, textbox
from tabs.language import _, use

for module in pkgutil.walk_packages(tabs.__path__, "tabs."):
    importlib.import_module(module.name)
CLASSES = [cls for cls in Controls.__subclasses__() if cls.__module__.startswith("tabs.")]
WORDS = re.compile(r"[A-Za-z]{3,}")
NAMES = {"Eta", "Sigma", "sigma", "Top", "top", "Min", "slerp", "FID", "VAE", "GAN", "DDIM", "DDPM", "DPM", "Solver", "Heun"}
FACES = {name: gm.data.ATTRIBUTES[name] for name in ("smiling", "glasses", "hair_color")}


class Sampling(Controls):
    n: Annotated[int, slider()] = Field(9, ge=1, le=16, title=Message("Samples"))
    temperature: Annotated[float, slider(info=Message("0: all"))] = Field(
        1, ge=0, le=1.5, title=Message("Temperature"), description=Message("0: no noise, 1: as trained")
    )
    order: Annotated[str, radio([(Message("as sampled"), "as sampled"), (Message("by score"), "score")])] = Field(
        "score", title=Message("Order"), max_length=10
    )
    prompt: Annotated[str, textbox(placeholder=Message("Empty: the model begins a text of its own."))] = Field(
        "", title=Message("Prompt"), max_length=20
    )
    steps: Annotated[int, number()] = Field(20, ge=1, le=250, title=Message("Steps"))
    seed: Seed = SEED

    @field_validator("steps")
    @classmethod
    def is_allowed(cls, steps):
        if steps > 100:
            raise ValueError(Message("must be a whole number from 1 to {maximum}, not {steps}.", maximum=100, steps=steps))
        return steps


def in_chinese(fn, *args, **values):
    """What an event of the Chinese page shows in the corner where `fn` refuses."""
    with pytest.raises(gr.Error) as error:
        events.guarded(lambda: fn(*args, **values), language="zh")()
    assert error.value.title == "错误"
    return error.value.message


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "english", "chinese"),
    [
        ({"n": 45}, "Samples must be a whole number from 1 to 16, not 45.", "「样本」必须是从 1 到 16 的整数，不能是 45。"),
        (
            {"temperature": 2},
            "Temperature must be a number from 0 to 1.5, not 2.",
            "「温度」必须是从 0 到 1.5 的数，不能是 2。",
        ),
        ({"seed": -1}, "Seed must be a whole number", "「随机种子」必须是从 0 到 2147483648 的整数，不能是 -1。"),
        ({"prompt": 3}, "Prompt must be a text of at most 20", "「提示词」必须是最多 20 个字符的文本，不能是 3。"),
        ({"steps": 101}, "Steps must be a whole number from 1 to 100", "「步数」必须是从 1 到 100 的整数，不能是 101。"),
        ({"other": 1}, "other is not a control", "「other」不是可设置的参数；可用的有 "),
    ],
)
def test_a_control_refuses_in_the_language_of_the_page(values, english, chinese):
    assert in_chinese(Sampling.read, **values).startswith(chinese)
    with pytest.raises(ControlError) as error:
        Sampling.read(**values)
    assert str(error.value).startswith(english)
    (name,) = values
    assert error.value.by_name.startswith(f"{name} ") and not re.search(r"[\u4e00-\u9fff]", error.value.by_name)


@pytest.fixture
def damaged(checkpoints, tmp_path, monkeypatch):
    """A folder of some checkpoints, of which files are missing or broken."""
    root = tmp_path / "checkpoints"
    for name in ("gan-mnist", "vae-mnist", "transformer-tang"):
        shutil.copytree(checkpoints / name, root / name)
    (root / "vae-mnist" / "latents.safetensors").unlink(missing_ok=True)
    (root / "vae-mnist" / "model.safetensors").write_bytes(b"broken")
    (root / "gan-mnist" / "replay.json").write_text("{}")
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(root))


def refusals(tmp_path):
    """(function, its arguments, what it says in Chinese): what the package and the parts of all tabs refuse."""
    Image.new("I", (3, 3), 70_000).save(tmp_path / "deep.tiff")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    family = families.Family("gan", {"mnist": Message("Digits")})
    poem = gm.load("transformer-tang").poem_steps
    blank = np.zeros((9, 9), np.uint8)
    return [
        (gm.base.check_number, ("n", 2.5, 1, 9, True), "「n」必须是从 1 到 9 的整数，不能是 2.5。"),
        (gm.base.check_number, ("t", "x", 0, 1), "「t」必须是从 0 到 1 的数，不能是 'x'。"),
        (family.check, ("dogs",), "「数据集」必须是以下各项之一：mnist，不能是 'dogs'。"),
        (gm.load, ("gan-dogs",), "checkpoints 中没有检查点 'gan-dogs'；现有："),
        (gm.load, ("vae-mnist",), "checkpoints/vae-mnist/model.safetensors 不完整，或不是 safetensors 文件（"),
        (gm.load, ("a/b",), "没有文件夹 a/b：请给出"),
        (gm.vae.load_latents, ("vae-mnist",), "checkpoints/vae-mnist/latents.safetensors 缺失或损坏（"),
        (gm.gan.load_replay, ("gan-mnist",), "checkpoints/gan-mnist 中的训练回放缺失或损坏（"),
        (gm.base.import_extra, ("missing_library", "denoise"), "缺少 missing_library：请用 pip install"),
        (gm.pictures.read, (None,), "请先选择图片："),
        (gm.pictures.read, (tmp_path / "broken.png",), "这个文件不是可以读取的图片："),
        (gm.pictures.read, (tmp_path / "deep.tiff",), "图片的像素是 32 位整数"),
        (gm.pictures.open_picture, (tmp_path / "deep.tiff",), "图片的像素是 32 位整数"),
        (lambda: gm.pictures.open_picture(tmp_path / "deep.tiff", max_pixels=8), (), "图片超过 8e-06 百万像素："),
        (gm.data.preprocess, (blank, "mnist"), "画板是空的："),
        (sources.drawing, ("mnist", None), "画板是空的："),
        (sources.require, (None,), "请先选择图片："),
        (labels.for_picture, (FACES, "glasses=pink"), "「眼镜」必须是以下各项之一：none, round, "),
        (labels.for_picture, (FACES, "hat=cat"), "「属性」必须是以下各项之一：smiling, glasses, "),
        (gm.labels.parse, (gm.labels.classes("mnist"), "x"), "「label」必须是以下各项之一：any, 0, "),
        (lambda: poem("七绝", heads="春夏秋冬春"), (), "「藏头」最多 4 个字符"),
        (lambda: poem("七绝", heads="x"), (), "「藏头」必须是模型认识的汉字；这些不是：x。"),
        (lambda: poem("七绝", prefix="，"), (), "前缀必须是一首七绝正文的开头"),
        (gm.load("transformer-tang").read_steps, ("五言|",), "诗的开头必须是体裁"),
    ]


def test_what_the_package_refuses_is_said_in_chinese(damaged, tmp_path):
    for fn, arguments, says in refusals(tmp_path):
        message = in_chinese(fn, *arguments)
        assert message.startswith(says), (message, says)


def test_too_many_computations_are_refused_in_the_language_of_the_page(monkeypatch):
    monkeypatch.setattr(lane, "MAX_TURNS", 0)
    assert (
        in_chinese(lambda: None) == f"同一地址最多同时接受 {lane.TOO_MANY.values['n']} 个计算：请在你的一些计算结束之后再试。"
    )


def test_messages_of_texts_and_errors():
    texts = joined("\n", [Message("Seed"), "Seed", joined(" | ", [Message("any"), "{x}"])])
    assert texts == "Seed\nSeed\nany | {x}"
    with use("zh"):
        assert _(texts) == "随机种子\nSeed\n任意 | {x}"
    assert message_of(ValueError(texts)) is texts
    assert message_of(ValueError("plain")) == "plain" and message_of(ValueError()) == ""


def test_a_refused_call_speaks_the_language_of_the_page_that_calls():
    def translate(page, text, **values):
        with use(page or "en"):
            return _(text, **values)

    with calls.Page() as page:
        gr.Button().click(lambda text: text, gr.Textbox(), gr.JSON(), api_name="first")
    with page.route("中文", "/zh"):
        gr.Button().click(lambda text: text, gr.Textbox(), gr.JSON(), api_name="second")
        gr.Button().click(lambda: {}["missing"], None, gr.JSON(), api_name="broken")
    page.translate = translate
    answers = {}
    with TestClient(gr.mount_gradio_app(fastapi.FastAPI(), page, "/")) as client:
        for name, data in (("first", [3]), ("second", [3]), ("second", []), ("broken", [])):
            event = client.post(f"/gradio_api/call/{name}", json={"data": data}).json()["event_id"]
            answer = client.get(f"/gradio_api/call/{name}/{event}").text
            answers.setdefault(name, []).append(answer.encode().decode("unicode_escape"))
    assert "value 1 must be a text." in answers["first"][0]
    assert "「第 1 个值」必须是文本。" in answers["second"][0]
    assert "second 需要 1 个值（第 1 个值），而不是 0 个。" in answers["second"][1]
    assert "页面无法完成这次计算" in answers["broken"][0]


# --- Controls and menus -----------------------------------------------------------------------------------------------


def test_components_are_in_the_language_of_the_page():
    with use("zh"):
        parts = Sampling.components("x")
    assert parts["n"].label == "样本" and parts["temperature"].label == "温度（0：没有噪声，1：训练时的状态）"
    assert parts["temperature"].info == "0：全部"
    assert parts["order"].choices == [("按采样顺序", "as sampled"), ("按评分", "score")]
    assert parts["prompt"].placeholder == "留空：模型自己开头。"
    english = Sampling.components("x")
    assert english["order"].choices == [("as sampled", "as sampled"), ("by score", "score")]
    assert english["temperature"].label == "Temperature (0: no noise, 1: as trained)"
    with use("zh"):
        assert Sampling.document()["n"] == "Samples: a whole number from 1 to 16."  # of the API


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_control_of_the_page_has_a_chinese_title(cls):
    with use("zh"):
        for name in cls.model_fields:
            assert set(WORDS.findall(_(cls._label(name)))) <= NAMES
            for words, value in getattr(cls.components("x").get(name), "choices", None) or []:
                assert set(WORDS.findall(words)) <= NAMES or words == value


def test_menus_have_chinese_words_and_english_values():
    with use("zh"):
        updates = labels.menu_updates(FACES)
        clothes = labels.class_choices("fashion")
        single = dict(labels.single_choices(FACES))
        names = sources.test_picture_names("fashion")
        readable = labels.readable("smiling=yes, glasses=big_shades")
    assert updates["label_1"]["label"] == "眼镜"
    assert updates["label_1"]["choices"][:2] == [("任意", "any"), ("不戴", "none")]
    assert [value for menu in updates.values() for words, value in menu.get("choices", ())] == [
        *("any", *FACES["smiling"], "any", *FACES["glasses"], "any", *FACES["hair_color"])
    ]
    assert clothes[:2] == [("每类一个", "each"), ("任意", "any")] and ("短靴", "ankle boot") in clothes
    assert single["眼镜：大墨镜"] == "glasses=big_shades" and readable == "微笑：是、眼镜：大墨镜"
    assert names[0] == "T 恤（测试图片 0）"
    assert labels.readable("smiling=yes, hair_color=pink") == "smiling: yes, hair color: pink"
    assert labels.readable("ankle boot") == "ankle boot" and ("ankle boot", "ankle boot") in labels.class_choices("fashion")


def test_every_class_and_value_has_a_chinese_name():
    with use("zh"):
        for attribute, values in ({"class": gm.data.CLASSES["fashion"]} | gm.data.ATTRIBUTES).items():
            for value in values:
                assert re.search(r"[\u4e00-\u9fff]", labels.value_name(attribute, value)), (attribute, value)


def test_outputs_of_an_event_that_are_messages_are_in_the_language_of_its_page():
    def pending():
        return {"lines": programs.PENDING, "n": 3}

    assert events.guarded(pending, language="zh")() == {"lines": "# 运行结束后，程序会显示在这里。", "n": 3}
    assert events.guarded(pending)()["lines"] == "# The program appears here when the run has finished."


# --- Cards ------------------------------------------------------------------------------------------------------------

TITLES = {"mnist": Message("Digits"), "fashion": Message("Clothes"), "avatars": Message("Faces")}
SHIPPED = gm.cards.checkpoint_root()
FIGURES = {"MSE", "PCA", "PSNR", "BSD", "CAS", "ELBO", "NLL", "bits", "dim", "Kneser", "Ney", "gram", "log"}


def without_names(text):
    """Without code, links, and who wrote a paper."""
    text = re.sub(r"`[^`]*`|\[[^]]*\]\([^)]*\)", "", text)
    return re.sub(r"[A-Z]\S+(?:(?:, | and | et al\.|; )[A-Z]\S+)*(?: et al\.)? \d{4}(?:; .*? \d{4})?", "", text)


@pytest.mark.parametrize("name", sorted(file.parent.name for file in SHIPPED.glob("*/README.md")))
def test_every_headline_is_in_chinese_with_its_numbers(name):
    english = gm.cards.headline(name)
    with use("zh"):
        chinese = _(english)
    assert set(WORDS.findall(without_names(chinese))) <= FIGURES | NAMES, chinese
    numbers = re.compile(r"\d[\d.,]*\d|\d")
    assert sorted(numbers.findall(chinese)) == sorted(numbers.findall(english))


def test_tables_and_sentences_of_measurements_are_in_chinese():
    texts = [
        gm.cards.models_table(gm.checkpoints()),
        gm.cards.generators_table(TITLES),
        gm.cards.samplers_table(TITLES, {"dpm": "DPM-Solver++"}),
        gm.cards.fids_by_calls(TITLES),
        gm.cards.bits_by_class(),
        gm.cards.perplexities(),
        gm.cards.rhyme_shares(),
        gm.cards.elbo_gap(),
        gm.cards.end_of_training("gan-mnist"),
        gm.cards.ABSENT,
        gm.cards.headline("missing"),
    ]
    for english in texts:
        with use("zh"):
            chinese = _(english)
        assert chinese != english and set(WORDS.findall(without_names(chinese))) <= FIGURES | NAMES, chinese


def test_a_card_in_english_is_called_so_on_the_chinese_page():
    card = gm.cards.about(["gan-mnist"], "gan-mnist")
    assert "卡片" not in card
    with use("zh"):
        table, note, text = _(card).split("\n\n", 2)
    assert note == "以下卡片为英文。" and text.lstrip().startswith("# gan-mnist") and card.endswith(text)
    assert table.splitlines()[0] == "| 模型 | 论文 | 参数量 | 训练分钟数 | 在测试集上 |"
