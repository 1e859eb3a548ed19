"""Steps at work: open the models of a pipeline, and read one file with all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from foveate.core.types import Row
from foveate.data import read
from foveate.data.adapters.volumes import spacing as checked_spacing
from foveate.engine.run import CALIBRATION
from foveate.inference.dicom.identity import Algorithm, StepResults
from foveate.inference.dicom.measurements import answers_of
from foveate.inference.pipeline.novelty import Novelty, features_of, statistics_of
from foveate.inference.pipeline.spec import PipelineSpec, StepSpec, meets, read_spec
from foveate.inference.pointing import Eye
from foveate.inference.predictor import ImageResult, Predictor

MODALITIES = {"photograph": "fundus", "unknown": None}
"""Words of file headers -> words of manifests."""

SIDES = {"R": "OD", "RIGHT": "OD", "OD": "OD", "L": "OS", "LEFT": "OS", "OS": "OS"}


@dataclass(frozen=True)
class About:
    """Facts about one image file.

    Args:
        patient: ID, never a name.
        laterality: "OD" or "OS".
        date: of the visit, YYYY-MM-DD.
        modality: in the manifest's words.
        spacing: mm per pixel (rows, cols); None = the file's.
        disc, fovea: (row, col) in pixels.
    """

    patient: str | None = None
    laterality: str | None = None
    date: str | None = None
    modality: str | None = None
    spacing: tuple[float, float] | None = None
    disc: tuple[float, float] | None = None
    fovea: tuple[float, float] | None = None

    @classmethod
    def of(cls, path: Path, *, row: Row | None = None, date: str | None = None) -> About:
        """Collect the facts: those of the manifest first, then those of the file's header.

        Raises:
            Unreadable: the file is not an image that can be read.
        """
        row, first = row or Row("", ""), read.slices(path)[0]
        modality = row.modality or MODALITIES.get(first.modality or "", first.modality)
        return cls(
            patient=row.patient or first.patient,
            laterality=SIDES.get(str(row.laterality or first.laterality).upper()),
            date=date or _study_date(path),
            modality=modality,
            spacing=row.spacing,
            disc=row.disc,
            fovea=row.fovea,
        )


@dataclass(frozen=True)
class StepOutcome:
    """Outcome of one step for one file.

    Args:
        step: its name.
        algorithm: its model.
        skipped: why the step did not read the file; None = it did.
        results: one per frame.
        withheld: question -> reason.
        unlike: distance to the training images over its threshold; None = not checked.
        points: yes/no question -> threshold and its source.
    """

    step: str
    algorithm: Algorithm
    skipped: str | None = None
    results: tuple[ImageResult, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    unlike: float | None = None
    points: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def answers(self) -> Mapping[str, tuple[str, float]]:
        """Question -> answer and probability; of a volume as `measurements.answers_of` chooses."""
        return answers_of(self.for_objects)

    @property
    def for_objects(self) -> StepResults:
        """The results as DICOM objects take them."""
        return StepResults(self.algorithm, self.results, self.withheld)


@dataclass(frozen=True)
class FileReading:
    """All steps for one file.

    Args:
        path: the file.
        sha256: of its bytes.
        about: facts.
        steps: outcomes in order.
        stopped: why no further step read it; None = all steps that fit did.
    """

    path: Path
    sha256: str
    about: About
    steps: tuple[StepOutcome, ...]
    stopped: str | None = None


@dataclass(frozen=True)
class OpenStep:
    """A step with its model in memory."""

    spec: StepSpec
    predictor: Predictor
    algorithm: Algorithm
    points: Mapping[str, tuple[float, str]]
    novelty: Novelty | None = None


class Pipeline:
    """The models of a pipeline, in memory.

    Args:
        spec: its file.
        steps: opened.
    """

    def __init__(self, spec: PipelineSpec, steps: tuple[OpenStep, ...]) -> None:
        self.spec, self.steps = spec, steps

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> Pipeline:
        """Open a pipeline's file; ValueError if a model is missing."""
        spec, folder = read_spec(Path(path))
        return cls(spec, tuple(open_step(step, folder, device=device) for step in spec.step))

    @cached_property
    def sha256(self) -> str:
        """Digest of the steps and of all their models."""
        parts = [self.spec.model_dump_json(), *(step.algorithm.sha256 for step in self.steps)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def __call__(self, path: Path, *, about: About | None = None) -> FileReading:
        """Read one file, step by step; a step that does not fit is skipped with its reason.

        Raises:
            Unreadable: it is not an image that can be read.
        """
        known = about or About.of(path)
        known = replace(known, modality=known.modality or self.spec.default_modality)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        outcomes: list[StepOutcome] = []
        given: dict[str, str] = {}
        stopped: str | None = None
        for step in self.steps:
            reason = stopped or _unfit(step.spec, known) or meets(given, step.spec.when)
            if reason is not None:
                outcomes.append(StepOutcome(step.spec.name, step.algorithm, skipped=reason))
                continue
            outcome = _read(step, path, known)
            outcomes.append(outcome)
            open_answers = {q: a for q, (a, _) in outcome.answers.items() if q not in outcome.withheld}
            given |= open_answers
            for question, answers in step.spec.stop.items():
                if open_answers.get(question) in answers:
                    stopped = f"{question} is {open_answers[question]} (step {step.spec.name})"
        return FileReading(path, digest, known, tuple(outcomes), stopped)


def open_step(spec: StepSpec, folder: Path, *, device: str = "auto") -> OpenStep:
    """Open the model of a step.

    Args:
        spec: of the step.
        folder: of the pipeline's file.
        device: where its networks run.
    """
    model = folder / spec.model
    algorithm = Algorithm.of(model)
    predictor = Predictor.load(model, device=device)
    predictor.decisions = predictor.decisions.with_thresholds(spec.thresholds)
    novelty = None
    if spec.unlike is not None:
        novelty = Novelty.load(statistics_of(folder, spec.name), sha256=algorithm.sha256)
    return OpenStep(spec, predictor, algorithm, operating_points(spec, model, predictor), novelty)


def operating_points(spec: StepSpec, model: Path, predictor: Predictor) -> dict[str, tuple[float, str]]:
    """Threshold of each yes/no question, and where it comes from."""
    path = model / CALIBRATION
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("about", {}) if path.is_file() else {}
    calibrated = f"calibration ({about.get('threshold')}, {about.get('images')} images, {about.get('manifest')})"
    found: dict[str, tuple[float, str]] = {}
    for question in predictor.schema.findings:
        if question.name in spec.thresholds:
            found[question.name] = (spec.thresholds[question.name], "pipeline.toml")
        elif question.name in predictor.decisions.thresholds:
            found[question.name] = (predictor.decisions.thresholds[question.name], calibrated)
        else:
            found[question.name] = (0.5, "default, not calibrated")
    return found


def withheld(spec: StepSpec, outcome: StepOutcome, *, unlike: float | None) -> dict[str, str]:
    """Find the answers that are not given: within the step's bands, or all if the image is unlike the training images.

    Args:
        spec: of the step.
        outcome: its answers.
        unlike: distance over its threshold.
    """
    answers = outcome.answers
    if unlike is not None and unlike > 1:
        return dict.fromkeys(answers, f"the image is unlike the training images ({unlike:.2f} times the threshold)")
    found = {}
    for question, (low, high) in spec.withhold.items():
        if question not in answers:
            continue
        answer, given = answers[question]
        value = 1 - given if answer == "no" else given
        if low <= value <= high:
            found[question] = f"probability {value:.2f} is in the band {low:g} to {high:g}"
    return found


def _read(step: OpenStep, path: Path, about: About) -> StepOutcome:
    """Read every frame of a file with one step."""
    scans = read.slices(path)
    results = []
    eye = Eye(about.disc, about.fovea, about.laterality)
    ratio: float | None = None
    for number, scan in enumerate(scans):
        frame = number if len(scans) > 1 else None
        name = path.stem if frame is None else f"{path.stem}_b{number:03d}"
        spacing = about.spacing or checked_spacing(scan.spacing, warn=lambda _: None)
        results.append(step.predictor(path, frame=frame, name=name, spacing=spacing, eye=eye))
        if step.novelty is not None and step.spec.unlike is not None:
            prepare, schema = step.predictor.prepare, step.predictor.schema
            sample = prepare.image_only(prepare.file(path, frame=frame), schema=schema, id=name)
            away = step.novelty.distance(features_of(step.predictor, sample))
            ratio = max(ratio or 0.0, away / step.novelty.threshold(step.spec.unlike))
    outcome = StepOutcome(
        step.spec.name, step.algorithm, results=tuple(results), unlike=ratio, points=dict(step.points)
    )
    return replace(outcome, withheld=withheld(step.spec, outcome, unlike=ratio))


def _unfit(spec: StepSpec, about: About) -> str | None:
    """Name the property of an image that a step does not read; None if it reads the image."""
    if spec.modality and about.modality not in spec.modality:
        return f"modality is {about.modality or 'unknown'}; the step reads {', '.join(spec.modality)}"
    if spec.laterality and about.laterality not in spec.laterality:
        return f"laterality is {about.laterality or 'unknown'}; the step reads {', '.join(spec.laterality)}"
    return None


def _study_date(path: Path) -> str | None:
    """Date of a DICOM file's study; None for other files."""
    from foveate.data.formats.dicom import fits

    with path.open("rb") as file:
        if not fits(file.read(132)):
            return None
    from pydicom import dcmread

    text = str(dcmread(path, stop_before_pixels=True, specific_tags=["StudyDate"]).get("StudyDate") or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdecimal() else None
