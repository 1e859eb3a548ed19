"""From what several readers said to what a manifest settles on: answers of findings and of graded questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from foveate.core.consensus import answer
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.manifest import Manifest


def readings(row: Row, question: Question, schema: LabelSchema) -> dict[str, str]:
    """Reader -> answer to one question: as given, else, of a finding, whether one of its cues marks anything.

    A reader who looked at some of the evidence alone and found nothing there has not answered.

    Args:
        row: its ``readings`` and ``cues``.
        question: of the schema.
        schema: names the evidence.
    """
    out: dict[str, str] = {}
    evidence = [member for label in question.evidence for member in schema.members(label)]
    said = {label: {cue.annotator: not cue.absent for cue in row.cues.get(label, ())} for label in evidence}
    for label in evidence:  # a reader's cue that marks something outweighs one that says absent
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
    """The manifest with the answers that its readers agree on; what they do not agree on is unknown (left out).

    A yes/no question is "yes" where at least so many readers said so, "no" where none did (Son et al. 2018); any other
    has the answer that more than half of them gave (Wei et al. 2021). Rows that nobody read keep their answers.

    Args:
        manifest: with readings, or cues of several readers.
        at_least: readers who must have seen a finding, or the rule for those of an image (`core.consensus.RULES`).

    Raises:
        ValueError: at_least is below 1, or no rule.
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
    """What became of one question.

    Args:
        question: its name.
        read: images that a reader answered it for.
        answers: answer -> images that it was settled on for, in the question's order.
        readers: who answered it anywhere.
    """

    question: str
    read: int
    answers: Mapping[str, int]
    readers: tuple[str, ...]

    @property
    def left_out(self) -> int:
        """Images that were read and on which the readers do not agree."""
        return self.read - sum(self.answers.values())

    def __str__(self) -> str:
        if not self.read:
            return f"{self.question}: read by nobody"
        found = ", ".join(f"{answer} {n}" for answer, n in self.answers.items())
        read = f"{self.read} images read by {len(self.readers)} readers"
        return f"{self.question}: {read}; {found}; left out {self.left_out}"


def outcome(before: Manifest, settled: Manifest) -> tuple[Outcome, ...]:
    """What `settle` made of each question of a manifest."""
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
