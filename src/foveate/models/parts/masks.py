"""A lesion mask guides a feature map: what the classifier reads of map A under mask S (Diao et al. 2023, Fig. 4)."""

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
        copies: how many times as many channels come out as go in.
        apply: map A ``(b, k, i, j)`` and mask S ``(b, 1, i, j)`` in [0, 1] -> ``(b, copies * k, i, j)``.
    """

    copies: int
    apply: Callable[[Tensor, Tensor], Tensor]


def complement(a: Float[Tensor, "b k i j"], s: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b d i j"]:
    """Inside and outside of the mask side by side, [A S, A (1 - S)]: nothing is lost where the mask errs."""
    return torch.cat([a * s, a * (1 - s)], 1)


def single(a: Float[Tensor, "b k i j"], s: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b k i j"]:
    """The inside alone, A S: what lies outside of the mask is lost."""
    return a * s


def auxiliary(a: Float[Tensor, "b k i j"], s: Float[Tensor, "b 1 i j"]) -> Float[Tensor, "b k i j"]:
    """A as it is: the mask is learnt beside and guides nothing."""
    return a


MASKS: dict[str, Mask | None] = {
    "complement": Mask(2, complement),
    "single": Mask(1, single),
    "auxiliary": Mask(1, auxiliary),
    "none": None,
}
"""The paper's network, its ablation with one mask, the task alone without guidance, and neither task nor guidance."""


def union(logits: Float[Tensor, "b c i j"], *, schema: LabelSchema) -> Float[Tensor, "b 1 i j"]:
    """Probability that a pixel bears any label: one mask for however many labels.

    Exclusive labels add up (1 - background); overlapping ones are taken as independent, 1 - prod(1 - p). For one label
    it is the sigmoid of the paper.
    """
    p = schema.pixel_probability(logits)
    return p.sum(1, keepdim=True) if schema.exclusive else 1 - (1 - p).prod(1, keepdim=True)
