"""APTOS 2019: 3,662 photographs with grades, from Kaggle's blindness detection (Karthik et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES
from foveate.data.adapters._layout import Tree, Warn, stem, tell

ABOUT = About(
    name="aptos2019",
    title="APTOS 2019 blindness detection",
    modality="fundus",
    source="kaggle.com/competitions/aptos2019-blindness-detection",
    terms="Kaggle competition rules; account",
    citation="Karthik, Maggie, Dane, APTOS 2019 Blindness Detection, Kaggle, 2019",
    layout="train.csv, train_images",
    expects={"images": 3662, "grade 0": 1805, "grade 1": 370, "grade 2": 999, "grade 3": 193, "grade 4": 295},
    notes="No patient or eye is named anywhere: two eyes of one person may part in a split. Some photographs are "
    "there twice; check names those that are the same, and a split keeps the same files together. Nothing is marked "
    "in pixels. The 1,928 test images have no public grades and are left out.",
)
SCHEMA = LabelSchema((GRADE,))


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the training images.

    Args:
        root: folder with the unpacked archive.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    images = tree.stems("train_images")
    if not images:
        return
    tables = tree.named("train.csv")
    if not tables:
        warn("there is no train.csv; grades stay unknown")
    columns = {"image": "id_code", "grade": "diagnosis"}
    grades = tree.joined((line for path in tables for line in tree.lines(path, columns)), images, "image")
    for key, image in images.items():
        grade = grades[key].choice("grade", GRADES, warn=warn) if key in grades else None
        yield Row(id=stem(image), image=image, answers={} if grade is None else {"grade": grade})
