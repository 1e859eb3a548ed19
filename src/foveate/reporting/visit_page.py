"""The report of one eye and visit: a self-contained page that prints on one A4 sheet, and the same as PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from foveate.core.files import write_file
from foveate.core.reading import placed
from foveate.inference.pipeline.steps import FileReading
from foveate.report.embed import Shot, photo
from foveate.report.overlay import overlay
from foveate.reporting.visit_record import Visit, shown_frame

HERE = Path(__file__).parent
MOST = 4
"""Pictures on the sheet; a visit with more files names how many are left out."""

LINES = 7
"""Lines of evidence per file on the sheet; ``visit.json`` has all of them."""

WIDTH = 900  # pixels of a picture: 300 dpi at a third of the sheet
A4 = (8.27, 11.69)  # inches


@dataclass(frozen=True)
class Picture:
    """A picture of the sheet: for the page as a shot, for the PDF as pixels."""

    pixels: Image.Image
    shot: Shot

    @classmethod
    def of(cls, pixels: Image.Image, alt: str) -> Picture:
        """Make both from an image."""
        return cls(pixels, photo(pixels, alt=alt, caption=alt))

    @property
    def ratio(self) -> float:
        """Height over width."""
        return self.pixels.height / self.pixels.width


def write_page(folder: Path, visit: Visit, record: Mapping[str, Any], *, earlier: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``report.html`` and ``report.pdf``; return the path of the page.

    Args:
        folder: of the visit.
        visit: its readings, for the pictures.
        record: as of `visit_record.record_of`.
        earlier: records of earlier visits, the latest first; each may name its ``picture``.
    """
    shots = [_shots(one, folder, number) for number, one in enumerate(visit.readings[:MOST], 1)]
    values = {
        "record": record,
        "files": list(zip(record["files"], shots, strict=False)),
        "more": max(0, len(visit.readings) - MOST),
        "earlier": earlier,
        "changes": changes(record, earlier),
        "lines": LINES,
        "models": models_of(record),
        "not_judged": not_judged(record),
    }
    maker = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    maker.filters["words"] = lambda text: str(text).replace("_", " ")
    maker.filters["number"] = lambda value: f"{value:.3g}"
    page = folder / "report.html"
    write_file(page, maker.get_template("visit.html.j2").render(values))
    write_pdf(folder / "report.pdf", values)
    return page


