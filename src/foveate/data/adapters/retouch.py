"""RETOUCH: OCT volumes of three devices with intraretinal and subretinal fluid and pigment epithelial detachment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.adapters import volumes
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Tree, Warn, plain, tell

ABOUT = About(
    name="retouch",
    title="Retinal OCT Fluid Challenge",
    modality="oct",
    source="retouch.grand-challenge.org",
    terms="registration there; research only",
    citation="Bogunovic et al., RETOUCH: The Retinal OCT Fluid Detection and Segmentation Benchmark and Challenge, "
    "IEEE Transactions on Medical Imaging 38(8):1858-1874, 2019",
    layout="folders of volumes (TRAIN001, TEST001 ...) with oct.mhd and reference.mhd and the files they name",
    expects={"volumes": 112, "patients": 112},
    missing="unknown: the test volumes come without",
    notes="One row per B-scan. One volume per patient. The device is the source (retouch/cirrus, spectralis, topcon), "
    "so that splits divide it evenly. Volumes TRAIN are split train, volumes TEST split test. Whether a fluid is "
    "present follows for each B-scan from its mask. Spectralis volumes are 16 bit.",
)
VALUES = {"irf": 1, "srf": 2, "ped": 3}
SCHEMA = LabelSchema(
    tuple(Question(f"{label}_present", evidence=(label,)) for label in VALUES), tuple(VALUES), exclusive=True
)
VENDORS = {"cirrus": "cirrus", "spectralis": "spectralis", "spectrailis": "spectralis", "topcon": "topcon"}
SPLITS = {"train": "train", "test": "test"}


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """One row per B-scan, in the order of the scan.

    Args:
        root: folder with the volumes, at any depth.
        warn: called with a message for each unexpected file or value.
    """
    tree, seen = Tree(root, warn), dict[str, str]()
    references = {str(PurePosixPath(path).parent): path for path in tree.named("reference.mhd")}
    for path in tree.named("oct.mhd"):
        folder = PurePosixPath(path).parent
        if folder.name in seen:
            warn(f"{path}: {seen[folder.name]} has the same volume name and is taken; remove one of them")
            continue
        seen[folder.name] = path
        try:
            yield from list(_rows(root, path, references.get(str(folder)), warn))
        except read.Unreadable as error:
            warn(f"{error}; the volume was left out")


def _rows(root: Path, path: str, reference: str | None, warn: Warn) -> Iterator[Row]:
    folder = PurePosixPath(path).parent
    name = folder.name or root.resolve().name
    slices = read.slices(root / path)
    if reference is not None and [s.size for s in read.slices(root / reference)] != [s.size for s in slices]:
        warn(f"{reference} has other sizes than {path}; its masks were not used")
        reference = None
    where = plain(str(folder) if folder.name else str(root.resolve()))
    vendor = next((vendor for word, vendor in VENDORS.items() if word in where), None)
    if vendor is None:
        warn(f"{path}: no folder above it names cirrus, spectralis or topcon; its device is unknown")
    split = next((split for word, split in SPLITS.items() if plain(name).startswith(word)), None)
    spacing = volumes.spacing(slices[0].spacing, warn=lambda text: warn(f"{path}: {text}"))
    for frame, one in enumerate(slices):
        row = Row(
            f"{name}_{frame:03d}",
            path,
            patient=name,
            eye=name,
            volume=name,
            position=frame,
            spacing=spacing,
            source=f"{ABOUT.name}/{vendor}" if vendor else ABOUT.name,
            split=split,
            frame=frame,
        )
        yield row if reference is None else _marked(row, root, reference, one.size)


def _marked(row: Row, root: Path, reference: str, shape: tuple[int, int]) -> Row:
    sources = {k: (MaskSource(reference, index=(v,), frame=row.frame),) for k, v in VALUES.items()}
    marked = replace(row, masks=sources)
    masks, _ = read.masks(marked, root, SCHEMA, shape=shape)
    there = {f"{label}_present": "yes" if mask.any() else "no" for label, mask in zip(VALUES, masks, strict=True)}
    return replace(marked, answers=there)
