"""Editing attributes: a picture's code moved along directions that have a meaning."""

import functools
from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field, create_model

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, sources
from tabs.controls import Controls, dropdown, slider
from tabs.language import _, join, pgettext
from tabs.vae.data import VAE, code_list, code_tensor, load_latents, load_vae, slider_code, view

TITLES = {  # of the attributes that can be edited on the page: one row of controls each
    "smiling": Message("Smile"),
    "glasses": Message("Glasses"),
    "hair_color": Message("Hair colour"),
    "hair_length": Message("Hair length"),
    "facial_hair": Message("Beard"),
    "skin": Message("Skin"),
    "background": Message("Background"),
    "class": Message("Class"),
}
# Edits belong to the picture that they were made on, and the classifier's report to the one that it was given.
FORGET_EDITS = """(stage, report, ...edits) => stage?.origin === 'edit' ? [] : stage?.origin === 'slider' ? [report && ''] :
    [report && '', ...edits.map(value => typeof value === 'number' ? value && 0 : value && '')]"""


class Edit(Controls):
    """One row of the page, and what an endpoint does."""

    attribute: str = Field("glasses", title=Message("Attribute"), max_length=80)
    target: Annotated[str, dropdown([(Message("unchanged"), "")], scale=2, min_width=120)] = Field(
        "", title=Message("Value"), max_length=80
    )
    amount: Annotated[float, slider(step=0.05, minimum=-1, maximum=2, scale=3, min_width=140)] = Field(
        0, ge=-3, le=3, title=Message("Strength")
    )


ROWS = {
    name: field
    for attribute, title in TITLES.items()
    for name, field in {
        attribute: (str, Field("", title=title, max_length=80)),
        f"{attribute}_amount": (float, Field(0, ge=-1, le=2, title=Edit.model_fields["amount"].title)),
    }.items()
}
# What a link says of the tool; base: the code before the edits.
Edits = create_model("Edits", __base__=Controls, base=(str, Field("", max_length=400, title=Message("Latent code"))), **ROWS)


def classify(dataset, x):
    """The classifier's prediction for one picture: attribute -> (value, probability)."""
    return gm.classifier.describe(gm.load(f"classifier-{dataset}"), gm.labels.all_conditions(dataset), x)


def predicted_values(dataset, x):
    """The classifier's prediction for one picture: attribute -> value."""
    label = gm.load(f"classifier-{dataset}").predict(x)[0]
    return gm.data.attribute_values(label) if dataset == "avatars" else {"class": gm.data.CLASSES[dataset][int(label)]}


def edit_code(name, z, values, edit: Edit):
    """The code z (1, D) of a picture with attributes `values`, edited."""
    latents = load_latents(gm.base.checkpoint_folder(name))
    return gm.vae.edit(latents, z, values, edit.attribute, edit.target, edit.amount)


def readable(attribute, value):
    return _(value) if attribute == "class" else pgettext(attribute, value.replace("_", " "))


def classifier_report(dataset, x):
    """The classifier's prediction in words."""
    parts = [
        _(
            "{attribute} **{value}** ({probability:.0%})",
            attribute=_(TITLES[name]).lower(),
            value=readable(name, value),
            probability=probability,
        )
        for name, (value, probability) in classify(dataset, x).items()
        if name in TITLES
    ]
    return _("An independent classifier says: {parts}.", parts=join(parts))


def start(dataset):
    """Another data set -> the rows that it has, with nothing edited."""
    judged = gm.cards.shipped((f"classifier-{dataset}",)) or dataset in gm.data.DATASETS
    values = gm.labels.all_conditions(dataset) if judged else {}
    report = Message("Edits begin with what a classifier says of the picture: there is none of these pictures.")
    outputs = {"memory": None, "report": "" if judged else _(report)}
    for attribute in TITLES:
        outputs |= {f"{attribute}_row": gr.update(visible=attribute in values), f"{attribute}_amount": 0.0}
        if attribute in values:  # a hidden list keeps its value in the browser, so it must keep its choices, too
            choices = [(_("unchanged"), ""), *((readable(attribute, name), name) for name in values[attribute])]
            outputs[attribute] = gr.update(choices=choices, value="")
    return outputs