def changes(record: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare each label's area and each answer with the latest earlier visit, file by file of one modality.

    Returns:
        one entry per label or question: name, before, now, change (None for answers), date of the visit before.
    """
    if not earlier:
        return []
    now, before = _values(record), _values(earlier[0])
    found = []
    for name, value in now.items():
        if name not in before:
            continue
        old = before[name]
        change = None
        if isinstance(value, dict) and isinstance(old, dict):
            if value["unit"] != old["unit"] or value["unit"] == "pixels":
                continue  # pixels of two photographs are not comparable
            change = value["value"] - old["value"]
        found.append({"name": name[1], "before": old, "now": value, "change": change, "date": earlier[0]["date"]})
    return found


def _values(record: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for file in record["files"]:
        for step in file["steps"]:
            if step["skipped"] is None:
                key = f"{file['modality']}/{step['name']}"
                found |= {(key, label): area for label, area in step["areas"].items()}
                found |= {(key, q): a["answer"] for q, a in step["answers"].items() if a["answer"] is not None}
    return found


def models_of(record: Mapping[str, Any]) -> list[str]:
    """Name each model with its version and the first part of its digest, once."""
    steps = [step for file in record["files"] for step in file["steps"]]
    return list(dict.fromkeys(f"{s['name']}: {s['model']} {s['version']} sha256 {s['sha256'][:16]}" for s in steps))


def not_judged(record: Mapping[str, Any]) -> list[str]:
    """Name what no answer was given for, with the reason."""
    found = []
    for file in record["files"]:
        for step in file["steps"]:
            if step["skipped"] is not None:
                found.append(f"{file['name']}: step {step['name']}: {step['skipped']}")
                continue
            reasons = [(q, a["withheld"]) for q, a in step["answers"].items() if a["withheld"]]
            found += [f"{file['name']}: {question} withheld, to be read by a human: {why}" for question, why in reasons]
    return found


def write_pdf(path: Path, values: Mapping[str, Any]) -> None:
    """Draw the sheet as a PDF of one A4 page: pictures above, text below."""
    record = values["record"]
    figure = Figure(figsize=A4)
    title = f"{record['pipeline']['name']}: {record['laterality'] or 'eye'}, {record['date'] or 'undated'}"
    figure.text(0.06, 0.965, title, fontsize=14, weight="bold", va="top")
    figure.text(0.06, 0.942, f"Patient {record['patient'] or 'unknown'}", fontsize=9, va="top")
    pictures = [shot for _, (plain, marked) in values["files"] for shot in (plain, marked) if shot is not None]
    columns = min(4, max(2, len(pictures)))
    width, top = 0.88 / columns, 0.925
    for i, picture in enumerate(pictures[: 2 * MOST]):
        height = width * A4[0] / A4[1] * picture.ratio
        axes = figure.add_axes((0.06 + (i % columns) * width, top - height, width * 0.97, height))
        axes.imshow(np.asarray(picture.pixels.convert("RGB")))
        axes.set_axis_off()
        if i % columns == columns - 1 or i == len(pictures) - 1:
            top -= height + 0.005
    lines = _lines(values)
    size = 8.5 if len(lines) < 45 else max(4.0, 8.5 * 45 / len(lines))
    figure.text(0.06, top - 0.01, "\n".join(lines), fontsize=size, va="top", family="sans-serif", linespacing=1.25)
    figure.text(0.06, 0.02, "Read by an algorithm; not confirmed by a human.", fontsize=7, color="#555555")

    def save(aside: Path) -> None:
        figure.savefig(aside, format="pdf", metadata={"CreationDate": None, "Title": title})

    write_file(path, save)


def _lines(values: Mapping[str, Any]) -> list[str]:
    """The text of the sheet, wrapped."""
    found: list[str] = []
    for file, _ in values["files"]:
        found += [f"{file['name']} ({file['modality'] or 'modality unknown'})"]
        for step in file["steps"]:
            if step["skipped"] is not None:
                continue
            for question, one in step["answers"].items():
                shown = f"{one['answer']} (probability {one['probability']:.2f})" if one["answer"] else "withheld"
                point = f"; yes from {one['threshold']:.3g}, {one['threshold_from']}" if one["threshold"] else ""
                found.append(f"    {question}: {shown}{point}")
            for label, area in step["areas"].items():
                spread = f"{area['low']:.3g} to {area['high']:.3g}"
                found.append(f"    {label}: {area['value']:.3g} {area['unit']} (range {spread})")
            found += [f"    {line}" for line in (step["evidence"] or "").splitlines()[: values["lines"]]]
    for one in values["changes"]:
        shown = f"{one['change']:+.3g} {one['now']['unit']}" if one["change"] is not None else f"{one['before']} before"
        found.append(f"Since {one['date']}: {one['name']}: {shown}")
    found += ["Not judged:", *(f"    {line}" for line in values["not_judged"])] if values["not_judged"] else []
    found += ["", *values["models"], f"pipeline sha256 {values['record']['pipeline']['sha256'][:16]}"]
    plain = [line.replace("$", "\\$") for line in found]
    return [part for line in plain for part in (textwrap.wrap(line, 118, subsequent_indent="        ") or [""])]


def _shots(reading: FileReading, folder: Path, number: int) -> tuple[Picture | None, Picture | None]:
    """The image and its overlay; the overlay is kept for later visits (``overlayN.jpg``)."""
    outcome = next((step for step in reversed(reading.steps) if step.results and placed(step.results[0]).labels), None)
    outcome = outcome or next((step for step in reversed(reading.steps) if step.results), None)
    if outcome is None:
        return (None, None)
    result = outcome.results[shown_frame(outcome)]
    plain = Image.fromarray(result.image)
    plain.thumbnail((WIDTH, WIDTH))
    shown = placed(result)
    if not shown.labels:
        return (Picture.of(plain, reading.path.name), None)
    marked = overlay(shown.image, masks=shown.masks, labels=shown.labels, width=min(WIDTH, shown.image.shape[1]))

    def save(aside: Path) -> None:
        marked.convert("RGB").save(aside, format="JPEG", quality=86)

    write_file(folder / f"overlay{number}.jpg", save)
    return (Picture.of(plain, reading.path.name), Picture.of(marked, f"{reading.path.name}: labels found"))
