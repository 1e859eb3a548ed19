"""Check a manifest against its files: what is there, what cannot be read, what contradicts itself, what leaks."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from foveate.core.guideline import Guideline
from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.agreement import Agreement, agreement, answered
from foveate.data.check_report import LabelCount, Report
from foveate.data.cleaning import fits
from foveate.data.consensus import readings
from foveate.data.doubts import find_doubts, find_silent_labels
from foveate.data.duplicates import near
from foveate.data.inspect_files import FileFacts, inspect_row, thumb
from foveate.data.lines import SPLITS
from foveate.data.manifest import Manifest
from foveate.data.parallel import run_parallel
from foveate.data.shortcuts import find_shortcuts
from foveate.data.split import groups, leaks

UNKNOWN = "unknown"
MANY = 2_000  # rows from which processes are worth their start


def check(
    manifest: Manifest,
    *,
    guideline: Guideline | None = None,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Decode every image and mask of a manifest and report what is there and what is wrong.

    Annotators are united, as in training. An answer "no" contradicts a marked pixel of its evidence, a "yes"
    contradicts evidence that is wholly known and empty; both are listed, as duplicates with different answers are.
    Neither makes the report fail: the answer may be right where the mask is not. Notes and the hint that an answer
    can be guessed from file and border (`find_shortcuts`) do not either. Unreadable files, masks of another size,
    changed files, leaks and labels that have files but no marked pixel do.

    Args:
        manifest: what to check.
        guideline: in the words of the manifest's schema (`Guideline.named`): lesions that contradict the grade, and
            grades that nothing marked speaks for, are contradictions too. None = not asked.
        workers: processes that decode; 0 = two threads of this process; None = a process a core, four at most, from
            2,000 rows on, else threads. On macOS and Windows a script that uses processes needs the usual
            ``if __name__ == "__main__":``.
        seed: of the draws behind `find_shortcuts`.
        progress: called with (rows done, rows) after each.

    Raises:
        ValueError: the guideline's question or lesions are not the schema's.
    """
    if guideline is not None:
        fits(guideline, manifest.schema)
    if workers is None:
        workers = min(4, os.cpu_count() or 1) if len(manifest) >= MANY else 0
    found: list[FileFacts] = []
    task = partial(inspect_row, root=manifest.root, schema=manifest.schema, guideline=guideline)
    for one in run_parallel(task, manifest.rows, workers=workers):
        found.append(one)
        if progress is not None:
            progress(len(found), len(manifest))
    same = _same(manifest.rows, found)
    ids = tuple(tuple(row.id for row in rows) for rows in same)
    double = {row.id for rows in same for row in rows[1:]}
    alike = near(
        [row.id for row in manifest.rows],
        [b"" if row.id in double else one.bits for row, one in zip(manifest.rows, found, strict=True)],
        lambda position: thumb(manifest[position], manifest.root),
    )
    together = (*ids, *(pair.ids for pair in alike))
    parts = {"all": list(zip(manifest.rows, found, strict=True))}
    for part in SPLITS:
        if inside := [(row, one) for row, one in parts["all"] if row.split == part]:
            parts[part] = inside
    schema = manifest.schema
    return Report(
        images=len(manifest),
        groups=len(groups(manifest.rows, same=together)),
        labels={p: _counted([one for _, one in seen], schema) for p, seen in parts.items()},
        answers={p: _answered([row for row, _ in seen], schema) for p, seen in parts.items()},
        unreadable=tuple(dict.fromkeys(text for one in found for text in one.unreadable)),
        mismatching=tuple(text for one in found for text in one.mismatching),
        changed=tuple(text for one in found for text in one.changed),
        duplicates=ids,
        near=tuple(alike),
        contradictions=tuple(text for one in found for text in one.contradictions) + tuple(_disagreeing(same)),
        leaks=tuple(leaks(manifest, same=together)),
        agreement=agreement(drawn for one in found for drawn in one.drawn) + _read(manifest.rows, schema),
        shortcuts=find_shortcuts(manifest.rows, found, schema, seed=seed),
        silent=tuple(find_silent_labels(manifest.rows, found, schema)),
        notes=(*_notes(manifest), *find_doubts(manifest.rows, found, schema), *_unplaced(manifest.rows, found, schema)),
        about={
            text: row.id
            for row, one in zip(manifest.rows, found, strict=True)
            for text in (*one.mismatching, *one.contradictions)
        },
    )


