"""Soft areas of prediction and truth, and the ways to add them up before a ratio is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import mean_over_known, pixel_logits


class Sums(NamedTuple):
    """Soft areas in pixels, over known pixels only: one row per image, one column per label.

    Args:
        both: sum of q t.
        predicted: sum of q^power.
        truth: sum of t.
        known: number of known pixels.
    """

    both: Float[Tensor, "b l"]
    predicted: Float[Tensor, "b l"]
    truth: Float[Tensor, "b l"]
    known: Float[Tensor, "b l"]


Pool = Callable[[Sums], Sums]
"""Which sums are added up before the ratio is taken."""


def overlap_sums(outputs: Outputs, batch: Batch, *, power: int = 1, term: str = "overlap_sums") -> Sums:
    """Sum the probabilities q and the truth t over the known pixels of each image and label.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; a background channel has no sums.
        batch: masks, and where they are known.
        power: of the probability in ``predicted``, >= 1.
        term: name of the loss that asks, for messages.

    Raises:
        ValueError: the network gives no pixel logits, or power < 1.
    """
    if not power >= 1:
        raise ValueError(f"{term}: power={power} must be at least 1; papers use 1 or 2")
    q = batch.schema.pixel_probability(pixel_logits(outputs, batch, term=term))
    known = batch.known.to(q.dtype)
    truth = (batch.masks & batch.known).to(q.dtype)
    raised = q if power == 1 else q * q if power == 2 else q**power
    return Sums((q * truth).sum((2, 3)), (raised * known).sum((2, 3)), truth.sum((2, 3)), known.sum((2, 3)))


# -- which sums are pooled -------------------------------------------------------------------------------------------


def per_image_and_label(sums: Sums) -> Sums:
    """Pool nothing: one ratio per image and label."""
    return sums


def per_image(sums: Sums) -> Sums:
    """Pool the labels: one ratio per image."""
    return Sums(*(s.sum(1, keepdim=True) for s in sums))


def per_label(sums: Sums) -> Sums:
    """Pool the images, those of other processes too (`across_ranks`): one ratio per label."""
    return across_ranks(Sums(*(s.sum(0, keepdim=True) for s in sums)))


def whole_batch(sums: Sums) -> Sums:
    """Pool images and labels, those of other processes too (`across_ranks`): one ratio (Wei et al. 2020, eq. 3)."""
    return across_ranks(Sums(*(s.sum().reshape(1, 1) for s in sums)))


def across_ranks(sums: Sums) -> Sums:
    """Add the sums of all processes of a distributed training, whose batch is one; otherwise return them as they are.

    The gradient is that of one process with all images, once the gradients of the processes are averaged (as DDP
    does). Without gradients nothing is exchanged, so that a validation on one process does not wait for the others.
    """
    if not (dist.is_available() and dist.is_initialized() and torch.is_grad_enabled()):
        return sums
    own = torch.stack(sums)
    total = own.detach().clone()
    dist.all_reduce(total)
    # Each process holds only its own part of the graph. DDP divides gradients by the number of processes, so the part
    # is multiplied by it.
    part = dist.get_world_size() * (own - own.detach())
    return Sums(*(total + part).unbind(0))


# -- from sums to a loss ---------------------------------------------------------------------------------------------


def dice_ratio(sums: Sums, *, eps: float) -> Float[Tensor, "b l"]:
    """Return (2 both + eps) / (predicted + truth + eps); arguments as for `overlap.dice`."""
    check_eps(eps)
    return (2 * sums.both + eps) / (sums.predicted + sums.truth + eps)


def mean_loss(ratio: Float[Tensor, "b l"], sums: Sums, *, absent: bool) -> Float[Tensor, ""]:
    """Mean of 1 - ratio over the (pooled) images and labels that have a known pixel; 0 if there are none.

    Args:
        ratio: the overlap, in [0, 1].
        sums: from which it was made.
        absent: whether those count whose known truth is empty.
    """
    counts = sums.known > 0
    return mean_over_known(1 - ratio, counts if absent else counts & (sums.truth > 0))


def check_eps(eps: float) -> None:
    """Raise ValueError unless eps is positive and finite."""
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps={eps} must be positive: it decides what an empty truth costs; 1 pixel is usual")


# -- the area that weighs a rare label -------------------------------------------------------------------------------

Foreground = Callable[[Sums], Float[Tensor, "1 l"]]
"""Soft area in pixels that a label has in the batch."""


def predicted_area(sums: Sums) -> Float[Tensor, "1 l"]:
    """Area that the network gives the label, sum of q: the weight as the source defines it."""
    return sums.predicted


def true_area(sums: Sums) -> Float[Tensor, "1 l"]:
    """Area that is marked, sum of t: the weight that does not depend on the network."""
    return sums.truth
