"""Fit a step's check of unlike images, and write it beside the pipeline's file."""

from __future__ import annotations

from pathlib import Path

from foveate.data.manifest import Manifest
from foveate.inference.dicom.identity import digest_of
from foveate.inference.pipeline.novelty import fit_novelty, statistics_of
from foveate.inference.pipeline.spec import read_spec
from foveate.inference.predictor import Predictor

RATES = (0.01, 0.05, 0.1)


def fit_step(
    pipeline: Path, step: str, rows: Manifest, *, device: str = "auto"
) -> tuple[Path, list[tuple[float, float]]]:
    """Fit the statistics of a step; return their path, and (false-alarm rate, distance) for some rates.

    Args:
        pipeline: path of ``pipeline.toml`` or its folder.
        step: name of the step.
        rows: the manifest that the step's run was trained with.
        device: where the networks run.

    Raises:
        ValueError: there is no such step, or too few images.
    """
    spec, folder = read_spec(pipeline)
    names = [one.name for one in spec.step]
    if step not in names:
        raise ValueError(f"step must be one of {names}, got {step!r}")
    model = folder / spec.step[names.index(step)].model
    found = fit_novelty(Predictor.load(model, device=device), rows, sha256=digest_of(model))
    path = statistics_of(folder, step)
    found.save(path)
    return path, [(rate, found.threshold(rate)) for rate in RATES]
