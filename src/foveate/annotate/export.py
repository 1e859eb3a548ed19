"""What a room knows as manifests: the consensus and every reader's marks; masks as PNG, shapes for Label Studio."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foveate.annotate import labelstudio
from foveate.annotate.guided import contradictions
from foveate.annotate.marks import Marks
from foveate.annotate.room import Room
from foveate.annotate.said import Read, all_read
from foveate.annotate.saving import CONSENSUS, landmarks, placed
from foveate.annotate.settle import decide, proposed
from foveate.annotate.timing import costs, timed
from foveate.annotate.truth import Told, apart, merged, overlap, told_all
from foveate.core.labels import LabelSchema
from foveate.core.types import Cue, MaskSource, Row
from foveate.data.manifest import Manifest
from foveate.data.writing import NOT_KNOWN, file_name, save, with_unknown
from foveate.engine.checkpoint import write_json


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        paths: the manifests and further files.
        images: of the room.
        settled: of them with a consensus.
        notes: what was made unknown, and why.
    """

    paths: tuple[Path, ...]
    images: int
    settled: int
    notes: tuple[str, ...]


def export(
    room: Room,
    out: Path,
    *,
    keep: bool = False,
    settled: bool = False,
    label_studio: Path | None = None,
    coco: Path | None = None,
) -> Exported:
    """Write the consensus as a manifest; beside it every reader's marks and what labels cost.

    ``NAME.readers.jsonl`` has the readers, ``NAME.seconds.json`` the seconds of one label a kind (`timing.costs`).

    Masks lie in ``NAME_masks/WHO/LABEL/ID.png``: 255 inside, 0 outside, 127 not known. What was not asked or not
    settled is unknown. Patient, eye, spacing, split and fold stay as they were. The consensus' lines also hold who
    answered what (``readings``). With the guideline on, lesions that speak against the grade are not known.

    Args:
        room: open; the server may go on.
        out: the manifest.
        keep: answers and masks of the first manifest stay for questions and labels that the room does not ask.
        settled: only images whose consensus is settled: those that training learns from.
        label_studio: file for every reading and consensus as shapes; beside it the labelling interface (``.xml``).
        coco: new folder for COCO, with the images.

    Raises:
        ValueError: a folder is there already that this did not make.
        Unreadable: an image cannot be read (COCO copies it).
    """
    masks = out.with_name(f"{out.stem}_masks")
    aside = out.with_name(f".{masks.name}.{os.getpid()}.part")
    if masks.exists() and not (masks / ".annotate").exists():
        raise ValueError(f"{masks}: is there already and was not made by an export; move it away")
    notes: list[str] = []
    agreed: list[Row] = []
    each: list[Row] = []
    tasks = []
    spent: list[tuple[Marks, float]] = []
    images = done = 0
    aside.mkdir(parents=True)
    try:
        (aside / ".annotate").touch()
        writer = _Masks(aside, os.path.relpath(masks, out.parent))
        for read in all_read(room, root=out.parent):
            images += 1
            done += read.item.state == "settled"
            spent += [(marks, read.seconds[name]) for name, marks in read.readings.items()]
            if settled and read.item.state != "settled":
                continue
            agreed.append(_consensus(room, read, writer, notes))
            each.append(_readers(room, read, writer))
            if label_studio is not None:
                tasks.append(labelstudio.task(read, protocol=room.protocol))
        if settled and not agreed:
            raise ValueError("settled=True: no image is settled yet; leave it out, or wait for the first consensus")
        schema = _joined(room) if keep else room.schema
        if keep:
            before = {row.id: row for row in _unasked(room, out.parent)}
            agreed = [_kept(row, before[row.id]) for row in agreed]
        shutil.rmtree(masks, ignore_errors=True)
        os.replace(aside, masks)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    info = dict(room.manifest.info) | {"room": room.name, "protocol": room.protocol.name}
    started = Manifest(schema, tuple(agreed), out.parent, info=info).write(out)
    beside = out.with_name(f"{out.stem}.readers.jsonl")
    Manifest(room.schema, tuple(each), out.parent, info=info).write(beside)
    seconds = out.with_name(f"{out.stem}.seconds.json")
    write_json(seconds, costs(timed(spent)))
    paths = [out, beside, seconds]
    if label_studio is not None:
        paths += labelstudio.write(tasks, label_studio, protocol=room.protocol, schema=room.schema)
    if coco is not None:
        from foveate.data.exchange.coco import write

        written = write(started, coco)
        paths += written.paths
        notes += written.notes
    if settled and (words := _unsplit(agreed)) is not None:
        notes.append(f"{words}; before foveate fit: foveate split {out} -o {out}")
    return Exported(tuple(paths), images, done, tuple(notes))


def _unsplit(rows: Sequence[Row]) -> str | None:
    """What stands against training with these rows, in words; None where nothing does."""
    if all(row.fold is not None for row in rows):
        return None
    missing = [part for part in ("train", "val") if all(row.split != part for row in rows)]
    return f"no settled image is in split {' or '.join(map(repr, missing))}" if missing else None


@dataclass(frozen=True)
class _Masks:
    """Writes masks into a folder, named by who, label and image id."""

    folder: Path
    shown: str

    def __call__(self, one: Told, *, who: str, label: str, image: str) -> tuple[MaskSource, ...] | None:
        """The sources of a label; None where nothing of it is known."""
        if not one.known.any():
            return None
        if one.known.all() and not one.marked.any():
            return (MaskSource(grader=who),)
        place = Path(file_name(who)) / file_name(label) / f"{file_name(image)}.png"
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        save(with_unknown(one.marked, one.known), self.folder / place)
        path = (Path(self.shown) / place).as_posix()
        return (MaskSource(path, above=NOT_KNOWN, ignore=(NOT_KNOWN,), grader=who),)


