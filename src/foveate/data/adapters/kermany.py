"""Kermany OCT2017: B-scans with one of four diagnoses (Kermany et al. 2018)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Tree, Warn, stem, tell

ABOUT = About(
    name="kermany",
    title="Large dataset of labeled optical coherence tomography images (OCT2017)",
    modality="oct",
    source="Mendeley Data, rscbjbr9sj",
    terms="CC BY 4.0 as stated there; check your version",
    citation="Kermany et al., Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning, "
    "Cell 172(5):1122-1131, 2018",
    layout="train and test (and val), in each the folders CNV, DME, DRUSEN, NORMAL",
    expects={"train images": 83484, "test images": 1000},
    notes="Patients are the middle field of the file names, over all diagnoses. Copies differ in size: 108,309 + "
    "1,000 in the first version; a common copy has 83,484 + 968 + 32 in train, test, val. In copies whose parts share "
    "patients, rows have no split, so that nothing leaks by default: ids begin with the official part (test/...), for "
    "those who must repeat published figures. Part of the images have white borders: prepare with fill_white.",
)
ANSWERS = ("CNV", "DME", "DRUSEN", "NORMAL")
SCHEMA = LabelSchema((Question("diagnosis", ANSWERS),))
NAME = re.compile(r"(?P<answer>[a-z]+)-(?P<patient>\w+)-(?P<number>\d+)", re.IGNORECASE)
PARTS = ("train", "val", "test")


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the parts that are there, with the official split if no patient is in two of them.

    Args:
        root: folder with train and test, at any depth.
        warn: called with a message for each unexpected file or value.
    """
    rows: dict[str, Row] = {}
    again: list[str] = []
    odd: list[str] = []
    tree = Tree(root, warn)
    for part in PARTS:
        for answer in ANSWERS:
            for path in tree.files(part, answer):
                row = _row(path, part, answer)
                if row.id in rows:
                    again.append(path)
                    continue
                if row.patient is None:
                    odd.append(path)
                rows[row.id] = row
    if again:
        warn(f"{len(again)} images are there twice and taken once, first {again[0]}")
    if odd:
        warn(f"{len(odd)} names are not as {ANSWERS[0]}-PATIENT-NUMBER, so their patients are unknown, first {odd[0]}")
    shared = _shared(rows.values())
    if shared:
        warn(
            f"{len(shared)} patients are in more than one of train, val, test: the official split is not kept, "
            "ids begin with it; divide by patient (foveate split)"
        )
    for row in rows.values():
        yield replace(row, split=None) if shared else row


def _row(path: str, part: str, answer: str) -> Row:
    match = NAME.fullmatch(stem(path))
    patient = match["patient"] if match and match["answer"].upper() == answer else None
    return Row(f"{part}/{stem(path)}", path, {"diagnosis": answer}, patient=patient, split=part)


def _shared(rows: Iterable[Row]) -> set[str]:
    """Patients of more than one part."""
    parts: dict[str, set[str | None]] = {}
    for row in rows:
        if row.patient is not None:
            parts.setdefault(row.patient, set()).add(row.split)
    return {patient for patient, found in parts.items() if len(found) > 1}
