"""Disc and fovea of an image, and a manifest row with what annotators gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from foveate.annotate.domain.marks import Marks
from foveate.core.types import Row

Point = tuple[float, float]


def landmarks(row: Row, *given: Marks | None) -> tuple[Point | None, Point | None]:
    """Return disc and fovea, each from the first of the mark sets that has it, else from the manifest."""
    disc = next((m.disc for m in given if m is not None and m.disc is not None), row.disc)
    fovea = next((m.fovea for m in given if m is not None and m.fovea is not None), row.fovea)
    return disc, fovea


def placed(row: Row, disc: Point | None, fovea: Point | None, answers: Mapping[str, str]) -> Row:
    """Return a row with these landmarks and answers, and without any other ground truth."""
    return replace(row, disc=disc, fovea=fovea, answers=dict(answers), masks={}, cues={}, readings={})
