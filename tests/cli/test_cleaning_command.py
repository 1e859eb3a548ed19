"""``foveate check --guideline --clean``: contradictions are told, and a second manifest has none."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource
from foveate.data.manifest import Manifest
from foveate.data.synthetic import SCHEMAS, write


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn retinas, of which the third (grade 2) is called grade 1; a label that none has is stated absent."""
    folder = tmp_path_factory.mktemp("drawn")
    nowhere = {"preretinal_haemorrhage": (MaskSource(),)}
    rows = [replace(row, masks={**row.masks, **nowhere}) for row in write("fundus", folder, n=6, size=96)]
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


def renamed(drawn: Path, *names: str) -> Path:
    """The manifest with its grade under other names, the first of which has the answers."""
    rows = Manifest.read(drawn / "m.jsonl")
    grade = rows.schema.question("grade")
    questions = tuple(replace(grade, name=name) for name in names)
    schema = LabelSchema((*questions, Question("dme")), rows.schema.labels)
    moved = [replace(row, answers={names[0]: row.answers["grade"]}) for row in rows]
    return Manifest(schema, tuple(moved), rows.root).write(drawn / f"{'_'.join(names)}.jsonl").path


def test_the_graded_question_may_have_another_name(drawn: Path) -> None:
    """It is found where it is the only one with five ordered answers, and named where it is not."""
    told = CliRunner().invoke(app, ["check", str(renamed(drawn, "dr_grade")), "--guideline", "-q"])
    assert told.exit_code == 0, told.output
    assert "guideline: dr_grade (0, 1, 2, 3, 4) against microaneurysm, haemorrhage" in told.output
    assert "haemorrhage speaks for dr_grade 2, not 1" in told.output
    two = str(renamed(drawn, "dr_grade", "quality"))
    failed = CliRunner().invoke(app, ["check", two, "--guideline", "-q"])
    assert "['dr_grade', 'quality'] all have 5 ordered answers; name the graded one" in str(failed.exception)
    named = CliRunner().invoke(app, ["check", two, "--grade", "dr_grade", "-q"])
    assert "haemorrhage speaks for dr_grade 2, not 1" in named.output
    for grade, said in (("dr", "grade must be one of the questions"), ("dme", "question 'dme': its answers")):
        wrong = CliRunner().invoke(app, ["check", two, "--grade", grade, "-q"])
        assert isinstance(wrong.exception, ValueError)
        assert said in str(wrong.exception)


def test_a_set_without_a_grade_is_told_what_to_do(drawn: Path) -> None:
    rows = Manifest.read(drawn / "m.jsonl")
    bare = Manifest(LabelSchema((), rows.schema.labels), tuple(replace(r, answers={}) for r in rows), rows.root)
    told = CliRunner().invoke(app, ["check", str(bare.write(drawn / "bare.jsonl").path), "--guideline", "-q"])
    assert "name the graded question with --grade QUESTION" in str(told.exception)


def test_indirect_signs_contradict_where_asked(drawn: Path) -> None:
    """A drawn retina of grade 2 has hard exudates: called grade 1 they speak against it, where they may."""
    words = ["check", str(drawn / "m.jsonl"), "-q", "--guideline"]
    assert "(indirect) speaks for" not in CliRunner().invoke(app, words).output
    told = CliRunner().invoke(app, [*words, "--indirect", "--clean", str(drawn / "i.jsonl")])
    assert "hard exudate (indirect) speaks for grade 2, not 1" in told.output
    assert "indirect ones too" in told.output
    doubted = {label for row in Manifest.read(drawn / "i.jsonl") for label, m in row.masks.items() if m[0].doubtful}
    assert doubted == {"haemorrhage", "hard_exudate"}
