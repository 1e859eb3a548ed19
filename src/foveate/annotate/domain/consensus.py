"""From the annotations of one image to its consensus: what the rule decides, and what it leaves to an adjudicator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foveate.annotate.domain.marks import (
    BrushShape,
    Marks,
    PointShape,
    RegionsShape,
    Shape,
    State,
    Ungradable,
    covers,
    drawn,
)
from foveate.annotate.domain.protocol import Protocol
from foveate.core.consensus import RULES, agreed, agreed_pixels, agreed_points, answer, presence
from foveate.core.labels import LabelSchema
from foveate.core.shapes import packed, rasterise


@dataclass(frozen=True)
class Decided:
    """Answers and findings that the rule decides, and the names of those that it does not decide."""

    answers: Mapping[str, str]
    findings: Mapping[str, State]
    disputes: tuple[str, ...]
    ungradable: Ungradable | None = None


def decide(annotations: Sequence[Marks], *, protocol: Protocol, schema: LabelSchema) -> Decided:
    """Decide answers by majority, findings by how many annotators saw them.

    An annotator who finds the image ungradable has no vote on anything else; if more than half do, it is ungradable.
    What the rule leaves open is "unsure", and a dispute if the protocol wants it adjudicated.

    Args:
        annotations: those that are done.
        protocol: its ``consensus``.
        schema: of the project.
    """
    rule = protocol.consensus
    against = [one.ungradable for one in annotations if one.ungradable is not None]
    if 2 * len(against) > len(annotations):
        reasons = tuple(dict.fromkeys(reason for one in against for reason in one.reasons))
        unsure: dict[str, State] = {f.name: "unsure" for f in protocol.findings}
        return Decided({}, unsure, (), Ungradable(reasons=reasons))
    valid = [one for one in annotations if one.ungradable is None]
    answers: dict[str, str] = {}
    findings: dict[str, State] = {}
    open_: list[str] = []
    for q in protocol.questions:
        given = [one.answers[q.name] for one in valid if q.name in one.answers]
        settled = answer(given, answers=schema.question(q.name).answers, at_least=rule.at_least)
        if settled is not None:
            answers[q.name] = settled
        elif given or q.required:
            open_.append(q.name)
    for f in protocol.findings:
        votes = [{"present": True, "absent": False}.get(one.state_of(f.name)) for one in valid]
        known = [one for one in votes if one is not None]
        seen = presence(known, at_least=rule.at_least)
        findings[f.name] = "unsure" if seen is None else "present" if seen else "absent"
        if seen is None:
            open_.append(f.name)
    return Decided(answers, findings, tuple(open_) if rule.undecided == "adjudicate" else ())


def state_of(done: int, decided: Decided | None, *, protocol: Protocol, final: bool) -> str:
    """Return how far an image has come: open, ready, disputed or settled.

    Args:
        done: number of annotations that are done.
        decided: by the rule; None before all are done.
        protocol: number of annotators, and what is reviewed.
        final: an adjudicator's consensus is done.
    """
    if final:
        return "settled"
    if done < protocol.annotators or decided is None:
        return "open"
    if decided.disputes:
        return "disputed"
    return "ready" if protocol.consensus.review == "all" else "settled"


def proposed(
    annotations: Mapping[str, Marks], *, protocol: Protocol, schema: LabelSchema, shape: tuple[int, int]
) -> Marks:
    """Return the rule's consensus as marks: the annotators' shapes (union) or the pixels that enough of them marked.

    Args:
        annotations: annotator -> marks; those that are done.
        protocol: its ``consensus``.
        schema: of the project.
        shape: (rows, cols) of the image.
    """
    decided = decide(list(annotations.values()), protocol=protocol, schema=schema)
    valid = [one for one in annotations.values() if one.ungradable is None]
    shapes: list[Shape] = []
    for f in protocol.findings:
        if decided.findings[f.name] == "present":
            shapes += _shapes(f.name, valid, protocol=protocol, shape=shape)
    middle = middle_landmarks(list(annotations.values()))
    return Marks(
        answers=dict(decided.answers),
        findings=dict(decided.findings),
        shapes=tuple(shapes),
        disc=middle.disc,
        fovea=middle.fovea,
        ungradable=decided.ungradable,
    )


def middle_landmarks(annotations: Sequence[Marks]) -> Marks:
    """Return marks with nothing but the medians of disc and fovea, as far as annotators placed them."""
    valid = [one for one in annotations if one.ungradable is None]
    discs, foveas = ([p for one in valid if (p := getattr(one, name)) is not None] for name in ("disc", "fovea"))
    return Marks(disc=_middle(discs), fovea=_middle(foveas))


def _shapes(finding: str, valid: Sequence[Marks], *, protocol: Protocol, shape: tuple[int, int]) -> list[Shape]:
    given = [one.of(finding) for one in valid]
    known = [some for one, some in zip(valid, given, strict=True) if one.state_of(finding) != "unsure"]
    least = RULES[protocol.consensus.marks](len(known))
    out: list[Shape] = []
    named = agreed(
        [[name for s in some if isinstance(s, RegionsShape) for name in s.regions] for some in known], at_least=least
    )
    if named:
        out.append(RegionsShape(id=f"{finding[:30]}-regions", label=finding, kind="regions", regions=named))
    if protocol.consensus.marks == "union":
        for number, some in enumerate(given):
            for place, s in enumerate(some):
                if covers(s) or isinstance(s, PointShape):
                    name = f"{number}.{place}.{s.id}"[:40]
                    out.append(s.model_copy(update={"id": name, "draft": None}))
        return _one_layer(out, shape)
    points = agreed_points(
        [[s.at for s in some if isinstance(s, PointShape) and not s.doubtful] for some in known],
        at_least=least,
        reach=2 * protocol.point_radius,
    )
    for place, at in enumerate(points):
        out.append(PointShape(id=f"{finding[:30]}-point{place}", label=finding, kind="point", at=at))
    solid = [[d for s in some if not s.doubtful and (d := drawn(s)) is not None] for some in known]
    if any(solid):
        layer = packed(agreed_pixels(np.stack([rasterise(shape, some) for some in solid]), at_least=least))
        if layer.runs:
            out.append(BrushShape(id=f"{finding[:30]}-pixels", label=finding, kind="brush", runs=layer.runs))
    return out


def _one_layer(shapes: list[Shape], shape: tuple[int, int]) -> list[Shape]:
    """Unite the painted layers of several annotators, as a mark set has one layer per finding."""
    out: list[Shape] = [s for s in shapes if not isinstance(s, BrushShape)]
    for doubtful in (False, True):
        layers = [s for s in shapes if isinstance(s, BrushShape) and s.doubtful == doubtful]
        if layers:
            pixels = rasterise(shape, [d for s in layers if (d := drawn(s)) is not None])
            out.append(layers[0].model_copy(update={"runs": packed(pixels).runs}))
    return out


def _middle(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """The point of the medians: one annotator who slipped does not move it."""
    if not points:
        return None
    row, col = np.median(np.array(points), axis=0)
    return float(row), float(col)
