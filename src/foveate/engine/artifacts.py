"""Maps that one stage hands to a later one, kept with the run by image id."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Float

from foveate.engine.checkpoint import write_aside


def map_path(folder: Path, image: str) -> Path:
    """File of one image's maps; any id is a safe file name."""
    return folder / f"{quote(image, safe='')}.npy"


def write_map(folder: Path, image: str, maps: Float[np.ndarray, "k h w"]) -> None:
    """Keep one image's maps, float32 at the network's own resolution."""

    def save(aside: Path) -> None:
        with aside.open("wb") as file:
            np.save(file, maps.astype(np.float32), allow_pickle=False)

    write_aside(map_path(folder, image), save)


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
