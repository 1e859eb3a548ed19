"""Evidence of each grade as data: the guideline of diabetic retinopathy, and the marks that contradict a grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, UInt8

from foveate.core.components import Quarters, components
from foveate.core.labels import Question


@dataclass(frozen=True)
class Sign:
    """One lesion as evidence for a grade.

    Args:
        lesion: its name.
        grade: the grade that it is evidence for.
        direct: the lesion alone is enough for the grade; otherwise it only often occurs with it (indirect evidence).
        over: more single lesions than this are needed in each of ``quadrants`` quadrants.
        quadrants: how many of the four quadrants need them, at least; 0 = anywhere.
    """

    lesion: str
    grade: str
    direct: bool = True
    over: int = 0
    quadrants: int = 0

    def __str__(self) -> str:
        name = self.lesion.replace("_", " ")
        where = f" in {'each of 4' if self.quadrants == 4 else f'{self.quadrants} or more'} quadrants"
        many = f"more than {self.over} " if self.over else ""
        return f"{many}{name}{where if self.quadrants else ''}{'' if self.direct else ' (indirect)'}"


@dataclass(frozen=True)
class Marks:
    """Marks of one lesion in one image.

    Args:
        count: number of single (connected) lesions.
        pixels: their area.
        by_quadrant: number of single lesions whose centre is in each quadrant.
        known: whether the lesion was looked for; otherwise its absence means nothing.
    """

    count: int
    pixels: int
    by_quadrant: tuple[int, int, int, int]
    known: bool = True


@dataclass(frozen=True)
class Contradiction:
    """A contradiction between the marks of an image and its grade.

    Args:
        words: its description.
        lesion: the lesion that is evidence for a graver grade; None if the grade lacks all evidence.
        by_number: the grade allows the lesion, but not so many of them.
    """

    words: str
    lesion: str | None = None
    by_number: bool = False


@dataclass(frozen=True)
class Guideline:
    """A grading scale and its signs.

    Args:
        question: name of the graded question.
        grades: answers from the mildest to the gravest.
        signs: the evidence for each grade.
        source: the publication.
        indirect: whether indirect evidence of a graver grade contradicts too. A patient with diabetes may have a hard
            exudate or a cotton-wool spot for another reason.

    Raises:
        ValueError: a sign names an unknown grade.
    """

    question: str
    grades: tuple[str, ...]
    signs: tuple[Sign, ...]
    source: str = ""
    indirect: bool = False

    def __post_init__(self) -> None:
        if strange := sorted({sign.grade for sign in self.signs} - set(self.grades)):
            raise ValueError(f"signs: the grade must be one of {list(self.grades)}, got {strange[0]!r}")

    @property
    def lesions(self) -> tuple[str, ...]:
        """Every lesion that is a sign, once."""
        return tuple(dict.fromkeys(sign.lesion for sign in self.signs))

    def named(self, labels: Mapping[str, str], *, question: str | None = None) -> Guideline:
        """The guideline in the words of a data set.

        Args:
            labels: the set's label -> the guideline's lesion, as ``{"exudate": "hard_exudate"}``; others stay.
            question: the set's name of the graded question; None = the same.

        Raises:
            ValueError: a lesion is not among the guideline's signs.
        """
        if strange := sorted(set(labels.values()) - set(self.lesions)):
            raise ValueError(f"labels: the lesion must be one of {list(self.lesions)}, got {strange[0]!r}")
        new = {lesion: label for label, lesion in labels.items()}
        signs = tuple(replace(sign, lesion=new.get(sign.lesion, sign.lesion)) for sign in self.signs)
        return replace(self, signs=signs, question=question or self.question)

    def in_labels(self, labels: Sequence[str]) -> Guideline:
        """The guideline with the names that a set has for its lesions (`ALSO`); a lesion's own name comes first."""
        known = set(self.lesions)
        other = {label: ALSO[label] for label in labels if ALSO.get(label) in known and ALSO[label] not in labels}
        return self.named(other) if other else self

    def question_in(self, questions: Sequence[Question], *, name: str | None = None) -> Question | None:
        """The graded question of a data set; None if no question can be graded.

        Args:
            questions: of the data set.
            name: of the graded one; None = the question with the guideline's own name, else the only ordered question
                with as many answers as there are grades.

        Raises:
            ValueError: no question has that name, or without a name several could be it.
        """
        known = {q.name: q for q in questions}
        if name is not None and name not in known:
            raise ValueError(f"grade must be one of the questions {list(known)}, got {name!r}")
        if (own := known.get(name or self.question)) is not None:
            return own
        like = [q for q in questions if q.ordered and len(q.answers) == len(self.grades)]
        if len(like) > 1:
            raise ValueError(
                f"grade=None: {[q.name for q in like]} all have {len(self.grades)} ordered answers; name the graded one"
            )
        return like[0] if like else None

    def asked(self, question: Question) -> Guideline:
        """The guideline in the answers of a question: its own grades, groups of them, or other names for them in order.

        Raises:
            ValueError: a grade is not one of the question's answers (merged ones included), and the question does not
            have the same number of ordered answers.
        """
        try:
            of = {grade: question.answers[question.index(grade)] for grade in self.grades}
        except ValueError:
            if not question.ordered or len(question.answers) != len(self.grades):
                raise ValueError(
                    f"question {question.name!r}: its answers {list(question.answers)} are neither the grades "
                    f"{list(self.grades)} nor as many in order; name the question that is graded"
                ) from None
            of = dict(zip(self.grades, question.answers, strict=True))
        signs = tuple(replace(sign, grade=of[sign.grade]) for sign in self.signs)
        return replace(self, question=question.name, grades=question.answers, signs=signs)

    def met(self, sign: Sign, marks: Mapping[str, Marks]) -> bool:
        """Whether a sign is there; a lesion without marks is not there."""
        found = marks.get(sign.lesion)
        if found is None or not found.count:
            return False
        if not sign.quadrants:
            return found.count > sign.over
        return sum(n > sign.over for n in found.by_quadrant) >= sign.quadrants

    def evidence(self, marks: Mapping[str, Marks]) -> dict[str, tuple[Sign, ...]]:
        """Grade -> the signs of it that are there, the gravest grade first; grades without any are left out."""
        found = {g: tuple(s for s in self.signs if s.grade == g and self.met(s, marks)) for g in reversed(self.grades)}
        return {grade: signs for grade, signs in found.items() if signs}

    def contradictions(self, marks: Mapping[str, Marks], *, grade: str, indirect: bool = False) -> list[Contradiction]:
        """Marks that are evidence for a graver grade than the given one, or the lack of any evidence for the given
        grade.

        A grade lacks evidence only if every lesion that is evidence for it was looked for, and no evidence for it or
        for a graver grade was found. If one lesion is unknown (for example venous beading), it may be the reason of
        the grade.

        Args:
            marks: lesion -> its marks; a lesion that is left out is unknown.
            grade: the grade given.
            indirect: indirect evidence contradicts too, even if the guideline excludes it.

        Raises:
            ValueError: the grade is unknown.
        """
        if grade not in self.grades:
            raise ValueError(
                f"grade must be one of {list(self.grades)}, got {grade!r}; the guideline has no merged answers"
            )
        given = self.grades.index(grade)
        out = []
        for name, signs in self.evidence(marks).items():
            for sign in signs:
                if self.grades.index(name) > given and (sign.direct or indirect or self.indirect):
                    words = f"{sign} speaks for {self.question} {name}, not {grade}"
                    out.append(Contradiction(words, sign.lesion, by_number=sign.over > 0))
        if given and not out:
            own = [s for s in self.signs if s.grade == grade]
            sure = all((found := marks.get(s.lesion)) is not None and found.known for s in own)
            if sure and not any(self.met(s, marks) for s in self.signs if self.grades.index(s.grade) >= given):
                out.append(Contradiction(f"nothing marked speaks for {self.question} {grade}"))
        return out


