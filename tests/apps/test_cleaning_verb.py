"""``foveate check --guideline --clean``: contradictions are told, and a second manifest has none."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foveate.apps.cli import app
from foveate.data.manifest import Manifest
from foveate.data.synthetic import SCHEMAS, write


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn retinas, of which the third (grade 2) is called grade 1."""
    folder = tmp_path_factory.mktemp("drawn")
    rows = write("fundus", folder, n=6, size=96)
    at = next(i for i, row in enumerate(rows) if row.answers["grade"] == "2")
    rows[at] = replace(rows[at], answers={**rows[at].answers, "grade": "1"})
    Manifest(SCHEMAS["fundus"], tuple(rows), folder).write(folder / "m.jsonl")
    return folder


def test_contradictions_are_told_and_cleaned(drawn: Path) -> None:
    told = CliRunner().invoke(
        app, ["check", str(drawn / "m.jsonl"), "--guideline", "--clean", str(drawn / "c.jsonl"), "-q"]
    )
    assert told.exit_code == 0, told.output
    assert "haemorrhage speaks for grade 2, not 1" in told.output
    assert "c.jsonl: 1 masks of 1 images are unknown where they contradict the grade" in told.output
    before, after = Manifest.read(drawn / "m.jsonl"), Manifest.read(drawn / "c.jsonl")
    changed = [row for row, old in zip(after, before, strict=True) if row != old]
    assert [[label for label, m in row.masks.items() if m[0].doubtful] for row in changed] == [["haemorrhage"]]
    again = CliRunner().invoke(app, ["check", str(drawn / "c.jsonl"), "--guideline", "-q"])
    assert "speaks for" not in again.output


def test_nothing_is_asked_without_the_option(drawn: Path) -> None:
    assert "speaks for" not in CliRunner().invoke(app, ["check", str(drawn / "m.jsonl"), "-q"]).output


def test_a_label_may_have_another_name(drawn: Path) -> None:
    words = ["check", str(drawn / "m.jsonl"), "-q", "--lesion"]
    told = CliRunner().invoke(app, [*words, "atrophy=haemorrhage"])
    assert "atrophy" in told.output
    assert isinstance(CliRunner().invoke(app, [*words, "disc=drusen"]).exception, ValueError)