def _read(rows: Sequence[Row], schema: LabelSchema) -> tuple[Agreement, ...]:
    """Agreement of the annotators on each question."""
    out: list[Agreement] = []
    for q in schema.questions:
        given = [
            {reader: q.answers[q.index(answer)] for reader, answer in readings(row, q, schema).items()} for row in rows
        ]
        out += answered(q.name, q.answers, given)
    return tuple(out)


def _same(rows: Sequence[Row], found: Sequence[FileFacts]) -> list[list[Row]]:
    by_pixels: dict[bytes, list[Row]] = defaultdict(list)
    for row, one in zip(rows, found, strict=True):
        if one.pixels:
            by_pixels[one.pixels].append(row)
    return [some for some in by_pixels.values() if len(some) > 1]


def _disagreeing(same: Sequence[Sequence[Row]]) -> list[str]:
    """Questions that the same pixels are answered differently for."""
    out = []
    for rows in same:
        for question in dict.fromkeys(q for row in rows for q in row.answers):
            answers = {row.id: row.answers[question] for row in rows if question in row.answers}
            if len(set(answers.values())) > 1:
                out.append(f"{question} of the same pixels: " + ", ".join(f"{i} {a!r}" for i, a in answers.items()))
    return out


def _counted(found: Sequence[FileFacts], schema: LabelSchema) -> dict[str, LabelCount]:
    read = [one for one in found if one.known]
    return {
        label: LabelCount(
            len(found),
            sum(one.known[i] for one in read),
            sum(one.marked[i] > 0 for one in read),
            sum(one.marked[i] for one in read),
        )
        for i, label in enumerate(schema.labels)
    }


def _answered(rows: Sequence[Row], schema: LabelSchema) -> dict[str, dict[str, int]]:
    out = {}
    for q in schema.questions:
        given = Counter(q.index(row.answers.get(q.name)) for row in rows)
        out[q.name] = {answer: given[i] for i, answer in enumerate(q.answers)} | {UNKNOWN: given[-1]}
    return out


def _notes(manifest: Manifest) -> list[str]:
    out = []
    if alone := [row.id for row in manifest if not (row.patient or row.eye or row.volume)]:
        out.append(
            f"{len(alone)} of {len(manifest)} images have no patient, eye or volume, like {alone[0]}: each counts as a "
            "person of its own, and two of one person may straddle a split"
        )
    if far := [row for row in manifest if _outside(row)]:
        out.append(
            f"{len(far)} of {len(manifest)} images are outside the manifest's folder or have masks there, like "
            f"{far[0].id} ({far[0].image}): the manifest alone does not find them on another machine"
        )
    straying = {part: n for part, n in Counter(row.split for row in manifest).items() if part is not None}
    if straying and (without := len(manifest) - sum(straying.values())):
        out.append(f"{without} of {len(manifest)} images are in no split, the others are; split again")
    return out


def _unplaced(rows: Sequence[Row], found: Sequence[FileFacts], schema: LabelSchema) -> Iterator[str]:
    """Findings that cues in regions cannot guide; only photographs of the fundus have the eight regions."""
    seen = [(row, one) for row, one in zip(rows, found, strict=True) if row.modality in (None, "any", "fundus")]
    for name in (q.name for q in schema.findings):
        there = sum(row.answers.get(name) == "yes" for row, _ in seen)
        if lost := sum(name in one.unplaced for _, one in seen):
            yield (
                f"{lost} of {there} images with {name} have no region cue, for the disc is not known: cues of that "
                "form do not guide them; give the rows a disc, or mark it"
            )


def _outside(row: Row) -> bool:
    """Whether a path of the row is absolute or climbs out of the manifest's folder."""
    paths = [row.image, *(s.path for sources in row.masks.values() for s in sources if s.path is not None)]
    return any(os.path.isabs(p) or os.path.normpath(p).startswith("..") for p in paths)
