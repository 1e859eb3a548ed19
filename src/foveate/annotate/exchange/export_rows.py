"""One image as rows of a manifest: the consensus, and each annotator's marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from foveate.annotate.domain.consensus import decide, middle_landmarks
from foveate.annotate.domain.grade_check import contradictions
from foveate.annotate.domain.landmarks import landmarks, placed
from foveate.annotate.domain.marks import Marks, PointShape, RegionsShape
from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.domain.truth import FindingTruth, exclusive, findings_of, merged, overlap
from foveate.annotate.exchange.mask_files import MaskFiles
from foveate.annotate.store.records import CONSENSUS, ImageRecord
from foveate.core.labels import LabelSchema
from foveate.core.types import Cue, MaskSource, Row
from foveate.web.names import name_key


@dataclass(frozen=True)
class RowMaker:
    """Makes the rows of an export.

    Args:
        protocol: of the project.
        schema: of the project.
        masks: writes the masks.
    """

    protocol: Protocol
    schema: LabelSchema
    masks: MaskFiles

    def consensus(self, record: ImageRecord) -> tuple[Row, list[str]]:
        """Make the consensus of an image; also returns what became unknown, and why."""
        given = self._given(record)
        if record.item.state != "settled":
            return replace(self._placed(record, {}), readings=given), []
        answers, found = self._settled(record)
        notes = [] if record.final is not None else self._dropped(record, found)
        if self.schema.exclusive and self.protocol.overlap == "refuse" and (both := overlap(found)) is not None:
            names = f"{both.findings[0]} for one annotator and {both.findings[1]} for another"
            notes.append(f"{record.row.id}: {both.pixels} pixels are {names}; not known now")
        found = exclusive(found, protocol=self.protocol, schema=self.schema)
        row = self._placed(record, answers)
        for one in contradictions(row, found, protocol=self.protocol, schema=self.schema):
            if one.lesion is not None and not one.by_number:
                found[one.lesion] = _unknown(found[one.lesion])
                notes.append(f"{record.row.id}: {one.words}; not known now")
        return replace(self._filled(row, {CONSENSUS: found}), readings=given), notes

    def annotators(self, record: ImageRecord) -> Row:
        """Make the row with every annotator's marks of an image."""
        shape = (record.item.rows, record.item.cols)
        found = {
            _beside(name): exclusive(
                findings_of(marks, protocol=self.protocol, shape=shape), protocol=self.protocol, schema=self.schema
            )
            for name, marks in record.annotations.items()
        }
        return replace(self._filled(self._placed(record, {}), found), readings=self._given(record))

    def _settled(self, record: ImageRecord) -> tuple[dict[str, str], dict[str, FindingTruth]]:
        """Answers and findings of a settled image: the adjudicator's, else those that the rule decides."""
        shape = (record.item.rows, record.item.cols)
        if record.final is not None:
            return self._answers(record.final), findings_of(record.final, protocol=self.protocol, shape=shape)
        decided = decide(list(record.annotations.values()), protocol=self.protocol, schema=self.schema)
        found = merged(record.annotations, decided, protocol=self.protocol, shape=shape)
        states = {name: one.state for name, one in found.items()}
        return dict(decided.answers) | self._by_findings(states), found

    def _dropped(self, record: ImageRecord, found: Mapping[str, FindingTruth]) -> list[str]:
        """Note regions and points that the rule does not take from those who marked them."""
        notes = []
        rule = self.protocol.consensus.marks
        for name, one in found.items():
            if one.state != "present" or rule == "union":
                continue
            given = [m.of(name) for m in record.annotations.values() if m.state_of(name) == "present"]
            points = sum(isinstance(s, PointShape) for some in given for s in some)
            if points and not one.points:
                notes.append(
                    f"{record.row.id}: {name}: none of {points} points was marked by enough ({rule}); left out"
                )
            regions = {r for some in given for s in some if isinstance(s, RegionsShape) for r in s.regions}
            if lost := sorted(regions - set(one.regions)):
                notes.append(f"{record.row.id}: {name}: too few marked {', '.join(lost)} ({rule}); left out")
        return notes

    def _placed(self, record: ImageRecord, answers: Mapping[str, str]) -> Row:
        middle = middle_landmarks(list(record.annotations.values()))
        return placed(record.row, *landmarks(record.row, record.final, middle), answers)

    def _given(self, record: ImageRecord) -> dict[str, dict[str, str]]:
        """Annotator -> answers; who answered nothing is left out."""
        given = {name: self._answers(marks) for name, marks in record.annotations.items()}
        return {name: answers for name, answers in given.items() if answers}

    def _answers(self, marks: Marks) -> dict[str, str]:
        """Answers of an annotation, those by its findings included; none if the image is ungradable."""
        states = {f.name: marks.state_of(f.name) for f in self.protocol.findings}
        return dict(marks.answers) | self._by_findings(states)

    def _by_findings(self, states: Mapping[str, str]) -> dict[str, str]:
        """Yes/no answers: yes if one of its findings is present, no if all are absent, else unknown."""
        out = {}
        for name in dict.fromkeys(f.question for f in self.protocol.findings if f.question):
            of = [states[f.name] for f in self.protocol.findings if f.question == name]
            if "present" in of:
                out[name] = "yes"
            elif all(state == "absent" for state in of):
                out[name] = "no"
        return out

    def _filled(self, row: Row, given: Mapping[str, Mapping[str, FindingTruth]]) -> Row:
        sources: dict[str, tuple[MaskSource, ...]] = {}
        cues: dict[str, tuple[Cue, ...]] = {}
        for annotator, findings in given.items():
            for label, found in findings.items():
                made = self.masks(found, annotator=annotator, label=label, image=row.id)
                if made is not None:
                    sources[label] = sources.get(label, ()) + made
                finding = self.protocol.finding(label)
                assert finding is not None
                if {"regions", "point"} & set(finding.marks):
                    cues[label] = cues.get(label, ()) + found.cues(annotator, radius=self.protocol.point_radius)
        return replace(row, masks=sources, cues={label: some for label, some in cues.items() if some})


def _beside(name: str) -> str:
    """An annotator's name in file names and masks: never that of the consensus."""
    return f"{name} (annotator)" if name_key(name) == CONSENSUS else name


def _unknown(found: FindingTruth) -> FindingTruth:
    """The same finding with its marked pixels unknown."""
    return replace(found, marked=np.zeros_like(found.marked), known=found.known & ~found.marked, state="unsure")
