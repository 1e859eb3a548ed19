"""FGADR: 1,842 photographs with six lesions and grades, the Seg-set (Zhou et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._fundus import GRADE, GRADES, masks
from foveate.data.adapters._layout import Name, Tree, Warn, stem, tell

ABOUT = About(
    name="fgadr",
    title="FGADR, fine-grained annotated diabetic retinopathy, Seg-set",
    modality="fundus",
    source="csyizhou.github.io/FGADR",
    terms="on request with a signed agreement; not commercial, not to be passed on",
    citation="Zhou et al., A benchmark for studying diabetic retinopathy: segmentation, grading, and transferability, "
    "IEEE Transactions on Medical Imaging 40(3):818-828, 2021",
    layout="Seg-set/{Original_Images, Microaneurysms_Masks, Hemohedge_Masks, ...}, DR_Seg_Grading_Label.csv",
    expects={"images": 1842, "grade 0": 101, "grade 1": 212, "grade 2": 595, "grade 3": 647, "grade 4": 287},
    missing="the lesion is unknown (an empty mask means that it is absent)",
    notes="No patient or eye is named. Masks have soft edges: values from 128 on are the lesion. No official split.",
)
LESIONS: dict[str, Name] = {
    "microaneurysm": "Microaneurysms_Masks",
    "haemorrhage": ("Hemohedge_Masks", "Hemorrhage_Masks"),
    "hard_exudate": "HardExudate_Masks",
    "cotton_wool_spot": "SoftExudate_Masks",
    "intraretinal_microvascular_abnormality": "IRMA_Masks",
    "neovascularisation": "Neovascularization_Masks",
}
SCHEMA = LabelSchema((GRADE,), tuple(LESIONS))


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of the Seg-set.

    Args:
        root: folder with the unpacked set.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    images = tree.stems("Original_Images")
    if not images:
        return
    files = {label: tree.stems(name) for label, name in LESIONS.items()}
    for label, name in LESIONS.items():
        tree.leftover([path for key, path in files[label].items() if key in images], name)
    tables = tree.named("DR_Seg_Grading_Label.csv")
    if not tables:
        warn("there is no DR_Seg_Grading_Label.csv; grades stay unknown")
    header = ["image", "grade"]
    lines = (line for path in tables for line in tree.lines(path, {n: n for n in header}, header=header))
    grades = tree.joined(lines, images, "image")
    for key, image in images.items():
        grade = grades[key].choice("grade", GRADES, warn=warn) if key in grades else None
        yield Row(
            id=stem(image),
            image=image,
            answers={} if grade is None else {"grade": grade},
            masks=masks(key, files, partial(MaskSource, above=127), missing_is_absent=False),
        )
