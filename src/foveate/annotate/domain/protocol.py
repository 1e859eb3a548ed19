"""Protocol: what annotators are asked and may mark, how many annotate an image, and how the consensus is made.

A TOML file that a coordinator can read; ``protocols`` has two ready ones.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from foveate.annotate.domain.protocol_parts import NAME, STRICT, Agreed, Asked, Finding, Guided
from foveate.core.guideline import GUIDELINE, Guideline
from foveate.core.labels import YES_NO, LabelSchema, Question
from foveate.data.lines import explain

READY = Path(__file__).parent / "protocols"
COLOURS = ("#33bbff", "#99ff22", "#ff44cc", "#ffffaa", "#9933ff", "#00ddaa", "#3d6fe0", "#dd99ff", "#b3fff0", "#8fa5ff")
"""Of findings that name none: far from the orange and red of a fundus and from grey; the first six also for people who
see no red or no green."""


class Protocol(BaseModel):
    """The task of the annotators; its parts are in `protocol_parts`.

    Args:
        extends: names that the manifest's schema does not have are added to it; otherwise they are errors.
        annotators: per image. Protocols of versions before 0.2 call it ``readers``.
        blind: nobody sees the marks of others before the consensus.
        order: of the images: as in the manifest, random for each annotator (a volume's scans stay together), or the
            most uncertain first.
        overlap: of pixels that two findings cover, if the schema allows one (``exclusive``): Done is refused, or the
            first of the protocol's findings gets them. If different annotators disagree, the pixel is unknown in the
            first case.
        point_radius: pixels around a point mark that count as the finding.
    """

    model_config = STRICT
    name: str = NAME
    title: str = ""
    about: str = ""
    extends: bool = False
    annotators: int = Field(default=3, ge=1, le=100)
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

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "readers" not in data:
            return data
        if "annotators" in data:
            raise ValueError("`readers` is the former name of `annotators`; keep `annotators` only")
        return {("annotators" if key == "readers" else key): value for key, value in data.items()}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for kind, some in (("question", self.questions), ("finding", self.findings)):
            names = [one.name for one in some]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{kind} {twice[0]!r} is given twice; keep one")
        if not self.questions and not self.findings:
            raise ValueError("neither questions nor findings; ask at least one")
        if both := sorted({q.name for q in self.questions} & {f.question for f in self.findings if f.question}):
            raise ValueError(f"question {both[0]!r} is answered by a finding; do not ask it as a question too")
        if self.consensus.at_least > self.annotators:
            raise ValueError(
                f"consensus.at_least must be at most annotators={self.annotators}, got {self.consensus.at_least}"
            )
        for q in self.questions:
            if q.titles and len(q.titles) != len(q.answers):
                raise ValueError(
                    f"question {q.name!r}: {len(q.titles)} titles for {len(q.answers)} answers; give one each"
                )
        keys = [k for k in (*(q.key for q in self.questions), *(f.key for f in self.findings)) if k]
        if twice := sorted({k for k in keys if keys.count(k) > 1}):
            raise ValueError(f"key {twice[0]!r} is given twice; use another")
        return self

    # -- file --------------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path) -> Protocol:
        """Read a protocol from a file, or a ready one by its name.

        Raises:
            ValueError: not TOML, an unknown key, or a wrong value; the message names file, key and remedy.
            FileNotFoundError: neither a file nor a ready one.
        """
        file = Path(path)
        if not file.exists():
            ready = sorted(p.stem for p in READY.glob("*.toml"))
            if str(path) not in ready:
                raise FileNotFoundError(f"protocol {str(path)!r}: must be a file, or one of the ready ones {ready}")
            file = READY / f"{path}.toml"
        return cls.parse(file.read_text(encoding="utf-8"), name=str(path))

    @classmethod
    def parse(cls, text: str, *, name: str = "protocol") -> Protocol:
        """Parse the text of a protocol; errors as `read`, by ``name``."""
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{name}: not TOML ({error})") from None
        except ValidationError as error:
            raise ValueError(f"{name}: {explain(error, cls)}") from None

    # -- schema ------------------------------------------------------------------------------------------------------

    def asks(self, known: LabelSchema) -> LabelSchema:
        """Return the schema of what is asked and marked, given a manifest's schema.

        Args:
            known: the manifest's schema.

        Raises:
            ValueError: a finding or question that it does not have (unless ``extends``), or has in another way.
        """
        have = {q.name: q for q in known.questions}
        for f in self.findings:
            if f.name not in known.labels and not self.extends:
                raise ValueError(
                    f"finding must be one of the manifest's labels {list(known.labels)}, got {f.name!r}; correct it, "
                    "or write extends = true to add it"
                )
        questions = [self._asked(q, have.get(q.name), known) for q in self.questions]
        for name in dict.fromkeys(f.question for f in self.findings if f.question):
            evidence = tuple(f.name for f in self.findings if f.question == name)
            there = have.get(name)
            if there is None and not self.extends:
                raise ValueError(
                    f"finding {evidence[0]!r}: question must be one of the manifest's {list(have)}, got {name!r}"
                )
            if there is not None and not there.yes_no:
                raise ValueError(f"finding {evidence[0]!r}: question {name!r} must have the answers no and yes")
            if there is not None and set(there.evidence) - set(evidence):
                lost = sorted(set(there.evidence) - set(evidence))
                raise ValueError(f"question {name!r}: its evidence {lost} must be marked too; add it as findings")
            questions.append(Question(name, evidence=evidence))
        labels = tuple(f.name for f in self.findings)
        exclusive = known.exclusive and set(labels) <= set(known.labels)
        schema = LabelSchema(tuple(questions), labels, exclusive)
        if self.guideline.on:
            self.guide(schema)
        return schema

    def guide(self, schema: LabelSchema) -> Guideline:
        """Return the guideline with the project's names; ValueError if its question or lesions are missing."""
        from foveate.data.cleaning import fits

        named = GUIDELINE.named(self.guideline.lesions, question=self.guideline.question)
        fits(named, schema)
        return named

    def finding(self, name: str) -> Finding | None:
        """The finding of that name."""
        return next((f for f in self.findings if f.name == name), None)

    def page(self, schema: LabelSchema) -> dict[str, Any]:
        """Return what the annotation page needs, as plain data."""
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
                    f"question must be one of the manifest's {[x.name for x in known.questions]}, got {q.name!r}; "
                    "correct it, or write extends = true to add it"
                )
            return Question(q.name, q.answers or YES_NO, q.ordered)
        if q.answers and q.answers != there.answers:
            raise ValueError(
                f"question {q.name!r}: answers {list(q.answers)}, but the manifest has {list(there.answers)}; leave "
                "them out to take the manifest's"
            )
        kept = tuple(e for e in there.evidence if self.finding(e))
        evidence = kept if kept == there.evidence else ()
        return Question(q.name, there.answers, there.ordered, evidence, healthy=there.healthy)
