"""Protocol: what readers are asked and may mark, how many read an image, and how their readings become one.

A TOML file that a coordinator can read; two ready ones lie in ``protocols``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foveate.core.guideline import GUIDELINE, Guideline
from foveate.core.labels import YES_NO, LabelSchema, Question
from foveate.data.lines import explain

Kind = Literal["regions", "ellipse", "polygon", "brush", "point"]
FILLED = ("ellipse", "polygon", "brush")
"""Kinds of mark that say which pixels; regions and points say roughly where."""

READY = Path(__file__).parent / "protocols"
COLOURS = ("#33bbff", "#99ff22", "#ff44cc", "#ffffaa", "#9933ff", "#00ddaa", "#3d6fe0", "#dd99ff", "#b3fff0", "#8fa5ff")
"""Of findings that name none: far from the orange and red of a fundus and from grey, the first six also for readers
who see no red or no green."""

NAME = Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f/\\]+$")
STRICT = ConfigDict(extra="forbid", frozen=True)


class Asked(BaseModel):
    """A question about the whole image; without answers those of the manifest's schema, else no and yes."""

    model_config = STRICT
    name: str = NAME
    title: str = ""
    answers: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    ordered: bool = False
    required: bool = True
    key: str | None = Field(default=None, max_length=1)


class Finding(BaseModel):
    """A label, the marks allowed for it, and the yes/no question that it answers (none: the label alone)."""

    model_config = STRICT
    name: str = NAME
    marks: tuple[Kind, ...] = Field(min_length=1)
    title: str = ""
    question: str | None = Field(default=None, max_length=80)
    colour: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    key: str | None = Field(default=None, max_length=1)
    required: bool = False


class Agreed(BaseModel):
    """How readings become one.

    Args:
        answers: the answer of more than half of the readers.
        at_least: readers who must have seen a finding; none saw it = absent; fewer = undecided.
        marks: rule over the marks of those who read the image.
        undecided: what then: an adjudicator decides, or it is unknown.
        review: which images an adjudicator looks at: those where the rule does not decide, or all.
    """

    model_config = STRICT
    answers: Literal["majority"] = "majority"
    at_least: int = Field(default=2, ge=1)
    marks: Literal["union", "majority", "intersection"] = "union"
    undecided: Literal["adjudicate", "unknown"] = "adjudicate"
    review: Literal["disputed", "all"] = "disputed"


class Guided(BaseModel):
    """Lesions held against the grade: those that speak for a graver one become unknown in the export.

    Args:
        on: whether.
        question: the graded one.
        lesions: finding -> lesion of the guideline, where the names differ.
        indirect: whether indirect evidence contradicts too.
    """

    model_config = STRICT
    on: bool = False
    question: str = "grade"
    lesions: Mapping[str, str] = {}
    indirect: bool = False


