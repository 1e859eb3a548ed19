"""Rows of a manifest as marks: masks, cues and answers become shapes that the protocol allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from foveate.annotate.domain.outlining import as_shapes
from foveate.annotate.domain.protocol_parts import Finding
from foveate.annotate.store.project import Project
from foveate.core.regions import Regions, located
from foveate.core.types import Cue, Row
from foveate.data import read
from foveate.data.manifest import Manifest


def from_manifest(
    project: Project,
    manifest: Manifest,
    shapes: Mapping[str, tuple[int, int]],
    *,
    source_annotator: str | None,
    notes: list[str],
) -> dict[str, dict[str, Any]]:
    """Return image id -> marks as plain data.

    Args:
        project: its protocol states which marks are allowed.
        manifest: with masks, cues or answers.
        shapes: image id -> (rows, cols).
        source_annotator: whose; None = all, masks united.
        notes: receives what was not imported.
    """
    out: dict[str, dict[str, Any]] = {}
    for row in manifest:
        if row.id not in shapes:
            notes.append(f"{row.id}: the project has no such image; left out")
            continue
        marks = _marks(project, manifest, row, shapes[row.id], source_annotator, notes)
        if marks["answers"] or marks["shapes"] or set(marks["findings"].values()) != {"unsure"}:
            out[row.id] = {"marks": marks, "seconds": 0.0}
    return out


def _marks(
    project: Project,
    manifest: Manifest,
    row: Row,
    shape: tuple[int, int],
    source_annotator: str | None,
    notes: list[str],
) -> dict[str, Any]:
    mine = project.rows[row.id]
    disc, fovea = row.disc or mine.disc, row.fovea or mine.fovea
    regions = located(shape=shape, disc=disc, fovea=fovea, laterality=row.laterality or mine.laterality)
    answers = row.answers if source_annotator is None else row.readings.get(source_annotator, row.answers)
    asked = {q.name for q in project.protocol.questions}
    marks: dict[str, Any] = {"answers": {q: a for q, a in answers.items() if q in asked}, "findings": {}, "shapes": []}
    known_labels = [f.name for f in project.protocol.findings if f.name in manifest.schema.labels]
    schema = manifest.schema.select(questions=(), labels=known_labels)
    masks, known = read.masks(row, manifest.root, schema, annotators=source_annotator or "union", shape=shape)
    for finding in project.protocol.findings:
        cues = [c for c in row.cues.get(finding.name, ()) if source_annotator in (None, c.annotator)]
        at = known_labels.index(finding.name) if finding.name in known_labels else None
        if at is not None and known[at].any():
            found = _of_mask(masks[at] > 0, known[at] > 0, finding, regions)
            rough = [s for c in cues if (s := _of_cue(c, finding, regions, shape)) is not None and c.regions]
            if found is None:
                notes.append(f"{row.id}, {finding.name}: its mask cannot be expressed by {' or '.join(finding.marks)}")
                marks["findings"][finding.name] = "unsure"
            else:
                marks["shapes"] += found + (rough if found else [])
        elif cues and not all(c.absent for c in cues):
            rough = [s for c in cues if (s := _of_cue(c, finding, regions, shape)) is not None]
            marks["shapes"] += [s | {"id": f"{s['id']} {i}"} for i, s in enumerate(_one_of_regions(rough))]
            if not rough:
                marks["findings"][finding.name] = "present"
        elif not cues:
            marks["findings"][finding.name] = "unsure"
    return marks


def _of_mask(
    mask: np.ndarray, known: np.ndarray, finding: Finding, regions: Regions | None
) -> list[dict[str, Any]] | None:
    out: list[dict[str, Any]] = []
    for pixels, doubtful in ((mask & known, False), (~known, True)):
        if pixels.any():
            found = as_shapes(pixels, finding.name, allowed=finding.marks, regions=regions, doubtful=doubtful)
            if found is None:
                return None
            out += found
    return out


def _of_cue(cue: Cue, finding: Finding, regions: Regions | None, shape: tuple[int, int]) -> dict[str, Any] | None:
    """A cue as a shape; None if it means that the finding is absent, or the protocol has no such mark."""
    base = {"label": finding.name, "id": f"cue {finding.name[:20]}"}
    if cue.regions and "regions" in finding.marks:
        return base | {"kind": "regions", "regions": list(cue.regions)}
    if cue.ellipse is not None and "ellipse" in finding.marks:
        r, c, down, across, turn = cue.ellipse
        return base | {"kind": "ellipse", "centre": [r, c], "radii": [down, across], "turn": turn}
    if cue.ellipse is not None and "point" in finding.marks:
        return base | {"kind": "point", "at": list(cue.ellipse[:2])}
    corners = list(cue.polygon)
    if cue.box is not None:
        top, left, bottom, right = cue.box
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    if corners and "polygon" in finding.marks:
        return base | {"kind": "polygon", "corners": [list(corner) for corner in corners]}
    return None


def _one_of_regions(shapes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Unite all regions of a finding in one shape."""
    named = [s for s in shapes if s["kind"] == "regions"]
    if len(named) < 2:
        return shapes
    every = list(dict.fromkeys(name for s in named for name in s["regions"]))
    return [named[0] | {"regions": every}, *(s for s in shapes if s["kind"] != "regions")]
