"""Losses of activation maps: suppress activation outside the cue, require nothing inside it (Son et al. 2018).

Activation maps are ``Outputs.activation``, one per image logit; cues are ``Batch.cues``, one per question. The cue
of a question guides the map of its answer "yes". Questions with several answers, and images whose cue is unknown, do
not count. The cue is brought to the map's resolution by its maximum: a cell with any pixel of the cue is inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.map_cells import at_resolution
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import at_least_float32, mean_over_known


def guidance(outputs: Outputs, batch: Batch, *, eps: float = 1e-3) -> Float[Tensor, ""]:
    """Mean over cells of (1 - m) log(max(a, eps)), m the cue, a the map's sigmoid (Son et al. 2018, eq. 2), - log eps.

    The printed form is negative, and smallest (log eps) where a <= eps outside the cue. We add -log eps on the cells
    outside the cue: the loss is then 0 there and positive elsewhere. The gradient is the same: (1 - m) (1 - a) per
    cell, 0 where a < eps.

    Args:
        outputs: activation ``(b, image_channels, i, j)``.
        batch: cues ``(b, questions, h, w)`` and which of them are known. The mean is over the images and findings with
            a known cue (the cue of an absent finding is empty), 0 if there are none.
        eps: activation below which a cell counts as dark, in (0, 1).

    Raises:
        ValueError: the network gives no activation maps, the batch has no cues, or eps is out of range.
    """
    least = _log_eps(eps)
    return _outside(outputs, batch, lambda z: F.logsigmoid(z).clamp_min(least) - least, term="guidance")


def guidance_printed(outputs: Outputs, batch: Batch, *, eps: float = 1e-3) -> Float[Tensor, ""]:
    """Guidance loss as printed, (1 - m) log(max(a, eps)) (Son et al. 2018, eq. 2): `guidance` without the shift.

    Arguments and errors as for `guidance`.
    """
    least = _log_eps(eps)
    return _outside(outputs, batch, lambda z: F.logsigmoid(z).clamp_min(least), term="guidance_printed")


def guidance_entropy(outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
    """Cross entropy of "nothing here" outside the cue, -(1 - m) log(1 - a): its gradient is largest where a is high.

    The gradient of eq. 2 for the logit, (1 - m) (1 - a), is largest where a is already low; here it is (1 - m) a.
    Arguments and errors as for `guidance`.
    """
    return _outside(outputs, batch, F.softplus, term="guidance_entropy")


def _outside(outputs: Outputs, batch: Batch, value: Callable[[Tensor], Tensor], *, term: str) -> Float[Tensor, ""]:
    """Mean over the cells of ``value`` of the maps' logits, with 0 inside the cue; only known cues count."""
    maps = outputs.activation
    schema = batch.schema
    if maps is None or maps.shape[1] != schema.image_channels:
        there = "None" if maps is None else f"{maps.shape[1]} maps"
        raise ValueError(
            f"{term} needs outputs.activation, one map per image logit ({schema.image_channels}), not {there}; take a "
            "network with activation maps (models.region_cnn, models.guided)"
        )
    if batch.cues is None or batch.cues.shape[1] != len(schema.questions):
        raise ValueError(f"{term} needs batch.cues, one cue per question; give the recipe cues (data.cues.Cues)")
    yes_no = [i for i, q in enumerate(schema.questions) if q.yes_no]
    if not yes_no:
        raise ValueError(f"{term}: the schema has no yes/no question, which guidance needs; drop the term")
    channels = [schema.slices[schema.questions[i].name].start for i in yes_no]
    logits = at_least_float32(maps[:, channels])
    cue = at_resolution(batch.cues[:, yes_no], (logits.shape[2], logits.shape[3]))
    known = torch.ones_like(cue[..., 0, 0]) if batch.cues_known is None else batch.cues_known[:, yes_no]
    return mean_over_known((value(logits) * ~cue).mean((2, 3)), known)


def _log_eps(eps: float) -> float:
    if not 0 < eps < 1:
        raise ValueError(f"eps={eps} must be above 0 and below 1, such as 1e-3")
    return math.log(eps)
