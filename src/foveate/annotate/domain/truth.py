"""Ground truth of findings: which pixels an annotation, or the consensus of several, marks, and which are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from foveate.annotate.domain.consensus import Decided
from foveate.annotate.domain.marks import Marks, PointShape, RegionsShape, State, drawn
from foveate.annotate.domain.protocol import Protocol
from foveate.core.consensus import RULES, agreed, agreed_points
from foveate.core.labels import LabelSchema
from foveate.core.shapes import rasterise
from foveate.core.types import Cue
from foveate.data.read import MERGE


@dataclass(frozen=True)
class FindingTruth:
    """One finding in one image.

    Args:
        state: present or absent; "unsure" = unknown.
        marked: its pixels, as far as they are known.
        known: pixels of which it is known. All of them if the finding is absent; none if it is present and only its
            regions or points were marked.
        regions: named ones that show it.
        points: positions of it.
    """

    state: State
    marked: Bool[np.ndarray, "h w"]
    known: Bool[np.ndarray, "h w"]
    regions: tuple[str, ...] = ()
    points: tuple[tuple[float, float], ...] = ()

    def cues(self, annotator: str, *, radius: float) -> tuple[Cue, ...]:
        """Return it as cues: regions, a small circle about each point; one empty cue if it is absent.

        Args:
            annotator: who marked it.
            radius: of the circles in pixels.
        """
        if self.state == "absent":
            return (Cue(annotator=annotator),)
        if self.state == "unsure":
            return ()
        named = (Cue(regions=self.regions, annotator=annotator),) if self.regions else ()
        return named + tuple(Cue(ellipse=(r, c, radius, radius, 0.0), annotator=annotator) for r, c in self.points)


def finding_of(marks: Marks, finding: str, *, shape: tuple[int, int]) -> FindingTruth:
    """Return a finding as one annotation has it; doubtful shapes are unknown, and all of it in an ungradable image."""
    state = marks.state_of(finding)
    nothing = np.zeros(shape, bool)
    if state == "absent":
        return FindingTruth(state, nothing, ~nothing)
    shapes = marks.of(finding)
    sure = [d for s in shapes if not s.doubtful and (d := drawn(s)) is not None]
    perhaps = [d for s in shapes if s.doubtful and (d := drawn(s)) is not None]
    if marks.ungradable is not None or (finding in marks.findings and state == "unsure" and not perhaps):
        return FindingTruth("unsure", nothing, nothing)
    marked = rasterise(shape, sure)
    known = ~rasterise(shape, perhaps) | marked if sure or perhaps else nothing
    if state == "unsure":
        return FindingTruth(state, nothing, known & ~marked)
    regions = tuple(dict.fromkeys(name for s in shapes if isinstance(s, RegionsShape) for name in s.regions))
    points = tuple(s.at for s in shapes if isinstance(s, PointShape) and not s.doubtful)
    return FindingTruth(state, marked, known, regions, points)


def findings_of(marks: Marks, *, protocol: Protocol, shape: tuple[int, int]) -> dict[str, FindingTruth]:
    """Return every finding as one annotation has it."""
    return {f.name: finding_of(marks, f.name, shape=shape) for f in protocol.findings}


def merged(
    annotations: Mapping[str, Marks], decided: Decided, *, protocol: Protocol, shape: tuple[int, int]
) -> dict[str, FindingTruth]:
    """Merge several annotations by the rule (`data.read.MERGE`).

    Args:
        annotations: annotator -> marks, those that are done.
        decided: which findings are present, absent or unknown.
        protocol: its ``consensus``.
        shape: (rows, cols) of the image.
    """
    nothing = np.zeros(shape, bool)
    out = {}
    for f in protocol.findings:
        state = decided.findings[f.name]
        if state != "present":
            known = ~nothing if state == "absent" else nothing
            out[f.name] = FindingTruth(state, nothing, known)
            continue
        given = [finding_of(m, f.name, shape=shape) for m in annotations.values() if m.ungradable is None]
        given = [one for one in given if one.state != "unsure" or one.known.any()]
        rule = MERGE[protocol.consensus.marks]
        marked, known = rule(np.stack([one.marked for one in given]), np.stack([one.known for one in given]))
        voters = [one for one in given if one.state != "unsure"]
        least = RULES[protocol.consensus.marks](len(voters))
        named = agreed([one.regions for one in voters], at_least=least)
        if protocol.consensus.marks == "union":
            points = tuple(p for one in voters for p in one.points)
        else:
            reach = 2 * protocol.point_radius
            points = agreed_points([one.points for one in voters], at_least=least, reach=reach)
        out[f.name] = FindingTruth(state, np.asarray(marked & known), np.asarray(known), named, points)
    return out


# -- findings that exclude each other --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overlap:
    """Two findings on the same pixels.

    Args:
        findings: their names, in the protocol's order.
        pixels: how many.
        at: (row, col) of the first.
    """

    findings: tuple[str, str]
    pixels: int
    at: tuple[int, int]


def overlap(found: Mapping[str, FindingTruth]) -> Overlap | None:
    """Return the first two findings that are marked on the same pixel; None if no two are."""
    pixels = {name: one.marked for name, one in found.items() if one.marked.any()}
    for a, b in combinations(pixels, 2):
        both = pixels[a] & pixels[b]
        if both.any():
            row, col = np.argwhere(both)[0]
            return Overlap((a, b), int(both.sum()), (int(row), int(col)))
    return None


def exclusive(found: Mapping[str, FindingTruth], *, protocol: Protocol, schema: LabelSchema) -> dict[str, FindingTruth]:
    """Return the same findings with at most one per pixel; unchanged if the schema is not exclusive.

    Args:
        found: every finding, in the protocol's order.
        protocol: ``overlap = "first"``: the first of its findings gets the pixel and the others are absent there; else
            none of the findings that are marked on it is known there.
        schema: of the project.
    """
    if not schema.exclusive or overlap(found) is None:
        return dict(found)
    first = protocol.overlap == "first"
    marked = np.stack([one.marked for one in found.values()])
    several = marked.sum(0) > 1
    out = {}
    for place, (name, one) in enumerate(found.items()):
        lost = one.marked & (marked[:place].any(0) if first else several)
        out[name] = replace(one, marked=one.marked & ~lost, known=one.known if first else one.known & ~lost)
    return out
