"""COCO JSON files with their images; their shapes are drawn into mask files."""

from __future__ import annotations

from pathlib import Path

from foveate.core.labels import LabelSchema
from foveate.data.adapters._about import About
from foveate.data.exchange import coco
from foveate.data.manifest import Manifest

ABOUT = About(
    name="coco",
    title="COCO annotations",
    modality="any",
    source="your own data in that format (most annotation tools write it), or an export of a manifest",
    terms="your own",
    citation="Lin et al., Microsoft COCO, ECCV 2014 (the format)",
    layout="annotations/*.json or *.json with images, annotations and categories, and the images at any depth",
    notes="Categories become labels, drawn into PNG files in the folder coco_masks beside them. A category without "
    "annotation in an image is unknown there, not absent, unless the image lists it in neg_category_ids as LVIS does. "
    "COCO names no patients: add them to the manifest before dividing it. docs/guides/exchange.md has more.",
)
SCHEMA = LabelSchema()  # each file brings its own


def read(root: Path) -> Manifest:
    """The manifest of a folder; see `foveate.data.exchange.coco`."""
    if not any(root.glob("*.json")) and not any(root.glob("annotations/*.json")):
        raise ValueError(f"{root}: there is nothing of {ABOUT.title}; give the folder that holds {ABOUT.layout}")
    return coco.read(root)
