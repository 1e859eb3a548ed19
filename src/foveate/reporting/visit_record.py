"""One eye at one visit as plain data: answers, areas with their range, evidence, and what was not judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate.core.files import file_name
from foveate.core.guideline import GUIDELINE, Guideline
from foveate.core.labels import LabelSchema
from foveate.core.reading import placed
from foveate.inference.evidence import explain
from foveate.inference.pipeline.steps import FileReading, Pipeline, StepOutcome
from foveate.inference.predict_files import bound
from foveate.inference.predictor import ImageResult

FORMAT = 1
NAME = "visit.json"
LOW, HIGH = 0.25, 0.75
"""Probabilities of a pixel that bound the range of an area: almost sure, and possible."""


@dataclass(frozen=True)
class Visit:
    """Files of one eye and visit. Files without a patient are a visit of their own.

    Args:
        key: file name of the visit: patient, eye and date.
        readings: its files.
    """

    key: str
    readings: tuple[FileReading, ...]

    @property
    def patient(self) -> str | None:
        """ID of the patient."""
        return self.readings[0].about.patient

    @property
    def laterality(self) -> str | None:
        """ "OD", "OS" or None."""
        return self.readings[0].about.laterality

    @property
    def date(self) -> str | None:
        """YYYY-MM-DD."""
        return self.readings[0].about.date


def visits_of(readings: Iterable[FileReading]) -> list[Visit]:
    """Group files by patient, eye and date."""
    found: dict[str, list[FileReading]] = {}
    for one in readings:
        about = one.about
        parts = (about.patient, about.laterality or "eye", about.date or "undated")
        key = "_".join(map(str, parts)) if about.patient else f"{one.path.stem}_{one.sha256[:8]}"
        found.setdefault(file_name(key, safe=""), []).append(one)
    return [Visit(key, tuple(several)) for key, several in found.items()]


def record_of(visit: Visit, pipeline: Pipeline) -> dict[str, Any]:
    """Describe a visit as plain data."""
    schemas = {step.spec.name: step.predictor.schema for step in pipeline.steps}
    return {
        "format": FORMAT,
        "pipeline": {"name": pipeline.spec.name, "sha256": pipeline.sha256},
        "patient": visit.patient,
        "laterality": visit.laterality,
        "date": visit.date,
        "files": [_file(one, schemas) for one in visit.readings],
    }


def earlier_records(folder: Path, visit: Visit, *, most: int = 3) -> list[tuple[Path, dict[str, Any]]]:
    """Find earlier visits of the same eye below a folder, the latest first.

    Args:
        folder: with a folder per visit.
        visit: with a patient, an eye and a date; else there is nothing to compare.
        most: how many.
    """
    if not (visit.patient and visit.laterality and visit.date) or not folder.is_dir():
        return []
    found = []
    for path in folder.glob(f"*/{NAME}"):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # another program's file
        same = (data.get("patient"), data.get("laterality")) == (visit.patient, visit.laterality)
        if same and data.get("format", 0) <= FORMAT and (data.get("date") or "9999") < visit.date:
            found.append((path.parent, data))
    return sorted(found, key=lambda pair: pair[1]["date"], reverse=True)[:most]


def areas_of(results: Sequence[ImageResult]) -> dict[str, dict[str, Any]]:
    """Area of each label with its range; of a volume the frame with the largest area counts.

    Returns:
        label -> value, low, high, unit ("mm2" or "pixels").
    """
    found: dict[str, dict[str, Any]] = {}
    for result in map(placed, results):
        scale = 1.0 if result.spacing is None else result.spacing[0] * result.spacing[1]
        for label, mask, probability in zip(result.labels, result.masks, result.probability, strict=True):
            value = int(mask.sum())
            low, high = int((probability >= HIGH).sum()), int((probability >= LOW).sum())
            one = {
                "value": float(f"{value * scale:.6g}"),
                "low": float(f"{min(low, value) * scale:.6g}"),
                "high": float(f"{max(high, value) * scale:.6g}"),
                "unit": "pixels" if result.spacing is None else "mm2",
            }
            if label not in found or one["value"] > found[label]["value"]:
                found[label] = one
    return found


def shown_frame(outcome: StepOutcome) -> int:
    """The frame of a file that a page shows: the one with the most marked pixels, else the middle one."""
    marked = [int(np.asarray(placed(one).masks).sum()) for one in outcome.results]
    return int(np.argmax(marked)) if any(marked) else len(marked) // 2


def _file(reading: FileReading, schemas: Mapping[str, LabelSchema]) -> dict[str, Any]:
    about = reading.about
    first = next((step.results[0] for step in reading.steps if step.results), None)
    return {
        "name": reading.path.name,
        "sha256": reading.sha256,
        "modality": about.modality,
        "frames": max((len(step.results) for step in reading.steps), default=0),
        "spacing_mm": None if first is None or first.spacing is None else list(first.spacing),
        "stopped": reading.stopped,
        "steps": [_step(one, schemas[one.step], reading) for one in reading.steps],
    }


def _step(outcome: StepOutcome, schema: LabelSchema, reading: FileReading) -> dict[str, Any]:
    algorithm = outcome.algorithm
    base: dict[str, Any] = {
        "name": outcome.step,
        "model": algorithm.name,
        "version": algorithm.version,
        "sha256": algorithm.sha256,
        "skipped": outcome.skipped,
    }
    if outcome.skipped is not None:
        return base
    frame = shown_frame(outcome)
    answers = {}
    for question, (answer, probability) in outcome.answers.items():
        point = outcome.points.get(question)
        open_ = question not in outcome.withheld
        answers[question] = {
            "answer": answer if open_ else None,
            "probability": round(probability, 6) if open_ else None,
            "withheld": outcome.withheld.get(question),
            "threshold": None if point is None else point[0],
            "threshold_from": None if point is None else point[1],
        }
    base |= {"frame": frame, "answers": answers, "areas": areas_of(outcome.results), "unlike": outcome.unlike}
    base["evidence"] = None if outcome.withheld else _words(outcome.results[frame], schema, reading)
    return base


def _words(result: ImageResult, schema: LabelSchema, reading: FileReading) -> str:
    """The evidence in words, without the name of the image."""
    about = reading.about
    evidence = explain(
        result,
        schema,
        guideline=_guideline(schema),
        spacing=result.spacing,
        disc=about.disc,
        fovea=about.fovea,
        laterality=about.laterality,
    )
    return str(evidence).partition("\n")[2].rstrip()


def _guideline(schema: LabelSchema) -> Guideline:
    try:
        return bound(GUIDELINE, schema)
    except ValueError:  # several questions could be the graded one
        return GUIDELINE
