"""Find what a manifest states and what cannot be so: labels never marked, patients, discs, spacings, dark images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from unicodedata import normalize

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.inspect_files import FileFacts

NOBODY = {"", "na", "n/a", "nan", "none", "null", "nil", "unknown", "missing", "-", "--", "?", ".", "#n/a", "0", "-1"}
"""Texts that tables hold where a value is missing, in lower case."""

SPACING = (0.0005, 1.0)
"""Least and greatest mm per pixel of an eye's image; a value in micrometres is above it."""


def find_silent_labels(rows: Sequence[Row], found: Sequence[FileFacts], schema: LabelSchema) -> Iterator[str]:
    """Yield a line per label that has mask files, all of which were read, and no marked pixel in any of them."""
    for i, label in enumerate(schema.labels):
        members = schema.members(label)
        pairs = [
            (row, one)
            for row, one in zip(rows, found, strict=True)
            if one.known and any(s.path is not None for m in members for s in row.masks.get(m, ()))
        ]
        if pairs and not any(one.marked[i] for _, one in pairs):
            yield (
                f"{label}: {len(pairs)} images have mask files and no pixel is marked in any, like {pairs[0][0].id}; "
                "correct how the values are read (index, bit, above, below), or remove the label"
            )


def find_doubts(rows: Sequence[Row], found: Sequence[FileFacts], schema: LabelSchema) -> Iterator[str]:
    """Yield notes about values, people and places that are hardly meant.

    Args:
        rows: of a manifest.
        found: what their files hold.
        schema: names the labels and questions.
    """
    yield from _values(found)
    yield from _people(rows)
    yield from _places(rows, found)
    yield from _darkness(rows, found)
    yield from _answers(rows, schema)


def person_key(patient: str) -> str:
    """Return the form in which two spellings of a patient's id are the same: case, blanks, zeros, ".0" of a number.

    >>> {person_key(p) for p in ("12", "12.0", "012", " 12")}
    {'12'}
    >>> person_key("P01") == person_key("p01"), person_key("P1_0") == person_key("P10")
    (True, False)
    """
    text = re.sub(r"\s+", " ", normalize("NFKC", patient).casefold().strip())
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)
    return text.lstrip("0") or "0" if text.isdigit() else text


def _values(found: Sequence[FileFacts]) -> Iterator[str]:
    seen: dict[tuple[str, tuple[int, ...]], int] = Counter(pair for one in found for pair in one.unnamed)
    for (label, values), number in seen.items():
        named = ", ".join(map(str, values))
        yield (
            f"{label}: value {named} in masks of {number} images is named by no label; these pixels are unknown. "
            "Name the value (index), or give a threshold (above)"
        )


def _people(rows: Sequence[Row]) -> Iterator[str]:
    patients = Counter(row.patient for row in rows if row.patient is not None)
    for patient, number in patients.items():
        if patient.strip().casefold() in NOBODY and number > 1:
            yield (
                f"{number} images share the patient {patient!r}, which often means that the patient is not known: they "
                "are one person here; list it under unknown (columns.patient) to leave it out"
            )
    spellings: dict[str, list[str]] = defaultdict(list)
    for patient in patients:
        spellings[person_key(patient)].append(patient)
    for some in spellings.values():
        if len(some) > 1:
            yield (
                f"patients {', '.join(map(repr, some))} may be one person and are several here "
                f"({sum(patients[p] for p in some)} images); write each person in one way"
            )


def _places(rows: Sequence[Row], found: Sequence[FileFacts]) -> Iterator[str]:
    def outside(point: tuple[float, float] | None, shape: tuple[int, int]) -> bool:
        return point is not None and not all(0 <= p <= n - 1 for p, n in zip(point, shape, strict=True))

    pairs = [(row, one) for row, one in zip(rows, found, strict=True) if one.pixels]
    points = {
        "disc": [(row, one, row.disc) for row, one in pairs],
        "fovea": [(row, one, row.fovea) for row, one in pairs],
    }
    for name, given in points.items():
        yield from _note(
            (row for row, one, point in given if outside(point, one.shape)),
            f"have a {name} outside the image; leave it out if it is not visible",
        )
        yield from _note(
            (row for row, _, point in given if point == (0.0, 0.0)),
            f"have the {name} at (0, 0), which often means that it is not known; leave it out then",
        )
    low, high = SPACING
    yield from _note(
        (row for row in rows if row.spacing and not all(low <= s <= high for s in row.spacing)),
        f"have a spacing outside {low} to {high} mm per pixel; give millimetres (columns.spacing.scale)",
    )


def _darkness(rows: Sequence[Row], found: Sequence[FileFacts]) -> Iterator[str]:
    pairs = list(zip(rows, found, strict=True))
    yield from _note((row for row, one in pairs if one.flat), "have one colour throughout: nothing is shown")
    yield from _note(
        (row for row, one in pairs if one.faint),
        "are nearly black (12 bits in a file of 16 look so); save them with the whole range of values",
    )


def _answers(rows: Sequence[Row], schema: LabelSchema) -> Iterator[str]:
    for question in schema.questions:
        for part in dict.fromkeys((None, *(row.split for row in rows if row.split))):
            given = Counter(
                row.answers[question.name]
                for row in rows
                if question.name in row.answers and (part is None or row.split == part)
            )
            if len(given) == 1 and sum(given.values()) > 1:
                where = f"of split {part}" if part else "of all images"
                answer = next(iter(given))
                yield f"{question.name}: every answer {where} is {answer!r}; a network cannot learn the others from it"


def _note(rows: Iterable[Row], text: str) -> Iterator[str]:
    if some := list(rows):
        yield f"{len(some)} images, like {some[0].id}, {text}"
