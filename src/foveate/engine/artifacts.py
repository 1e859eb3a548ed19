"""Maps that a later stage reads from an earlier one, kept with the run by image id."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from foveate.core.files import file_name, read_json, write_file, write_json

OF = "manifest.json"
"""Beside the folders of a stage's maps: which manifest they are of."""


def map_path(folder: Path, image: str) -> Path:
    """File of one image's maps; any id is a safe file name."""
    return folder / f"{file_name(image, safe='')}.npy"


def write_map(folder: Path, image: str, maps: Float[np.ndarray, "k h w"]) -> None:
    """Keep one image's maps, float32 at the network's own resolution."""

    def save(aside: Path) -> None:
        with aside.open("wb") as file:
            np.save(file, maps.astype(np.float32), allow_pickle=False)

    write_file(map_path(folder, image), save)


def read_map(folder: Path, image: str) -> Float[np.ndarray, "k h w"]:
    """One image's maps.

    Raises:
        ValueError: that image has none; the earlier stage has not seen it.
    """
    path = map_path(folder, image)
    if not path.is_file():
        raise ValueError(f"{path}: no map of image {image!r}; the stage before has not written it")
    maps: Float[np.ndarray, "k h w"] = np.load(path, allow_pickle=False)
    return maps


def claim_maps(folder: Path, *, manifest: str) -> None:
    """Write whose maps a stage's folder will have, before the first is written.

    Args:
        folder: ``<run>/<stage>/maps``.
        manifest: hash of the rows.

    Raises:
        ValueError: maps of another manifest are there.
    """
    _check_manifest(folder, manifest)
    write_json(folder / OF, {"hash": manifest})


def check_maps(folder: Path, images: Iterable[str], *, manifest: str) -> None:
    """Check that a stage finds the maps that it reads, before it trains for hours.

    Args:
        folder: ``<run>/<stage>/maps/<name>``.
        images: ids of the images that it will see.
        manifest: hash of the rows; maps without one are taken as they are.

    Raises:
        ValueError: a map is missing, or they were made of another manifest.
    """
    _check_manifest(folder.parent, manifest)
    missing = [image for image in images if not map_path(folder, image).is_file()]
    if missing:
        raise ValueError(
            f"{folder}: maps of {len(missing)} images are missing, of {missing[0]!r} first; delete the folder "
            f"{folder.parent.parent} and fit again with resume, which trains that stage and writes its maps anew"
        )


def _check_manifest(folder: Path, manifest: str) -> None:
    if not (folder / OF).is_file():
        return
    found = read_json(folder / OF)["hash"]
    if found != manifest:
        raise ValueError(
            f"{folder}: these maps are of manifest {found[:12]}, the run is of {manifest[:12]}; delete the folder "
            f"{folder.parent} and fit again with resume, which trains that stage and writes its maps anew"
        )
