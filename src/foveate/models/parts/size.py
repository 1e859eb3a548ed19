"""Size of a network as in papers' tables: parameters, their float32 size, multiply-adds, memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Count the parameters, shared ones once; running statistics are buffers and do not count."""
    return sum(p.numel() for p in network.parameters())


def size_mib(network: nn.Module) -> float:
    """Compute the size of the parameters in MiB (2**20 bytes) at four bytes each, whatever their present type.

    Papers that print "#Param (M)" often mean this number.
    """
    return parameters(network) * 4 / 2**20


@torch.no_grad()
def multiply_adds(
    network: nn.Module, image: Float[Tensor, "b c h w"], *, prior: Float[Tensor, "b k h w"] | None = None
) -> int:
    """Count multiply-adds of a forward pass in evaluation mode: convolutions and products, half of torch's flops.

    The mode of the network is restored. On the "meta" device nothing is computed and the count is the same.

    Args:
        network: any of this package.
        image: as the network reads it; the count grows with the batch.
        prior: as the network reads it.
    """
    counter = FlopCounterMode(display=False)
    with _evaluating(network), counter:
        network(image, prior)
    return int(counter.get_total_flops()) // 2


@torch.no_grad()
def peak_mib(
    network: nn.Module, image: Float[Tensor, "b c h w"], *, prior: Float[Tensor, "b k h w"] | None = None
) -> float:
    """Measure the peak memory of tensors in a forward pass in evaluation mode, in MiB: weights, input, activations.

    It leaves out the workspace inside an operation and the reserve of an allocator. So it is the same on every machine,
    and a lower bound. On the "meta" device nothing is computed and the count is the same.

    Args:
        network: any of this package.
        image: as the network reads it; activations grow with the batch.
        prior: as the network reads it.
    """
    held = _Held()
    held.take([*network.parameters(), *network.buffers(), image, prior])
    with _evaluating(network), held:
        network(image, prior)
    return held.peak / 2**20


def peak_of(call: Callable[[], Any], *kept: Any) -> float:
    """Measure the peak memory of tensors while a function runs, in MiB, `kept` ones included; counted as in `peak_mib`.

    On the "meta" device nothing is computed and the count is the same, so that even a training step is measured at
    once.

    Args:
        call: for instance a forward and a backward pass.
        kept: tensors, or lists of them, that exist from the start.
    """
    held = _Held()
    held.take(kept)
    with held:
        call()
    return held.peak / 2**20


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counter of the bytes of all living storages."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.seen: set[int] = set()

    def take(self, values: Any) -> None:
        """Add storages that have not been counted yet."""
        for tensor in tree_leaves(values):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.seen:
                    self.seen.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)

    def _free(self, which: int, size: int) -> None:
        self.seen.discard(which)
        self.now -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.take(out)
        return out


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode, and restore the mode of every part afterwards."""
    training = {module: module.training for module in network.modules()}
    try:
        network.eval()
        yield
    finally:
        for module, was in training.items():
            module.training = was
