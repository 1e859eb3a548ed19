"""Choose how a manifest becomes nnU-Net data sets: one mask with all that is known, or one data set per label.

One mask is enough if two conditions are met. At every pixel either all labels are known or none is (with exclusive
labels, all are known at a marked pixel). Any two labels are separate in all images, or one is inside the other in all
(then they are nnU-Net's regions). Otherwise one data set per label is needed to lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from foveate.core.labels import LabelSchema
from foveate.data.writing import Truth


@dataclass(frozen=True)
class Sheet:
    """One nnU-Net data set: its labels from the outermost to the innermost, and how a mask is drawn.

    Args:
        labels: names; the value of the first is 1.
        at: their places in the schema.
        within: for each, the values that mean it: its own and those of labels inside it.
        ignore: value of pixels that nothing is known of; None where there are none.
    """

    labels: tuple[str, ...]
    at: tuple[int, ...]
    within: tuple[tuple[int, ...], ...]
    ignore: int | None

    @property
    def regions(self) -> bool:
        """Whether a label has several values."""
        return any(len(values) > 1 for values in self.within)

    def draw(self, truth: Truth) -> UInt8[np.ndarray, "h w"]:
        """The index mask of an image."""
        out = np.zeros(truth.masks.shape[1:], np.uint8)
        at = list(self.at)
        for value, place in enumerate(at, 1):
            out[truth.masks[place] > 0] = value
        if self.ignore is not None:
            out[(out == 0) & (truth.known[at] == 0).any(0)] = self.ignore
        return out

    def knows(self, truth: Truth) -> bool:
        """Whether anything is known of its labels in an image."""
        return bool(truth.known[list(self.at)].any())


class Survey:
    """Facts on the masks, collected image by image."""

    def __init__(self, schema: LabelSchema) -> None:
        count = len(schema.labels)
        self.schema = schema
        self.together = True
        self.apart = np.ones((count, count), bool)
        self.inside: Bool[np.ndarray, "l l"] = np.ones((count, count), bool)
        self.unknown = np.zeros(count, bool)
        self.any_unknown = False

    def see(self, truth: Truth) -> None:
        """Take an image into account; one that nothing is known of does not count."""
        known, masks = truth.known > 0, truth.masks > 0
        if not known.any():
            return
        self.unknown |= [bool(k.any() and not k.all()) for k in known]
        lacking = ~known.all(0)
        if self.schema.exclusive:
            lacking &= ~masks.any(0)
        self.any_unknown |= bool(lacking.any())
        self.together &= not (lacking & known.any(0)).any()
        present = [i for i, mask in enumerate(masks) if mask.any()]
        for i in present:
            for j in range(len(masks)):
                if i != j:
                    self.inside[i, j] &= not (masks[i] & ~masks[j]).any()
                    self.apart[i, j] &= not (masks[i] & masks[j]).any()

    def sheets(self) -> list[Sheet]:
        """One sheet for all labels where that loses nothing, else one a label."""
        labels, count = self.schema.labels, len(self.schema.labels)
        apart = self.apart & self.apart.T
        nested = self.inside & ~apart & ~np.eye(count, dtype=bool)
        laminar = apart | nested | nested.T | np.eye(count, dtype=bool)
        if self.together and laminar.all() and not (self.schema.exclusive and nested.any()):
            twins = nested & nested.T
            outer = nested & ~(twins & np.triu(np.ones((count, count), bool)))  # of twins the first is the outer
            order = sorted(range(count), key=lambda i: (int(outer[i].sum()), i))
            within = tuple(tuple(v for v, j in enumerate(order, 1) if j == i or outer[j, i]) for i in order)
            ignore = count + 1 if self.any_unknown else None
            return [Sheet(tuple(labels[i] for i in order), tuple(order), within, ignore)]
        return [Sheet((name,), (i,), ((1,),), 2 if self.unknown[i] else None) for i, name in enumerate(labels)]


def describe(sheets: Sequence[Sheet], schema: LabelSchema) -> list[str]:
    """Notes for users on the choice of sheets."""
    if len(sheets) == 1:
        if not schema.exclusive and len(schema.labels) > 1 and not sheets[0].regions:
            return ["labels may overlap, but do not in any image: nnU-Net will treat them as exclusive classes"]
        return []
    return [
        f"one data set for each of {len(sheets)} labels, because one mask cannot express all: labels overlap in "
        "part, or some are known where others are not"
    ]
