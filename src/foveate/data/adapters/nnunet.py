"""nnU-Net v2's raw data sets of two-dimensional images: one, or all in a folder."""

from __future__ import annotations

from pathlib import Path

from foveate.core.labels import LabelSchema
from foveate.data.adapters._about import About
from foveate.data.exchange import nnunet
from foveate.data.manifest import Manifest

ABOUT = About(
    name="nnunet",
    title="nnU-Net v2 raw data sets",
    modality="any",
    source="your own data in that format, or an export of a manifest",
    terms="your own",
    citation="Isensee et al., nnU-Net, Nature Methods 18:203-211, 2021 (the format)",
    layout="dataset.json, imagesTr and labelsTr, or folders Dataset001_NAME with them",
    notes="Labels are those of dataset.json; the ignore label is unknown, an image without a label file unknown "
    "altogether. nnU-Net names no patients: add them to the manifest before dividing it. More: docs/guides/exchange.md",
)
SCHEMA = LabelSchema()  # each data set brings its own


def read(root: Path) -> Manifest:
    """The manifest of a folder; see `foveate.data.exchange.nnunet`."""
    if not any(root.glob("dataset.json")) and not any(root.glob("*/dataset.json")):
        raise ValueError(f"{root}: there is nothing of {ABOUT.title}; give the folder that holds {ABOUT.layout}")
    return nnunet.read(root)
