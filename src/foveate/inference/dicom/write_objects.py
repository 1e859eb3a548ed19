"""All objects of a reading, as data sets and as files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from foveate.core.files import write_file, write_json
from foveate.inference.dicom.capture import overlay_capture
from foveate.inference.dicom.diagnostic_report import diagnostic_report
from foveate.inference.dicom.identity import StepResults
from foveate.inference.dicom.measurements import measurement_report
from foveate.inference.dicom.segmentation import segmentation
from foveate.inference.dicom.source import source_of


def make_objects(path: Path, steps: Sequence[StepResults], *, capture: bool = False) -> tuple[dict[str, Any], Any]:
    """Make the objects of a file's reading: name -> data set, and the FHIR report as plain data.

    Args:
        path: the image: DICOM, or a picture (which then gets an object of its own, ``image``).
        steps: results of each algorithm, one per frame.
        capture: also the overlay of each frame.

    Raises:
        ValueError: there is no result, or results and image differ in size or number.
        ImportError: the extra ``[dicom]`` is not installed.
    """
    _needed()
    steps = [step for step in steps if step.results]
    if not steps:
        raise ValueError(f"{path.name}: no step read it; DICOM objects need a result")
    source = source_of(path, steps[0].results)
    objects: dict[str, Any] = {} if source.made is None else {"image": source.made}
    segments = segmentation(source, steps)
    if segments is not None:
        objects["seg"] = segments
    objects["sr"] = measurement_report(source, steps, segments=segments)
    for number, result in enumerate(steps[-1].results if capture else (), 1):
        objects[f"overlay{number}"] = overlay_capture(source, result, number=number)
    return objects, diagnostic_report(source, steps)


def write_objects(
    path: Path, steps: Sequence[StepResults], *, folder: Path, name: str, capture: bool = False
) -> list[Path]:
    """Write ``NAME_seg.dcm``, ``NAME_sr.dcm``, ``NAME_fhir.json`` and so on; return their paths.

    Args:
        path: the image.
        steps: results of each algorithm.
        folder: to write to.
        name: of the files.
        capture: also the overlay of each frame.
    """
    objects, report = make_objects(path, steps, capture=capture)
    written = []
    for kind, data in objects.items():
        written.append(folder / f"{name}_{kind}.dcm")
        write_file(written[-1], partial(data.save_as, enforce_file_format=True))
    written.append(folder / f"{name}_fhir.json")
    write_json(written[-1], report)
    return written


def _needed() -> None:
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise ImportError('DICOM objects need highdicom: pip install "foveate[dicom]"') from None
