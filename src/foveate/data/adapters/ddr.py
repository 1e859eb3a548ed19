"""DDR: 13,673 photographs with grades, 757 with four lesions (Li et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES, masks
from foveate.data.adapters._layout import Tree, Warn, stem, tell

ABOUT = About(
    name="ddr",
    title="DDR, a general-purpose data set for diabetic retinopathy",
    modality="fundus",
    source="github.com/nkicsl/DDR-dataset (archive, 10 parts)",
    terms="MIT (licence file of the repository); research use",
    citation="Li et al., Diagnostic assessment of deep learning algorithms for diabetic retinopathy screening, "
    "Information Sciences 501:511-522, 2019",
    layout="DR_grading/{train,valid,test} with .txt lists, lesion_segmentation/{train,valid,test}/{image,label}",
    expects={
        "grade images": 13673,
        "seg images": 757,
        "grade 0": 6266,
        "grade 1": 630,
        "grade 2": 4477,
        "grade 3": 236,
        "grade 4": 913,
        "gradable no": 1151,
    },
    missing="the lesion is unknown (the set has a file for every lesion of every image, empty where it is absent)",
    notes="No patient or eye is named. A photograph may be in both parts and then has two rows, grade/... and "
    "seg/...; a split keeps them together if the files are the same, and check names the images that the official "
    "splits of the two parts share. Code 5 of the lists is 'ungradable': gradable no, grade unknown.",
)
LESIONS = {"microaneurysm": "MA", "haemorrhage": "HE", "hard_exudate": "EX", "cotton_wool_spot": "SE"}
SCHEMA = LabelSchema((GRADE, Question("gradable", healthy="yes")), tuple(LESIONS))
SETS = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of both parts, or of the one that is there.

    Args:
        root: folder with the unpacked set.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    for split, names in SETS.items():
        yield from _grading(tree, split, names)
        yield from _segmentation(tree, split, names)


def _grading(tree: Tree, split: str, names: tuple[str, ...]) -> Iterator[Row]:
    """Images beside a list ``train.txt`` of lines ``name code``, in a folder ``train``."""
    for path in tree.named(tuple(f"{name}.txt" for name in names)):
        base = PurePosixPath(path).parent
        beside = f"{'' if base == PurePosixPath() else f'{base}/'}{stem(path)}/".casefold()
        images = tree.by_stem(image for image in tree.files(names) if image.casefold().startswith(beside))
        lines = tree.lines(path, {"name": "name", "code": "code"}, header=["name", "code"], delimiter=" ")
        codes = tree.joined(lines, images, "name")
        for key, image in images.items():
            answers: dict[str, str] = {}
            code = codes[key].choice("code", GRADES | {"5": "ungradable"}, warn=tree.warn) if key in codes else None
            if code is not None:
                answers = {"gradable": "no"} if code == "ungradable" else {"gradable": "yes", "grade": code}
            yield Row(id=f"grade/{split}/{stem(image)}", image=image, answers=answers, split=split)


def _segmentation(tree: Tree, split: str, names: tuple[str, ...]) -> Iterator[Row]:
    images = tree.stems(names, ("image", "images"))
    truth = ("label", "segmentation label")
    files = {label: tree.stems(names, truth, code) for label, code in LESIONS.items()}
    if images:
        used = [path for of_label in files.values() for key, path in of_label.items() if key in images]
        tree.leftover(used, names, truth)
    for key, image in images.items():
        given = masks(key, files, partial(MaskSource, above=0), missing_is_absent=False)
        yield Row(id=f"seg/{split}/{stem(image)}", image=image, masks=given, split=split)
