"""Which lesions speak for which grade, as data: the guideline of diabetic retinopathy, and what contradicts it."""

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
        grade: that it speaks for.
        direct: it suffices for the grade; otherwise it is seen along with it (indirect evidence).
        over: more single lesions than this are needed in each of ``quadrants`` quadrants.
        quadrants: in at least so many of the four; 0 = anywhere.
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
    """What is marked of one lesion in one image.

    Args:
        count: single (connected) lesions.
        pixels: their area.
        by_quadrant: of the single lesions, those whose centre lies in each quadrant.
        known: whether something is known of it; otherwise nothing follows from its absence.
    """

    count: int
    pixels: int
    by_quadrant: tuple[int, int, int, int]
    known: bool = True


@dataclass(frozen=True)
class Contradiction:
    """What does not go with a grade.

    Args:
        words: what it is.
        lesion: that speaks for a graver grade; None where the grade lacks all evidence.
        by_number: the lesion may be there, but not so often.
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
        signs: what speaks for which grade.
        source: where it stands.
        indirect: whether indirect evidence of a graver grade contradicts too. A patient with diabetes may have a hard
            exudate or a cotton-wool spot for another reason.

    Raises:
        ValueError: a sign names a grade that there is not.
    """

    question: str
    grades: tuple[str, ...]
    signs: tuple[Sign, ...]
    source: str = ""
    indirect: bool = False

    def __post_init__(self) -> None:
        if strange := sorted({sign.grade for sign in self.signs} - set(self.grades)):
            raise ValueError(f"signs: grade {strange[0]!r} is none of {list(self.grades)}")

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
            ValueError: a lesion that is no sign.
        """
        if strange := sorted(set(labels.values()) - set(self.lesions)):
            raise ValueError(f"labels: {strange[0]!r} is none of the guideline's {list(self.lesions)}")
        new = {lesion: label for label, lesion in labels.items()}
        signs = tuple(replace(sign, lesion=new.get(sign.lesion, sign.lesion)) for sign in self.signs)
        return replace(self, signs=signs, question=question or self.question)

    def question_in(self, questions: Sequence[Question], *, name: str | None = None) -> Question | None:
        """Which of a set's questions is the graded one; None where none can be.

        Args:
            questions: of the set.
            name: of the graded one; None = that of the guideline's own name, else the only ordered question with as
                many answers as there are grades.

        Raises:
            ValueError: no question has that name, or without a name several could be it.
        """
        known = {q.name: q for q in questions}
        if name is not None and name not in known:
            raise ValueError(f"grade={name!r} is none of the questions {list(known)}")
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
            ValueError: a grade is none of the question's answers, merged ones included, and these are not as many
                ordered answers.
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
        """Whether a sign is there; a lesion that is not named is not."""
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
        """What is marked and speaks for a graver grade than was given, and a grade that nothing marked speaks for.

        A grade lacks evidence only where every lesion that speaks for it was looked for, and none that speaks for it or
        for a graver one was found: where one is unknown (venous beading, say), it may have been the reason.

        Args:
            marks: lesion -> what is marked of it; a lesion that is left out is unknown.
            grade: the grade given.
            indirect: indirect evidence contradicts too, even where the guideline says that it does not.

        Raises:
            ValueError: there is no such grade.
        """
        if grade not in self.grades:
            raise ValueError(f"grade={grade!r} is none of {list(self.grades)}; merged answers fit no guideline")
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
        mask: where it is marked.
        quarters: how the retina is divided.
        known: whether something is known of the lesion in this image.
    """
    parts = components(mask)
    a, b, c, d = np.bincount(quarters.of(parts.centre), minlength=4).tolist()
    return Marks(len(parts.area), int(parts.area.sum()), (a, b, c, d), known)