def _consensus(room: Room, read: Read, masks: _Masks, notes: list[str]) -> Row:
    shape = (read.item.rows, read.item.cols)
    disc, fovea = landmarks(read.row, read.final, *_placing(room, read, shape))
    given = {name: _answers(room, marks) for name, marks in read.readings.items()}
    given = {name: answers for name, answers in given.items() if answers}
    if read.item.state != "settled":
        return replace(placed(read.row, disc, fovea, {}), readings=given)
    if read.final is not None:
        said = told_all(read.final, protocol=room.protocol, shape=shape)
        answers = _answers(room, read.final)
    else:
        said = merged(read.readings, protocol=room.protocol, schema=room.schema, shape=shape)
        decided = decide(list(read.readings.values()), protocol=room.protocol, schema=room.schema)
        answers = dict(decided.answers) | _by_findings(room, {name: one.state for name, one in said.items()})
    if room.schema.exclusive and (both := overlap(said)) is not None and room.protocol.overlap == "refuse":
        words = f"{both.pixels} pixels are {both.findings[0]} for one reader and {both.findings[1]} for another"
        notes.append(f"{read.row.id}: {words}; not known now")
    said = apart(said, protocol=room.protocol, schema=room.schema)
    row = placed(read.row, disc, fovea, answers)
    for one in contradictions(room, row, said):
        if one.lesion is not None and not one.by_number:
            before = said[one.lesion]
            said[one.lesion] = replace(
                before, marked=np.zeros(shape, bool), known=before.known & ~before.marked, state="unsure"
            )
            notes.append(f"{read.row.id}: {one.words}; not known now")
    return replace(_filled(room, row, {CONSENSUS: said}, masks), readings=given)


def _readers(room: Room, read: Read, masks: _Masks) -> Row:
    shape = (read.item.rows, read.item.cols)
    disc, fovea = landmarks(read.row, read.final, *_placing(room, read, shape))
    said = {
        name: apart(told_all(marks, protocol=room.protocol, shape=shape), protocol=room.protocol, schema=room.schema)
        for name, marks in read.readings.items()
    }
    given = {name: answers for name, marks in read.readings.items() if (answers := _answers(room, marks))}
    return replace(_filled(room, placed(read.row, disc, fovea, {}), said, masks), readings=given)


def _placing(room: Room, read: Read, shape: tuple[int, int]) -> list[Marks]:
    if not any(m.disc or m.fovea for m in read.readings.values()):
        return []
    bare = {name: m.model_copy(update={"shapes": ()}) for name, m in read.readings.items()}
    return [proposed(bare, protocol=room.protocol, schema=room.schema, shape=shape)]


def _filled(room: Room, row: Row, said: Mapping[str, Mapping[str, Told]], masks: _Masks) -> Row:
    sources: dict[str, tuple[MaskSource, ...]] = {}
    cues: dict[str, tuple[Cue, ...]] = {}
    for who, findings in said.items():
        for label, one in findings.items():
            made = masks(one, who=who, label=label, image=row.id)
            if made is not None:
                sources[label] = sources.get(label, ()) + made
            finding = room.protocol.finding(label)
            assert finding is not None
            if {"regions", "point"} & set(finding.marks):
                found = one.cues(who, radius=room.protocol.point_radius)
                if found:
                    cues[label] = cues.get(label, ()) + found
    return replace(row, masks=sources, cues=cues)


def _answers(room: Room, marks: Marks) -> dict[str, str]:
    """What a reading answers, those by its findings included; nothing where the image is ungradable."""
    if marks.ungradable is not None:
        return {}
    states = {f.name: marks.said(f.name) for f in room.protocol.findings}
    return dict(marks.answers) | _by_findings(room, states)


def _by_findings(room: Room, states: Mapping[str, str]) -> dict[str, str]:
    """Yes/no answers: yes where one of its findings is present, no where all are absent, else unknown."""
    out = {}
    for name in dict.fromkeys(f.question for f in room.protocol.findings if f.question):
        of = [states[f.name] for f in room.protocol.findings if f.question == name]
        if "present" in of:
            out[name] = "yes"
        elif all(state == "absent" for state in of):
            out[name] = "no"
    return out


def _joined(room: Room) -> LabelSchema:
    """The room's schema and what the first manifest has beside it."""
    first, asked = room.manifest.schema, room.schema
    questions = [q for q in first.questions if q.name not in {mine.name for mine in asked.questions}]
    labels = [label for label in first.labels if label not in asked.labels]
    return LabelSchema((*asked.questions, *questions), (*asked.labels, *labels), first.exclusive)


def _kept(row: Row, before: Row) -> Row:
    """A row with what was known before of that which the room does not ask."""
    return replace(
        row,
        answers={**before.answers, **row.answers},
        masks={**before.masks, **row.masks},
        cues={**before.cues, **row.cues},
    )


def _unasked(room: Room, root: Path) -> Manifest:
    """The first manifest without the questions and labels of the room."""
    first = room.manifest.at(root)
    asked = {q.name for q in room.schema.questions}
    return first.select(
        questions=[q.name for q in first.schema.questions if q.name not in asked],
        labels=[label for label in first.schema.labels if label not in room.schema.labels],
    )
