"""Evidence for an answer: the lesions found for and against it, with number, size and place, as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from foveate.core.components import Quarters, components, quarters
from foveate.core.guideline import GUIDELINE, Guideline, Marks, Sign, marks_of
from foveate.core.labels import LabelSchema, Question
from foveate.core.reading import placed, presence_only
from foveate.core.types import Prediction
from foveate.inference.lesion_rules import LesionRule, counted_part, rules_for


@dataclass(frozen=True)
class Lesions:
    """One label that was found in an image.

    Args:
        label: its name.
        marks: number, size and quadrants of its lesions.
        share: of the image's pixels, in [0, 1].
        mm2: area; None if the spacing is unknown.
        quadrants: name -> number of single lesions; empty quadrants are left out.
        probability: the highest of its pixels.
        doubt: why it does not count as evidence (`lesion_rules`); empty if some of it counts.
        presence: probability that the image bears it, if the network predicts only that; number, area and place are
            then unknown.
    """

    label: str
    marks: Marks
    share: float
    mm2: float | None
    quadrants: Mapping[str, int]
    presence: float | None = None
    probability: float | None = None
    doubt: str = ""

    @property
    def measured(self) -> str:
        """Area and probability in words."""
        if self.presence is not None:
            return f"probability {self.presence:.2f}"
        sure = f", probability {self.probability:.2f}" if self.probability is not None else ""
        return f"{self.marks.pixels} px{sure}"

    def __str__(self) -> str:
        if self.presence is not None:
            doubt = f"; does not count: {self.doubt}" if self.doubt else ""
            return f"{_plain(self.label)}: present (probability {self.presence:.2f}); place not predicted{doubt}"
        size = f"{self.marks.pixels} px, {100 * self.share:.3g} % of the image"
        size += f", {self.mm2:.3g} mm2" if self.mm2 is not None else ""
        size += f", probability {self.probability:.2f}" if self.probability is not None else ""
        where = ", ".join(f"{n} {name}" for name, n in self.quadrants.items())
        doubt = f"; does not count: {self.doubt}" if self.doubt else ""
        return f"{_plain(self.label)}: {self.marks.count} ({size}); {where}{doubt}"

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data."""
        if self.presence is not None:
            given = {"label": self.label, "count": None, "area": None, "presence": round(self.presence, 6)}
            return {**given, **({"doubt": self.doubt} if self.doubt else {})}
        area = {"pixels": self.marks.pixels, "percent": round(100 * self.share, 6)}
        if self.mm2 is not None:
            area["mm2"] = round(self.mm2, 6)
        sure = {} if self.probability is None else {"probability": round(self.probability, 6)}
        doubt = {"doubt": self.doubt} if self.doubt else {}
        places = {"quadrants": dict(self.quadrants)}
        return {"label": self.label, "count": self.marks.count, "area": area, **places, **sure, **doubt}


