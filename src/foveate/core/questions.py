"""A question about the whole image: its answers, their order, and the labels that are its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

UNKNOWN = -1
"""Index of an answer that nobody has given."""

YES_NO = ("no", "yes")

HEALTHY = ("no", "normal", "healthy", "none", "absent", "negative")
"""Usual words for the healthy answer, whatever their case."""


@dataclass(frozen=True)
class Question:
    """One question about the whole image.

    Args:
        name: its key in manifests, logs and tables.
        answers: exclusive answers in channel order; the default makes it a yes/no question (one logit).
        ordered: the answers are grades; then kappa is weighted and neighbours may be merged.
        evidence: labels whose pixels mean "yes", or (a question of several answers whose healthy one is known) that the
            answer is not the healthy one; ``check`` compares answers with them.
        merged: for each answer the manifest's answers that it is made of, when answers were merged by `group`.
        healthy: the answer of an image in which nothing is wrong; None = the only answer that is one of `HEALTHY`.
            Stays None if no answer is, or several are.

    Raises:
        ValueError: fewer than two answers, doubled answers, evidence for a question that is neither yes/no nor has a
            healthy answer, or a healthy answer that is not one of the answers.

    >>> Question("class", ("NORMAL", "CNV")).healthy
    'NORMAL'
    >>> Question("grade", ("0", "1", "2"), ordered=True, healthy="0").healthy
    '0'
    """

    name: str
    answers: tuple[str, ...] = YES_NO
    ordered: bool = False
    evidence: tuple[str, ...] = ()
    merged: tuple[tuple[str, ...], ...] = ()
    healthy: str | None = None

    def __post_init__(self) -> None:
        if len(self.answers) < 2 or len(set(self.answers)) < len(self.answers):
            raise ValueError(f"question {self.name!r}: answers={list(self.answers)}; give at least two, all different")
        if self.healthy is None:
            object.__setattr__(self, "healthy", usual_healthy(self.answers))
        elif self.healthy not in self.answers:
            raise ValueError(
                f"question {self.name!r}: healthy must be one of {list(self.answers)}, got {self.healthy!r}"
            )
        if self.evidence and not self.yes_no and self.healthy is None:
            raise ValueError(
                f"question {self.name!r}: evidence={list(self.evidence)} needs the answers 'no', 'yes', or a healthy "
                f"answer; state healthy, one of {list(self.answers)}"
            )

    def __repr__(self) -> str:
        """Leaves ``healthy`` out if it follows from the answers: texts of runs were written before there was one."""
        shown = [f for f in fields(self) if f.name != "healthy" or self.healthy_stated]
        return f"Question({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"

    @property
    def healthy_stated(self) -> bool:
        """Whether the healthy answer was stated, and does not follow from the words of the answers."""
        return self.healthy != usual_healthy(self.answers)

    @property
    def yes_no(self) -> bool:
        """Whether one logit answers it."""
        return self.answers == YES_NO

    @property
    def channels(self) -> int:
        """Number of logits: 1 for yes/no, else one per answer."""
        return 1 if self.yes_no else len(self.answers)

    def index(self, answer: str | None) -> int:
        """Position of an answer (its own name or one that was merged into it); `UNKNOWN` for None.

        Raises:
            ValueError: the question does not have the answer.
        """
        if answer is None:
            return UNKNOWN
        if answer in self.answers:
            return self.answers.index(answer)
        for position, members in enumerate(self.merged):
            if answer in members:
                return position
        raise ValueError(
            f"question {self.name!r}: the answer must be one of {list(self.answers)}, got {answer!r}; "
            "leave out unknown answers"
        )

    def group(self, grouping: str) -> Question:
        """The same question with neighbouring answers merged, e.g. ``"012|3"`` or ``"0,1,2|3"``.

        Args:
            grouping: groups parted by ``|``; inside, answers parted by commas, or one character each.

        Raises:
            ValueError: an answer is missing or doubled, or a group joins answers that are not neighbours.
        """
        groups = tuple(
            tuple(part.split(",")) if "," in part or part in self.answers else tuple(part)
            for part in grouping.split("|")
        )
        if tuple(answer for part in groups for answer in part) != self.answers:
            raise ValueError(
                f"grouping={grouping!r} must name every answer of {self.name!r} once and in order, "
                f"like {'|'.join([','.join(self.answers[:-1]), self.answers[-1]])!r}"
            )
        if len(groups) < 2:
            raise ValueError(f"grouping={grouping!r} leaves one group; part the answers with '|'")
        names = tuple(part[0] if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in groups)
        healthy = next((new for new, old in zip(names, groups, strict=True) if old == (self.healthy,)), None)
        evidence = self.evidence if healthy or usual_healthy(names) else ()
        return replace(self, answers=names, merged=groups, healthy=healthy, evidence=evidence)


def usual_healthy(answers: Sequence[str]) -> str | None:
    """The only answer that is a usual word for the healthy one; None if no answer is, or several are."""
    found = [answer for answer in answers if answer.lower() in HEALTHY]
    return found[0] if len(found) == 1 else None
