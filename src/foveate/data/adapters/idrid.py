"""IDRiD: fundus photographs with four lesions and the disc, grades, disc and fovea (Porwal et al. 2018)."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES, masks
from foveate.data.adapters._layout import Line, Tree, Warn, stem, tell

ABOUT = About(
    name="idrid",
    title="Indian Diabetic Retinopathy Image Dataset",
    modality="fundus",
    source="IEEE DataPort, doi 10.21227/H25W98",
    terms="CC BY 4.0; free account",
    citation="Porwal et al., Indian Diabetic Retinopathy Image Dataset (IDRiD), Data 3(3):25, 2018",
    layout="'A. Segmentation', 'B. Disease Grading', 'C. Localization', or one of them",
    expects={
        "seg images": 81,
        "grade images": 516,
        "masks of microaneurysm": 81,
        "masks of haemorrhage": 80,
        "masks of hard_exudate": 81,
        "masks of cotton_wool_spot": 40,
        "masks of disc": 81,
    },
    missing="the lesion is absent",
    notes="No patient or eye is named. Parts number their images apart, and training and test sets too, so ids read "
    "seg/IDRiD_01, grade/train/IDRiD_001, grade/test/IDRiD_001. Centres of part C go to the image of part B with the "
    "same bytes; an image that part B lacks is a row place/... of its own. A photograph that is in parts A and B has "
    "two rows; a split keeps them together if the files are the same.",
)
LESIONS = {
    "microaneurysm": ("1. Microaneurysms", "MA"),
    "haemorrhage": ("2. Haemorrhages", "HE"),
    "hard_exudate": ("3. Hard Exudates", "EX"),
    "cotton_wool_spot": ("4. Soft Exudates", "SE"),
    "disc": ("5. Optic Disc", "OD"),
}
SCHEMA = LabelSchema((GRADE, Question("oedema_risk", ("0", "1", "2"), ordered=True, healthy="0")), tuple(LESIONS))
RISKS = {answer: answer for answer in ("0", "1", "2")}
SETS = {"train": ("a. Training Set", "Training"), "test": ("b. Testing Set", "Testing")}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the parts that are there.

    Args:
        root: folder with the unpacked parts.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    for split, (folder, word) in SETS.items():
        yield from _segmentation(tree, split, folder)
        yield from _grading(tree, split, folder, word)


def _segmentation(tree: Tree, split: str, folder: str) -> Iterator[Row]:
    files, used = {}, list[str]()
    truth = ("A. Segmentation", "2. All Segmentation Groundtruths", folder)
    images = tree.stems("A. Segmentation", "1. Original Images", folder)
    for label, (name, code) in LESIONS.items():
        found = tree.stems(*truth, name)
        ending = f"_{code}".casefold()
        files[label] = {key.removesuffix(ending): path for key, path in found.items() if key.endswith(ending)}
        used += [path for key, path in files[label].items() if key in images]
    if images:
        tree.leftover(used, *truth)
    for key, image in images.items():
        given = masks(key, files, partial(MaskSource, above=0), missing_is_absent=True)
        yield Row(id=f"seg/{stem(image)}", image=image, masks=given, split=split)


def _grading(tree: Tree, split: str, folder: str, word: str) -> Iterator[Row]:
    images = tree.stems("B. Disease Grading", "1. Original Images", folder)
    columns = {"image": "Image name", "grade": "Retinopathy grade", "risk": "Risk of macular edema"}
    grades = _table(tree, images, columns, f"*Disease Grading*{word} Labels.csv", "B. Disease Grading")
    rows = {key: _graded(tree, key, image, split, grades.get(key)) for key, image in images.items()}
    places = tree.stems("C. Localization", "1. Original Images", folder)
    columns = {"image": "Image No", "x": "X- Coordinate", "y": "Y - Coordinate"}
    discs = _table(tree, places, columns, f"*OD*Center*{word}*.csv", "C. Localization")
    foveas = _table(tree, places, columns, f"*Fovea*Center*{word}*.csv", "C. Localization")
    for key, image in places.items():
        row = rows.get(key)
        if row is None or not filecmp.cmp(tree.root / row.image, tree.root / image, shallow=False):
            key, row = f"place/{key}", Row(id=f"place/{split}/{stem(image)}", image=image, split=split)
        disc, fovea = _point(tree, discs.get(stem(image).casefold())), _point(tree, foveas.get(stem(image).casefold()))
        rows[key] = replace(row, disc=disc, fovea=fovea)
    yield from rows.values()


def _graded(tree: Tree, key: str, image: str, split: str, line: Line | None) -> Row:
    said = (
        {}
        if line is None
        else {
            "grade": line.choice("grade", GRADES, warn=tree.warn),
            "oedema_risk": line.choice("risk", RISKS, warn=tree.warn),
        }
    )
    answers = {name: answer for name, answer in said.items() if answer is not None}
    return Row(id=f"grade/{split}/{stem(image)}", image=image, answers=answers, split=split)


def _table(tree: Tree, images: dict[str, str], columns: dict[str, str], name: str, *folders: str) -> dict[str, Line]:
    """Lines by image; empty, with a warning, if there are images and no such file."""
    if not images:
        return {}
    paths = tree.named(name, *folders)
    if not paths:
        tree.warn(f"{folders[0]}: there is no {name}; its values of {len(images)} images stay unknown")
    lines = (line for path in paths for line in tree.lines(path, columns))
    return tree.joined(lines, images, "image")


def _point(tree: Tree, line: Line | None) -> tuple[float, float] | None:
    if line is None:
        return None
    x, y = line.number("x", warn=tree.warn), line.number("y", warn=tree.warn)
    return None if x is None or y is None else (y, x)
