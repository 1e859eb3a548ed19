"""What a reading, or the consensus of several, says of pixels, and what of them is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from foveate.annotate.marks import Marks, PointShape, RegionsShape, State, drawn
from foveate.annotate.protocol import Protocol
from foveate.annotate.settle import decide
from foveate.core.consensus import RULES, agreed
from foveate.core.labels import LabelSchema
from foveate.core.shapes import rasterise
from foveate.core.types import Cue
from foveate.data.read import MERGE


@dataclass(frozen=True)
class Told:
    """One finding in one image, as somebody says.

    Args:
        state: whether it is there; "unsure" = unknown.
        marked: its pixels, where they are known.
        known: where something is known. All of it where the finding is absent; none where it is there and only its
            regions or points were marked.
        regions: named ones that show it.
        points: positions of it.
    """

    state: State
    marked: Bool[np.ndarray, "h w"]
    known: Bool[np.ndarray, "h w"]
    regions: tuple[str, ...] = ()
    points: tuple[tuple[float, float], ...] = ()

    def cues(self, grader: str, *, radius: float) -> tuple[Cue, ...]:
        """The same as cues: regions, a small circle about each point; an empty one where it is absent.

        Args:
            grader: who says so.
            radius: of the circles in pixels.
        """
        if self.state == "absent":
            return (Cue(grader=grader),)
        if self.state == "unsure":
            return ()
        named = (Cue(regions=self.regions, grader=grader),) if self.regions else ()
        return named + tuple(Cue(ellipse=(r, c, radius, radius, 0.0), grader=grader) for r, c in self.points)


def told(marks: Marks, finding: str, *, shape: tuple[int, int]) -> Told:
    """What one reading says of a finding; doubtful shapes are unknown, and so is all of it in an ungradable image."""
    state = marks.said(finding)
    nothing = np.zeros(shape, bool)
    if state == "absent":
        return Told(state, nothing, ~nothing)
    shapes = marks.of(finding)
    sure = [d for s in shapes if not s.doubtful and (d := drawn(s)) is not None]
    perhaps = [d for s in shapes if s.doubtful and (d := drawn(s)) is not None]
    if marks.ungradable is not None or (finding in marks.findings and state == "unsure" and not perhaps):
        return Told("unsure", nothing, nothing)
    marked = rasterise(shape, sure)
    known = ~rasterise(shape, perhaps) | marked if sure or perhaps else nothing
    if state == "unsure":
        return Told(state, nothing, known & ~marked)
    regions = tuple(dict.fromkeys(name for s in shapes if isinstance(s, RegionsShape) for name in s.regions))
    points = tuple(s.at for s in shapes if isinstance(s, PointShape) and not s.doubtful)
    return Told(state, marked, known, regions, points)


def told_all(marks: Marks, *, protocol: Protocol, shape: tuple[int, int]) -> dict[str, Told]:
    """What one reading says of every finding."""
    return {f.name: told(marks, f.name, shape=shape) for f in protocol.findings}


def merged(
    readings: Mapping[str, Marks], *, protocol: Protocol, schema: LabelSchema, shape: tuple[int, int]
) -> dict[str, Told]:
    """What the rule makes of several readings: present, absent or unknown first, then where (`data.read.MERGE`).

    Args:
        readings: reader -> marks, those that are done.
        protocol: its ``consensus``.
        schema: the room's.
        shape: (rows, cols) of the image.
    """
    decided = decide(list(readings.values()), protocol=protocol, schema=schema)
    nothing = np.zeros(shape, bool)
    out = {}
    for f in protocol.findings:
        state = decided.findings[f.name]
        if state != "present":
            known = ~nothing if state == "absent" else nothing
            out[f.name] = Told(state, nothing, known)
            continue
        given = [told(m, f.name, shape=shape) for m in readings.values() if m.ungradable is None]
        given = [one for one in given if one.state != "unsure" or one.known.any()]
        rule = MERGE[protocol.consensus.marks]
        marked, known = rule(np.stack([one.marked for one in given]), np.stack([one.known for one in given]))
        voters = [one for one in given if one.state != "unsure"]
        least = RULES[protocol.consensus.marks](len(voters))
        named = agreed([one.regions for one in voters], at_least=least)
        points = tuple(p for one in voters for p in one.points) if protocol.consensus.marks == "union" else ()
        out[f.name] = Told(state, np.asarray(marked & known), np.asarray(known), named, points)
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


def overlap(said: Mapping[str, Told]) -> Overlap | None:
    """The first two findings that are marked on the same pixel; None where no two are."""
    there = {name: one.marked for name, one in said.items() if one.marked.any()}
    for a, b in combinations(there, 2):
        both = there[a] & there[b]
        if both.any():
            row, col = np.argwhere(both)[0]
            return Overlap((a, b), int(both.sum()), (int(row), int(col)))
    return None


def apart(said: Mapping[str, Told], *, protocol: Protocol, schema: LabelSchema) -> dict[str, Told]:
    """The same where a pixel bears one finding at most; unchanged where the schema is not exclusive.

    Args:
        said: what is known of every finding, in the protocol's order.
        protocol: ``overlap = "first"``: the first of its findings has the pixel and the others are absent there; else
            none of those that are marked on it is known there.
        schema: the room's.
    """
    if not schema.exclusive or overlap(said) is None:
        return dict(said)
    first = protocol.overlap == "first"
    marked = np.stack([one.marked for one in said.values()])
    several = marked.sum(0) > 1
    out = {}
    for place, (name, one) in enumerate(said.items()):
        lost = one.marked & (marked[:place].any(0) if first else several)
        out[name] = replace(one, marked=one.marked & ~lost, known=one.known if first else one.known & ~lost)
    return out
