"""``foveate import predictions`` and ``foveate compare``: from masks of any program to a table and a page."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.data import read, synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest, and masks of two programs: one copies the truth of all test images, one marks a stripe in some."""
    place = tmp_path_factory.mktemp("others")
    drawn = Manifest(synthetic.SCHEMAS["oct"], tuple(synthetic.write("oct", place, n=12, size=64)), place)
    rows = split(drawn, ratios=(0.3, 0.2, 0.5), seed=0).write(place / "m.jsonl")
    for row in rows.where(split="test"):
        shape = read.size(rows.root / row.image)
        masks, _ = read.masks(row, rows.root, rows.schema, shape=shape)
        for label, mask in zip(rows.schema.labels, masks, strict=True):
            stripe = np.zeros(shape, np.uint8)
            stripe[10:14] = 1
            for program, pixels in (("copy", mask), ("stripe", stripe)):
                (place / program / label).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels * 255).save(place / program / label / f"{row.id}.png")
    return place


def call(*words: str | Path, code: int = 0) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found.exception
    return found.output


def test_masks_of_two_programs_become_rows_of_one_table(folder: Path) -> None:
    for program in ("copy", "stripe"):
        text = call("import", "predictions", folder / program, folder / "m.jsonl", "-o", folder / "runs" / program)
        assert "images counted" in text
    text = call("compare", folder / "runs/copy", folder / "runs/stripe", "-o", folder / "compared")
    assert "Runs side by side" in text
    assert "Paired tests" in text
    line = next(line for line in text.splitlines() if line.startswith("copy"))
    assert "1.000" in line
    page = (folder / "compared" / "report.html").read_text()
    assert "Wilcoxon" in page
    assert "stripe" in page
    written = {path.name for path in (folder / "compared" / "tables").iterdir()}
    assert {"comparison.csv", "comparison.tex", "tests.csv", "tests.txt"} <= written


def test_one_run_or_the_same_twice_cannot_be_compared(folder: Path) -> None:
    call("import", "predictions", folder / "copy", folder / "m.jsonl", "-o", folder / "runs" / "copy")
    for runs in (["copy"], ["copy", "copy"]):
        found = CliRunner().invoke(app, ["compare", *(str(folder / "runs" / r) for r in runs), "-o", str(folder / "x")])
        assert isinstance(found.exception, ValueError)
        assert "runs" in str(found.exception)
