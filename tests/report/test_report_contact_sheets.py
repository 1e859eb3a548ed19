import re
from datetime import UTC, datetime

import numpy as np
import pytest

from foveate.report.contact_sheets import Sheet, Thumb, check_page, shot
from foveate.report.table import Column, Table

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def thumb(name, **more):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    mask = np.zeros((2, 60, 80), np.uint8)
    mask[0, 10:30, 10:30] = 1
    return Thumb(shot(image, masks=mask, labels=["disc", "cup"], alt=f"{name}: disc"), name, **more)


def write(tmp_path, **more):
    given = {
        "title": "Check of <mine>", "ok": False, "facts": [("images", "2")],
        "lists": {"unreadable": ["a.png: gone"] * 5, "leaks": []},
        "tables": [Table("Labels", (Column("label"), Column("images")), (("disc", 2),))],
        "sheets": [Sheet("same", "Same pixels", "1 of 1", [("the two", [thumb("a", part="train"), thumb("b")])], True)],
        "labels": ["disc", "cup"], "most": 3, "when": WHEN,
    }  # fmt: skip
    return check_page(tmp_path / "deep/check.html", **{**given, **more})


def test_page_is_whole_and_stands_alone(tmp_path):
    path = write(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["check.html"]
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert all(src.startswith("data:image/jpeg") for src in re.findall(r'src="([^"]*)"', text))
    assert all(f'id="{key}"' in text for key in re.findall(r'href="#([^"]*)"', text))
    assert "Check of &lt;mine&gt;" in text
    for said in (
        "Not sound.",
        "Unreadable: 5",
        "... and 2 more",
        "None: leaks",
        "the two",
        "train",
        "2026-01-02 03:04",
    ):
        assert said in text
    assert text.count("<figure><img") == 2
    assert 'loading="lazy"' in text
    assert "Sound." in write(tmp_path, ok=True).read_text(encoding="utf-8")


def test_pictures_are_small_and_marked():
    one = thumb("a").shot
    assert (one.width, one.height) == (200, 150)
    assert len(one.uri) < 60_000  # noise is the worst that JPEG can meet
    bare = shot(np.zeros((60, 80, 3), np.uint8), masks=np.zeros((0, 60, 80), np.uint8), labels=[], alt="x")
    assert len(bare.uri) < 3_000


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    path = write(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, ok=True)
    assert [p.name for p in path.parent.iterdir()] == ["check.html"]
    assert path.read_bytes() == before
