"""Marks: one annotator's answers, shapes and comments of one image; checked when they come in, plain data elsewhere."""

from __future__ import annotations

import json
import zlib
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.domain.protocol_parts import FILLED
from foveate.core.labels import LabelSchema
from foveate.core.regions import NAMES
from foveate.core.shapes import Drawn, Ellipse, Layer, Polygon, unpacked

CONFIG = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
FAR = 1e6


def _plain(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character 0")
    return text


Number = Annotated[float, Field(ge=-FAR, le=FAR)]
Size = Annotated[float, Field(gt=0, le=FAR)]
Place = tuple[Number, Number]
Text = Annotated[str, Field(max_length=4000), AfterValidator(_plain)]
Word = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_plain)]
State = Literal["present", "absent", "unsure"]


class _Shape(BaseModel):
    model_config = CONFIG
    id: Annotated[str, Field(min_length=1, max_length=40)]
    label: Word
    doubtful: bool = False
    draft: Annotated[str, Field(max_length=40)] | None = None


class RegionsShape(_Shape):
    """Named regions."""

    kind: Literal["regions"]
    regions: Annotated[tuple[str, ...], Field(min_length=1, max_length=len(NAMES))]


class EllipseShape(_Shape):
    """An ellipse (`core.shapes.ellipse`)."""

    kind: Literal["ellipse"]
    centre: Place
    radii: tuple[Size, Size]
    turn: Number = 0.0


class PolygonShape(_Shape):
    """A closed polygon."""

    kind: Literal["polygon"]
    corners: Annotated[tuple[Place, ...], Field(min_length=3, max_length=20_000)]


class PointShape(_Shape):
    """A position."""

    kind: Literal["point"]
    at: Place


class BrushShape(_Shape):
    """The painted layer of a label (`core.shapes.Layer`)."""

    kind: Literal["brush"]
    runs: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**40)], ...], Field(min_length=2, max_length=2_000_000)]


Shape = Annotated[RegionsShape | EllipseShape | PolygonShape | PointShape | BrushShape, Field(discriminator="kind")]


class Comment(BaseModel):
    """A remark, at a position where it has one."""

    model_config = CONFIG
    text: Text
    at: Place | None = None


class Ungradable(BaseModel):
    """Why an image cannot be read."""

    model_config = CONFIG
    reasons: Annotated[tuple[Word, ...], Field(max_length=20)] = ()
    text: Text = ""


class Marks(BaseModel):
    """Everything that one annotator marks on one image.

    Args:
        answers: question -> answer.
        findings: state that was chosen for a finding; otherwise its shapes decide.
        shapes: in the order they were drawn.
        disc: centre of the disc, if this annotator placed it.
        fovea: centre of the fovea, likewise.
        comments: remarks.
        ungradable: the image cannot be read; then nothing else counts.
        rejected: drafts that were rejected, by their ids, or ``answer:QUESTION``.
    """

    model_config = CONFIG
    answers: Annotated[dict[Word, Word], Field(max_length=100)] = {}
    findings: Annotated[dict[Word, State], Field(max_length=200)] = {}
    shapes: Annotated[tuple[Shape, ...], Field(max_length=5000)] = ()
    disc: Place | None = None
    fovea: Place | None = None
    comments: Annotated[tuple[Comment, ...], Field(max_length=200)] = ()
    ungradable: Ungradable | None = None
    rejected: Annotated[tuple[Annotated[str, Field(max_length=90)], ...], Field(max_length=5000)] = ()

    def of(self, finding: str) -> tuple[Shape, ...]:
        """The shapes of one finding."""
        return tuple(s for s in self.shapes if s.label == finding)

    def state_of(self, finding: str) -> State:
        """Return whether a finding is present, once the annotation is done: as chosen, else by its shapes."""
        if self.ungradable is not None:
            return "unsure"
        if finding in self.findings:
            return self.findings[finding]
        shapes = self.of(finding)
        return "absent" if not shapes else "unsure" if all(s.doubtful for s in shapes) else "present"

    def pack(self) -> bytes:
        """As the store keeps it."""
        return zlib.compress(self.model_dump_json(exclude_defaults=True).encode(), 6)

    @classmethod
    def unpack(cls, data: bytes) -> Marks:
        """Inverse of `pack`."""
        return cls.model_validate_json(zlib.decompress(data))

    def plain(self) -> dict[str, Any]:
        """As pages get it: every field, plain data."""
        data: dict[str, Any] = json.loads(self.model_dump_json())
        return data


def drawn(shape: Shape) -> Drawn | None:
    """Return what a shape covers; None for regions and points, which have no exact pixels."""
    if isinstance(shape, EllipseShape):
        return Ellipse(shape.centre, shape.radii, shape.turn)
    if isinstance(shape, PolygonShape):
        return Polygon(shape.corners)
    return Layer(shape.runs) if isinstance(shape, BrushShape) else None


def problem(marks: Marks, *, protocol: Protocol, schema: LabelSchema, shape: tuple[int, int], done: bool) -> str | None:
    """Return the first thing that the protocol does not allow, and its place; None if nothing is wrong.

    Args:
        marks: as they came in.
        protocol: states what may be marked.
        schema: of the project.
        shape: (rows, cols) of the image.
        done: the annotator has finished: required questions must be answered.
    """
    asked = {q.name: schema.question(q.name).answers for q in protocol.questions}
    for question, answer in marks.answers.items():
        if question not in asked:
            return f"answers.{question}: must be one of the questions {list(asked)}"
        if answer not in asked[question]:
            return f"answers.{question}: must be one of {list(asked[question])}, got {answer!r}"
    for name in marks.findings:
        if protocol.finding(name) is None:
            return f"findings.{name}: there is no such finding"
    ids, layers = set(), set()
    for number, one in enumerate(marks.shapes):
        at = f"shapes.{number}"
        finding = protocol.finding(one.label)
        if finding is None:
            return f"{at}.label: there is no finding {one.label!r}"
        if one.kind not in finding.marks:
            return f"{at}.kind: {one.label} is marked by {' or '.join(finding.marks)}, not by {one.kind}"
        if one.id in ids:
            return f"{at}.id: {one.id!r} is used twice"
        ids.add(one.id)
        if one.kind in ("brush", "regions"):
            if (one.kind, one.label, one.doubtful) in layers:
                return f"{at}: a second {one.kind} of {one.label}; keep all of it in one"
            layers.add((one.kind, one.label, one.doubtful))
        if isinstance(one, RegionsShape) and (strange := sorted(set(one.regions) - set(NAMES))):
            return f"{at}.regions: must be some of {list(NAMES)}, got {strange[0]!r}"
        if isinstance(one, BrushShape):
            try:
                unpacked(Layer(one.runs), shape)
            except ValueError as error:
                return f"{at}.{error}"
    for name, state in marks.findings.items():
        if state == "absent" and marks.of(name):
            return f"findings.{name}: absent, but it has marks; remove them or choose another state"
    if marks.disc is not None and marks.disc == marks.fovea:
        return "fovea: it has the same position as the disc"
    if done and marks.ungradable is None:
        for q in protocol.questions:
            if q.required and q.name not in marks.answers:
                return f"answers.{q.name}: not answered yet"
        for f in protocol.findings:
            if f.required and f.name not in marks.findings and not marks.of(f.name):
                return f"findings.{f.name}: choose present, absent or unsure"
    return None


def covers(shape: Shape) -> bool:
    """Whether a shape has exact pixels."""
    return shape.kind in FILLED
