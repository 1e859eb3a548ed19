"""``foveate predict PIPELINE``: read files, group them by eye and visit, and write a folder per visit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.core.files import write_json
from foveate.core.text import printable
from foveate.data.manifest import Manifest
from foveate.data.read import Unreadable
from foveate.inference.dicom.write_objects import write_objects
from foveate.inference.pipeline.steps import About, FileReading, Pipeline
from foveate.inference.write_results import list_images, write_reading
from foveate.report.embed import photo
from foveate.reporting.visit_page import write_page
from foveate.reporting.visit_record import NAME, Visit, earlier_records, record_of, visits_of


def predict_pipeline(
    path: Path,
    images: list[Path],
    *,
    out: Path,
    dicom: bool = False,
    rows: Manifest | None = None,
    spacing: tuple[float, float] | None = None,
    date: str | None = None,
    device: str = "auto",
    report: Callable[[str], None] = print,
) -> int:
    """Read files with a pipeline; return how many could not be read (each is named in one line with its reason).

    Each visit gets a folder in ``out``: ``report.html``, ``report.pdf``, ``visit.json``, and per file and step the
    files of `write_reading`. Earlier visits of the same eye are looked for in ``out``.

    Args:
        path: of ``pipeline.toml`` or its folder.
        images: files and folders.
        out: folder for the visits.
        dicom: also write DICOM objects and the FHIR report of each file.
        rows: a manifest with patient, laterality, modality, spacing, disc or fovea of some of the images.
        spacing: mm per pixel, instead of the values in file and manifest.
        date: of the visit, YYYY-MM-DD, instead of the one in the file.
        device: where the networks run.
        report: called with one line per file.

    Raises:
        ValueError: the pipeline or an option is wrong, or there is no image.
    """
    if date is not None and not _is_date(date):
        raise ValueError(f"date={date!r}: write YYYY-MM-DD")
    pipeline = Pipeline.load(path, device=device)
    known = {(rows.root / row.image).resolve(): row for row in rows or ()} if rows is not None else {}
    by_id = {row.id: row for row in rows or ()}
    bad: list[Path] = []

    def readings() -> Iterator[FileReading]:
        for file in list_images(images, report=report):
            try:
                about = About.of(file, row=known.get(file.resolve()) or by_id.get(file.stem), date=date)
                yield pipeline(file, about=replace(about, spacing=spacing or about.spacing))
            except (Unreadable, OSError) as error:
                bad.append(file)
                reason = error.reason if isinstance(error, Unreadable) else str(error)
                report(f"{printable(str(file))}: not read: {reason}")

    visits = sorted(visits_of(readings()), key=lambda visit: visit.date or "")  # earlier ones first, to compare with
    for visit in visits:
        write_visit(visit, pipeline, out=out, dicom=dicom)
        report(f"{visit.key}: {summary(visit)}")
    report(f"{sum(len(v.readings) for v in visits)} files of {len(visits)} visits read into {out}")
    return len(bad)


def write_visit(visit: Visit, pipeline: Pipeline, *, out: Path, dicom: bool = False) -> dict[str, Any]:
    """Write the folder of a visit; return its record.

    Args:
        visit: its readings.
        pipeline: that made them.
        out: folder of all visits.
        dicom: also write DICOM objects.
    """
    folder = out / visit.key
    folder.mkdir(parents=True, exist_ok=True)
    record = record_of(visit, pipeline)
    for reading in visit.readings:
        for outcome in reading.steps:
            for result in outcome.results:
                open_ = {q: a for q, a in result.answers.items() if q not in outcome.withheld}
                shown = {q: p for q, p in result.probabilities.items() if q not in outcome.withheld}
                kept = replace(result, answers=open_, probabilities=shown)
                write_reading(kept, folder, name=f"{result.id}_{outcome.step}")
        steps = [one.for_objects for one in reading.steps if one.results]
        if dicom and steps:
            write_objects(reading.path, steps, folder=folder, name=reading.path.stem)
    earlier = [{**data, "picture": _picture(place)} for place, data in earlier_records(out, visit)]
    write_page(folder, visit, record, earlier=earlier)
    write_json(folder / NAME, record)  # last: a folder with it is complete
    return record


def summary(visit: Visit) -> str:
    """Answers, withheld answers and stops of a visit in one line."""
    found = []
    for reading in visit.readings:
        for outcome in reading.steps:
            for question, (answer, probability) in outcome.answers.items():
                shown = "withheld" if question in outcome.withheld else f"{answer} {probability:.2f}"
                found.append(f"{question}: {shown}")
        if reading.stopped:
            found.append(f"read no further: {reading.stopped}")
    return ", ".join(found) or "no step fits"


def _is_date(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y-%m-%d").strftime("%Y-%m-%d") == text
    except ValueError:
        return False


def _picture(folder: Path) -> Any:
    """The overlay of an earlier visit; None if it has none."""
    path = folder / "overlay1.jpg"
    if not path.is_file():
        return None
    with Image.open(path) as picture:
        picture.thumbnail((500, 500))
        return photo(picture, alt="earlier visit")
