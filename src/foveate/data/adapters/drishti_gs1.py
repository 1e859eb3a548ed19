"""Drishti-GS1: 101 photographs with disc and cup as four experts agree on them (Sivaswamy et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Tree, Warn, plain, stem, tell

ABOUT = About(
    name="drishti_gs1",
    title="Drishti-GS1",
    modality="fundus",
    source="cvit.iiit.ac.in/projects/mip/drishti-gs/mip-dataset2/Home.php",
    terms="on request; research use, no licence is named",
    citation="Sivaswamy et al., Drishti-GS: retinal image dataset for optic nerve head (ONH) segmentation, ISBI 2014, "
    "doi 10.1109/ISBI.2014.6867807",
    layout="Drishti-GS1_files/{Training,Test}/{Images,GT}",
    expects={
        "images": 101,
        "train images": 50,
        "test images": 51,
        "glaucoma yes": 70,
        "glaucoma no": 31,
        "masks of disc": 101,
        "masks of cup": 101,
    },
    missing="disc or cup is unknown",
    notes="No patient or eye is named. A soft map has the share of the four experts who marked a pixel, not their "
    "names. It is read as four annotators: agree1 has the pixels that at least one expert marked, agree4 those that "
    "all marked; so union, intersection and majority are the same as for the four experts. Glaucoma is known if "
    "images are in folders GLAUCOMA and NORMAL.",
)
SCHEMA = LabelSchema((Question("glaucoma"),), ("disc", "cup"))
EXPERTS = 4
MAPS = {"disc": "odsegsoftmap", "cup": "cupsegsoftmap"}
KINDS = {"glaucoma": "yes", "normal": "no"}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """Rows of both sets.

    Args:
        root: folder with the unpacked archive.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    for split, folder in (("train", "Training"), ("test", "Test")):
        images = tree.stems(folder, "Images", suffixes=(".png",))
        maps = tree.stems(folder, ("GT", "Test_GT"), "SoftMap", suffixes=(".png",))
        if images:
            used = [path for key in images for ending in MAPS.values() if (path := maps.get(f"{key}_{ending}"))]
            tree.leftover(used, folder, ("GT", "Test_GT"), "SoftMap", suffixes=(".png",))
        for key, image in images.items():
            kinds = [KINDS[name] for part in PurePosixPath(image).parts[:-1] if (name := plain(part)) in KINDS]
            yield Row(
                id=stem(image),
                image=image,
                answers={"glaucoma": kinds[-1]} if kinds else {},
                masks={
                    label: _agreed(maps[f"{key}_{ending}"])
                    for label, ending in MAPS.items()
                    if f"{key}_{ending}" in maps
                },
                split=split,
            )


def _agreed(path: str) -> tuple[MaskSource, ...]:
    """At least 1, 2, 3, 4 of the four experts: thresholds halfway between the five values of the map."""
    cuts = {k: 255 * (k - 0.5) / EXPERTS for k in range(1, EXPERTS + 1)}
    return tuple(MaskSource(path, above=cut, annotator=f"agree{k}") for k, cut in cuts.items())
