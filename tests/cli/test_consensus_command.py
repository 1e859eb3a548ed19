"""``foveate consensus``: readings in, settled answers out, and what became of them in words."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Cue, Row
from foveate.data.manifest import Manifest

SCHEMA = LabelSchema(
    (Question("exudate", evidence=("hard",)), Question("grade", ("0", "1", "2"), ordered=True)), ("hard",)
)


def readers(folder: Path) -> Path:
    """Three images, of which two were read by three readers."""
    cues = (Cue(regions=("macula",), annotator="a"), Cue(annotator="b"), Cue(annotator="c"))
    said = {reader: {"exudate": "yes", "grade": grade} for reader, grade in zip("abc", "221", strict=True)}
    rows = (Row("x", "x.png", cues={"hard": cues}), Row("y", "y.png", readings=said), Row("z", "z.png", {"grade": "0"}))
    return Manifest(SCHEMA, rows, folder).write(folder / "readers.jsonl").path or folder


@pytest.mark.parametrize(
    ("at_least", "x"), [(2, {}), (1, {"exudate": "yes"}), ("union", {"exudate": "yes"}), ("majority", {})]
)
def test_answers_are_settled(tmp_path: Path, at_least: int | str, x: dict[str, str]) -> None:
    path, out = readers(tmp_path), tmp_path / "m.jsonl"
    told = CliRunner().invoke(app, ["consensus", str(path), "-o", str(out), "--at-least", str(at_least)])
    assert told.exit_code == 0, told.exception
    settled = Manifest.read(out)
    assert [dict(row.answers) for row in settled] == [x, {"exudate": "yes", "grade": "2"}, {"grade": "0"}]
    assert settled.rows[0].cues["hard"][0].regions == ("macula",)
    left = 1 - len(x)
    assert f"exudate: 2 images read by 3 annotators; no 0, yes {1 + len(x)}; left out {left}" in told.output
    assert "grade: 1 images read by 3 annotators; 0 0, 1 0, 2 1; left out 0" in told.output
    assert "warning" not in told.output


def test_a_manifest_that_nobody_read_is_told(tmp_path: Path) -> None:
    Manifest(SCHEMA, (Row("z", "z.png", {"grade": "0"}),), tmp_path).write(tmp_path / "m.jsonl")
    told = CliRunner().invoke(app, ["consensus", str(tmp_path / "m.jsonl"), "-o", str(tmp_path / "o.jsonl")])
    assert "no image has readings or cues of annotators" in told.output
    assert Manifest.read(tmp_path / "o.jsonl").rows[0].answers == {"grade": "0"}
    for value in ("0", "-1", "most", "1.5"):
        wrong = CliRunner().invoke(app, ["consensus", str(readers(tmp_path)), "-o", str(tmp_path / "o.jsonl"),
                                         "--at-least", value])  # fmt: skip
        assert isinstance(wrong.exception, ValueError)
        assert "at_least" in str(wrong.exception)
        assert value in str(wrong.exception)
