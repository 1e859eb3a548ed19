"""``foveate check --guideline --clean``: the guideline in the words of a data set, and a manifest that keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from foveate.core.guideline import GUIDELINE, Guideline
from foveate.data.cleaning import clean
from foveate.data.manifest import Manifest


def guideline_of(lesions: Mapping[str, str]) -> Guideline:
    """The guideline of diabetic retinopathy in the words of a set (label -> lesion); ValueError: no such lesion."""
    return GUIDELINE.named(lesions)


def write_clean(path: Path, *, manifest: Manifest, guideline: Guideline) -> str:
    """Write the cleaned manifest; returns what was done in a line."""
    cleaned = clean(manifest, guideline=guideline)
    cleaned.manifest.write(path)
    images = sum(old != new for old, new in zip(manifest, cleaned.manifest, strict=True))
    return f"{path}: {len(cleaned.changes)} masks of {images} images are unknown where they contradict the grade"
