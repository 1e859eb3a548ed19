"""Check a pipeline before it runs: missing models, answers that no step gives, modalities that nobody reads."""

from __future__ import annotations

from pathlib import Path

from foveate.core.labels import LabelSchema
from foveate.inference.dicom.identity import Algorithm
from foveate.inference.pipeline.novelty import Novelty, statistics_of
from foveate.inference.pipeline.spec import PipelineSpec, StepSpec, read_spec
from foveate.recipes import load_run


def check_pipeline(path: Path) -> list[str]:
    """Return the faults of a pipeline, one line each; none if it can run.

    Args:
        path: of ``pipeline.toml`` or its folder.

    Raises:
        ValueError: the file is missing or malformed.
    """
    spec, folder = read_spec(path)
    faults: list[str] = []
    given: dict[str, tuple[str, ...]] = {}
    for step in spec.step:
        for question, answers in step.when.items():
            faults += _answers(step, "when", question, answers, given, "no earlier step answers it")
        try:
            schema = load_run(folder / step.model).recipe.schema
        except (ValueError, OSError) as error:
            faults.append(f"step {step.name}: model: {error}")
            continue
        own = {q.name: tuple(q.answers) for q in schema.questions}
        faults += _own(step, own, schema)
        faults += _statistics(step, folder)
        given |= own
    return faults + _unread(spec)


def _own(step: StepSpec, own: dict[str, tuple[str, ...]], schema: LabelSchema) -> list[str]:
    faults = []
    for question, answers in step.stop.items():
        faults += _answers(step, "stop", question, answers, own, f"the model answers {list(own)}")
    for question in step.withhold:
        faults += _answers(step, "withhold", question, (), own, f"the model answers {list(own)}")
    findings = [q.name for q in schema.findings]
    for question in step.thresholds:
        if question not in findings:
            faults.append(f"step {step.name}: thresholds: {question!r} must be one of {findings} (yes/no questions)")
    return faults


def _answers(
    step: StepSpec, key: str, question: str, answers: tuple[str, ...], known: dict[str, tuple[str, ...]], why: str
) -> list[str]:
    if question not in known:
        return [f"step {step.name}: {key}: {question!r}: {why}"]
    return [
        f"step {step.name}: {key}: {question}: the answer must be one of {list(known[question])}, got {answer!r}"
        for answer in answers
        if answer not in known[question]
    ]


def _statistics(step: StepSpec, folder: Path) -> list[str]:
    if step.unlike is None:
        return []
    try:
        Novelty.load(statistics_of(folder, step.name), sha256=Algorithm.of(folder / step.model).sha256)
    except ValueError as error:
        return [f"step {step.name}: unlike: {error}"]
    return []


def _unread(spec: PipelineSpec) -> list[str]:
    """Modalities that are sent to the pipeline and that only steps that can stop it, or none, read."""
    readers = [step for step in spec.step if not step.stop] or list(spec.step)
    return [
        f"modalities: nobody reads {modality!r}; add a step with modality = {modality!r}"
        for modality in spec.modalities
        if not any(not step.modality or modality in step.modality for step in readers)
    ]
