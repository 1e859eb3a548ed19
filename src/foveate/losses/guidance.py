"""Losses of where a finding was seen: suppress activation outside its cue, ask nothing inside (Son et al. 2018).

Activation maps are ``Outputs.activation``, one an image logit; cues are ``Batch.cues``, one a question. A question's
cue guides the map that speaks for "yes"; questions with several answers, and images whose cue is not known, have no
part in it. The cue is brought to the map's resolution by its maximum: a cell that holds a bit of the cue is inside.
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
from foveate.losses._masked import full, known_mean


def guidance(outputs: Outputs, batch: Batch, *, eps: float = 1e-3) -> Float[Tensor, ""]:
    """Mean over cells of (1 - m) log(max(a, eps)), m the cue, a the map's sigmoid (Son et al. 2018, eq. 2), - log eps.

    The printed form is negative and least, log eps, where a <= eps outside the cue; shifted by -log eps on the cells
    outside it is 0 there and positive elsewhere, with the same gradient: (1 - m) (1 - a) per cell, 0 where a < eps.

    Args:
        outputs: activation ``(b, image_channels, i, j)``.
        batch: cues ``(b, questions, h, w)`` and which of them are known; the mean is over the images and findings with
            a known cue (an absent finding's is empty), 0 where there are none.
        eps: least activation that is told from none, in (0, 1).

    Raises:
        ValueError: the network has no activation maps, the batch no cues, or eps is out of range.
    """
    least = _log_eps(eps)
    return _outside(outputs, batch, lambda z: F.logsigmoid(z).clamp_min(least) - least, term="guidance")


def guidance_printed(outputs: Outputs, batch: Batch, *, eps: float = 1e-3) -> Float[Tensor, ""]:
    """Eq. 2 of Son et al. 2018 as printed, (1 - m) log(max(a, eps)): `guidance` without the shift, negative.

    Arguments and errors as for `guidance`.
    """
    least = _log_eps(eps)
    return _outside(outputs, batch, lambda z: F.logsigmoid(z).clamp_min(least), term="guidance_printed")


def guidance_entropy(outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
    """-(1 - m) log(1 - a): the cross entropy of "nothing here" outside the cue; pulls hardest where a is high.

    Eq. 2 pulls hardest where a is already low: its gradient for the logit is (1 - m) (1 - a), here it is (1 - m) a.
    Arguments and errors as for `guidance`.
    """
    return _outside(outputs, batch, F.softplus, term="guidance_entropy")


def _outside(outputs: Outputs, batch: Batch, value: Callable[[Tensor], Tensor], *, term: str) -> Float[Tensor, ""]:
    """Mean of ``value`` of the maps' logits over the cells, 0 inside the cue, of what has a known cue."""
    maps = outputs.activation
    schema = batch.schema
    if maps is None or maps.shape[1] != schema.image_channels:
        there = "None" if maps is None else f"{maps.shape[1]} maps"
        raise ValueError(
            f"{term} needs outputs.activation, one map an image logit ({schema.image_channels}), not {there}; take a "
            "network with activation maps (models.region_cnn, models.guided)"
        )
    if batch.cues is None or batch.cues.shape[1] != len(schema.questions):
        raise ValueError(f"{term} needs batch.cues, one cue a question; give the recipe cues (data.cues.Cues)")
    yes_no = [i for i, q in enumerate(schema.questions) if q.yes_no]
    if not yes_no:
        raise ValueError(f"{term}: the schema has no yes/no question, so no cue can guide")
    channels = [schema.slices[schema.questions[i].name].start for i in yes_no]
    logits = full(maps[:, channels])
    cue = at_resolution(batch.cues[:, yes_no], (logits.shape[2], logits.shape[3]))
    known = torch.ones_like(cue[..., 0, 0]) if batch.cues_known is None else batch.cues_known[:, yes_no]
    return known_mean((value(logits) * ~cue).mean((2, 3)), known)


def _log_eps(eps: float) -> float:
    if not 0 < eps < 1:
        raise ValueError(f"eps={eps} must lie between 0 and 1, such as 1e-3")
    return math.log(eps)
