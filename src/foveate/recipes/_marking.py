"""The loss of masks if no paper states one: small and rare labels are marked early, and not too much at the end."""

from __future__ import annotations

from functools import partial

from foveate.core.labels import LabelSchema
from foveate.losses._masked import Term
from foveate.losses.balanced import rare_cross_entropy
from foveate.losses.overlap import dice, per_label
from foveate.losses.pixel import bce, pixel_cross_entropy
from foveate.losses.weigh import Ramp

RARE = 0.75
"""Power of the weight of marked pixels at the start (`losses.balanced.rare_cross_entropy`)."""


def marking_terms(
    schema: LabelSchema, *, share: float, rare: float = RARE, absent: bool = True
) -> dict[str, tuple[float | Ramp, Term]]:
    """Terms for `losses.weigh.Weigh`: cross entropy that first weighs rare labels up, and Dice over the whole batch.

    The Dice is one ratio per label over all images of the batch. A ratio per image counts each image free of the label,
    from which a network learns to mark nothing.

    Args:
        schema: what the network learns; without labels there are no terms.
        share: weight of the masks in the loss, >= 0: half of it is the cross entropy's, half the Dice's.
        rare: power of the weights at the start; they have faded out by 70 % of the steps. 0 = plain cross entropy.
        absent: whether a batch free of a label counts in its Dice.
    """
    if not schema.labels or not share:
        return {}
    plain = pixel_cross_entropy if schema.exclusive else bce
    half = share / 2
    overlap = {"overlap": (half, partial(dice, pool=per_label, absent=absent))}
    if not rare:
        return {"pixels": (half, plain), **overlap}
    return {
        "rare": (Ramp(half, 0.0), partial(rare_cross_entropy, power=rare)),
        "pixels": (Ramp(0.0, half), plain),
        **overlap,
    }