class Protocol(BaseModel):
    """What readers do; see the fields of its parts.

    Args:
        extends: names that the manifest's schema does not have are added to it; otherwise they are mistakes.
        readers: for each image.
        blind: nobody sees another's marks before the consensus.
        order: of the images: as in the manifest, drawn for each reader (a volume's scans stay together), or the most
            uncertain first.
        overlap: of pixels that two findings cover, where the schema allows one (``exclusive``): Done is refused, or the
            first of the protocol's findings has them. What different readers see there is unknown in the first case.
        point_radius: pixels about a point mark where the finding is taken to be.
    """

    model_config = STRICT
    name: str = NAME
    title: str = ""
    about: str = ""
    extends: bool = False
    readers: int = Field(default=3, ge=1, le=100)
    blind: bool = True
    order: Literal["fixed", "random", "active"] = "fixed"
    layout: Literal["findings right", "findings left"] = "findings right"
    overlap: Literal["refuse", "first"] = "refuse"
    point_radius: float = Field(default=10.0, gt=0, le=1000)
    ungradable: tuple[str, ...] = ("blurred", "too dark or too bright", "wrong field", "obscured")
    questions: tuple[Asked, ...] = ()
    findings: tuple[Finding, ...] = ()
    consensus: Agreed = Agreed()
    guideline: Guided = Guided()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for kind, some in (("question", self.questions), ("finding", self.findings)):
            names = [one.name for one in some]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{kind} {twice[0]!r} is there twice; keep one")
        if not self.questions and not self.findings:
            raise ValueError("neither questions nor findings: ask at least one")
        if both := sorted({q.name for q in self.questions} & {f.question for f in self.findings if f.question}):
            raise ValueError(f"question {both[0]!r} is answered by a finding; do not ask it once more")
        if self.consensus.at_least > self.readers:
            raise ValueError(f"consensus.at_least={self.consensus.at_least}, but an image has {self.readers} readers")
        for q in self.questions:
            if q.titles and len(q.titles) != len(q.answers):
                raise ValueError(f"question {q.name!r}: {len(q.titles)} titles for {len(q.answers)} answers; one each")
        keys = [k for k in (*(q.key for q in self.questions), *(f.key for f in self.findings)) if k]
        if twice := sorted({k for k in keys if keys.count(k) > 1}):
            raise ValueError(f"key {twice[0]!r} is given twice")
        return self

    # -- file --------------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path) -> Protocol:
        """The protocol in a file, or a ready one by its name.

        Raises:
            ValueError: not TOML, an unknown key, a value that cannot be; the message names file, key and remedy.
            FileNotFoundError: neither a file nor a ready one.
        """
        file = Path(path)
        if not file.exists():
            ready = sorted(p.stem for p in READY.glob("*.toml"))
            if str(path) not in ready:
                raise FileNotFoundError(f"protocol {str(path)!r}: no such file, and none of the ready ones {ready}")
            file = READY / f"{path}.toml"
        return cls.parse(file.read_text(encoding="utf-8"), name=str(path))

    @classmethod
    def parse(cls, text: str, *, name: str = "protocol") -> Protocol:
        """The protocol in a text; errors as `read`, by ``name``."""
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{name}: not TOML ({error})") from None
        except ValidationError as error:
            raise ValueError(f"{name}: {explain(error, cls)}") from None

    # -- schema ------------------------------------------------------------------------------------------------------

    def asks(self, known: LabelSchema) -> LabelSchema:
        """What the room asks and marks, in the words of a manifest's schema.

        Args:
            known: the manifest's schema.

        Raises:
            ValueError: a finding or question that it does not have (unless ``extends``), or has in another way.
        """
        have = {q.name: q for q in known.questions}
        for f in self.findings:
            if f.name not in known.labels and not self.extends:
                raise ValueError(
                    f"finding {f.name!r} is none of the manifest's labels {list(known.labels)}; correct it, or write "
                    "extends = true to add it"
                )
        questions = [self._asked(q, have.get(q.name), known) for q in self.questions]
        for name in dict.fromkeys(f.question for f in self.findings if f.question):
            evidence = tuple(f.name for f in self.findings if f.question == name)
            there = have.get(name)
            if there is None and not self.extends:
                raise ValueError(f"finding {evidence[0]!r}: question {name!r} is none of the manifest's {list(have)}")
            if there is not None and not there.yes_no:
                raise ValueError(f"finding {evidence[0]!r}: question {name!r} is not answered with no and yes")
            if there is not None and set(there.evidence) - set(evidence):
                lost = sorted(set(there.evidence) - set(evidence))
                raise ValueError(f"question {name!r}: its evidence {lost} is not marked; add it as findings")
            questions.append(Question(name, evidence=evidence))
        labels = tuple(f.name for f in self.findings)
        exclusive = known.exclusive and set(labels) <= set(known.labels)
        schema = LabelSchema(tuple(questions), labels, exclusive)
        if self.guideline.on:
            self.guide(schema)
        return schema

    def guide(self, schema: LabelSchema) -> Guideline:
        """The guideline in the words of the room; ValueError where its question or lesions are not there."""
        from foveate.data.cleaning import fits

        named = GUIDELINE.named(self.guideline.lesions, question=self.guideline.question)
        fits(named, schema)
        return named

    def finding(self, name: str) -> Finding | None:
        """The finding of that name."""
        return next((f for f in self.findings if f.name == name), None)

    def page(self, schema: LabelSchema) -> dict[str, Any]:
        """What the reading page needs, as plain data."""
        data = self.model_dump(mode="json", exclude={"guideline", "extends"}) | {"guideline": self.guideline.on}
        for q in data["questions"]:
            q["answers"] = list(schema.question(q["name"]).answers)
            q["titles"] = q["titles"] or q["answers"]
            q["ordered"] = schema.question(q["name"]).ordered
            q["title"] = q["title"] or q["name"].replace("_", " ")
        for number, f in enumerate(data["findings"]):
            f["title"] = f["title"] or f["name"].replace("_", " ")
            f["colour"] = f["colour"] or COLOURS[number % len(COLOURS)]
        return data | {"title": self.title or self.name}

    def _asked(self, q: Asked, there: Question | None, known: LabelSchema) -> Question:
        if there is None:
            if not self.extends:
                raise ValueError(
                    f"question {q.name!r} is none of the manifest's {[x.name for x in known.questions]}; correct it, "
                    "or write extends = true to add it"
                )
            return Question(q.name, q.answers or YES_NO, q.ordered)
        if q.answers and q.answers != there.answers:
            raise ValueError(
                f"question {q.name!r}: answers {list(q.answers)}, but the manifest has {list(there.answers)}; leave "
                "them out to take the manifest's"
            )
        kept = tuple(e for e in there.evidence if self.finding(e))
        return Question(q.name, there.answers, there.ordered, kept if kept == there.evidence else ())
