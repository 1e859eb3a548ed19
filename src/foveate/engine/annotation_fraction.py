"""Masks and cues that a training sees, if only a share of the patients is to have them."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from foveate.core.types import Row, Sample
from foveate.data.loader import MakeCues
from foveate.data.manifest import Manifest
from foveate.engine.run import Run


def learnt_rows(run: Run, rows: Manifest) -> Manifest:
    """The rows that a run trained and validated on, with the masks and cues that guided it and no others.

    Masks that only validation metrics such as Dice are computed from count as masks that it never saw.

    Args:
        run: trained.
        rows: the manifest that it was trained on, whatever their splits are today.
    """
    share, seed, splits = run.recipe.annotation_fraction, run.record["seed"], run.splits
    return rows.with_rows(within_fraction(row, share, seed) for row in rows if splits.get(row.id) in ("train", "val"))


def within_fraction(row: Row, share: float, seed: int) -> Row:
    """The row, or the row without its masks and cues if its patient is outside the share whose masks are shown.

    A patient with masks at one share has them at every larger one.
    """
    known = zlib.crc32(f"{seed},{row.group}".encode()) < share * 2**32
    return row if known else replace(row, masks={}, cues={})


def cues_within_fraction(
    make: MakeCues, sample: Sample, *, share: float, seed: int
) -> tuple[UInt8[np.ndarray, "r h w"], UInt8[np.ndarray, " r"]]:
    """Cues of a validation sample, made of the annotations that are shown; its masks stay, for the metrics."""
    row = within_fraction(sample.row, share, seed)
    if row is not sample.row:
        sample = replace(sample, row=row, masks=np.zeros_like(sample.masks), known=np.zeros_like(sample.known))
    return make(sample)
