"""Joint Dice: the Dice loss of a target, weighed by its true and predicted presence (Wei et al.).

In an image without the target a soft Dice loss is near 1 whether a few pixels are marked or many, so a network learns
nothing from it. Joint Dice leaves these images to the answer: l = (y + y^ - y y^) l_Dice (eq. 2), with y the true and
y^ the predicted presence. If the target is present (y = 1), l is l_Dice; if it is absent (y = 0), l is y^ l_Dice.

A slip in the paper: according to the sentence after eq. 2, for y = 0 the loss is above 0.5 if the image is classified
rightly and below 0.5 if wrongly. It is the other way round: the loss is y^ there, which is small for a right answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import image_logits, mean_over_known
from foveate.losses._presence import Targets as Targets
from foveate.losses._presence import neighbours_of, presence_weight, targets_of
from foveate.losses._sums import Sums, dice_ratio, overlap_sums


def joint_dice(
    outputs: Outputs, batch: Batch, *, targets: Targets | None = None, eps: float = 1.0, detach: bool = False
) -> Float[Tensor, ""]:
    """Joint Dice, mean of (y + y^ - y y^) (1 - (2 sum p g + eps) / (sum p + sum g + eps)) (Wei et al., eqs 1, 2).

    The mean is over images, targets and neighbours. The labels of one target are added up before the ratio. A neighbour
    (a label that belongs to no target, such as the optic disc) has weight 1: the plain Dice loss. Probabilities are not
    squared, and the background has no ratio.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)`` and image logits ``(b, image_channels)``.
        batch: masks and answers, and where they are known. An image with an unknown answer counts for a target, with
            y = 1, if a known pixel bears it, and not otherwise. An image without known pixels does not count.
        targets: question -> labels; None = every yes/no question with its evidence.
        eps: in pixels, > 0.
        detach: cut the gradient through y^, so that the answer weighs this term but does not learn from it.

    Raises:
        ValueError: the network lacks pixel or image logits, there is no target, its question is not yes/no, one of its
            labels is not in the schema, or eps <= 0.
    """
    named = targets_of(batch.schema, targets)
    sums = overlap_sums(outputs, batch, term="joint_dice")
    logits = image_logits(outputs, batch, term="joint_dice")
    losses, counted = [], []
    for question, labels in named.items():
        part = _together(sums, batch.schema, labels)
        weight, known = presence_weight(logits, batch, question=question, marked=part.truth[:, 0] > 0, detach=detach)
        losses.append(weight * (1 - dice_ratio(part, eps=eps)[:, 0]))
        counted.append(known & (part.known[:, 0] > 0))
    for label in neighbours_of(batch.schema, named):
        part = _together(sums, batch.schema, (label,))
        losses.append(1 - dice_ratio(part, eps=eps)[:, 0])
        counted.append(part.known[:, 0] > 0)
    return mean_over_known(torch.stack(losses), torch.stack(counted))


def _together(sums: Sums, schema: LabelSchema, labels: Sequence[str]) -> Sums:
    """Add up the sums of some labels: one column."""
    at = [schema.labels.index(label) for label in labels]
    return Sums(*(part[:, at].sum(1, keepdim=True) for part in sums))
