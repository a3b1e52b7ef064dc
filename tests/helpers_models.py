"""Every model with what the contract expects of it, for the tests that go through all of them."""

import importlib

import torch
from torch.distributions import Distribution

import genmodels as gm
from tests.contract import B

CONTRACTS = [importlib.import_module(f"tests.{module}".replace("genmodels", "contract")) for module, _ in gm.FAMILIES.values()]
CALLS = {name: calls for contract in CONTRACTS for name, calls in contract.CALLS.items()}
REFUSED = {name: refused for contract in CONTRACTS for name, refused in contract.REFUSED.items()}
LOSSES = {family: names for contract in CONTRACTS for family, names in getattr(contract, "LOSSES", {}).items()}  # else `loss`


def family(name):
    return name.split()[0]


def entries(table, name):
    """A model's entries in CALLS or REFUSED: by its name, else by its family."""
    return table.get(name) or table[family(name)]


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
