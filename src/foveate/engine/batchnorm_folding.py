"""Batch normalisation folded into the convolution before it: the same answers in fewer passes, for reading alone.

BN(W x + b) = (g W / s) x + (b - mean) g / s + beta with s = sqrt(var + eps): another convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from threading import Lock
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

Conv = nn.Conv2d | nn.ConvTranspose2d

AFTER = ["drop", "act"]
"""Parts of timm's normalisations, which come after normalising."""


def folded(
    network: nn.Module, image: Float[Tensor, "b c h w"], *, prior: Float[Tensor, "b k h w"] | None = None
) -> nn.Module:
    """A copy in which each convolution does the work of the batch normalisation that reads it.

    Which reads which is observed in one pass and not guessed from names or their order: a pair is folded where both
    are called once and nothing else reads the convolution's output. What cannot be folded stays as it is, so the copy
    answers as the network does, up to rounding. It cannot be trained, and its weights are no longer the network's.

    Args:
        network: any, in evaluation mode; is left as it is.
        image: one that the network reads, for the pass.
        prior: given to the network in the pass.

    Raises:
        ValueError: the network is in training mode, where normalisation depends on the batch.
    """
    copy = deepcopy(network)
    _fold_all(copy, image, prior)
    return copy


def fold_when_called(network: nn.Module) -> nn.Module:
    """Fold a network in place (see `folded`) with the first image that it is given; threads may call it at once."""
    lock, done = Lock(), False

    def first(network: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal done
        with lock:
            if not done:
                _fold_all(network, *given)
                handle.remove()  # not before: whoever finds no hook must find a folded network
                done = True

    handle = network.register_forward_pre_hook(first)
    return network


def _fold_all(network: nn.Module, image: Tensor, prior: Tensor | None = None) -> None:
    if network.training:
        raise ValueError("network is in training mode, where nothing can be folded; call network.eval() first")
    with torch.inference_mode(False), torch.no_grad():
        for name, part in list(network.named_modules()):
            if callable(plain := getattr(part, "plain", None)):  # LoRA: the sum of its weights does the same
                network.set_submodule(name, plain())
        network.requires_grad_(False)
        for conv, name in _pairs(network, image[:1], None if prior is None else prior[:1]):
            norm = network.get_submodule(name)
            assert isinstance(norm, nn.BatchNorm2d)
            _fold(conv, norm)
            network.set_submodule(name, nn.Sequential(*norm.children()).eval())


def _fold(conv: Conv, norm: nn.BatchNorm2d) -> None:
    """Give the convolution the weights of both."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    last = conv.weight.is_contiguous(memory_format=torch.channels_last)
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )
    laid = weight.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    conv.weight, conv.bias = nn.Parameter(laid, requires_grad=False), nn.Parameter(bias, requires_grad=False)


def _pairs(network: nn.Module, image: Tensor, prior: Tensor | None) -> list[tuple[Conv, str]]:
    """Convolutions and the names of the normalisations that alone read them, as seen in one pass."""
    seen = _Readers()
    gave: dict[int, Conv] = {}  # tensor that a convolution gave
    took: dict[str, int] = {}  # tensor that a normalisation took
    calls: Counter[int] = Counter()

    def after(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            calls[id(module)] += 1
            if isinstance(module, nn.BatchNorm2d):
                took[name] = seen.keep(given[0])
            elif isinstance(module, Conv):
                gave[seen.keep(out)] = module

        return hook

    watched = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d | Conv)]
    hooks = [module.register_forward_hook(after(name)) for name, module in watched]
    try:
        with seen:
            outputs = network.forward(image, prior)
    finally:
        for handle in hooks:
            handle.remove()
    shown = {id(t) for t in _tensors([outputs])}
    found = []
    for name, tensor in took.items():
        conv, norm = gave.get(tensor), network.get_submodule(name)
        if conv is None or tensor in shown or seen.count[tensor] != 1:
            continue
        assert isinstance(norm, nn.BatchNorm2d)
        known = norm.running_mean is not None and [n for n, _ in norm.named_children()] in ([], AFTER)
        once = calls[id(conv)] == calls[id(norm)] == 1
        if known and once and (isinstance(conv, nn.Conv2d) or conv.groups == 1):
            found.append((conv, name))
    return found


class _Readers(TorchFunctionMode):
    """Counts, of each tensor, the functions that make tensors from it."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self.alive: list[Tensor] = []  # an id names one tensor as long as it lives

    def keep(self, tensor: Tensor) -> int:
        """The tensor's number from now on."""
        self.alive.append(tensor)
        return id(tensor)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors([out])):  # not a question after shape or kind
            for tensor in {id(t): t for t in _tensors([args, *(kwargs or {}).values()])}.values():
                self.count[self.keep(tensor)] += 1
        return out


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
