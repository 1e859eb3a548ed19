"""DRAC 2022: ultra-widefield en-face OCT angiography with three lesions, image quality and grades."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import Masks, masks
from foveate.data.adapters._layout import Tree, Warn, stem, tell

ABOUT = About(
    name="drac2022",
    title="Diabetic Retinopathy Analysis Challenge 2022",
    modality="enface",
    source="drac22.grand-challenge.org; Mendeley Data, s8kbw25s3x",
    terms="registration there; check the licence of your version",
    citation="Qian et al., DRAC 2022: A public benchmark for diabetic retinopathy analysis on ultra-wide optical "
    "coherence tomography angiography images, Patterns 5(3):100929, 2024",
    layout="'A. Segmentation', 'B. Image Quality Assessment', 'C. Diabetic Retinopathy Grading', or one of them",
    expects={"images": 1103},
    missing="the lesion is absent from an image of the segmentation task",
    notes="No patients are named, and several images of one eye are likely: metrics of any split are optimistic. "
    "Images with the same bytes in several tasks are one row; an image that is tested in any task is split test in "
    "all. Quality 0 poor, 1 good, 2 excellent; grade 0 normal, 1 non-proliferative, 2 proliferative.",
)
LEVELS = {answer: answer for answer in ("0", "1", "2")}
LESIONS = {
    "irma": "1. Intraretinal Microvascular Abnormalities",
    "nonperfusion": "2. Nonperfusion Areas",
    "neovascularization": "3. Neovascularization",
}
SCHEMA = LabelSchema(
    (Question("quality", tuple(LEVELS), ordered=True), Question("grade", tuple(LEVELS), ordered=True, healthy="0")),
    tuple(LESIONS),
)
SEGMENTATION = "A. Segmentation"
TASKS = {
    "quality": ("B. Image Quality Assessment", "*Image Quality Assessment*{} Labels.csv", "image quality level"),
    "grade": ("C. Diabetic Retinopathy Grading", "*Diabetic Retinopathy Grading*{} Labels.csv", "DR grade"),
}
SETS = {"train": ("a. Training Set", "Training"), "test": ("b. Testing Set", "Testing")}
ORIGINAL, TRUTH = "1. Original Images", "2. Groundtruths"


@dataclass
class _Found:
    """One image with its answers and masks of all tasks."""

    path: str
    task: str
    splits: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)
    masks: Masks = field(default_factory=dict)


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the tasks that are there.

    Args:
        root: folder with the unpacked tasks.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    found: dict[str, list[_Found]] = {}
    for split, (folder, word) in SETS.items():
        for question in TASKS:
            _answered(tree, found, question, split, folder, word)
        _segmented(tree, found, split, folder)
    if torn := [stem(one.path) for same in found.values() for one in same if len(one.splits) > 1]:
        warn(f"{len(torn)} images are trained on in one task and tested in another: split test, first {torn[0]}")
    if other := [same[1].path for same in found.values() if len(same) > 1]:
        warn(f"{len(other)} names are of different images in different tasks and have rows apart, first {other[0]}")
    for same in found.values():
        for number, one in enumerate(same):
            name = stem(one.path) if number == 0 else f"{one.task}/{stem(one.path)}"
            split = "test" if "test" in one.splits else "train"
            yield Row(name, one.path, one.answers, one.masks, split=split)


def _entry(tree: Tree, found: dict[str, list[_Found]], path: str, task: str, split: str) -> _Found:
    """The entry of an image: that of another task if its file is the same."""
    same = found.setdefault(stem(path).casefold(), [])
    for one in same:
        if filecmp.cmp(tree.root / one.path, tree.root / path, shallow=False):
            one.splits.add(split)
            return one
    same.append(_Found(path, task, {split}))
    return same[-1]


def _answered(tree: Tree, found: dict[str, list[_Found]], question: str, split: str, folder: str, word: str) -> None:
    task, name, column = TASKS[question]
    images = tree.stems(task, ORIGINAL, folder)
    tables = tree.named(name.format(word), task) if images else []
    if images and not tables and split == "train":
        tree.warn(f"{task}: there is no {name.format(word)}; {question} of {len(images)} images stays unknown")
    columns = {"image": "image name", "value": column}
    lines = tree.joined((line for path in tables for line in tree.lines(path, columns)), images, "image")
    for key, path in images.items():
        one = _entry(tree, found, path, question, split)
        if key in lines and (said := lines[key].choice("value", LEVELS, warn=tree.warn)) is not None:
            one.answers[question] = said


def _segmented(tree: Tree, found: dict[str, list[_Found]], split: str, folder: str) -> None:
    images = tree.stems(SEGMENTATION, ORIGINAL, folder)
    files = {label: tree.stems(SEGMENTATION, TRUTH, folder, name) for label, name in LESIONS.items()}
    used = [path for of_label in files.values() for key, path in of_label.items() if key in images]
    tree.leftover(used, SEGMENTATION, TRUTH, folder)
    for key, path in images.items():
        given = masks(key, files, partial(MaskSource, above=127), missing_is_absent=True)
        _entry(tree, found, path, "seg", split).masks.update(given)
