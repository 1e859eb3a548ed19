"""The optimizer of a training with its quickest kernel, and the average of the weights that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel


def averaged(network: nn.Module, *, over: float) -> AveragedModel | None:
    """An exponential moving average of a network's weights and statistics; None if it would be the network itself.

    Args:
        network: that is trained.
        over: steps that it reaches back: the decay is 1 - 1 / over. It is shorter at first, so that the random weights
            of the start are forgotten.
    """
    if over <= 1:
        return None

    @torch.no_grad()
    def update(average: Any, current: Any, count: Any) -> None:
        decay = min(1 - 1 / over, (1 + float(count)) / (10 + float(count)))
        if average[0].is_floating_point():
            torch._foreach_lerp_(average, current, 1 - decay)
        else:
            torch._foreach_copy_(average, current)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)


def fused(make: Callable[..., Optimizer], parameters: list[Any]) -> Optimizer:
    """An optimizer with its fused kernel where it has one for these parameters (Adam's on a CPU: 4 times quicker).

    Args:
        make: called with the parameters, and with ``fused=True`` if it knows that.
        parameters: in their place, or groups of them (dicts).
    """
    try:  # an optimizer writes its defaults into the groups that it is given, so the first try gets copies
        return make([dict(p) if isinstance(p, dict) else p for p in parameters], fused=True)
    except (TypeError, RuntimeError):  # no such keyword, or no such kernel; a true error comes again
        return make(parameters)
