"""``foveate predict``: many images in, a JSON, masks and an overlay for each out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from foveate.inference.predictor import Predictor, Unread
from foveate.inference.write import list_images, write_reading


def predict_all(
    run: Path,
    images: list[Path],
    *,
    out: Path,
    cam: bool = False,
    spacing: tuple[float, float] | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> int:
    """Read every image; returns how many could not be read (each is told in one line with its reason).

    Images of the same name in different folders are told apart by a number.
    """
    predictor = Predictor.load(run, device=device)
    files = list_images(images)
    bad, names = 0, _names(files)
    for path, name, reading in zip(files, names, predictor.many(files, cam=cam), strict=True):
        if isinstance(reading, Unread):
            say(f"{path}: not read: {reading.reason}")
            bad += 1
            continue
        reading = replace(reading, spacing=spacing)
        write_reading(reading, out, name=name)
        found = [f"{q}: {a} {reading.probabilities[q][a]:.2f}" for q, a in reading.answers.items()]
        found += [f"{label} {int(area['pixels'])} px" for label, area in reading.areas().items()]
        say(f"{path}: {', '.join(found)}")
    say(f"{len(files) - bad} of {len(files)} images read into {out}")
    return bad


def _names(files: list[Path]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for path in files:
        number = seen[path.stem] = seen.get(path.stem, 0) + 1
        names.append(path.stem if number == 1 else f"{path.stem}_{number}")
    return names
