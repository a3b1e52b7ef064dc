"""Giving way: a slider is answered before the end of whatever takes long, and no result depends on it."""

import functools
import json
import threading
import urllib.request

import gradio as gr
import pytest
import torch
from helpers import ROOT
from helpers_lane import SECONDS, in_threads, waiting

import genmodels as gm
from tabs import events, lane, sources
from tabs.denoiser import comparison, noise, pictures, whole
from tabs.denoiser.noise import Restoration
from tabs.diffusion import compare, inpainting
from tabs.diffusion import sampling as diffusion
from tabs.flow import sampling as flow
from tabs.gan import interpolation as gan_interpolation
from tabs.gan import inversion, quiz
from tabs.gan import sampling as gan
from tabs.playground import training
from tabs.transformer import pixels, poems, surprisal, writing
from tabs.vae import sampling as vae

HEAVY = {  # what takes long -> a call of it, or its steps
    "a whole photograph": lambda: whole.denoise(options=Restoration(kind="none")),
    "a classical method": lambda: whole.denoise(options=Restoration(method="median")),
    "a denoising VAE": lambda: whole.denoise("dvae-mnist"),
    "noise": noise.add_noise,
    "the denoiser's stage": lambda: comparison.show(pictures.example("photo", 0), "photo"),
    "a diffusion step": lambda: diffusion.diffusion_sample(options=diffusion.Sampling(steps=2)),
    "compared samplers": lambda: compare.compare_samplers("mnist", n=1, steps=2),
    "an inpainting step": lambda: inpainting.diffusion_inpaint(options=inpainting.Inpainting(n=1, steps=2)),
    "a flow's samples": lambda: flow.flow_sample(options=flow.Sampling(n=1, label="any")),
    "a step of five families": lambda: training.plane_fit(training_steps=1, options=training.Options(n=16, width=8, depth=1)),
    "GAN faces": lambda: gan.gan_sample("gan-avatars", gan.Sampling(n=1)),
    "interpolated faces": lambda: gan_interpolation.open_dataset("avatars"),
    "the quiz": lambda: quiz.start("mnist", 3),
    "an inversion": lambda: inversion.gan_project(options=inversion.Inversion(steps=1)),
    "a text": lambda: writing.text_generate("ROMEO:", writing.Writing(max_new_tokens=2)),
    "a poem": poems.text_poem,
    "surprisal": lambda: surprisal.text_score("To be"),
    "rows of pixels": lambda: pixels.pixels_complete(options=pixels.Completions(rows=27, n=1)),
    "decoded codes": vae.vae_sample,
    "a file": lambda: sources.upload("mnist", str(ROOT / "docs" / "screenshot.png")),
}


def first_step(result):
    """What a call gives, or of a generator its first step."""
    if hasattr(result, "send"):
        result, steps = next(result), result
        steps.close()
    return result


@pytest.mark.parametrize("name", HEAVY)
def test_a_slider_that_moves_meanwhile_is_answered_before_the_end_of(lanes, name):
    order, begun = [], threading.Event()

    def compute():
        begun.set()
        waiting(1)
        first_step(HEAVY[name]())
        order.append(name)

    def move():
        begun.wait(SECONDS)
        events.guarded(lambda: order.append("slider"), urgent=True)()

    in_threads(events.guarded(compute), move)
    assert order == ["slider", name]


def test_the_same_seed_gives_the_same_picture_however_often_it_gives_way(lanes):
    """Three visitors' at once, each of which gives way to the others between layers."""

    def draw():
        return [
            torch.cat([step.x for step in gm.load("diffusion-mnist").sample_steps(2, label=3, steps=3, seed=1)]),
            gm.load("gan-mnist").sample(3, label=7, seed=2),
            gm.load("denoiser-photo").restore(torch.rand(1, 3, 40, 40, generator=gm.base.generator(0)), 0.1, tile=16),
            gm.load("transformer-shakespeare").generate("ROMEO:", max_new_tokens=5, seed=3),
        ]

    alone, results, switches = events.guarded(draw)(), [], []
    begin = lane.MODELS._begin

    def count(turn):
        switches.append(turn)
        begin(turn)

    lane.MODELS._begin = count

    def draw_as(address):
        with lane.turn(lane.Visitor(address), False), torch.no_grad():
            results.append(draw())

    in_threads(*(functools.partial(draw_as, address) for address in "abc"))
    assert len(switches) > 50 and len(results) == 3
    for *tensors, text in results:
        assert text == alone[-1]
        for x, expected in zip(tensors, alone, strict=False):
            torch.testing.assert_close(x, expected)


def test_beside_the_lane_others_compute_and_its_errors_leave_both_free(lanes):
    def compute():
        with lane.beside(), lane.beside():
            in_threads(events.guarded(lambda: None))  # would wait for ever in the lane
            raise ValueError("No.")

    with pytest.raises(gr.Error):
        events.guarded(compute)()
    in_threads(*[events.guarded(lambda: None)] * 3)
    assert lane.FILES._running is lane.MODELS._running is None
    with lane.beside():  # nor is anything wrong where nobody computes
        assert lane.FILES._running is None


def test_an_error_after_giving_way_leaves_the_lane_free(lanes):
    begun = threading.Event()

    def fail():
        begun.set()
        waiting(1)
        gm.load("gan-mnist").sample(1, seed=0)
        raise ValueError("No.")

    def refused():
        with pytest.raises(gr.Error):
            events.guarded(fail)()

    in_threads(refused, lambda: begun.wait(SECONDS) and events.guarded(lambda: None, urgent=True)())
    assert lane.MODELS._running is None and not lane._turns


def test_training_outside_the_page_gives_way_to_nobody(lanes):
    with lane.turn(lane.Visitor(), False):
        running = lane.MODELS._running
        in_threads(lane.give_way)  # of a thread that does not compute in the lane
        assert lane.MODELS._running is running


def test_a_visitor_who_leaves_amid_a_run_leaves_the_lane_free():
    closed, begun = threading.Event(), threading.Event()

    def steps():
        try:
            while True:
                begun.set()
                gm.load("gan-mnist").sample(1, seed=0)
                yield {"stage": {}}
        finally:
            closed.set()

    with gr.Blocks() as page:
        button, number, outputs = gr.Button(), gr.Number(), {"stage": gr.JSON()}
        events.Runs().stream(button.click, steps, {}, outputs)
        events.live(number.input, lambda: {"stage": {"slider": "moved"}}, {}, outputs)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)

    def post(path, **body):
        data = json.dumps({"data": [], **body}).encode()
        request = urllib.request.Request(f"{url}gradio_api/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read()

    try:
        post("queue/join", data=[None, 1], fn_index=0, session_hash="one")
        stream = urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=one", timeout=SECONDS)
        assert begun.wait(SECONDS)
        stream.readline()
        stream.close()
        assert b"moved" in post("run/predict", fn_index=1, session_hash="other")
        assert closed.wait(SECONDS), "the run goes on without its visitor"
        assert b"moved" in post("run/predict", fn_index=1, session_hash="other")
    finally:
        page.close()
