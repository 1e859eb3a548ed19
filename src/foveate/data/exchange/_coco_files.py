"""COCO JSON files of a folder: their categories, images and annotations, and the paths of the images."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from foveate.data.writing import listed

SPLIT = re.compile(r"(?:^|[_\-.])(train|val|valid|validation|test)(?:[_\-.]?\d{4})?$", re.IGNORECASE)
KEYS = ("images", "annotations", "categories")
NAMED = {"train": "train", "test": "test"}


@dataclass(frozen=True)
class Picture:
    """An image in a file.

    Args:
        path: relative to the root.
        shape: (rows, cols) as the file states it.
        annotations: (category, segmentation) of each; an empty segmentation is a box alone.
        absent: categories looked for and absent.
        loose: categories of which not everything is marked.
    """

    path: str
    shape: tuple[int, int]
    annotations: tuple[tuple[str, Any], ...]
    absent: frozenset[str]
    loose: frozenset[str]


@dataclass(frozen=True)
class Sheet:
    """A file: categories by number, its images, and whether it lists what was looked for and absent."""

    path: Path
    split: str | None
    categories: dict[int, str]
    pictures: tuple[Picture, ...]
    tells_absence: bool
    warnings: list[str] = field(default_factory=list)


def find_sheets(root: Path, base: Path) -> list[Sheet]:
    """The COCO files of a folder (or the one file), by name.

    Args:
        root: the file or the folder.
        base: folder that paths are relative to.

    Raises:
        ValueError: there is none.
    """
    paths = [root] if root.is_file() else sorted([*root.glob("*.json"), *root.glob("annotations/*.json")])
    found = []
    for path in paths:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, ValueError) as error:
            if root.is_file():
                raise ValueError(f"{path} must be JSON ({error})") from None
            continue
        if isinstance(data, dict) and all(isinstance(data.get(key), list) for key in KEYS):
            found.append((path, data))
    if not found:
        raise ValueError(f"root={str(root)!r}: no JSON with {', '.join(KEYS)} there; give COCO's file or its folder")
    places = _places(base)
    return [_sheet(path, data, base, places) for path, data in found]


def _sheet(path: Path, data: dict[str, Any], base: Path, places: dict[str, list[str]]) -> Sheet:
    match = SPLIT.search(path.stem)
    split = NAMED.get(match[1].lower(), "val") if match else None
    warnings: list[str] = []
    try:
        categories = {int(c["id"]): str(c["name"]) for c in data["categories"]}
        by_image = defaultdict(list)
        strange = 0
        for one in data["annotations"]:
            if one.get("category_id") in categories:
                by_image[one["image_id"]].append((categories[one["category_id"]], one.get("segmentation") or []))
            else:
                strange += 1
        pictures, missing = [], []
        for image in data["images"]:
            annotations = by_image.pop(image["id"], [])
            place = _place(str(image["file_name"]), split, path, base, places)
            if place is None:
                missing.append(str(image["file_name"]))
                continue
            told = [
                frozenset(categories[n] for n in image.get(key, ()) if n in categories)
                for key in ("neg_category_ids", "not_exhaustive_category_ids")
            ]
            shape = int(image["height"]), int(image["width"])
            pictures.append(Picture(place, shape, tuple(annotations), told[0], told[1]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not as COCO has it ({type(error).__name__}: {error})") from None
    strange += sum(len(lost) for lost in by_image.values())
    if strange:
        warnings.append(f"{path.name}: {strange} annotations name no image or category of the file; not used")
    if missing:
        warnings.append(f"{path.name}: {len(missing)} images are not there ({listed(missing)}); left out")
    tells = any("neg_category_ids" in image for image in data["images"])
    return Sheet(path, split, categories, tuple(pictures), tells, warnings)


def _places(base: Path) -> dict[str, list[str]]:
    """File name -> paths below the folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder, folders, names in os.walk(base):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            found[name].append((Path(folder) / name).relative_to(base).as_posix())
    return found


def _place(name: str, split: str | None, path: Path, base: Path, places: dict[str, list[str]]) -> str | None:
    """Path of an image: it ends with the name in the file; preferably in a folder with the name of the split."""
    wanted = PurePosixPath(name.replace("\\", "/"))
    there = [p for p in places.get(wanted.name, ()) if PurePosixPath(p).parts[-len(wanted.parts) :] == wanted.parts]
    there = there or places.get(wanted.name, [])
    if len(there) > 1:
        stem = path.stem.removeprefix("instances_")
        there = sorted(there, key=lambda p: (not {stem, split} & set(PurePosixPath(p).parts), p))
    return there[0] if there else None
