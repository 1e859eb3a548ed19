"""Runs of other programs: a folder with counts of their predictions, read beside runs of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foveate.core.files import write_json
from foveate.core.labels import LabelSchema
from foveate.metrics.counts import Counts

RECORD = "predictions.json"
VERSION = 1


def write_predictions(folder: str | Path, counts: Counts, *, about: dict[str, Any]) -> Path:
    """Write counts of another program's predictions and the record that names their schema; returns the folder.

    Args:
        folder: of the run; made if it is not there.
        counts: of the predictions against the ground truth.
        about: what is known of them, plain JSON values.
    """
    place = Path(folder)
    counts.write(place)
    write_json(place / RECORD, {"version": VERSION, "schema": counts.schema.to_json(), **about})
    return place


def is_predictions(folder: str | Path) -> bool:
    """Whether a folder holds imported predictions."""
    return (Path(folder) / RECORD).is_file()


def read_predictions(folder: str | Path) -> Counts:
    """The counts of imported predictions.

    Raises:
        ValueError: a newer version of this package wrote the folder.
    """
    place = Path(folder)
    record = json.loads((place / RECORD).read_text(encoding="utf-8"))
    if record["version"] > VERSION:
        raise ValueError(f"{place / RECORD}: version {record['version']} must be at most {VERSION}; update foveate")
    return Counts.read(place, LabelSchema.from_json(record["schema"]))
