"""Several runs from the same initial noise, side by side."""

import gradio as gr

import genmodels as gm
from tabs import events, layout, programs
from tabs.controls import Expression
from tabs.diffusion.data import DIFFUSION
from tabs.diffusion.frames import grid_cell, stage_value
from tabs.diffusion.sampling import MAX_STEPS, SAMPLERS, read
from tabs.language import _

GUIDANCES = (0, 1, 2, 4)


def stream(dataset, options, label, argument, values, names):
    """Runs side by side, one for each of an argument's values: yields stage, lines. names: of the runs."""
    model, method, steps = DIFFUSION.load(dataset), gm.Diffusion.sample_steps, options.steps
    runs = [model.sample_steps(**options.arguments(method, label=label, **{argument: value})) for value in values]
    call = options.call("model.sample", method, label=Expression("label"), **{argument: Expression(argument)})
    body = f"label = {label}\nx = torch.cat([{call} for {argument} in {values}])\n"
    lines, noise = DIFFUSION.program(dataset, body, options.n), grid_cell(model.initial_noise(options.n, seed=options.seed))
    frames = [(0, [noise] * len(runs))]
    try:
        for k in range(1, steps + 1):
            cells = list(frames[-1][1])
            for i, run in enumerate(runs):
                cells[i] = grid_cell(next(run).x)
                pending = {"lines": _(programs.PENDING)} if k == 1 else {}
                yield {"stage": stage_value(names, [(k, cells)], 1.0, steps, argument, live=True), **pending}
            frames.append((k, cells))
    except events.Stopped:
        lines = _(programs.STOPPED)
    yield {"stage": stage_value(names, frames, 1.0, steps, argument), "lines": lines}


def compare_samplers(dataset, **controls):
    """The four samplers from the same initial noise in the same number of steps."""
    options, label = read(dataset, controls)
    # DDIM has eta, which the others ignore
    options = options.model_copy(update={"sampler": "ddim", "steps": min(options.steps, MAX_STEPS)})
    options.check_budget(label, repeats=5)  # Heun calls the network twice per step
    calls = [gm.diffusion.function_evaluations(sampler, options.steps) for sampler in SAMPLERS]
    names = [_("{title}: {calls} NFE", title=title, calls=n) for title, n in zip(SAMPLERS.values(), calls)]
    yield from stream(dataset, options, label, "sampler", list(SAMPLERS), names)


def compare_guidances(dataset, **controls):
    """Four guidance scales from the same initial noise. Where no class was chosen, each sample gets a class of its own."""
    options, label = read(dataset, controls)
    classes = DIFFUSION.load(dataset).classes
    if label is None and len(classes) == 1:
        label = [i % classes[0] for i in range(options.n)]
    elif label is None:  # only the first two attributes: values of more might contradict each other
        label = [[i % classes[0], i % classes[1], *[-1] * (len(classes) - 2)] for i in range(options.n)]
    options.check_budget(label, guidances=GUIDANCES)
    names = [_("0: unconditional"), _("1: as trained"), *(_("guidance {scale}", scale=g) for g in GUIDANCES[2:])]
    yield from stream(dataset, options, label, "guidance", GUIDANCES, names)


def lay_out():
    """The tool's runs on the stage: (trigger, handler) of each."""
    layout.hint(
        _(
            "Without fresh noise, the initial noise decides what is generated and the sampler only how accurately; DDPM adds "
            "fresh noise. Start four runs from **the same noise** and see them side by side."
        )
    )
    by_sampler = gr.Button(_("Four samplers"), size="md")
    layout.hint(
        _(
            "**Guidance** amplifies the effect of the class: samples become clearer and less varied. If no class is "
            "chosen, each sample gets a class of its own."
        )
    )
    by_guidance = gr.Button(_("Four guidance scales"), size="md")
    return (by_sampler.click, compare_samplers), (by_guidance.click, compare_guidances)
