"""Check: what is there is counted, what is wrong is named, and what must fail does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.check import LabelCount, check
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest, sha256

SCHEMA = LabelSchema((Question("fluid", evidence=("fluid", "cyst")), Question("grade", ("0", "1"))), ("fluid", "cyst"))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def sound(tmp_path: Path) -> Manifest:
    """Four images of 8 x 10: fluid in a (two annotators) and cyst in b, nothing in c, all unknown in d."""
    rng = np.random.default_rng(0)
    for name in "abcd":
        save(tmp_path / f"images/{name}.png", rng.integers(0, 256, (8, 10, 3)))
    bits = np.zeros((8, 10))
    bits[:2, :3] = 1  # 6 pixels by annotator 1
    bits[1:3, :3] += 2  # 6 by annotator 2, 3 of them shared: 9 in union
    save(tmp_path / "masks/a.png", bits)
    dark = np.full((8, 10), 255)
    dark[4, :5] = 0
    dark[7] = 128
    save(tmp_path / "masks/b.png", dark)
    two = (MaskSource("masks/a.png", bit=0), MaskSource("masks/a.png", bit=1, annotator="grader2"))
    cyst = (MaskSource("masks/b.png", below=100, ignore=(128,)),)
    rows = (
        Row("a", "images/a.png", {"fluid": "yes", "grade": "1"}, {"fluid": two}, patient="p", split="train"),
        Row("b", "images/b.png", {"fluid": "yes"}, {"fluid": ABSENT, "cyst": cyst}, patient="q", split="train"),
        Row("c", "images/c.png", {"fluid": "no", "grade": "0"}, {"fluid": ABSENT, "cyst": ABSENT}, split="test"),
        Row("d", "images/d.png", patient="s", split="test"),
    )
    rows = tuple(replace(row, sha256=sha256(tmp_path / row.image)) for row in rows)
    return Manifest(SCHEMA, rows, tmp_path)


def other(manifest: Manifest, position: int, **changes: object) -> Manifest:
    rows = list(manifest)
    rows[position] = replace(rows[position], **changes)
    return manifest.with_rows(rows)


def test_everything_is_counted(sound: Manifest) -> None:
    seen: list[tuple[int, int]] = []
    report = check(sound, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert report.ok
    assert (report.images, report.groups) == (4, 4)
    assert list(report.labels) == ["all", "train", "test"]
    assert report.labels["all"] == {"fluid": LabelCount(4, 3, 1, 9), "cyst": LabelCount(4, 2, 1, 5)}
    assert report.labels["test"] == {"fluid": LabelCount(2, 1, 0, 0), "cyst": LabelCount(2, 1, 0, 0)}
    assert report.answers["all"]["fluid"] == {"no": 1, "yes": 2, "unknown": 1}
    assert report.answers["train"]["grade"] == {"0": 0, "1": 1, "unknown": 1}
    found = (report.unreadable, report.mismatching, report.changed, report.duplicates)
    assert (*found, report.contradictions, report.leaks) == ((),) * 6


def test_the_text_is_a_table(sound: Manifest) -> None:
    text = str(check(sound))
    assert text.splitlines()[:9] == [
        "4 images in 4 groups (patient, else eye, volume, image)",
        "",
        "question  answer   all  train  test",
        "fluid     no         1      0     1",
        "fluid     yes        2      2     0",
        "fluid     unknown    1      0     1",
        "grade     0          1      0     1",
        "grade     1          1      1     0",
        "grade     unknown    2      1     1",
    ]
    assert "cyst   all         4      2         1       5" in text
    assert text.endswith("\nok")


def test_missing_and_damaged_files_fail(sound: Manifest) -> None:
    path = sound.root / "images/a.png"
    path.write_bytes(path.read_bytes()[:60])
    (sound.root / "images/c.png").unlink()
    (sound.root / "masks/b.png").unlink()
    report = check(sound)
    assert not report.ok
    assert len(report.unreadable) == 3
    assert "images/a.png: cannot be decoded" in report.unreadable[0]
    assert "masks/b.png: there is no such file" in report.unreadable[1]
    assert "images/c.png: there is no such file" in report.unreadable[2]
    assert report.labels["all"]["fluid"] == LabelCount(4, 0, 0, 0)
    assert "unreadable: 3\n" in str(report)
    assert str(report).endswith("\nNOT OK")


def test_a_mask_of_another_size_fails(sound: Manifest) -> None:
    save(sound.root / "masks/a.png", np.zeros((4, 5)))
    report = check(sound)
    assert not report.ok
    assert not report.unreadable
    (text,) = report.mismatching
    assert text.endswith("masks/a.png is 4 x 5, its image 8 x 10 (rows x columns)")


def test_an_image_that_changed_fails(sound: Manifest) -> None:
    save(sound.root / "images/d.png", np.zeros((8, 10, 3)))
    report = check(sound)
    assert not report.ok
    assert "images/d.png is not the file that was scanned" in report.changed[0]
    assert check(other(sound, 3, sha256=None)).ok


def test_duplicates_are_found_by_pixels_and_fail_across_splits(sound: Manifest) -> None:
    pixels = np.array(Image.open(sound.root / "images/c.png"))
    Image.fromarray(pixels).save(sound.root / "images/d.png", compress_level=0)
    copied = other(sound, 3, sha256=None)
    assert (sound.root / "images/d.png").read_bytes() != (sound.root / "images/c.png").read_bytes()
    report = check(copied)
    assert report.duplicates == (("c", "d"),)
    assert report.groups == 3
    assert report.ok  # both in test
    report = check(other(copied, 3, split="train"))
    assert not report.ok
    assert [(leak.group, leak.parts) for leak in report.leaks] == [("c = s", ("test", "train"))]


def test_duplicates_with_different_answers_contradict(sound: Manifest) -> None:
    (sound.root / "images/d.png").write_bytes((sound.root / "images/c.png").read_bytes())
    report = check(other(sound, 3, sha256=None, answers={"grade": "1", "fluid": "no"}))
    assert report.contradictions == ("grade of the same pixels: c '0', d '1'",)


def test_a_patient_in_two_splits_fails(sound: Manifest) -> None:
    report = check(other(sound, 3, patient="p"))
    assert not report.ok
    assert "leaks: 1\n  p: 2 images (a, d) in split test and train" in str(report)


def test_answers_are_held_against_masks(sound: Manifest) -> None:
    wrong = other(other(sound, 0, answers={"fluid": "no"}), 2, answers={"fluid": "yes"})
    report = check(wrong)
    assert report.contradictions == (
        "a: fluid is 'no', and 9 pixels are marked fluid",
        "c: fluid is 'yes', and no pixel is marked fluid or cyst",
    )
    assert report.ok


def test_what_is_not_wholly_known_refutes_no_yes(sound: Manifest) -> None:
    save(sound.root / "masks/b.png", np.where(np.arange(80).reshape(8, 10) < 3, 128, 255))  # three pixels unknown
    assert check(sound).contradictions == ()
    save(sound.root / "masks/b.png", np.full((8, 10), 255))
    assert check(sound).contradictions == ("b: fluid is 'yes', and no pixel is marked fluid or cyst",)


def test_long_lists_are_cut(sound: Manifest) -> None:
    rows = [Row(f"x{i}", f"images/x{i}.png") for i in range(13)]
    text = str(check(sound.with_rows(rows)))
    assert "unreadable: 13" in text
    assert "x9.png" in text
    assert "x10.png" not in text
    assert "  ... and 3 more" in text