ALSO = {
    "irma": "intraretinal_microvascular_abnormality",
    "microvascular_anomaly": "intraretinal_microvascular_abnormality",
    "neovascularization": "neovascularisation",
    "hemorrhage": "haemorrhage",
    "vitreous_hemorrhage": "vitreous_haemorrhage",
    "preretinal_hemorrhage": "preretinal_haemorrhage",
    "cotton_wool_spots": "cotton_wool_spot",
    "soft_exudate": "cotton_wool_spot",
}
"""Other names of the guideline's lesions in data sets -> the guideline's name."""

GUIDELINE = Guideline(
    question="grade",
    grades=("0", "1", "2", "3", "4"),
    signs=(
        Sign("microaneurysm", "1"),
        Sign("haemorrhage", "2"),
        Sign("hard_exudate", "2", direct=False),
        Sign("haemorrhage", "3", over=20, quadrants=4),
        Sign("venous_beading", "3", quadrants=2),
        Sign("intraretinal_microvascular_abnormality", "3", quadrants=1),
        Sign("cotton_wool_spot", "3", direct=False),
        Sign("neovascularisation", "4"),
        Sign("vitreous_haemorrhage", "4"),
        Sign("preretinal_haemorrhage", "4"),
        Sign("fibrous_proliferation", "4", direct=False),
    ),
    source="American Academy of Ophthalmology, preferred practice pattern, as in Table I of Wei et al. 2020",
)
"""Diabetic retinopathy: 1 microaneurysms alone, 2 haemorrhages, 3 many of them, 4 new vessels and their bleedings."""


def marks_of(
    mask: Bool[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"], *, quarters: Quarters, known: bool = True
) -> Marks:
    """Count one lesion's mask.

    Args:
        mask: the marked pixels.
        quarters: the quadrants of the retina.
        known: whether the lesion was looked for in this image.
    """
    parts = components(mask)
    a, b, c, d = np.bincount(quarters.of(parts.centre), minlength=4).tolist()
    return Marks(len(parts.area), int(parts.area.sum()), (a, b, c, d), known)
