"""PAPILA: both eyes of 244 patients with disc and cup outlined by two experts, glaucoma (Kovalyk et al. 2022)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Tree, Warn, plain, tell

ABOUT = About(
    name="papila",
    title="PAPILA",
    modality="fundus",
    source="figshare, doi 10.6084/m9.figshare.14798004",
    terms="open; according to figshare GPL 3.0 or later, to the article CC BY 4.0",
    citation="Kovalyk et al., PAPILA: Dataset with fundus images and clinical data of both eyes of the same patient "
    "for glaucoma assessment, Scientific Data 9:291, 2022",
    layout="FundusImages, ExpertsSegmentations/Contours, ClinicalData",
    expects={
        "images": 488,
        "patients": 244,
        "diagnosis healthy": 333,
        "diagnosis glaucoma": 87,
        "diagnosis suspect": 68,
        "masks of disc": 488,
        "masks of cup": 488,
    },
    missing="that expert's disc or cup is unknown",
    notes="Annotators exp1 and exp2 outlined every disc and cup, as text files. A suspect has the diagnosis 'suspect' "
    "and no answer to glaucoma. No official split into train and test.",
)
DIAGNOSES = {"0": "healthy", "1": "glaucoma", "2": "suspect"}
SCHEMA = LabelSchema(
    (Question("glaucoma"), Question("diagnosis", ("healthy", "suspect", "glaucoma"), ordered=True)), ("disc", "cup")
)
GLAUCOMA = {"healthy": "no", "glaucoma": "yes"}
NAME = re.compile(r"ret(\d+)(od|os)")
PATIENT = re.compile(r"#?(\d+)")


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of all eyes.

    Args:
        root: folder with the unpacked archive.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    images = tree.stems("FundusImages", suffixes=(".jpg", ".jpeg", ".png"))
    outlines = tree.stems("ExpertsSegmentations", "Contours", suffixes=(".txt",))
    if images:
        names = {f"{key}_{label}_{expert}" for key in images for label in SCHEMA.labels for expert in ("exp1", "exp2")}
        used = [path for name, path in outlines.items() if name in names]
        tree.leftover(used, "ExpertsSegmentations", "Contours", suffixes=(".txt",))
    diagnoses = {side: _diagnoses(tree, side) for side in ("od", "os")} if images else {}
    for key, image in images.items():
        match = NAME.fullmatch(key)
        if match is None:
            warn(f"{image}: its name is not RET<patient>OD or OS; it was not used")
            continue
        number, side = match.groups()
        diagnosis = diagnoses[side].get(int(number))
        answers = {} if diagnosis is None else {"diagnosis": diagnosis}
        masks = {
            label: tuple(
                MaskSource(outlines[f"{key}_{label}_{expert}"], contour=True, annotator=expert)
                for expert in ("exp1", "exp2")
                if f"{key}_{label}_{expert}" in outlines
            )
            for label in SCHEMA.labels
        }
        yield Row(
            id=key.upper(),
            image=image,
            answers=answers | ({"glaucoma": GLAUCOMA[diagnosis]} if diagnosis in GLAUCOMA else {}),
            masks={label: sources for label, sources in masks.items() if sources},
            patient=f"papila-{number}",
            eye=f"papila-{number}-{side.upper()}",
            laterality=side.upper(),
        )


def _diagnoses(tree: Tree, side: str) -> dict[int, str]:
    """Patient -> diagnosis, from a sheet with several header rows and patients like ``#002`` in the first column."""
    found: dict[int, str] = {}
    paths = tree.named((f"patient_data_{side}.xlsx", f"patient_data_{side}.csv"))
    if not paths:
        tree.warn(f"there is no patient_data_{side}.xlsx; the diagnoses of these eyes stay unknown")
    for path in paths[:1]:
        column: int | None = None
        for number, fields in tree.cells(path):
            column = next((i for i, text in enumerate(fields) if plain(text) == "diagnosis"), column)
            patient = PATIENT.fullmatch(fields[0])
            if patient is None or column is None or len(fields) <= column or not fields[column]:
                continue
            code = fields[column].removesuffix(".0")
            if code in DIAGNOSES:
                found[int(patient[1])] = DIAGNOSES[code]
            else:
                tree.warn(
                    f"{path}, line {number}: diagnosis must be one of {list(DIAGNOSES)}, got {code!r}; left unknown"
                )
        if column is None:
            tree.warn(f"{path}: there is no column 'Diagnosis'; the diagnoses of these eyes stay unknown")
    return found
