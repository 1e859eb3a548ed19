"""OCTDL: fovea-centred B-scans with one of seven diagnoses (Kulyabin et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Line, Tree, Warn, stem, tell

ABOUT = About(
    name="octdl",
    title="Optical Coherence Tomography Dataset for Image-Based Deep Learning Methods",
    modality="oct",
    source="Mendeley Data, sncdhf53xc",
    terms="CC BY 4.0 as stated there; check your version",
    citation="Kulyabin et al., OCTDL: Optical Coherence Tomography Dataset for Image-Based Deep Learning Methods, "
    "Scientific Data 11:365, 2024",
    layout="the folders AMD, DME, ERM, NO, RAO, RVO, VID, and OCTDL_labels.csv",
    expects={
        "images": 2064,
        "patients": 821,
        "diagnosis AMD": 1231,
        "diagnosis DME": 147,
        "diagnosis ERM": 155,
        "diagnosis NO": 332,
        "diagnosis RAO": 22,
        "diagnosis RVO": 101,
        "diagnosis VID": 76,
    },
    notes="Patients and sides are those of the table; without it the number in the file name, which several patients "
    "may share. NO is normal, ERM epiretinal membrane, RAO and RVO retinal artery and vein occlusion, VID disease of "
    "the vitreomacular interface. No official split.",
)
ANSWERS = ("AMD", "DME", "ERM", "NO", "RAO", "RVO", "VID")
SCHEMA = LabelSchema((Question("diagnosis", ANSWERS),))
COLUMNS = {"image": "file_name", "disease": "disease", "patient": "patient_id", "eye": "eye"}
CODES = {answer.casefold(): answer for answer in ANSWERS}
SIDES = {"od": "OD", "os": "OS", "r": "OD", "l": "OS", "right": "OD", "left": "OS"}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """One row per image.

    Args:
        root: folder with the folders of the diagnoses and the table, at any depth.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    folders = {path: answer for answer in ANSWERS for path in tree.files(answer)}
    images = tree.by_stem(folders)
    tables = tree.named("octdl_labels*.csv")
    if images and not tables:
        warn("there is no OCTDL_labels.csv; patients are taken from the file names, sides are unknown")
    lines = tree.joined((line for path in tables for line in tree.lines(path, COLUMNS)), images, "image")
    if bare := [images[key] for key in images if tables and key not in lines]:
        warn(f"{len(bare)} images are not in the table, first {bare[0]}; their patients are taken from the file names")
    for key, path in images.items():
        yield _row(path, folders[path], lines.get(key), warn)


def _row(path: str, folder: str, line: Line | None, warn: Warn) -> Row:
    answers = {"diagnosis": folder}
    _, _, number = stem(path).partition("_")
    patient, side = number.rpartition("_")[0] or None, None
    if line is not None:
        said = line.choice("disease", CODES, warn=warn)
        if said not in (None, folder):
            warn(f"{line.where}: the disease is {said}, but the image is in {folder}; left unknown")
            answers = {}
        patient = line.values.get("patient") or patient
        side = SIDES.get(line.values.get("eye", "").casefold())
    eye = f"{patient}_{side}" if patient and side else None
    return Row(stem(path), path, answers, patient=patient, eye=eye, laterality=side)