def apply(row, target_chosen, sliders, memory, **controls):
    """A row's value was chosen (`target_chosen`) or its strength moved -> report, memory, strengths, sliders, stage, lines.

    controls: each row's value by its attribute, and its strength, as "glasses" and "glasses_amount". memory: the offset that
    these edits have added to the code. It is subtracted before the edits are applied again, so that what the visitor changed
    elsewhere stays. Where more than half of the code has changed since, it belongs to another picture: other rows start from 0.
    """
    name, z = slider_code(sliders)
    target = controls[row] or ""
    if not target and not target_chosen:
        raise ValueError(Message("Choose a value to change it to first."))
    amounts = {attribute: controls[f"{attribute}_amount"] for attribute in TITLES}
    same_model = memory and memory["model"] == name
    if not same_model or sum(a != b for a, b in zip(memory["z"], code_list(z))) > z.shape[1] / 2:
        memory = {"offset": 0 * z, "values": predicted_values(VAE.dataset_of(name), load_vae(name).decode(z))}
        amounts = {row: amounts[row]}
    if target_chosen:
        amounts[row] = 1.0 if target else 0.0
    base = z - memory["offset"]
    z, captions = base, []
    for attribute in TITLES:
        edit = Edit.read(attribute=attribute, target=controls[attribute] or "", amount=amounts.setdefault(attribute, 0.0))
        if edit.amount and edit.target:
            z = edit_code(name, z, memory["values"], edit)
            old, new = (readable(attribute, value) for value in (memory["values"][attribute], edit.target))
            captions.append(_("{attribute}: {old} → {new}", attribute=TITLES[attribute], old=old, new=new))
    outputs = view(name, z, caption=join(captions), origin="edit")
    code = outputs["sliders"]["z"]
    report = classifier_report(VAE.dataset_of(name), load_vae(name).decode(code_tensor(name, code)))
    if target and memory["values"].get(row) == target:
        report = _(
            "The classifier already says {value} for the unedited picture: choose another value. {report}",
            value=readable(row, target),
            report=report,
        )
    memory = {**memory, "model": name, "z": code, "offset": z - base}
    outputs["stage"]["base"] = code_list(base)
    changed = {f"{a}_amount": amount for a, amount in amounts.items() if amount != controls[f"{a}_amount"]}
    return {"report": report, "memory": memory, **changed, **outputs}


def restore(sliders, base, **controls):
    """-> report, memory, sliders, stage, lines of a link: the code on the sliders is that of the edited picture."""
    if not base:
        return {}
    name, z = slider_code(sliders)
    before = code_tensor(name, links.unpack(base))
    dataset = VAE.dataset_of(name)
    values, x = predicted_values(dataset, load_vae(name).decode(before)), load_vae(name).decode(z)
    outputs = view(name, z, origin="edit")
    outputs["stage"]["base"] = code_list(before)
    memory = {"model": name, "z": code_list(z), "offset": z - before, "values": values}
    return {"report": classifier_report(dataset, x), "memory": memory, **outputs}


def vae_attributes(
    model: Literal[*VAE.models] = "vae-avatars",
    test_picture_number: int = 0,
    edit: Edit = Edit(target="sunglasses", amount=1),  # noqa: B008
) -> tuple[dict, Image]:
    """Change one attribute of a test picture by moving its latent code.

    Args:
        attribute: for faces smiling, glasses, hair_color, hair_length, facial_hair, skin, background or another of
            genmodels.data.ATTRIBUTES; for digits and clothes "class".
        target: the value to move to, such as sunglasses, or "3".
        amount: -3 to 3; 1 adds the full difference between the two values.
    Returns:
        What an independent classifier predicts before and after; and a PNG with both pictures.
    """
    import torch

    vae, dataset = load_vae(model), VAE.dataset_of(model)
    z = vae.encode(sources.test_picture(dataset, test_picture_number)["x"]).mean
    x = vae.decode(torch.cat([z, edit_code(model, z, predicted_values(dataset, vae.decode(z)), edit)]))
    facts = {}
    for key, one in (("before", x[:1]), ("after", x[1:])):
        facts[key] = {name: {"value": value, "probability": round(p, 4)} for name, (value, p) in classify(dataset, one).items()}
    return facts, gm.pictures.grid(x, columns=2, scale=4)


def lay_out(dataset, code_view):
    """Lay out and wire a row, a value and a strength for each attribute. Returns the step that opens a data set."""
    layout.hint(
        _(
            "What glasses add to the code, on average, is a direction in latent space. Move the large picture along such "
            "directions, several at once."
        )
    )
    rows, targets, amounts, memory = {}, {}, {}, {"memory": gr.State()}
    for attribute, title in TITLES.items():
        with gr.Row(elem_classes=["small-controls", "change"], visible=False) as rows[f"{attribute}_row"]:
            row = Edit.components(f"vae-{attribute}", target={"label": _(title), "elem_id": f"vae-{attribute}"})
            targets[attribute], amounts[f"{attribute}_amount"] = row.values()
    inputs = {"sliders": code_view["sliders"], **memory, **targets, **amounts}
    report = {"report": gr.Markdown(elem_id="vae-verdict", elem_classes="report")}
    outputs = {**report, **memory, **amounts, **code_view}
    for attribute, target in targets.items():
        events.act(target.input, functools.partial(apply, attribute, True), inputs, outputs)
        events.live(amounts[f"{attribute}_amount"].input, functools.partial(apply, attribute, False), inputs, outputs)
    of_picture = {**report, **targets, **amounts}
    events.in_browser(code_view["stage"].change, FORGET_EDITS, {"stage": code_view["stage"], **of_picture}, of_picture)
    code = links.Part(code_view["stage"], "v?.base ? window.links.pack(v.base) : null")
    links.tool(Edits, {**of_picture, "base": code}, (restore, {"sliders": code_view["sliders"]}, outputs))
    return start, {"dataset": dataset}, {**report, **memory, **rows, **targets, **amounts}
