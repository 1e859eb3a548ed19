"""Consensus of several annotators: the answers of a manifest to findings and to graded questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from foveate.core.consensus import answer
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.manifest import Manifest


def readings(row: Row, question: Question, schema: LabelSchema) -> dict[str, str]:
    """Annotator -> answer to one question: the given answer, or for a finding, whether a cue of it marks anything.

    An annotator who looked at a part of the evidence only, and found nothing there, has not answered.

    Args:
        row: its ``readings`` and ``cues``.
        question: of the schema.
        schema: names the evidence.
    """
    out: dict[str, str] = {}
    evidence = [member for label in question.evidence for member in schema.members(label)]
    said = {label: {cue.annotator: not cue.absent for cue in row.cues.get(label, ())} for label in evidence}
    for label in evidence:  # of one annotator's cues, one that marks something outweighs one for "absent"
        for cue in row.cues.get(label, ()):
            said[label][cue.annotator] |= not cue.absent
    for reader in dict.fromkeys(reader for given in said.values() for reader in given):
        seen = [given.get(reader) for given in said.values()]
        if any(seen):
            out[reader] = "yes"
        elif None not in seen:
            out[reader] = "no"
    given_answers: Mapping[str, Mapping[str, str]] = row.readings
    return out | {reader: given[question.name] for reader, given in given_answers.items() if question.name in given}


def settle(manifest: Manifest, *, at_least: int | str = 2) -> Manifest:
    """The manifest with the answers on which its annotators agree; the other answers become unknown.

    A yes/no question is "yes" if at least so many annotators answered "yes", "no" if nobody did (Son et al. 2018).
    Any other question has the answer of more than half of them (Wei et al. 2021). Rows without annotators keep
    their answers.

    Args:
        manifest: with readings, or cues of several annotators.
        at_least: number of annotators who must have seen a finding, or the rule for the annotators of an image
            (`core.consensus.RULES`).

    Raises:
        ValueError: at_least is below 1, or not a rule.
    """
    rows = []
    for row in manifest.rows:
        answers = dict(row.answers)
        for question in manifest.schema.questions:
            given = readings(row, question, manifest.schema)
            if not given:
                continue
            settled = answer(given.values(), answers=question.answers, at_least=at_least)
            answers.pop(question.name, None)
            if settled is not None:
                answers[question.name] = settled
        rows.append(replace(row, answers=answers))
    return manifest.with_rows(rows)


@dataclass(frozen=True)
class Outcome:
    """Result of the consensus for one question.

    Args:
        question: its name.
        read: number of images for which an annotator answered it.
        answers: answer -> number of images with this consensus, in the question's order.
        annotators: those who answered it for any image.
    """

    question: str
    read: int
    answers: Mapping[str, int]
    annotators: tuple[str, ...]

    @property
    def left_out(self) -> int:
        """Number of images on which the annotators do not agree."""
        return self.read - sum(self.answers.values())

    def __str__(self) -> str:
        if not self.read:
            return f"{self.question}: read by nobody"
        found = ", ".join(f"{answer} {n}" for answer, n in self.answers.items())
        read = f"{self.read} images read by {len(self.annotators)} annotators"
        return f"{self.question}: {read}; {found}; left out {self.left_out}"


def outcome(before: Manifest, settled: Manifest) -> tuple[Outcome, ...]:
    """Results of `settle` for each question of a manifest."""
    out = []
    for question in before.schema.questions:
        said = [readings(row, question, before.schema) for row in before.rows]
        found = Counter(
            question.answers[question.index(row.answers[question.name])]
            for row, given in zip(settled.rows, said, strict=True)
            if given and question.name in row.answers
        )
        readers = tuple(dict.fromkeys(reader for given in said for reader in given))
        out.append(Outcome(question.name, sum(map(bool, said)), {a: found[a] for a in question.answers}, readers))
    return tuple(out)
