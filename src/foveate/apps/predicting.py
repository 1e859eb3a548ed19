"""``foveate predict``: many images in, a JSON, masks and an overlay for each out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from foveate.inference.evidence import explain
from foveate.inference.predictor import Predictor, Unread
from foveate.inference.write import list_images, write_evidence, write_reading


def predict_all(
    run: Path,
    images: list[Path],
    *,
    out: Path,
    cam: bool = False,
    why: bool = False,
    spacing: tuple[float, float] | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> int:
    """Read every image; returns how many could not be read (each is told in one line with its reason).

    Images of the same name in different folders are told apart by a number; a volume is read B-scan by B-scan. With
    ``why`` the lesions that speak for and against each answer are written too (`inference.evidence`).
    """
    predictor = Predictor.load(run, device=device)
    good = bad = 0
    seen: dict[str, int] = {}
    for reading in predictor.many(list_images(images), cam=cam):
        if isinstance(reading, Unread):
            say(f"{reading.path}: not read: {reading.reason}")
            bad += 1
            continue
        good += 1
        reading = replace(reading, spacing=spacing or reading.spacing)
        number = seen[reading.id] = seen.get(reading.id, 0) + 1
        name = reading.id if number == 1 else f"{reading.id}_{number}"
        write_reading(reading, out, name=name)
        if why:
            write_evidence(explain(reading, predictor.recipe.schema, spacing=reading.spacing), out, name=name)
        found = [f"{q}: {a} {reading.probabilities[q][a]:.2f}" for q, a in reading.answers.items()]
        found += [f"{label} {int(area['pixels'])} px" for label, area in reading.areas().items()]
        say(f"{name}: {', '.join(found)}")
    say(f"{good} of {good + bad} images read into {out}")
    return bad


def spacing_of(text: str | None) -> tuple[float, float] | None:
    """mm a pixel (rows, columns) from one positive number or two, parted by a comma; ValueError for anything else."""
    if text is None:
        return None
    parts = [float(part) for part in text.split(",")]
    if len(parts) not in (1, 2) or min(parts) <= 0:
        raise ValueError(f"spacing={text!r}: give mm a pixel, one positive number or two (rows,columns)")
    return parts[0], parts[-1]
