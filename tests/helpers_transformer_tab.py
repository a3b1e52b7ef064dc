"""What the tests of the Transformer tab send and read."""

import json
import re

import genmodels as gm

HOSTILE = "<img src=x onerror=alert(1)>${alert(1)}"


def picture_controls(rows, n=1, label="any", temperature=1, seed=0):
    return {"rows": rows, "n": n, "label": label, "temperature": temperature, "seed": seed}


def tokens_of(stage):
    return [json.loads(line) for line in stage["tokens"].splitlines()]


def text_of(stage, kinds=("", "given", "yours")):
    return "".join(t["symbol"] for t in tokens_of(stage) if t["kind"] in kinds)


def follows_form(body, form, heads=""):
    lines, length = gm.tokens.FORMS[form]
    parts = re.findall(r"([\u4e00-\u9fff]+)([，。])", body)
    return (
        "".join(map("".join, parts)) == body
        and [len(line) for line, _ in parts] == [length] * lines
        and [mark for _, mark in parts] == ["，", "。"] * (lines // 2)
        and all(line[0] == head for (line, _), head in zip(parts, heads))
    )
