"""The parts of a protocol: questions, findings, the rule of the consensus, the guideline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["regions", "ellipse", "polygon", "brush", "point"]
FILLED = ("ellipse", "polygon", "brush")
"""Kinds of mark with exact pixels; regions and points give a rough position."""

NAME = Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f/\\]+$")
STRICT = ConfigDict(extra="forbid", frozen=True)


class Asked(BaseModel):
    """A question about the whole image; its answers default to those of the manifest's schema, else to no and yes."""

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
    """The rule that makes one annotation of several.

    Args:
        answers: the answer of more than half of the annotators.
        at_least: annotators who must have seen a finding; none saw it = absent; fewer = undecided.
        marks: rule over the marks of those who annotated the image.
        undecided: then an adjudicator decides, or it is unknown.
        review: images that an adjudicator looks at: those that the rule does not decide, or all.
    """

    model_config = STRICT
    answers: Literal["majority"] = "majority"
    at_least: int = Field(default=2, ge=1)
    marks: Literal["union", "majority", "intersection"] = "union"
    undecided: Literal["adjudicate", "unknown"] = "adjudicate"
    review: Literal["disputed", "all"] = "disputed"


class Guided(BaseModel):
    """Check of lesions against the grade: those that indicate a more severe grade become unknown in the export.

    Args:
        on: whether it is applied.
        question: the question that holds the grade.
        lesions: finding -> lesion of the guideline, if the names differ.
        indirect: whether indirect evidence contradicts too.
    """

    model_config = STRICT
    on: bool = False
    question: str = "grade"
    lesions: Mapping[str, str] = {}
    indirect: bool = False
