"""Every model with what the contract expects of it, for the tests that go through all of them."""

import copy
import functools
import importlib

import torch
from torch.distributions import Distribution

import genmodels as gm
from genmodels.pixel_transformer import PixelTransformer
from genmodels.text_transformer import PoemTransformer, TextTransformer
from tests.contract import B
from tests.tiny import MODELS, untrained

CONTRACTS = [importlib.import_module(f"tests.{module}".replace("genmodels", "contract")) for module, _ in gm.FAMILIES.values()]
CALLS = {name: calls for contract in CONTRACTS for name, calls in contract.CALLS.items()}
REFUSED = {name: refused for contract in CONTRACTS for name, refused in contract.REFUSED.items()}
LOSSES = {family: names for contract in CONTRACTS for family, names in getattr(contract, "LOSSES", {}).items()}  # else `loss`


def family(name):
    return name.split()[0]


def entries(table, name):
    """A model's entries in CALLS or REFUSED: by its name, else by its family."""
    return table.get(name) or table[family(name)]


@functools.cache
def shared(name):
    """A small model in eval mode, none of whose weights is zero: for calls, which leave nothing on it."""
    model = untrained(MODELS[name], seed=1)
    model.name, model.family_name = name, family(name)
    return model


def build(name):
    """The same model for one test alone, which may train or move it."""
    return copy.deepcopy(shared(name))


def batch(model, seed=0):
    """Greyscale pictures and labels, or token indices, as in training."""
    g = torch.Generator().manual_seed(seed)
    if getattr(model, "kind", "pixels") != "pixels":
        return (torch.randint(model.tokenizer.vocab_size, (B, model.context + 1), generator=g),)
    classes = getattr(model, "classes", [3])
    y = torch.stack([torch.randint(n, (B,), generator=g) for n in classes], 1)  # (B, K)
    return torch.rand(B, model.channels, model.size, model.size, generator=g), y


def tensors(result):
    """The result of a call as a list of tensors."""
    if isinstance(result, Distribution):
        return [result.mean, result.stddev]
    return list(result) if isinstance(result, tuple) else [result]


def loss_methods(model):
    """Names of the methods that return losses: one, or one of each network."""
    return LOSSES.get(model.family_name, ("loss",))


def losses(model, method, seed=0):
    """The result of a loss method, with the noise of a seed."""
    torch.manual_seed(seed)
    return getattr(model, method)(batch(model))


# --- Transformers -----------------------------------------------------------------------------------------------------

HANZI = "春眠不觉晓处闻啼鸟夜来风雨声花落知多少"
TRANSFORMERS = {
    "characters": (TextTransformer, dict(alphabet="\n abcdefghijk", context=8)),
    "poems": (PoemTransformer, dict(alphabet=HANZI + "，。·a", context=24)),
    "pixels": (PixelTransformer, dict(size=4, classes=3, lags=[0, 1, 2, 3, 4])),
}


def small_transformer(kind="characters", **more):
    """A small model whose weights are nowhere zero, unlike freshly initialized ones."""
    torch.manual_seed(0)
    transformer, arguments = TRANSFORMERS[kind]
    model = transformer(**dict(width=16, layers=2, heads=2, hidden=12) | arguments | more).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn_like(p)
    return model.requires_grad_(False)


def random_ids(model, n, seed=0):
    return torch.randint(model.tokenizer.vocab_size, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def tiny_pictures(n, seed=1):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
