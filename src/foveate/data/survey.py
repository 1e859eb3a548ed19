"""Survey of a manifest's images and ground truth: sizes, colour, lit field, lesions and answers, for a training plan.

The pixels of a sample of images are read. A label without a positive image in the sample is sought in all other images.
The numbers describe the input of a network, so diameters are also given as a share of the lit field's longer side.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data import _survey
from foveate.data._survey import Seen
from foveate.data.manifest import Manifest
from foveate.data.parallel import run_parallel

SAMPLE = 300
"""Images whose pixels are read; the median of a diameter is then known to some 10 % if it varies by a factor of two."""

PARTS = ("train", "val")
WHOLE = ("oct", "enface")
"""Modalities whose images are seen whole; of others the lit field is cut out."""

MANY = 24  # images from which processes are worth their start

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelSurvey:
    """One label in the sample, ``with_it`` and ``without_it`` by split; the unknown ones are what is left.

    Args:
        with_it: split -> images in which something is marked.
        without_it: split -> images known to be free of it.
        unknown: split -> images of which nothing is known.
        lesions: connected parts measured.
        diameter: median and 10th percentile of the diameter of the circle of the same area, original pixels.
        share: the same as a share of the longer side of the lit field (of the image, for modalities of `WHOLE`).
        area: median and 10th percentile over images that have it, original pixels.
        covered: median share of that field or image that it covers, of images that have it.
        overlaps: other label -> images in which a pixel bears both.
    """

    with_it: dict[str, int]
    without_it: dict[str, int]
    unknown: dict[str, int]
    lesions: int = 0
    diameter: tuple[float, float] | None = None
    share: tuple[float, float] | None = None
    area: tuple[float, float] | None = None
    covered: float | None = None
    overlaps: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """Measurements of the training and validation rows.

    Args:
        images: split -> rows.
        sampled: images whose pixels were read.
        patients: split -> groups (`Row.group`).
        several: patients with more than one image.
        both_eyes: patients with images of both eyes.
        size: median (rows, cols).
        longest: smallest, median and largest longer side of an image.
        field: median (rows, cols) of the lit field's box.
        lit: median share of the frame that the lit field's box covers.
        white: share of images with white edges.
        grey: share of images without colour.
        modality: the commonest.
        guessed: whether it was guessed from pixels, because rows do not name it.
        modalities: modality -> rows, as the rows name them.
        labels: by name.
        questions: question -> split -> answer (or "unknown") -> rows.
        sided: questions that depend on the side of the eye, and why.
        seconds: to read and measure one image, median.
    """

    images: dict[str, int]
    sampled: int
    patients: dict[str, int]
    several: int
    both_eyes: int
    size: tuple[int, int]
    longest: tuple[int, int, int]
    field: tuple[int, int]
    lit: float
    white: float
    grey: float
    modality: str
    guessed: bool
    modalities: dict[str, int]
    labels: dict[str, LabelSurvey]
    questions: dict[str, dict[str, dict[str, int]]]
    sided: dict[str, str]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain data, as ``plan.json`` keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Survey:
        """Inverse of `to_json`."""
        labels = {name: LabelSurvey(**_tuples(one)) for name, one in data["labels"].items()}
        return cls(**{**_tuples(data), "labels": labels})


def survey(rows: Manifest, *, sample: int = SAMPLE, seed: int = 0, progress: Progress | None = None) -> Survey:
    """Measure the rows whose split is "train" or "val".

    Args:
        rows: a manifest with splits.
        sample: images whose pixels are read, at most; two thirds of training, one third of validation.
        seed: of the draw.
        progress: called after each image with (done, of).

    Raises:
        ValueError: no row has split "train".
        Unreadable: an image or a mask of the sample.
    """
    parts = {part: rows.where(split=part).rows for part in PARTS}
    if not parts["train"]:
        raise ValueError(
            f"{rows.path or 'rows'}: no row has split 'train', so there is nothing to learn from; "
            "run `foveate split` first, or give --fold if it has folds"
        )
    chosen = _sample(parts, sample=sample, seed=seed)
    seen: list[tuple[Row, Seen]] = []
    began = time.perf_counter()
    for one in _all(partial(_survey.look, root=rows.root, schema=rows.schema), chosen):
        seen.append((chosen[len(seen)], one))
        if progress is not None:
            progress(len(seen), len(chosen))
    seconds = (time.perf_counter() - began) / max(len(seen), 1)
    named = Counter(row.modality for part in parts.values() for row in part if row.modality)
    first = named.most_common(1)
    modality = first[0][0] if first else _survey.guess([one for _, one in seen])
    every = [row for part in parts.values() for row in part]
    return Survey(
        images={part: len(found) for part, found in parts.items()},
        sampled=len(seen),
        patients={part: len({row.group for row in found}) for part, found in parts.items()},
        several=sum(n > 1 for n in Counter(row.group for row in every).values()),
        both_eyes=_both_eyes(every),
        size=_median([one.size for _, one in seen]),
        longest=_range([max(one.size) for _, one in seen]),
        field=_median([one.field[2:] for _, one in seen]),
        lit=float(np.median([np.prod(one.field[2:]) / np.prod(one.size) for _, one in seen])),
        white=float(np.mean([one.white for _, one in seen])),
        grey=float(np.mean([one.grey for _, one in seen])),
        modality=modality,
        guessed=not first,
        modalities=dict(named),
        labels=_labels(rows, parts, seen, whole=modality in WHOLE),
        questions={q.name: {part: _answers(found, q.name) for part, found in parts.items()} for q in
                   rows.schema.questions},
        sided=_sided(rows.schema, every),
        seconds=round(seconds, 4),
    )  # fmt: skip


def _all(call: Callable[[Row], Any], items: Sequence[Row]) -> Any:
    return run_parallel(call, items, workers=min(4, os.cpu_count() or 1) if len(items) >= MANY else 0, portion=4)


def _sample(parts: dict[str, tuple[Row, ...]], *, sample: int, seed: int) -> list[Row]:
    """All rows, or some of each split drawn by the seed, in the order of the manifest."""
    rng = np.random.default_rng(seed)
    total = sum(map(len, parts.values()))
    out: list[Row] = []
    for part, share in zip(PARTS, (2 / 3, 1 / 3), strict=True):
        rows = parts[part]
        keep = len(rows) if total <= sample else min(len(rows), round(sample * share))
        out += [rows[i] for i in sorted(rng.choice(len(rows), keep, replace=False))]
    return out


def _labels(
    rows: Manifest, parts: dict[str, tuple[Row, ...]], seen: Sequence[tuple[Row, Seen]], *, whole: bool
) -> dict[str, LabelSurvey]:
    sought = {
        label: {part for part in PARTS if not any(r.split == part and s.areas[k] for r, s in seen)}
        for k, label in enumerate(rows.schema.labels)
    }
    beyond = _beyond(rows, parts, {row.id for row, _ in seen}, sought)
    return {
        label: _survey.label(seen, k, rows.schema.labels, splits=PARTS, more=beyond[label], whole=whole)
        for k, label in enumerate(rows.schema.labels)
    }


def _beyond(
    rows: Manifest, parts: dict[str, tuple[Row, ...]], done: set[str], sought: dict[str, set[str]]
) -> dict[str, dict[str, int]]:
    """Label -> split -> images beyond the sample that have it, for labels that the sample lacks; read until found."""
    out: dict[str, dict[str, int]] = {label: dict.fromkeys(PARTS, 0) for label in sought}
    for part in PARTS:
        rest = [row for row in parts[part] if row.id not in done]
        lacking = [label for label, where in sought.items() if part in where]
        if not rest or not lacking:
            continue
        one = partial(_survey.present, root=rows.root, schema=rows.schema.select(labels=lacking, questions=()))
        for found in _all(one, rest):
            for label, there in zip(lacking, found, strict=True):
                out[label][part] += int(there)
            if all(out[label][part] for label in lacking):
                break
    return out


def _answers(rows: Sequence[Row], question: str) -> dict[str, int]:
    return dict(sorted(Counter(row.answers.get(question, "unknown") for row in rows).items()))


def _both_eyes(rows: Sequence[Row]) -> int:
    sides: dict[str, set[str]] = {}
    for row in rows:
        if side := row.laterality or row.eye:
            sides.setdefault(row.group, set()).add(side)
    return sum(len(found) > 1 for found in sides.values())


def _sided(schema: LabelSchema, rows: Sequence[Row]) -> dict[str, str]:
    """Questions and labels whose meaning changes when left and right are exchanged -> the reason."""
    out = {}
    for q in schema.questions:
        if word := _survey.side_word([q.name, *q.answers]):
            out[q.name] = f"its words name a side ({word!r})"
            continue
        pairs = {(row.laterality, row.answers[q.name]) for row in rows if row.laterality and q.name in row.answers}
        if len(pairs) == 2 and len({a for a, _ in pairs}) == 2 and len({b for _, b in pairs}) == 2:
            out[q.name] = "every right eye has one answer and every left eye the other"
    for label in schema.labels:
        if word := _survey.side_word([label]):
            out[label] = f"the label's name has a side ({word!r})"
    return out


def _median(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    rows, cols = np.median(np.array(pairs), axis=0)
    return int(rows), int(cols)


def _range(values: Sequence[int]) -> tuple[int, int, int]:
    return int(min(values)), int(np.median(values)), int(max(values))


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