@dataclass(frozen=True)
class Reasons:
    """One answer and the evidence for and against it.

    Args:
        question: name of the question.
        answer: of the network; None if it does not answer this question, so that only the lesions count.
        probability: of that answer.
        support: signs of the answer that are present.
        against: in words: lesions of a more severe answer, or that nothing found supports this one.
        by_lesions: the most severe answer for which a lesion found suffices; the mildest if none does.
        source: of the guideline; empty if the evidence follows from the schema alone.
        unsupported: text in place of the support if ``support`` is empty.
        measured: lesion -> its area and probability in words.
    """

    question: str
    answer: str | None
    probability: float | None
    support: tuple[Sign, ...]
    against: tuple[str, ...]
    by_lesions: str
    source: str = ""
    unsupported: str = "no lesion found supports it directly"
    measured: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.question}: the lesions found amount to {self.by_lesions}"]
        if self.answer is not None:
            lines[0] = f"{self.question}: {self.answer} (probability {self.probability:.2f})"
            signs = (f"{s} ({self.measured[s.lesion]})" if s.lesion in self.measured else str(s) for s in self.support)
            lines.append(f"  for it: {', '.join(signs) or self.unsupported}")
            lines.append(f"  against it: {'; '.join(self.against) or 'nothing'}")
            if self.by_lesions != self.answer:
                lines.append(f"  the lesions found alone amount to {self.by_lesions}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data."""
        return {
            "question": self.question,
            "answer": self.answer,
            "probability": None if self.probability is None else round(self.probability, 6),
            "for": [{"lesion": s.lesion, "sign": str(s), "direct": s.direct} for s in self.support],
            "against": list(self.against),
            "by_lesions": self.by_lesions,
            **({"source": self.source} if self.source else {}),
        }


@dataclass(frozen=True)
class Evidence:
    """Findings of an image and their consequences: one line per lesion, then one paragraph per question."""

    id: str
    lesions: tuple[Lesions, ...]
    reasons: tuple[Reasons, ...]
    about: str

    def __str__(self) -> str:
        found = [f"  {one}" for one in self.lesions] or ["  nothing"]
        answers = [str(one) for one in self.reasons]
        return "\n".join([self.id, f"found (quadrants around {self.about}):", *found, *answers]) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data."""
        return {
            "id": self.id,
            "quadrants_about": self.about,
            "lesions": [one.to_json() for one in self.lesions],
            "reasons": [one.to_json() for one in self.reasons],
        }


def explain(
    prediction: Prediction,
    schema: LabelSchema,
    *,
    guideline: Guideline = GUIDELINE,
    spacing: tuple[float, float] | None = None,
    disc: tuple[float, float] | None = None,
    fovea: tuple[float, float] | None = None,
    laterality: str | None = None,
    rules: Mapping[str, LesionRule] | None = None,
) -> Evidence:
    """Collect the evidence for every answer: by the guideline for its question, by the schema for the others.

    Lesions are the marks of the prediction. Labels that it cannot mark are unknown: they count neither as evidence nor
    as missing. A label of which only the presence is predicted (`core.reading.presence_only`) counts if number and
    place do not matter. Without disc and fovea the quadrants are around the middle of the image; a disc that the
    prediction marks (label ``disc``) shows the nasal side. If the network does not answer the guideline's question, the
    lesions alone give the grade.

    Args:
        prediction: of one image, in its own pixels.
        schema: of the network.
        guideline: in the words of the schema (`Guideline.named`).
        spacing: mm per pixel (rows, cols), for areas in mm2.
        disc: centre of the optic disc, (row, col) in pixels, if known.
        fovea: (row, col) in pixels, if known.
        laterality: "OD" or "OS", if known.
        rules: label -> the area and probability that a single lesion of it needs to count; those left out follow
            `lesion_rules.rules_for`. What does not count is listed with the reason.
    """
    shape = (prediction.probability.shape[1], prediction.probability.shape[2])
    side = laterality or _side(placed(prediction))
    four = quarters(shape, disc=disc, fovea=fovea, laterality=side)
    whole = presence_only(prediction)
    marks = {
        label: _there(mask) if label in whole else marks_of(mask, quarters=four)
        for label, mask in zip(prediction.labels, prediction.masks, strict=True)
    }
    sure = {label: float(p.max()) for label, p in zip(prediction.labels, prediction.probability, strict=True)}
    rule = rules_for(guideline, prediction.labels, given=rules)
    counted = dict(marks)
    lesions = []
    for label, mask, p in zip(prediction.labels, prediction.masks, prediction.probability, strict=True):
        if not marks[label].count:
            continue
        if label in whole:
            counts = mask & (sure[label] >= rule[label].probability)
            counted[label] = marks[label] if counts.any() else Marks(0, 0, (0, 0, 0, 0), known=False)
        else:
            counts = counted_part(mask.astype(bool), p, rule[label])
            counted[label] = marks_of(counts, quarters=four)
        lesion = _lesions(label, marks[label], four, shape, spacing)
        doubt = "" if counts.any() else f"a {_plain(label)} needs {rule[label]}"
        shown = (sure[label], None) if label in whole else (None, float(p[mask > 0].max()))
        lesions.append(replace(lesion, doubt=doubt, presence=shown[0], probability=shown[1]))
    measured = {one.label: one.measured for one in lesions}
    marks = counted
    reasons = []
    for question in schema.questions:
        if (scale := _scale(question, guideline)) is not None and question.name in prediction.answers:
            answer = prediction.answers[question.name]
            probability = prediction.probabilities[question.name][answer]
            found = _reasons(scale, marks, answer=answer, probability=probability)
            reasons.append(replace(found, measured=measured))
    if marks and guideline.question not in prediction.answers and set(guideline.lesions) & set(marks):
        reasons.append(_reasons(guideline, marks, answer=None, probability=None))
    known = disc is not None and fovea is not None
    return Evidence(prediction.id, tuple(lesions), tuple(reasons), "the fovea" if known else "the middle of the image")


def _scale(question: Question, guideline: Guideline) -> Guideline | None:
    """Choose the guideline for a question's answers; None if there is none."""
    if question.name == guideline.question:
        try:
            return guideline.asked(question)
        except ValueError:  # graded on another scale
            return None
    if question.evidence and question.yes_no:
        return Guideline(question.name, question.answers, tuple(Sign(label, "yes") for label in question.evidence))
    return None


def _reasons(scale: Guideline, marks: Mapping[str, Marks], *, answer: str | None, probability: float | None) -> Reasons:
    found = scale.evidence(marks)
    direct = [grade for grade, signs in found.items() if any(sign.direct for sign in signs)]
    support = found.get(answer, ()) if answer is not None else ()
    against = scale.contradictions(marks, grade=answer) if answer is not None else []
    by_lesions = direct[0] if direct else scale.grades[0]
    words = tuple(one.words for one in against)
    reasons = Reasons(scale.question, answer, probability, support, words, by_lesions, scale.source)
    return replace(reasons, unsupported=_for_mildest(scale, marks)) if answer == scale.grades[0] else reasons


def _for_mildest(scale: Guideline, marks: Mapping[str, Marks]) -> str:
    """Describe the evidence for the mildest answer: no lesion was found, or those found contradict it."""
    looked = [_plain(lesion) for lesion in scale.lesions if lesion in marks]
    found = [sign for signs in scale.evidence(marks).values() for sign in signs]
    if not looked:
        return "nothing; the network marks no lesion that would contradict it"
    if not found:
        return f"no lesion was found (looked for: {', '.join(looked)})"
    if any(sign.direct for sign in found):
        return "nothing; lesions that contradict it were found"
    return f"nothing found contradicts it directly, only {', '.join(map(str, found))}"


def _there(mask: Bool[np.ndarray, "h w"]) -> Marks:
    """Make the marks of a lesion of which only the presence is predicted: if present, number and place are unknown."""
    present = bool(mask.any())
    return Marks(int(present), 0, (0, 0, 0, 0), known=not present)


def _lesions(
    label: str, marks: Marks, four: Quarters, shape: tuple[int, int], spacing: tuple[float, float] | None
) -> Lesions:
    where = {name: n for name, n in zip(four.names, marks.by_quadrant, strict=True) if n}
    mm2 = None if spacing is None else marks.pixels * spacing[0] * spacing[1]
    return Lesions(label, marks, marks.pixels / (shape[0] * shape[1]), mm2, where)


def _side(prediction: Prediction) -> str | None:
    """Infer the eye from the side of the largest disc found; None if there is none."""
    if "disc" not in prediction.labels:
        return None
    found = components(prediction.masks[prediction.labels.index("disc")])
    if not len(found.area):
        return None
    col = found.centre[int(np.argmax(found.area)), 1]
    return "OD" if col > (prediction.probability.shape[2] - 1) / 2 else "OS"


def _plain(label: str) -> str:
    return label.replace("_", " ")
