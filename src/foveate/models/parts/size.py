"""How large a network is, as papers' tables have it: parameters, their float32 size, multiply-adds of one image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Number of parameters, shared ones once; running statistics are buffers and do not count."""
    return sum(p.numel() for p in network.parameters())


def size_mib(network: nn.Module) -> float:
    """Size of the parameters in MiB (2**20 bytes) at four bytes each, whatever their type is now."""
    return parameters(network) * 4 / 2**20


@torch.no_grad()
def multiply_adds(
    network: nn.Module, image: Float[Tensor, "b c h w"], *, prior: Float[Tensor, "b k h w"] | None = None
) -> int:
    """Multiply-adds of one forward pass in evaluation mode: convolutions and matrix products, half of torch's flops.

    The network is as it was afterwards. On the "meta" device nothing is computed and the count is the same.

    Args:
        network: any of the house.
        image: as the network reads it; the count grows with the batch.
        prior: handed to the network.
    """
    training = {module: module.training for module in network.modules()}
    counter = FlopCounterMode(display=False)
    try:
        network.eval()
        with counter:
            network(image, prior)
    finally:
        for module, was in training.items():
            module.training = was
    return int(counter.get_total_flops()) // 2
