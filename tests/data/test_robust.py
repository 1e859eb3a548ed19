"""Scan, check and write where the world is not as it should be: nothing half-written stays, every slip is named."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data import check as checking
from foveate.data.adapters import folder, scan
from foveate.data.check import check
from foveate.data.manifest import Manifest

TOML = 'name = "x"\nimages = "**/*.png"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "set"
    for i in range(6):
        path = place / f"p{i}/scan{i}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    (place / "dataset.toml").write_text(TOML)
    return place


def test_a_loop_of_links_ends(root: Path) -> None:
    (root / "p0/again").symlink_to(root, target_is_directory=True)
    (root / "p1/dangling.png").symlink_to(root / "nowhere.png")
    assert [row.id for row in scan("folder", root)] == [f"scan{i}" for i in range(6)]


def test_a_full_disk_leaves_the_old_manifest(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "m.jsonl"
    found = scan("folder", root)
    found.with_rows(found.rows[:2]).write(out)
    before, opened = out.read_bytes(), Path.open

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "w" not in mode:
            return opened(self, mode, *rest, **more)
        opened(self, mode, *rest, **more).close()  # the file is there, the text finds no room
        return Full()

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(OSError, match="No space left"):
        found.write(out)
    monkeypatch.undo()
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.jsonl", "set"]


def test_a_folder_that_cannot_be_written_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(closed))

    monkeypatch.setattr(os, "replace", refuse)  # root may write anywhere, so modes do not serve here
    with pytest.raises(PermissionError, match="closed"):
        scan("folder", root).write(closed / "m.jsonl")
    assert list(closed.iterdir()) == []


def test_ctrl_c_in_scan_writes_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "sha256", interrupting(folder.sha256, after=3))
    with pytest.raises(KeyboardInterrupt):
        scan("folder", root).write(tmp_path / "m.jsonl")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_ctrl_c_in_check_ends_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = scan("folder", root)
    monkeypatch.setattr(checking, "inspect_row", interrupting(checking.inspect_row, after=2))
    with pytest.raises(KeyboardInterrupt):
        check(rows)


def interrupting(call: Callable[..., Any], *, after: int) -> Callable[..., Any]:
    left = iter(range(after))

    def once(*given: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return call(*given, **named)

    return once


def test_processes_find_what_threads_find(root: Path) -> None:
    (root / "p3/scan3.png").write_bytes(b"no picture")
    rows = scan("folder", root)
    assert check(rows, workers=2) == check(rows, workers=0)
    assert len(check(rows, workers=2).unreadable) == 1


def test_paths_that_leave_the_folder_are_noted(root: Path, tmp_path: Path) -> None:
    rows = scan("folder", root)
    assert not [note for note in check(rows).notes if "outside" in note]
    elsewhere = rows.write(tmp_path / "deep/m.jsonl")
    (note,) = [note for note in check(elsewhere).notes if "outside" in note]
    assert note.startswith(
        "6 of 6 images are outside the manifest's folder or have masks there, like scan0 (../set/p0/"
    )
    absolute = rows.with_rows([Row("a", str(root / "p0/scan0.png")), *rows.rows[1:]])
    (note,) = [note for note in check(absolute).notes if "outside" in note]
    assert note.startswith("1 of 6")
    masked = Manifest(LabelSchema(labels=("disc",)), (Row("a", "p0/scan0.png", masks={"disc": (climbing(),)}),), root)
    assert any("outside" in note for note in check(masked).notes)


def climbing() -> MaskSource:
    return MaskSource("p0/../../set/p0/scan0.png", above=127)


def test_unknown_patients_and_half_a_split_are_noted(root: Path) -> None:
    rows = scan("folder", root)
    assert check(rows).notes == (
        "6 of 6 images have no patient, eye or volume, like scan0: each counts as a person of its own, and two of one "
        "person may straddle a split",
    )
    half = rows.with_rows(
        Row(r.id, r.image, patient=r.id, split="train" if i < 4 else None) for i, r in enumerate(rows)
    )
    assert check(half).notes == ("2 of 6 images are in no split, the others are; split again",)


def test_a_recompressed_copy_in_another_split_leaks(root: Path) -> None:
    rng = np.random.default_rng(9)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((90, 90))
    coarse.save(root / "p0/a.png")
    coarse.resize((70, 70)).save(root / "p1/b.png")
    rows = [Row("a", "p0/a.png", split="train"), Row("b", "p1/b.png", split="test"), Row("c", "p2/scan2.png")]
    report = check(Manifest(LabelSchema(), tuple(rows), root))
    assert [pair.ids for pair in report.near] == [("a", "b")]
    assert [leak.ids for leak in report.leaks] == [("a", "b")]
    assert (report.ok, report.duplicates, report.groups) == (False, (), 2)
    assert "same picture in other pixels: 1\n  a ~ b (0.9" in str(report)


def test_scan_tells_how_far_it_is(root: Path) -> None:
    told: list[tuple[int, int]] = []
    scan("folder", root, progress=lambda done, of: told.append((done, of)))
    assert told == [(i, 6) for i in range(1, 7)]
