"""REFUGE: 1,200 photographs with disc, cup, fovea and glaucoma (Orlando et al. 2020)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import NO_YES, fovea
from foveate.data.adapters._layout import Line, Name, Tree, Warn, stem, tell

ABOUT = About(
    name="refuge",
    title="REFUGE, retinal fundus glaucoma challenge",
    modality="fundus",
    source="refuge.grand-challenge.org; IEEE DataPort, doi 10.21227/tz6e-r977",
    terms="registration; research use, no licence is named",
    citation="Orlando et al., REFUGE Challenge: a unified framework for evaluating automated methods for glaucoma "
    "assessment from fundus photographs, Medical Image Analysis 59:101570, 2020",
    layout="Training400/{Glaucoma,Non-Glaucoma}, Annotation-Training400, REFUGE-Validation400, REFUGE-Test400 and "
    "their -GT folders",
    expects={
        "images": 1200,
        "train images": 400,
        "val images": 400,
        "test images": 400,
        "glaucoma yes": 120,
        "glaucoma no": 1080,
        "masks of disc": 1200,
    },
    missing="disc and cup are unknown",
    notes="No patient or eye is named. Masks (.bmp): 0 cup, 128 rim, 255 background; the disc is cup and rim. "
    "Re-releases with .png masks of values 0, 1, 2 are another encoding and are not read. Training images were taken "
    "by another camera than the others.",
)
SCHEMA = LabelSchema((Question("glaucoma"),), ("disc", "cup"))
NAME = re.compile(r"([gnvt])\d+")
SPLITS = {"g": "train", "n": "train", "v": "val", "t": "test"}
KINDS = {"g": "yes", "n": "no"}
COLUMNS: dict[str, Name] = {
    "image": ("ImgName", "ImageName", "FileName"),
    "x": "Fovea_X",
    "y": "Fovea_Y",
    "glaucoma": ("Glaucoma Label", "Label(Glaucoma=1)", "Glaucoma", "Glaucoma Risk"),
}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the sets that are there.

    Args:
        root: folder with the unpacked archives.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    found = tree.stems(("Glaucoma", "Non-Glaucoma"), suffixes=(".jpg", ".jpeg"))
    images = {key: path for key, path in found.items() if key[0] in KINDS and NAME.fullmatch(key)}
    found = tree.stems(("*val*", "*test*"), suffixes=(".jpg", ".jpeg"))
    images |= {key: path for key, path in found.items() if key[0] in "vt" and NAME.fullmatch(key)}
    files = tree.stems("Disc_Cup_Masks", suffixes=(".bmp",))
    if recoded := tree.files("Disc_Cup_Masks", suffixes=(".png",)):
        warn(f"{len(recoded)} masks are .png and not in the original encoding; not used: {', '.join(recoded[:3])}")
    if images:
        tree.leftover([path for key, path in files.items() if key in images], "Disc_Cup_Masks", suffixes=(".bmp",))
    tables = tree.named(("*fovea*.xlsx", "*fovea*.csv", "*glaucoma*.xlsx", "*glaucoma*.csv"))
    said = [tree.joined(tree.lines(path, COLUMNS), images, "image") for path in tables]
    for key, image in images.items():
        lines = [table[key] for table in said if key in table]
        path = files.get(key)
        yield Row(
            id=stem(image),
            image=image,
            answers=_answers(key, lines, warn),
            masks={} if path is None else {k: (MaskSource(path, below=v),) for k, v in (("disc", 192), ("cup", 64))},
            fovea=next((place for line in lines if (place := fovea(line, warn))), None),
            split=SPLITS[key[0]],
        )


def _answers(key: str, lines: list[Line], warn: Warn) -> dict[str, str]:
    """From the name of a training image, else from the tables."""
    if key[0] in KINDS:
        return {"glaucoma": KINDS[key[0]]}
    given = [answer for line in lines if (answer := line.choice("glaucoma", NO_YES, warn=warn))]
    return {"glaucoma": given[0]} if given else {}
