"""A pretended GPU, to show on a machine without one that a model and its inputs meet on the same device.

Its tensors hold their values on the CPU and say that they are on "meta", the only other device that torch's autograd knows
everywhere. As on a real GPU they cannot be mixed with tensors of the CPU, but for single numbers. Like Apple's, the device
has no 64-bit floats.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE, aten = torch.device("meta"), torch.ops.aten
MOVES = {aten._to_copy, aten.copy_}
INDEXING = {aten.index, aten.index_put, aten.index_put_}


class OnDevice(torch.Tensor):
    """A tensor of the pretended device. values: the same on the CPU."""

    @staticmethod
    def __new__(cls, values):
        layout = {"strides": values.stride(), "storage_offset": values.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, values.shape, dtype=values.dtype, device=DEVICE, **layout)

    def __init__(self, values):
        self.values_ = values

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def run(function, args, kwargs):
    """An operation of torch on the values, if its tensors are on one device."""
    inputs = [x for x in leaves((args, [*kwargs.values()])) if isinstance(x, torch.Tensor)]
    on_device = [x for x in inputs if isinstance(x, OnDevice)]
    target, operation = kwargs.get("device"), function.overloadpacket
    elsewhere = [x for x in inputs if not isinstance(x, OnDevice) and (x.ndim or x.device == DEVICE)]
    if any(x.device == DEVICE for x in elsewhere):
        raise RuntimeError(f"{function} has a tensor without values, which was not made through the dispatcher")
    if not on_device and target is None:
        return function(*args, **kwargs)
    indexes = operation in INDEXING
    if on_device and elsewhere and operation not in MOVES and not (indexes and isinstance(args[0], OnDevice)):
        raise RuntimeError(f"Expected all tensors to be on the same device: {function} has some on {DEVICE}, some on the CPU")
    if indexes and on_device and not isinstance(args[0], OnDevice):
        raise RuntimeError(f"indices should be on the CPU, as the tensor is: {function}")
    result_on_device = bool(on_device) if target is None else torch.device(target).type == DEVICE.type
    if target is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    if operation is aten.copy_:
        result_on_device = isinstance(args[0], OnDevice)
    result = function(*replaced(args, values), **{name: replaced(x, values) for name, x in kwargs.items()})
    originals = {id(x.values_): x for x in on_device}

    def wrap(x):
        if not isinstance(x, torch.Tensor) or not result_on_device:
            return x
        if x.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"Cannot convert to 64-bit floats, which {DEVICE} does not have: {function}")
        return originals.get(id(x)) if id(x) in originals else OnDevice(x)

    return replaced(result, wrap)


def leaves(nested):
    """What is in lists and tuples within one another. torch's own function for this takes longer than the operations."""
    for x in nested:
        if isinstance(x, (list, tuple)):
            yield from leaves(x)
        else:
            yield x


def replaced(x, function):
    """The same lists and tuples with `function` of what is in them."""
    return type(x)(replaced(part, function) for part in x) if isinstance(x, (list, tuple)) else function(x)


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Literals(TorchFunctionMode):
    """`torch.tensor` and `new_tensor`, which do not go through the dispatcher."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.new_tensor:
            kwargs = {"dtype": args[0].dtype, "device": args[0].device} | kwargs
            function, args = torch.tensor, args[1:]
        if function is torch.tensor and kwargs.get("device") is not None:
            on_device = torch.device(kwargs["device"]).type == DEVICE.type
            result = torch.tensor(*args, **kwargs | {"device": "cpu"})
            return result.to(DEVICE) if on_device else result
        return function(*args, **kwargs)


@contextlib.contextmanager
def other_device():
    with Literals(), Mode():
        yield DEVICE


def put(module):
    """The module, its weights moved to the pretended device in place."""
    for part in module.modules():
        for name, p in part._parameters.items():
            if p is not None:
                part._parameters[name] = torch.nn.Parameter(OnDevice(p.detach().clone()), p.requires_grad)
        for name, b in part._buffers.items():
            if b is not None:
                part._buffers[name] = OnDevice(b.clone())
    return module


def values(x):
    """The values of a tensor of either device."""
    return x.values_ if isinstance(x, OnDevice) else x
