"""What the cards of the checkpoints say: numbers that were measured, and tables and sentences of them. Without torch.

>>> from genmodels import cards
>>> value, n = cards.measurements("vae-mnist")["elbo"]  # nats per picture, and the number of pictures
"""

import functools
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from genmodels.messages import Message, joined


def checkpoint_root() -> Path:
    """The folder of the named checkpoints: $GENMODELS_CHECKPOINTS, else `checkpoints/` beside the package."""
    return Path(os.environ.get("GENMODELS_CHECKPOINTS") or Path(__file__).resolve().parent.parent / "checkpoints")


def shipped(names: Iterable[str]) -> list[str]:
    """Those of the checkpoints that are there."""
    return [name for name in names if (checkpoint_root() / name).is_dir()]


# --- What a card says -------------------------------------------------------------------------------------------------


def front_matter(name: str) -> dict[str, Any]:
    """All that a checkpoint's card says to programs; {} if there is none."""
    file = checkpoint_root() / name / "README.md"
    try:
        return _front_matter(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, yaml.YAMLError):
        return {}


@functools.lru_cache(maxsize=128)
def _front_matter(file: Path, changed_at: int) -> dict[str, Any]:
    # The page reads all cards before it can be shown, and libyaml is ten times as fast as huggingface_hub's metadata_load.
    _, block, _ = ("\n" + file.read_text(encoding="utf-8-sig")).split("\n---\n", 2)
    content = yaml.load(block, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return content if isinstance(content, dict) else {}


def metadata(name: str) -> dict[str, Any]:
    """Headline, paper, parameters and minutes of a checkpoint; {} if it has no card."""
    return front_matter(name).get("genmodels") or {}


def metric_rows(name: str) -> list[dict[str, Any]]:
    """What was measured on a checkpoint: type, name, value and args of each number; [] if it has no card."""
    try:
        (model,) = front_matter(name)["model-index"]
        return [metric for result in model["results"] for metric in result["metrics"]]
    except (ValueError, KeyError, TypeError):
        return []


def measurements(name: str) -> dict[str, tuple[float, int]]:
    """{metric type: (value, N)} of a checkpoint's card, the first of each type."""
    return {row["type"]: (row["value"], row["args"]["N"]) for row in reversed(metric_rows(name))}


def sample_size(name: str, metric: str) -> int | None:
    """N of a checkpoint's number, the first of this type."""
    return measurements(name).get(metric, (None, None))[1]


def read_json(name: str, file: str) -> dict[str, Any]:
    """What a JSON file beside a checkpoint's weights holds, such as `calls.json`; {} if it is missing or broken."""
    try:
        content = json.loads((checkpoint_root() / name / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def own_data(family: str = "*") -> dict[str, dict[str, Any]]:
    """People's own datasets, on which checkpoints of a family, or of all, were trained: {name: what its `data.json` says}.

    Of pictures it has "classes" (their names), "channels" and "size"; of a text its beginning as "text". "checkpoint" is added.
    """
    texts: dict[str, dict[str, Any]] = {}
    pictures: dict[str, dict[str, Any]] = {}
    for file in sorted(checkpoint_root().glob(f"{family}-*/data.json")):
        name = file.parent.name.partition("-")[2]
        facts = {**read_json(file.parent.name, "data.json"), "checkpoint": file.parent.name}
        if facts.get("name") != name or not isinstance(facts.get("title"), str):
            continue
        if isinstance(facts.get("text"), str):
            texts.setdefault(name, facts)
        elif _are_pictures(facts):
            pictures.setdefault(name, facts)
    return texts | pictures


def _are_pictures(facts: dict[str, Any]) -> bool:
    names = facts.get("classes")
    fits = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return bool(fits and facts.get("channels") in (1, 3) and isinstance(facts.get("size"), int))


def sampler_rows(name: str) -> dict[str, list[tuple[int, float]]]:
    """{sampler: [(network calls, FID), ...]}, from a diffusion model's `calls.json`; {} if there is none."""
    rows: dict[str, list[tuple[int, float]]] = {}
    try:
        for row in read_json(name, "calls.json")["rows"]:
            rows.setdefault(row["sampler"], []).append((row["calls"], row["fid"]))
    except (KeyError, TypeError):
        return {}
    return {sampler: sorted(pairs) for sampler, pairs in rows.items()}


def text(name: str) -> Message:
    """A checkpoint's card without its front matter and pictures; a sentence if there is none."""
    file = checkpoint_root() / name / "README.md"
    if not file.is_file():
        return Message("There is no card for {name}.", name=name)
    content = file.read_text(encoding="utf-8")
    if content.startswith("---\n") and "\n---\n" in content:
        content = content.split("\n---\n", 1)[1]
    # Translators: the card is in English, which another language says above it.
    return Message("{card}", card="\n".join(line for line in content.splitlines() if not line.startswith("![")))


# --- All families of a data set ----------------------------------------------------------------------------------------


def generators(dataset: str) -> list[str]:
    """The checkpoint of each family for a data set, whether it is there or not: of those of which there is one that generates
    pictures, as its card or `comparison.json` says. Those whose samples take the least time come first.
    """
    from genmodels import FAMILIES

    root, families = checkpoint_root(), []
    for family in FAMILIES:
        names = [folder.name for folder in root.glob(f"{family}-*")]
        if any("fid" in read_json(name, "comparison.json") or "fid" in measurements(name) for name in names):
            families.append(family)
    return sorted((f"{family}-{dataset}" for family in families), key=cost)


METRICS = ("fid", "precision", "recall", "coverage")  # of generated pictures; they depend on how many there are


def comparison(dataset: str) -> dict[str, Any]:
    """What was measured of all families on a data set, for a chart or a table of them.

    n: {metric: number of pictures, the same for all families, the smallest that all have}. floor: FID of as many training
    pictures, or None. on_cards: whether FIDs are the cards', which sample with options of their own. rows: a dict for each
    checkpoint that is there, of which a value is None if it was not measured: name, METRICS, cas, cas_n, bits, bits_kind
    ("exact", "bound", "binarised" or "none"), calls, seconds, milliseconds, parameters, minutes, and of `train.compare`
    sharpness, copies, path.
    """
    names = shipped(generators(dataset))
    measured = {name: {metric: _by_size(name, metric) for metric in METRICS} for name in names}
    sizes: dict[str, int | None] = {}
    for metric in METRICS:
        found = [set(values[metric]) for values in measured.values() if values[metric]]
        sizes[metric] = min(set.intersection(*found) or set.union(*found)) if found else None
    floors = {size: floor for name in names for size, floor in _floors(name).items()}
    rows = []
    for name in names:
        stored, facts, values = read_json(name, "comparison.json"), metadata(name), measurements(name)
        rows.append(
            {"name": name, **{metric: measured[name][metric].get(sizes[metric]) for metric in METRICS}}
            | dict(zip(("cas", "cas_n"), values.get("cas", (None, None))))
            | dict(zip(("bits", "bits_kind"), _bits(name)))
            | {"calls": stored.get("calls"), "seconds": (seconds := stored.get("seconds_per_sample"))}
            | {"milliseconds": None if seconds is None else 1000 * seconds}
            | {"parameters": stored.get("parameters") or facts.get("parameters"), "minutes": facts.get("minutes")}
            | {metric: stored.get(metric) for metric in ("sharpness", "copies", "path")}
        )
    on_cards = any(read_json(name, "comparison.json").get("n") != sizes["fid"] for name in names)
    return {"n": sizes, "floor": floors.get(sizes["fid"]), "on_cards": on_cards, "rows": rows}


def _by_size(name, metric):
    """{number of pictures: value} of a metric, of a checkpoint's card and of its `comparison.json`, which comes first."""
    values = {row["args"]["N"]: row["value"] for row in reversed(metric_rows(name)) if row["type"] == metric}
    stored = read_json(name, "comparison.json")
    return values | ({stored["n"]: stored[metric]} if metric in stored and "n" in stored else {})


def _floors(name):
    """{number of pictures: FID of as many training pictures}"""
    floors = {}
    for row in metric_rows(name):
        if row["type"] == "fid" and (
            found := re.match(r"first [\d,]+ training pictures: ([\d.]+)", row["args"].get("beside", ""))
        ):
            floors[row["args"]["N"]] = float(found[1])
    stored = read_json(name, "comparison.json")
    return floors | ({stored["n"]: stored["floor"]} if {"n", "floor"} <= stored.keys() else {})


def _bits(name):
    """(bits per pixel of 8-bit test pictures, given the class where the model takes one; what kind of number it is)."""
    rows = [row for row in metric_rows(name) if row["type"] == "bits_per_dim"]
    if not rows:
        return None, "none"
    if read_json(name, "config.json").get("likelihood") == "bernoulli":
        return None, "binarised"
    most = max(row["args"]["N"] for row in rows)
    given = [row for row in rows if "given the class" in row["name"] and row["args"]["N"] == most]
    row = (given or rows)[0]
    return row["value"], "bound" if any("bound" in r["name"] for r in rows) else "exact"


def comparison_table(datasets: Iterable[str]) -> str:
    """`comparison` of all data sets as one table in Markdown for the project's README, with a row of real pictures for each."""
    titles = ["model", "N", "FID", "precision", "recall", "coverage", "CAS", "bits per pixel", "copies"]
    titles += ["calls", "ms per sample", "parameters", "minutes"]
    lines = [titles, ["---"] * len(titles)]
    for dataset in datasets:
        found = comparison(dataset)
        n = " / ".join(f"{size:,}" for size in dict.fromkeys(found["n"].values()) if size)
        for row in found["rows"]:
            shares = {k: "" if row[k] is None else f"{100 * row[k]:.1f} %" for k in (*METRICS[1:], "cas", "copies")}
            bits = {"binarised": "not comparable: binarised", "none": "none"}.get(row["bits_kind"], "")
            few = f" ({row['cas_n']:,} pictures)" if row["cas_n"] and row["cas_n"] < 20_000 else ""
            lines.append(
                [
                    f"[`{row['name']}`](checkpoints/{row['name']}/README.md)",
                    n,
                    "" if row["fid"] is None else f"{row['fid']:.4g}",
                    *(shares[metric] for metric in METRICS[1:]),
                    shares["cas"] + few,
                    bits or f"{'at most ' * (row['bits_kind'] == 'bound')}{row['bits']:.4g}",
                    shares["copies"],
                    "" if row["calls"] is None else f"{row['calls']:,}",
                    "" if row["milliseconds"] is None else f"{row['milliseconds']:.3g}",
                    "" if row["parameters"] is None else f"{row['parameters'] / 1e6:.2f} M",
                    "" if row["minutes"] is None else f"{row['minutes']:g}",
                ]
            )
        if found["floor"]:
            size = f"{found['n']['fid']:,}"
            lines.append([f"training pictures of {dataset}", size, f"{found['floor']:.4g}", *[""] * (len(titles) - 3)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cost(name: str) -> tuple[float, int, int]:
    """(measured seconds, network calls, parameters) of a sample; of what was not measured more than of any other."""
    measured = read_json(name, "comparison.json")
    return measured.get("seconds_per_sample", 2**31), measured.get("calls", 2**31), measured.get("parameters", 0)


# --- Sentences and tables in Markdown, from what was measured: a retrained model cannot contradict them --------------------
# They are messages, so that a page in another language can show them.

ABSENT = Message("(not measured: its checkpoint is not there)")
PICTURES = {"mnist": Message("digits"), "fashion": Message("clothes"), "avatars": Message("faces")}  # of a data set
PHRASES = (  # what headlines consist of; the longer one of two with the same beginning comes first
    Message("MSE {error}; PCA with as many numbers {pca}, {ratio} times as large"),
    Message("accuracy {mean}, lowest {lowest} ({attribute})"),
    Message("accuracy {mean}"),
    Message("mean PSNR {psnr} dB over {n} kinds and strengths of noise"),
    Message("{psnr} dB on BSD68 at sigma {sigmas} ({other} {other_psnr})"),
    Message("PSNR {least} to {most} dB beside {other} given the best sigma"),
    Message("class recognised {share}"),
    Message("{attribute} recognised {share} (the lowest)"),
    Message("{attribute} recognised {share}"),
    Message("CAS {share} (real pictures {real}, with {n} pictures instead of {all})"),
    Message("CAS {share} (real pictures {real})"),
    Message("FID {fid} ({n} pictures; real ones {real})"),
    Message("Frechet distance in random features {distance} (real pictures {real})"),
    Message("{bits} bits/dim given the class, {without} without (the first {n} pictures; given the class {given})"),
    Message("{bits} bits/dim, {given} given the class"),
    Message("{nats} nats per character ({other}, {size} M: {other_nats})"),
    Message("{nats} nats per character (frequencies of characters {frequencies})"),
    Message("perplexity {all}; given only the form {given}, {share} below a Kneser-Ney 5-gram ({baseline})"),
    Message("PSNR {psnr} dB"),
    Message("KL {kl} nats"),
    Message("ELBO {elbo} nats"),
    Message("NLL {nll} nats ({n} importance samples)"),
    Message("{n} importance samples"),
)


def headline(name: str) -> Message:
    """One line of what was measured."""
    facts = metadata(name)
    if not facts:
        return Message("the card of `{name}` is missing.", name=name)
    return Message(
        "`{name}`, {minutes:g} minutes of training: {headline}, on the test split.",
        name=name,
        minutes=facts["minutes"],
        headline=in_phrases(facts["headline"]),
    )


def in_phrases(text: str) -> str:
    """A headline of `PHRASES` as a message; another one, as of an older card, as it is."""
    for phrase in PHRASES:
        if found := _pattern(phrase).fullmatch(text):
            values = found.groupdict()
            following = values.pop("following")
            if "attribute" in values:
                values["attribute"] = Message(values["attribute"].replace("_", " "))
            message = Message(phrase, **values)
            return Message("{first}, {second}", first=message, second=in_phrases(following)) if following else message
    return text


@functools.cache
def _pattern(phrase: str) -> re.Pattern[str]:
    """Of a phrase with its values, and of what may follow it."""
    parts = re.split(r"\{(\w+)\}", phrase)  # texts and names in turn
    values = (rf"(?P<{part}>\S+(?: / \S+)*)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile("".join(values) + "(?:, (?P<following>.+))?")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Message:
    lines = [columns, ["---"] * len(columns), *rows]
    return joined("\n", [joined(" ", ["|", *(part for cell in cells for part in (cell, "|"))]) for cells in lines])


def _listed(texts: Sequence[str]) -> str:
    return functools.reduce(lambda first, second: Message("{first}; {second}", first=first, second=second), texts)


def models_table(names: Sequence[str]) -> Message:
    """A tab's models, from their cards, as Markdown."""
    rows: list[Sequence[str]] = []
    for name in names:
        facts, cells = metadata(name), [Message("no card"), "", "", ""]
        if facts:
            size, minutes = f"{facts['parameters'] / 1e6:.2f} M", f"{facts['minutes']:g}"
            cells = [facts["paper"], size, minutes, in_phrases(facts["headline"])]
        rows.append([f"`{name}`", *cells])
    numbers = Message("parameters"), Message("minutes of training"), Message("on the test split")
    return _table((Message("model"), Message("paper"), *numbers), rows)


def about(names: Sequence[str], *cards: str) -> Message:
    """The table of a tab's models, and the cards of some of them."""
    return joined("\n\n", [models_table(names), *map(text, cards)])


def elbo_gap(name: str = "vae-mnist") -> str:
    """How far the ELBO is below the log-likelihood, as bars of two nats per block; for Markdown."""
    values = measurements(name)
    if not {"elbo", "nll"} <= values.keys():
        return ABSENT
    bound, likelihood = -values["elbo"][0], values["nll"][0]  # the second is a bound, too, but a closer one
    blocks, all_blocks = round(likelihood / 2), round(bound / 2)
    rows = [
        ("-ELBO    ", bound, "█" * blocks + "░" * (all_blocks - blocks)),
        ("-log p(x)", likelihood, "█" * blocks),
        (Message("the gap  "), bound - likelihood, " " * blocks + "░" * (all_blocks - blocks)),
    ]
    lines = [Message("{name} {nats:5.1f} nats {bar}", name=label, nats=nats, bar=bar) for label, nats, bar in rows]
    samples = next(row["name"] for row in metric_rows(name) if row["type"] == "nll").split("nats, ")[-1]
    source = Message(
        "`{name}`, means over {n:,} pictures; -log p(x) by {samples} for each.",
        name=name,
        n=values["elbo"][1],
        samples=in_phrases(samples),
    )
    return joined("\n", ["```", *lines, "```", "", source])


def augmentation(facts: dict[str, Any]) -> Message:
    """What `train.augmentation` measured, in words. facts: the contents of its file."""
    return Message(
        "A small classifier trained on {real} real pictures classified {without[mean]:.1%} (sd {without[sd]:.1%}) of the "
        "{test:,} test pictures correctly; with {synthetic:,} synthetic ones from a VAE trained on the same {real}, "
        "{augmented[mean]:.1%} (sd {augmented[sd]:.1%}): {seeds} seeds each, the same number of steps (`{command}`). By "
        "Welch's t-test this difference is {significant} (p = {p:.2f}).",
        **facts | {"seeds": len(facts["seeds"])},
        without=facts["real_only"],
        augmented=facts["with_synthetic"],
        significant=Message("significant") if facts["p"] < 0.05 else Message("**not** significant"),
    )


def percent(name: str, metric: str) -> str:
    """A share from a checkpoint's card, such as "60.2 %"."""
    value = measurements(name).get(metric)
    return f"{100 * value[0]:.1f} %" if value else ABSENT


def generators_table(datasets: dict[str, str]) -> str:
    """FID, precision and recall of the GAN and the diffusion model of each data set, as Markdown."""
    rows: list[Sequence[str]] = []
    for dataset, title in datasets.items():
        for family in ("gan", "diffusion"):
            values = measurements(name := f"{family}-{dataset}")
            if {"fid", "precision", "recall"} <= values.keys():
                fid, n = values["fid"]
                shares = (f"{100 * values[metric][0]:.1f} %" for metric in ("precision", "recall"))
                rows.append([title, f"`{name}`", f"{fid:.4g}", *shares, f"{n:,}"])
    columns = ("", Message("model"), "FID", Message("precision"), Message("recall"), Message("N of FID"))
    return _table(columns, rows) if rows else ABSENT


def fids_by_calls(datasets: dict[str, str], few: int = 16, many: int = 64) -> str:
    """FID of DDIM and of DDPM with few and with many network calls, in words."""
    parts = []
    for dataset, title in datasets.items():
        fids = {sampler: dict(pairs) for sampler, pairs in sampler_rows(f"diffusion-{dataset}").items()}
        if all(calls in fids.get(sampler, {}) for sampler in ("ddim", "ddpm") for calls in (few, many)):
            ddim, ddpm = (
                Message("{few} and {many}", few=f"{fids[sampler][few]:.4g}", many=f"{fids[sampler][many]:.4g}")
                for sampler in ("ddim", "ddpm")
            )
            pictures = PICTURES.get(dataset, title)
            parts.append(Message("{dataset}, DDIM {ddim}, DDPM {ddpm}", dataset=pictures, ddim=ddim, ddpm=ddpm))
    if not parts:
        return ABSENT
    return Message("with {few} and with {many} calls, FID is: {parts}", few=few, many=many, parts=_listed(parts))


def bits_by_class() -> str:
    """Bits per pixel of digits, without the class and given it, of the transformer and of the flow, in words."""
    parts = []
    for name in ("transformer-mnist", "flow-mnist"):
        rows = [row for row in metric_rows(name) if row["type"] == "bits_per_dim"]
        given = {row["args"]["N"]: row["value"] for row in rows if "given the class" in row["name"]}
        for row in rows:
            n = row["args"]["N"]
            if "given the class" not in row["name"] and n in given:  # the same pictures
                parts.append(
                    Message(
                        "`{name}` {without:.4g} without the class and {given:.4g} with it (N = {n:,})",
                        name=name,
                        without=row["value"],
                        given=given[n],
                        n=n,
                    )
                )
    return Message("bits/dim on test digits: {parts}", parts=_listed(parts)) if parts else ABSENT


def perplexities() -> str:
    """Perplexity of poems given only their form, of the transformer and of the 5-gram, in words."""
    rows = {row["name"]: row["value"] for row in metric_rows("transformer-tang")}
    ours = next((value for label, value in rows.items() if label.endswith("given only the form")), None)
    below = next((value for label, value in rows.items() if label.startswith("reduction")), None)
    if not ours or not below:
        return ABSENT
    return Message("perplexity {ours:.1f} against {baseline:.1f}", ours=ours, baseline=ours / (1 - below))


def rhyme_shares(name: str = "transformer-tang") -> str:
    """How many poems rhyme in today's pronunciation, from the checkpoint's `rhymes.json`, in words."""
    try:
        results = read_json(name, "rhymes.json")
        forms = results["forms"]
        real, ours, without = (
            " / ".join(f"{100 * measured[rules]['rhyme today']:.1f}" for measured in forms.values())
            for rules in ("test", "rhyme", "any division")
        )
        n, n_without = (min(measured[rules]["n"] for measured in forms.values()) for rules in ("rhyme", "any division"))
        return Message(
            "of real test poems {real} % ({forms}) rhyme on all even lines in today's Mandarin; of {n} poems of each form by "
            "the model (temperature {temperature:g}, seeds from {seed} on) {ours} %; of {n_without} without the preference "
            "{without} %",
            real=real,
            forms=" / ".join(forms),
            n=n,
            temperature=results["temperature"],
            seed=results["seed"],
            ours=ours,
            n_without=n_without,
            without=without,
        )
    except (KeyError, TypeError, ValueError):
        return ABSENT


def samplers_table(datasets: dict[str, str], samplers: dict[str, str]) -> str:
    """Of each sampler the FID with at most 16 network calls, the best one and that with the most calls, as Markdown."""
    rows: list[Sequence[str]] = []
    for dataset, title in datasets.items():
        measured = sampler_rows(f"diffusion-{dataset}")
        for sampler, label in samplers.items():
            if pairs := measured.get(sampler):
                few = min((pair for pair in pairs if pair[0] <= 16), key=lambda pair: pair[1])
                cells = (few, min(pairs, key=lambda pair: pair[1]), pairs[-1])
                rows.append([title, label, *(f"{fid:.4g} ({calls})" for calls, fid in cells)])
    columns = ("", Message("sampler"), Message("up to 16 calls"), Message("best"), Message("most calls"))
    return _table(columns, rows) if rows else ABSENT


def last_losses(name: str) -> dict[str, float]:
    """{network: its loss at the end of a GAN's training}, from its `replay.json`; without one, empty."""
    try:
        return {network: float(values[-1][1]) for network, values in read_json(name, "replay.json")["losses"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return {}


def end_of_training(name: str) -> str:
    """The end of a GAN's training: both losses, and how far the score histograms overlap. From its `replay.json`."""
    replay, losses = read_json(name, "replay.json"), last_losses(name)
    try:
        return Message(
            "{discriminator:.2f} for the discriminator and {generator:.2f} for the generator, and {overlap:.0%} of the "
            "histograms' area overlaps",
            discriminator=losses["discriminator"],
            generator=losses["generator"],
            overlap=sum(map(min, replay["real"][-1], replay["generated"][-1])),
        )
    except (KeyError, TypeError, IndexError, AttributeError):
        return ABSENT
