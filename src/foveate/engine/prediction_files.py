"""Files of another program's predictions: masks by label or by nnU-Net's values, and a CSV of probabilities."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from foveate.core.files import file_name
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource

PROBABILITIES = "probabilities.csv"
ENDINGS = (".png", ".tif", ".tiff", ".bmp")

Masks = dict[str, dict[str, tuple[MaskSource, ...]]]
"""Image -> label -> its predicted mask."""


def mask_files(folder: Path, schema: LabelSchema) -> Masks:
    """Predicted masks by the name of their file: ``LABEL/ID.png``, or ``ID.png`` beside nnU-Net's ``dataset.json``.

    In ``LABEL/ID.png`` values above 0 are marked; in nnU-Net's output the values that ``dataset.json`` gives the label.

    Args:
        folder: of the predictions; the paths of the sources are relative to it.
        schema: names the labels.

    Raises:
        ValueError: ``dataset.json`` names no label of the schema.
    """
    found: Masks = {}
    for label in schema.labels:
        for path in sorted((folder / file_name(label)).glob("*")):
            if (name := _stem(path)) is not None:
                found.setdefault(name, {})[label] = (MaskSource(str(path.relative_to(folder)), above=0),)
    if (folder / "dataset.json").is_file():
        values = _values(folder / "dataset.json", schema)
        for path in sorted(folder.iterdir()):
            if (name := _stem(path)) is not None:
                found[name] = {label: (MaskSource(path.name, index=index),) for label, index in values.items()}
    return found


def probabilities(path: Path, schema: LabelSchema) -> dict[str, dict[str, np.ndarray]]:
    """Image -> question -> probability of each answer, of a CSV with the column ``id``.

    A yes/no question has a column ``QUESTION`` (of "yes"), any other one column ``QUESTION/ANSWER`` per answer. An
    image without a question's numbers has empty cells there.

    Raises:
        ValueError: a column is missing or unknown, an image is there twice, a probability is not in [0, 1], or those of
            an image do not add up to 1.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        header, lines = list(reader.fieldnames or ()), list(reader)
    asked = [q for q in schema.questions if any(c in header for c in _columns(q))]
    known = {"id"} | {column for q in asked for column in _columns(q)}
    if known != set(header):
        every = [column for q in schema.questions for column in _columns(q)]
        raise ValueError(f"{path}: the columns {header} must be id and all of a question's columns among {every}")
    out: dict[str, dict[str, np.ndarray]] = {}
    for line in lines:
        if line["id"] in out:
            raise ValueError(f"{path}: image {line['id']!r} is there twice; give each image once")
        out[line["id"]] = {q.name: p for q in asked if (p := _one(path, line, q)) is not None}
    return out


def _columns(question: Question) -> list[str]:
    return [question.name] if question.yes_no else [f"{question.name}/{answer}" for answer in question.answers]


def _one(path: Path, line: Mapping[str, str], question: Question) -> np.ndarray | None:
    """The probabilities of one image and question; None if its cells are empty."""
    texts = [(line[column] or "").strip() for column in _columns(question)]
    if not any(texts):
        return None
    where = f"{path}: image {line['id']!r}, question {question.name!r}"
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        raise ValueError(f"{where}: {texts} must be numbers, or all be empty") from None
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{where}: probabilities must be in [0, 1], got {values.tolist()}")
    if question.yes_no:
        return np.array([1 - values[0], values[0]])
    if abs(values.sum() - 1) > 0.01:
        raise ValueError(f"{where}: probabilities must add up to 1, got {values.sum():g}")
    return np.asarray(values / values.sum())


def _values(path: Path, schema: LabelSchema) -> dict[str, tuple[int, ...]]:
    """Label -> its values in nnU-Net's files."""
    given = json.loads(path.read_text(encoding="utf-8"))["labels"]
    values = {
        label: tuple(given[label]) if isinstance(given[label], list) else (int(given[label]),)
        for label in schema.labels
        if label in given
    }
    if not values:
        raise ValueError(f"{path}: labels must name some of {list(schema.labels)}, got {list(given)}")
    return values


def _stem(path: Path) -> str | None:
    """A file's name without its ending; None if it is not an image file."""
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), None)
    return path.name[: -len(ending)] if ending and path.is_file() else None
