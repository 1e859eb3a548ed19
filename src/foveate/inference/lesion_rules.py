"""Rules by which a marked lesion counts as evidence: its smallest area and the probability that it must reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from foveate.core.guideline import Guideline


@dataclass(frozen=True)
class LesionRule:
    """Smallest area and probability of a single lesion that counts.

    Args:
        share: smallest area, as a share of the image's pixels.
        probability: that at least one of its pixels must reach.

    Raises:
        ValueError: a number is not in [0, 1].
    """

    share: float = 0.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.probability <= 1):
            raise ValueError(f"{self}: share and probability must be in [0, 1]")

    def __str__(self) -> str:
        return f"at least {100 * self.share:.3g} % of the image and a probability of {self.probability:.2f}"


PLAIN = LesionRule(0.0, 0.0)
"""Of lesions whose single spots are small, such as microaneurysms: every mark counts."""

SEVERE = LesionRule(2e-4, 0.75)
"""Of lesions that suffice for the most severe grade: a few stray pixels must not decide it. 2e-4 of an image of
896 x 896 pixels are 161 pixels. Both numbers are our choice; `predict --lesion-rule` changes them."""


def rules_for(
    guideline: Guideline, labels: Sequence[str], *, given: Mapping[str, LesionRule] | None = None
) -> dict[str, LesionRule]:
    """Choose the rule of each label: the one given, `SEVERE` for signs of the most severe grade, else `PLAIN`.

    Args:
        guideline: in the words of the labels.
        labels: of the network.
        given: label -> rule.

    Raises:
        ValueError: a rule is given for a label that is not there.
    """
    chosen = given or {}
    if strange := sorted(set(chosen) - set(labels)):
        raise ValueError(f"--lesion-rule: the label must be one of {list(labels)}, got {strange[0]!r}")
    severe = {sign.lesion for sign in guideline.signs if sign.grade == guideline.grades[-1]}
    return {label: chosen.get(label, SEVERE if label in severe else PLAIN) for label in labels}


def counted_part(
    mask: Bool[np.ndarray, "h w"], probability: Float[np.ndarray, "h w"], rule: LesionRule
) -> Bool[np.ndarray, "h w"]:
    """Keep the single lesions that meet a rule.

    >>> mask = np.array([[True, False, True, True]])
    >>> sure = np.array([[0.9, 0.1, 0.6, 0.8]])
    >>> counted_part(mask, sure, LesionRule(share=0.5, probability=0.7)).tolist()
    [[False, False, True, True]]
    """
    if rule == PLAIN or not mask.any():
        return mask
    from scipy import ndimage  # a bundle is read without it

    parts, number = ndimage.label(mask, structure=np.ones((3, 3)))
    at = np.arange(1, number + 1)
    area = np.bincount(parts.ravel(), minlength=number + 1)[1:]
    peak = ndimage.maximum(probability, parts, at)
    kept = np.concatenate([[False], (area >= rule.share * mask.size) & (np.asarray(peak) >= rule.probability)])
    return np.asarray(kept[parts], bool)


def rules_given(texts: Sequence[str]) -> dict[str, LesionRule]:
    """Parse ``LABEL=PERCENT,PROBABILITY``.

    >>> rules_given(["neovascularisation=0.05,0.9"])["neovascularisation"]
    LesionRule(share=0.0005, probability=0.9)
    """
    out = {}
    for text in texts:
        label, mark, numbers = text.partition("=")
        try:
            percent, probability = (float(number) for number in numbers.split(","))
        except ValueError:
            percent = probability = -1.0
        if not mark or not label or not (0 <= percent <= 100 and 0 <= probability <= 1):
            raise ValueError(
                f"--lesion-rule {text!r}: write LABEL=PERCENT,PROBABILITY, such as neovascularisation=0.02,0.75"
            )
        out[label] = LesionRule(percent / 100, probability)
    return out
