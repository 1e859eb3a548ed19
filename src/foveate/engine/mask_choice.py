"""Where each label begins, and its smallest lesion: chosen on validation images, or left alone if these are too few.

A label's metric is the mean over the validation images of its Dice, an image that is free of the label scoring 1 if
nothing is marked in it and 0 otherwise (absent policy "one"). A change is made only if it raises the metric by more
than the standard error of that rise, patients taken as a whole: 40 settings tried on 10 images always find one that is
better by chance. With fewer than `LEAST` images that bear the label, or one patient alone, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from foveate.core.components import components
from foveate.core.labels import LabelSchema
from foveate.core.reading import presence_only
from foveate.core.types import Prediction
from foveate.engine.keep import LEAST

GRID = tuple(round(0.1 * k, 1) for k in range(1, 10))
"""Thresholds that are tried; None, beside them, is the schema's own way."""

MOST = 512
"""Areas that are tried at most, evenly spread among those that occur."""

Cut = float | None


class Parts(NamedTuple):
    """The connected parts of a label's mask in one image: share of the field, pixels that are right, and wrong ones."""

    share: Float[np.ndarray, " n"]
    tp: Int[np.ndarray, " n"]
    fp: Int[np.ndarray, " n"]

    def dice(self, truth: int, *, above: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Dice if only the parts larger than each of these shares are kept; 1 if label and mask are both absent.

        Args:
            truth: pixels that bear the label.
            above: shares.
        """
        order = np.argsort(self.share)
        at = np.searchsorted(self.share[order], above, side="right")
        tp, fp = (np.concatenate([np.cumsum(part[order][::-1])[::-1], [0]])[at] for part in (self.tp, self.fp))
        total = tp + fp + truth
        return np.where(total > 0, 2 * tp / np.maximum(total, 1), 1.0)


@dataclass(frozen=True)
class Tried:
    """One label of one validation image under every threshold."""

    label: str
    group: str
    truth: int
    parts: Mapping[Cut, Parts]


@dataclass(frozen=True)
class Choice:
    """The choice for a label, and its grounds.

    Args:
        label: of the schema.
        images: validation images in which it is known.
        bearing: those that bear it.
        cut: threshold of its pixels; None = the schema's own way.
        speck: largest share of the field that is removed; 0 = nothing is.
        before, after: the metric without and with both.
        why: why something was left as it was; empty if both were chosen.
    """

    label: str
    images: int
    bearing: int
    cut: Cut = None
    speck: float = 0.0
    before: float = float("nan")
    after: float = float("nan")
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))

    def __str__(self) -> str:
        parts = [] if self.cut is None else [f"marked from {self.cut:g} on"]
        parts += [f"parts of up to {100 * self.speck:.3g} % of the field removed"] * (self.speck > 0)
        change = f"Dice of {self.images} validation images {self.before:.3f} -> {self.after:.3f}"
        words = [f"{', '.join(parts)} ({change})"] * bool(parts) + [self.why] * bool(self.why)
        return f"{self.label}: {'; '.join(words)}"


def tried(
    prediction: Prediction,
    *,
    schema: LabelSchema,
    group: str,
    masks: UInt8[np.ndarray, "l h w"],
    known: UInt8[np.ndarray, "l h w"],
    field: int,
) -> list[Tried]:
    """Every label of an image whose truth is known there, under every threshold.

    Labels of which the network gives the presence alone are left out: they have no lesions.

    Args:
        prediction: in the image's own pixels.
        schema: of the run.
        group: the patient.
        masks: truth of each label of the prediction.
        known: where it is known.
        field: pixels of the field of view (`core.reading.field_pixels`).
    """
    if not prediction.labels:
        return []
    best = schema.contenders(torch.from_numpy(prediction.probability)).numpy()
    plain = schema.masks(torch.from_numpy(prediction.probability)).numpy()
    found, whole = [], presence_only(prediction)
    for i, label in enumerate(prediction.labels):
        sure = known[i].astype(bool)
        if label in whole or not sure.any():
            continue
        truth = masks[i].astype(bool) & sure
        box = _around(plain[i] | (best[i] >= GRID[0]))  # of a few lesions a hundredth of the image
        marks: dict[Cut, np.ndarray] = {None: plain[i][box]}
        marks |= {cut: best[i][box] >= cut for cut in GRID if schema.exclusive or cut != 0.5}
        parts = {cut: _parts(mask, truth[box], sure[box], field) for cut, mask in marks.items()}
        found.append(Tried(label, group, int(truth.sum()), parts))
    return found


def choose(every: Iterable[Tried], *, labels: Sequence[str]) -> list[Choice]:
    """The threshold of each label, then at that threshold its smallest lesion.

    The threshold is the one of `GRID` with the highest metric (of equals the nearest to 0.5). The largest speck is the
    smallest that reaches the highest metric: a lesion that was found goes with it only if the metric gains all the
    same, and nothing larger than the largest part that it pays to remove is removed.

    Args:
        every: of all validation images.
        labels: of the schema, in order.
    """
    of = {label: [one for one in every if one.label == label] for label in labels} if (every := list(every)) else {}
    return [_choice(label, of.get(label, [])) for label in labels]


def _choice(label: str, images: Sequence[Tried]) -> Choice:
    bearing = sum(one.truth > 0 for one in images)
    bare = Choice(label, len(images), bearing)
    if bearing < LEAST:
        why = f"{bearing} of {len(images)} validation images bear it, {LEAST} are needed to choose; left as it is"
        return Choice(label, len(images), bearing, why=why)
    groups = np.unique([one.group for one in images], return_inverse=True)[1]
    none = np.zeros(1)

    def dice(cut: Cut, above: Float[np.ndarray, " k"] = none) -> Float[np.ndarray, "n k"]:
        return np.stack([one.parts[cut].dice(one.truth, above=above) for one in images])

    before = dice(None)
    cuts = sorted((cut for cut in images[0].parts if cut is not None), key=lambda cut: abs(cut - 0.5))
    gains = np.concatenate([dice(cut) - before for cut in cuts], 1)
    at = _best(gains, groups)
    cut = None if at is None else cuts[at]
    shares = np.unique(np.concatenate([one.parts[cut].share for one in images]))
    shares = shares[np.unique(np.linspace(0, len(shares) - 1, MOST).astype(int))] if len(shares) > MOST else shares
    kept = dice(cut)
    cleaned = dice(cut, shares)
    at = _best(cleaned - kept, groups) if len(shares) else None
    speck = 0.0 if at is None else float(shares[at])
    after = kept if at is None else cleaned[:, at]
    left = ["no other threshold is better by more than the standard error"] * (cut is None)
    left += ["removing small parts gains no more than that"] * (speck == 0)
    return Choice(label, bare.images, bearing, cut, speck, float(before.mean()), float(after.mean()), "; ".join(left))


def _best(gains: Float[np.ndarray, "n k"], groups: Int[np.ndarray, " n"]) -> int | None:
    """The first column with the highest mean among those whose mean exceeds its standard error; None if none does.

    Args:
        gains: of each image under each setting.
        groups: patient of each image, from 0 on.
    """
    images, patients = len(gains), int(groups.max()) + 1
    if patients < 2:
        return None
    mean = gains.mean(0)
    sums = np.zeros((patients, gains.shape[1]))
    np.add.at(sums, groups, gains - mean)
    error = np.sqrt((sums**2).sum(0) * patients / (patients - 1)) / images
    worth = np.where(mean > error + 1e-9, mean, -np.inf)
    top = float(worth.max())
    return None if top == -np.inf else int(np.flatnonzero(worth >= top - 1e-12)[0])


def _around(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """The rows and columns that hold the mask; none if it is empty."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)


def _parts(
    mask: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], sure: Bool[np.ndarray, "h w"], field: int
) -> Parts:
    found = components(mask)
    n = len(found.area)
    right, every = (np.bincount(found.numbers[where], minlength=n + 1)[1:] for where in (truth, sure))
    return Parts(found.area / field, right, every - right)
