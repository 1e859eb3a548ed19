"""What is marked against the grade is found, and becomes unknown there and nowhere else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.guideline import GUIDELINE
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.check import check
from foveate.data.cleaning import clean
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest

GRADE = Question("grade", GUIDELINE.grades, ordered=True)
SCHEMA = LabelSchema((GRADE,), ("microaneurysm", "haemorrhage", "exudate"))
MINE = GUIDELINE.named({"exudate": "hard_exudate"})


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """a: grade 1 with a haemorrhage (wrong); b: grade 2 with the same; c: grade 1 without anything; d: no grade."""
    rng = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    one, two = np.zeros((2, 30, 30), np.uint8)
    one[2:5, 2:6] = 255
    two[4:8, 2:6] = 255
    two[20, 20] = 7  # not known there
    Image.fromarray(one).save(tmp_path / "one.png")
    Image.fromarray(two).save(tmp_path / "two.png")
    seen = (MaskSource("one.png", above=100), MaskSource("two.png", above=100, ignore=(7,), annotator="grader2"))
    ma = (MaskSource("one.png", above=100),)
    rows = (
        Row("a", "a.png", {"grade": "1"}, {"microaneurysm": ma, "haemorrhage": seen, "exudate": ABSENT}),
        Row("b", "b.png", {"grade": "2"}, {"microaneurysm": ma, "haemorrhage": seen}),
        Row("c", "c.png", {"grade": "1"}, {"microaneurysm": ABSENT, "haemorrhage": ABSENT}),
        Row("d", "d.png", {}, {"haemorrhage": seen}),
    )
    return Manifest(SCHEMA, rows, tmp_path)


def test_check_lists_contradictions_where_asked(manifest: Manifest) -> None:
    assert check(manifest).contradictions == ()
    report = check(manifest, guideline=MINE)
    assert report.contradictions == (
        "a: haemorrhage speaks for grade 2, not 1",
        "c: nothing marked speaks for grade 1",
    )
    assert report.about[report.contradictions[0]] == "a"
    assert report.ok


def test_what_contradicts_becomes_unknown(manifest: Manifest) -> None:
    cleaned = clean(manifest, guideline=MINE)
    assert cleaned.changes == ("a: haemorrhage speaks for grade 2, not 1",)
    assert [old == new for old, new in zip(manifest, cleaned.manifest, strict=True)] == [False, True, True, True]
    before, _ = read.masks(manifest[0], manifest.root, SCHEMA, shape=(30, 30))
    masks, known = read.masks(cleaned.manifest[0], manifest.root, SCHEMA, shape=(30, 30))
    assert before[1].sum() == 6 * 4  # rows 2 to 7
    assert not masks[1].any()
    unknown = before[1] > 0
    unknown[20, 20] = True  # as it was
    assert (known[1] == ~unknown).all()
    assert (masks[0] == before[0]).all()
    assert known[0].all()
    assert known[2].all()


def test_a_clean_set_stays_as_it_is(manifest: Manifest, tmp_path: Path) -> None:
    """The written manifest says the same, and nothing is found in it a second time."""
    written = clean(manifest, guideline=MINE).manifest.write(tmp_path / "clean.jsonl")
    again = Manifest.read(tmp_path / "clean.jsonl")
    assert again.rows == written.rows
    assert again[0].masks["haemorrhage"][0].doubtful
    assert '"doubtful": true' in (tmp_path / "clean.jsonl").read_text()
    assert clean(again, guideline=MINE).changes == ()
    assert check(again, guideline=MINE).contradictions == ("c: nothing marked speaks for grade 1",)


def test_graders_are_merged_over_what_is_not_doubted(manifest: Manifest) -> None:
    row = manifest[1]
    first, second = row.masks["haemorrhage"]
    row = replace(row, masks={"haemorrhage": (replace(first, doubtful=True), second)})
    masks, known = read.masks(row, manifest.root, SCHEMA, shape=(30, 30))
    assert masks[1].sum() == 16  # the second annotator's
    assert not known[1][2:4, 2:6].any()  # marked by the one who is doubted, left by the other
    assert known[1][4:8, 2:6].all()


def test_unreadable_rows_are_left(manifest: Manifest) -> None:
    (manifest.root / "one.png").unlink()
    assert clean(manifest, guideline=MINE).changes == ()


def test_a_guideline_must_fit(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match=r"no question 'dr' with the answers"):
        clean(manifest, guideline=GUIDELINE.named({}, question="dr"))
    with pytest.raises(ValueError, match=r"none of the labels .*exudate=hard_exudate"):
        check(Manifest(LabelSchema((GRADE,), ("drusen",)), (), manifest.root), guideline=GUIDELINE)
