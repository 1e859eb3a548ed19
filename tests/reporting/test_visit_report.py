"""A visit's folder: the record, the sheet, what was not judged, and the change since the visit before."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.types import Row
from foveate.data.manifest import Manifest
from foveate.inference.pipeline import steps as working
from foveate.inference.predictor import Predictor
from foveate.reporting.pipeline_files import predict_pipeline
from foveate.reporting.visit_page import changes
from foveate.reporting.visit_record import areas_of

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
from test_predictor import SCHEMA, bright, photograph

STEP = '[[step]]\nname = "a"\nmodel = "first"\n'


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    run = bright(tmp_path / "first")
    monkeypatch.setattr(working.Predictor, "load", lambda folder, device="auto": Predictor(run, device="cpu"))
    (tmp_path / "pipeline.toml").write_text(f'name = "test"\ndefault_modality = "fundus"\n{STEP}')
    Image.fromarray(photograph((60, 90))[0]).save(tmp_path / "eye.png")
    return tmp_path


def rows(folder: Path) -> Manifest:
    row = Row("eye", "eye.png", patient="P1", laterality="OD", spacing=(0.02, 0.03))
    return Manifest(SCHEMA, (row,), root=folder)


def test_a_visit_has_a_sheet_a_pdf_and_a_record(clinic: Path) -> None:
    out, lines = clinic / "out", []
    bad = predict_pipeline(
        clinic / "pipeline.toml",
        [clinic / "eye.png"],
        out=out,
        rows=rows(clinic),
        date="2026-01-10",
        report=lines.append,
    )
    assert bad == 0
    folder = out / "P1_OD_2026-01-10"
    record = json.loads((folder / "visit.json").read_text())
    area = record["files"][0]["steps"][0]["areas"]["spot"]
    assert area["unit"] == "mm2"
    assert area["low"] <= area["value"] <= area["high"]
    page = (folder / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "right (OD)" in page
    assert "not calibrated" in page
    assert len(re.findall(rb"/Type /Page\b", (folder / "report.pdf").read_bytes())) == 1
    assert (folder / "eye_a_spot.png").is_file()


def test_the_visit_after_states_the_change(clinic: Path) -> None:
    out = clinic / "out"
    for date in ("2026-01-10", "2026-03-01"):
        predict_pipeline(clinic, [clinic / "eye.png"], out=out, rows=rows(clinic), date=date, report=lambda _: None)
        image = np.asarray(Image.open(clinic / "eye.png")).copy()
        image[:20, :20] = 255
        Image.fromarray(image).save(clinic / "eye.png")
    page = (out / "P1_OD_2026-03-01" / "report.html").read_text()
    assert "Since 2026-01-10" in page
    assert "+" in page.partition("Since 2026-01-10")[2].partition("</table>")[0]
    assert "Earlier visits" not in (out / "P1_OD_2026-01-10" / "report.html").read_text()


def test_a_withheld_answer_is_on_no_page_and_in_no_file(clinic: Path) -> None:
    (clinic / "pipeline.toml").write_text(f'name = "test"\n{STEP}withhold = {{ size = [0.0, 1.0] }}\n')
    out = clinic / "out"
    predict_pipeline(clinic, [clinic / "eye.png"], out=out, report=lambda _: None, dicom=True)
    folder = next(out.iterdir())
    record = json.loads((folder / "visit.json").read_text())["files"][0]["steps"][0]
    assert record["answers"]["size"]["answer"] is None
    assert record["evidence"] is None
    assert "size" not in json.loads((folder / "eye_a.json").read_text())["answers"]
    page = (folder / "report.html").read_text()
    assert "size withheld, to be read by a human" in page
    assert (folder / "eye_seg.dcm").is_file()


def test_unreadable_files_and_dates_are_named(clinic: Path) -> None:
    (clinic / "broken.png").write_bytes(b"no image")
    lines: list[str] = []
    files = [clinic / "broken.png", clinic / "eye.png"]
    assert predict_pipeline(clinic, files, out=clinic / "out", report=lines.append) == 1
    assert "broken.png: not read" in lines[0]
    with pytest.raises(ValueError, match="write YYYY-MM-DD"):
        predict_pipeline(clinic, files, out=clinic / "out", date="1.2.2026", report=lines.append)


def test_pixels_of_two_photographs_are_not_compared() -> None:
    def record(value: float, unit: str) -> dict[str, object]:
        area = {"value": value, "low": value, "high": value, "unit": unit}
        step = {"name": "a", "skipped": None, "areas": {"spot": area}, "answers": {}}
        return {"date": "2026-01-01", "files": [{"modality": "fundus", "steps": [step]}]}

    assert changes(record(3, "pixels"), [record(1, "pixels")]) == []
    found = changes(record(3, "mm2"), [record(1, "mm2")])
    assert [one["change"] for one in found] == [2]
    assert changes(record(3, "mm2"), []) == []


def test_of_a_volume_the_largest_area_counts(clinic: Path) -> None:
    predictor = Predictor(bright(clinic / "second"), device="cpu")
    large = photograph((60, 90))[0]
    small = large.copy()
    small[:24] = 110  # half of the spot
    results = [predictor(small), predictor(large)]
    values = [one.areas()["spot"]["pixels"] for one in results]
    assert values[0] != values[1]
    for order in (results, results[::-1]):
        found = areas_of(order)
        assert found["spot"]["value"] == max(values)
        assert found["spot"]["unit"] == "pixels"
