"""The page as a whole: what visitors upload, draw or request by hand, and how it starts."""

import base64
import io
import math
import subprocess
import sys
import urllib.error

import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from helpers import ROOT, anything, is_sentence, post, raw_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs.components.draw_pad import SIDE, DrawPad
from tabs.language import LANGUAGES
from tabs.vae import encoding

ENDPOINTS = """compare compare_picture compare_interpolate
    vae_sample vae_decode vae_encode vae_interpolate vae_attributes gan_sample gan_score gan_walk gan_project
    text_generate text_score text_next text_poem pixels_complete flow_sample flow_score flow_unfold
    diffusion_sample diffusion_noise diffusion_edit diffusion_inpaint add_noise denoise
    plane_fit plane_sample"""


def test_every_endpoint_has_its_name_and_every_parameter_a_default(client):
    """Gradio gives a second function of the same name another one: /add_noise_1."""
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {f"/{name}" for name in ENDPOINTS.split()}
    assert all(parameter["parameter_has_default"] for name in endpoints for parameter in endpoints[name]["parameters"])


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uploads")
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    Image.new("L", (30, 30)).save(folder / "empty.png")
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    whole = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(whole, "PNG")
    (folder / "cut.png").write_bytes(whole.getvalue()[:20_000])
    (folder / "nothing.png").touch()
    return folder


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("huge.png", "16 megapixels"),
        ("bomb.png", "16 megapixels"),
        ("empty.png", "empty"),
        ("text.png", "not a picture"),
        ("drawing.svg", "not a picture"),
        ("cut.png", "damaged"),
        ("nothing.png", "not a picture"),
    ],
)
def test_bad_uploads_get_a_sentence(client, uploads, file, says):
    with pytest.raises(AppError, match=says) as error:
        client.predict(picture=handle_file(uploads / file), api_name="/vae_encode")
    assert is_sentence(str(error.value))


def test_files_of_the_server_cannot_be_requested(page_url):
    """A raw request names a file that was never uploaded, with and without the type that Gradio looks for."""
    for picture in ({"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, {"path": "/etc/hostname"}):
        answer = post(page_url, "vae_encode", ["vae-mnist", picture, 0])
        assert "event: error" in answer
        assert "complete" not in answer


def test_nan_over_http(page_url):
    try:
        text = post(page_url, "vae_sample", ["vae-mnist", math.nan, 0, 1])
    except urllib.error.HTTPError:
        return  # refused before it reached the endpoint
    assert "event: error" in text


def test_an_upright_colour_photograph_becomes_a_face(tmp_path):
    sideways = Image.new("RGB", (80, 40), "red")
    sideways.paste("blue", (40, 0, 80, 40))
    exif = sideways.getexif()
    exif[274] = 6  # turn a quarter clockwise to see it upright
    sideways.save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = gm.pictures.read(tmp_path / "a.jpg")
    assert upright.size == (40, 80)
    assert upright.getpixel((20, 10))[0] > 200  # red on top
    encoded = encoding.PICTURES.choose_upload(str(tmp_path / "a.jpg"), "avatars", size="full")
    assert raw_of(encoded["stage"]).shape == (64, 64, 3)


@settings(max_examples=50, deadline=None)
@given(st.one_of(anything, st.binary(min_size=SIDE**2, max_size=SIDE**2).map(lambda b: base64.b64encode(b).decode())))
def test_the_pad_may_send_anything(payload):
    ink = DrawPad.preprocess(None, payload)
    assert ink is None or ink.shape == (SIDE, SIDE)


def test_the_page_is_built_without_torch():
    code = "import sys, app; print('torch' in sys.modules, len(app.demo.fns))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split()[0] == "False"


def test_the_server_never_writes_to_a_pad():
    """An empty update would clear its properties."""
    import app

    pads = {pad for pad in app.demo.blocks.values() if isinstance(pad, DrawPad)}
    assert len(pads) == 7 * len(LANGUAGES)
    assert not any(pads.intersection(event.outputs) for event in app.demo.fns.values() if event.fn)
