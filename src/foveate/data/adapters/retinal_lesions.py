"""Retinal-Lesions: 1,593 photographs of EyePACS with eight lesions and new grades (Wei et al. 2020)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES, SIDES, masks
from foveate.data.adapters._layout import Line, Name, Tree, Warn, stem, tell

ABOUT = About(
    name="retinal_lesions",
    title="Retinal-Lesions",
    modality="fundus",
    source="github.com/WeiQijie/retinal-lesions",
    terms="on request by a form, free for research; no licence is named",
    citation="Wei et al., Learn to Segment Retinal Lesions and Beyond, ICPR 2020",
    layout="images_896x896, lesion_segs_896x896, dr_grades.csv",
    expects={
        "images": 1593,
        "patients": 1505,
        "grade 0": 166,
        "grade 1": 337,
        "grade 2": 929,
        "grade 3": 99,
        "grade 4": 62,
    },
    missing="the lesion is absent",
    notes="Value 127 marks lesions that contradict the image's grade: unknown there. Images are those of EyePACS, "
    "cropped to the field of view and resized to 896 x 896, and carry its patients (eyepacs-N); do not pretrain on "
    "EyePACS with them: foveate select eyepacs.jsonl --without patient=lesions.jsonl -o rest.jsonl. Disc and fovea, "
    "if there is od_fovea_autoloc.txt, are centres of boxes that a detector found. No official split.",
)
LESIONS = {
    "microaneurysm": "microaneurysm",
    "haemorrhage": "retinal_hemorrhage",
    "hard_exudate": "hard_exudate",
    "cotton_wool_spot": "cotton_wool_spots",
    "vitreous_haemorrhage": "vitreous_hemorrhage",
    "preretinal_haemorrhage": "preretinal_hemorrhage",
    "neovascularisation": "neovascularization",
    "fibrous_proliferation": "fibrous_proliferation",
}
SCHEMA = LabelSchema((GRADE,), tuple(LESIONS))
CODES = GRADES | {f"dr{answer}": answer for answer in GRADES}
NAME = re.compile(r"(?P<patient>\d+)_(?P<side>left|right)", re.IGNORECASE)


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of all images.

    Args:
        root: folder with the unpacked set.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    images = tree.stems("images_896x896")
    if not images:
        return
    files, used = _masks(tree, set(images))
    tree.leftover(used, "lesion_segs_896x896")
    tables = tree.named("dr_grades.csv")
    if not tables:
        warn("there is no dr_grades.csv; grades stay unknown")
    columns: dict[str, Name] = {"image": ("image id", "image", "image_id"), "grade": "our label"}
    grades = tree.joined((line for path in tables for line in tree.lines(path, columns)), images, "image")
    header = ["img", "odx0", "ody0", "odx1", "ody1", "fx0", "fy0", "fx1", "fy1"]
    boxes: dict[str, Line] = {}
    for path in tree.named("od_fovea_autoloc.txt"):
        lines = tree.lines(path, {name: name for name in header}, header=header, delimiter=" ")
        boxes |= tree.joined((line for line in lines if not line.values["img"].startswith("#")), images, "img")
    for key, image in images.items():
        match = NAME.fullmatch(key)
        if match is None:
            warn(f"{image}: its name is not <patient>_left or _right; patient and side stay unknown")
        grade = grades[key].choice("grade", CODES, warn=warn) if key in grades else None
        yield Row(
            id=stem(image),
            image=image,
            answers={} if grade is None else {"grade": grade},
            masks=masks(key, files, partial(MaskSource, above=127, ignore=(127,)), missing_is_absent=True),
            patient=f"eyepacs-{match['patient']}" if match else None,
            laterality=SIDES[match["side"].lower()] if match else None,
            disc=_centre(boxes.get(key), "od", warn),
            fovea=_centre(boxes.get(key), "f", warn),
        )


def _masks(tree: Tree, images: set[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Label -> image -> file, and the files so used; the folder names the image, the file the lesion."""
    label_of = {name: label for label, name in LESIONS.items()}
    files: dict[str, dict[str, str]] = {label: {} for label in LESIONS}
    used = []
    for path in tree.files("lesion_segs_896x896"):
        label, image = label_of.get(stem(path).casefold()), PurePosixPath(path).parent.name.casefold()
        if label is not None and image in images:
            files[label][image] = path
            used.append(path)
    return files, used


def _centre(line: Line | None, what: str, warn: Warn) -> tuple[float, float] | None:
    """Middle of a box whose corners are both inside it."""
    if line is None:
        return None
    corners = [line.number(f"{what}{axis}{end}", warn=warn) for axis in "yx" for end in "01"]
    known = [value for value in corners if value is not None]
    return ((known[0] + known[1]) / 2, (known[2] + known[3]) / 2) if len(known) == 4 else None
