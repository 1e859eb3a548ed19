"""PALM: photographs of myopic eyes with atrophy, detachment, disc and fovea (Fang et al. 2024)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import NO_YES, fovea, masks
from foveate.data.adapters._layout import Name, Tree, Warn, stem, tell

ABOUT = About(
    name="palm",
    title="PALM, pathologic myopia challenge",
    modality="fundus",
    source="IEEE DataPort, doi 10.21227/55pk-8z03; figshare with the article",
    terms="research use; account (IEEE DataPort)",
    citation="Fang et al., Open fundus photograph dataset with pathologic myopia recognition and anatomical structure "
    "annotation, Scientific Data 11:99, 2024",
    layout="PALM-Training400, PALM-Training400-Annotation-Lession, PALM-Validation400, PALM-Validation-GT, ...",
    expects={
        "images": 1200,
        "train images": 400,
        "val images": 400,
        "test images": 400,
    },
    missing="the lesion is absent, the disc is not in view (if the copy has any masks of that part)",
    notes="No patient or eye is named. Masks are dark on white: 0 is the lesion, 255 the background. The first letter "
    "of a training image means: H high myopia, N normal, P pathologic. A fovea at (0, 0) was not found.",
)
LABELS: dict[str, Name] = {
    "atrophy": "Atrophy",
    "detachment": "Detachment",
    "disc": ("Disc_Masks", "Optic_Disc", "Disc_Mask"),
}
SCHEMA = LabelSchema(
    (Question("pathologic_myopia"), Question("myopia", ("normal", "high", "pathologic"))), tuple(LABELS)
)
NAME = re.compile(r"([hnpvt])\d+")
SPLITS = {"h": "train", "n": "train", "p": "train", "v": "val", "t": "test"}
MYOPIA = {"h": "high", "n": "normal", "p": "pathologic"}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the sets that are there.

    Args:
        root: folder with the unpacked archives.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    found = tree.stems(suffixes=(".jpg", ".jpeg"))
    images = {key: path for key, path in found.items() if NAME.fullmatch(key)}
    if odd := [path for key, path in found.items() if key not in images]:
        warn(f"{len(odd)} images are not named like H0001, V0001, T0001 and were not used: {', '.join(odd[:3])}")
    files = {label: tree.stems(name, suffixes=(".bmp", ".png")) for label, name in LABELS.items()}
    columns: dict[str, Name] = {"image": ("imgName", "image name"), "label": "Label", "x": "Fovea_X", "y": "Fovea_Y"}
    tables = tree.named(("*label*.csv", "*label*.xlsx", "*fovea*.csv", "*fovea*.xlsx"))
    said = [tree.joined(tree.lines(path, columns), images, "image") for path in tables]
    for key, image in images.items():
        letter = key[0]
        of_set = {
            label: {k: path for k, path in paths.items() if SPLITS.get(k[0]) == SPLITS[letter]}
            for label, paths in files.items()
        }
        answers = (
            {"pathologic_myopia": "yes" if letter == "p" else "no", "myopia": MYOPIA[letter]}
            if letter in MYOPIA
            else {}
        )
        place = None
        for lines in said:
            if key in lines:
                place = place or fovea(lines[key], warn)
                label = lines[key].choice("label", NO_YES, warn=warn)
                answers |= {} if label is None or letter in MYOPIA else {"pathologic_myopia": label}
        yield Row(
            id=stem(image),
            image=image,
            answers=answers,
            masks=masks(key, of_set, partial(MaskSource, below=128), missing_is_absent=True),
            fovea=place,
            split=SPLITS[letter],
        )
