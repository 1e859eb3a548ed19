"""EyePACS: 88,702 photographs of both eyes with grades, Kaggle's diabetic retinopathy detection (2015)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES, SIDES
from foveate.data.adapters._layout import Name, Tree, Warn, stem, tell

ABOUT = About(
    name="eyepacs",
    title="Kaggle diabetic retinopathy detection (EyePACS)",
    modality="fundus",
    source="kaggle.com/competitions/diabetic-retinopathy-detection",
    terms="Kaggle competition rules; account",
    citation="Dugas, Jared, Jorge, Cukierski, Diabetic Retinopathy Detection, Kaggle, 2015",
    layout="train with trainLabels.csv, test with retinopathy_solution.csv",
    expects={"images": 88702, "train images": 35126, "test images": 53576, "patients": 44351},
    notes="Parent of Retinal-Lesions, whose 1,505 patients have the same names here (eyepacs-N): leave them out of "
    "any training that is tested there, foveate select eyepacs.jsonl --without patient=lesions.jsonl -o rest.jsonl. "
    "One rater per image; grades are noisy. Nothing is marked in pixels.",
)
SCHEMA = LabelSchema((GRADE,))
NAME = re.compile(r"(?P<patient>\d+)_(?P<side>left|right)")
TABLES: dict[str, Name] = {"train": "trainLabels*.csv", "test": ("retinopathy_solution.csv", "testLabels*.csv")}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of training and test images.

    Args:
        root: folder with the unpacked archives.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    for split, names in TABLES.items():
        images = tree.stems(f"{split}*")
        if not images:
            continue
        tables = tree.named(names)
        if not tables:
            warn(f"{len(images)} images in {split}, but there is no {names}; their grades stay unknown")
        columns = {"image": "image", "grade": "level"}
        grades = tree.joined((line for path in tables for line in tree.lines(path, columns)), images, "image")
        odd = []
        for key, image in images.items():
            match = NAME.fullmatch(key)
            if match is None:
                odd.append(image)
                continue
            grade = grades[key].choice("grade", GRADES, warn=warn) if key in grades else None
            yield Row(
                id=stem(image),
                image=image,
                answers={} if grade is None else {"grade": grade},
                patient=f"eyepacs-{match['patient']}",
                eye=f"eyepacs-{match['patient']}-{SIDES[match['side']]}",
                laterality=SIDES[match["side"]],
                split=split,
            )
        if odd:
            warn(f"{len(odd)} images are not named <patient>_left or _right and were not used: {', '.join(odd[:3])}")
