"""Guidance of a feature map A by a lesion mask S (Diao et al. 2023, Fig. 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.core.labels import LabelSchema


class Mask(NamedTuple):
    """One way to guide.

    Args:
        copies: ratio of output channels to input channels.
        apply: map A ``(b, k, i, j)`` and mask S ``(b, 1, i, j)`` in [0, 1] -> ``(b, copies * k, i, j)``.
    """

    copies: int
    apply: Callable[[Tensor, Tensor], Tensor]


def complement(a: Float[Tensor, "b k i j"], s: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b d i j"]:
    """Return inside and outside of the mask side by side, [A S, A (1 - S)]: errors of the mask lose nothing."""
    return torch.cat([a * s, a * (1 - s)], 1)


def single(a: Float[Tensor, "b k i j"], s: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b k i j"]:
    """Return the inside alone, A S: everything outside of the mask is lost."""
    return a * s


def auxiliary(a: Float[Tensor, "b k i j"], s: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b k i j"]:
    """Return A unchanged: the mask is learnt as a second task and does not guide."""
    return a


MASKS: dict[str, Mask | None] = {
    "complement": Mask(2, complement),
    "single": Mask(1, single),
    "auxiliary": Mask(1, auxiliary),
    "none": None,
}
"""The paper's network; its ablation with A S alone; the mask as a task without guidance; neither task nor guidance."""


def union(logits: Float[Tensor, "b c i j"], *, schema: LabelSchema) -> Float[Tensor, "b 1 i j"]:
    """Compute the probability that a pixel bears any label: one mask for any number of labels.

    Probabilities of exclusive labels are added (1 - background). Overlapping labels are treated as independent,
    1 - prod(1 - p). For one label it is the sigmoid of the paper.
    """
    p = schema.pixel_probability(logits)
    return p.sum(1, keepdim=True) if schema.exclusive else 1 - (1 - p).prod(1, keepdim=True)
