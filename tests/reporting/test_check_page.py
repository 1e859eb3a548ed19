"""``foveate check --page`` and ``foveate merge``: from files to files, and how they end."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.check import check
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.reporting.check_page import write_check_page

SCHEMA = LabelSchema((Question("ill", evidence=("disc",)),), ("disc",))


@pytest.fixture
def rows(tmp_path: Path) -> Manifest:
    """Twelve pictures: b is a, d is c made smaller, e is answered against its mask, f's mask too small, g is gone."""
    rng = np.random.default_rng(0)
    images = {n: cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (90, 90)) for n in "acefhijklm"}
    images |= {"b": images["a"], "d": cv2.resize(images["c"], (60, 60), interpolation=cv2.INTER_AREA)}
    for name, pixels in images.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    for name, side in (("e", 90), ("f", 40)):
        Image.fromarray(np.full((side, side), 255, np.uint8)).save(tmp_path / f"{name}_mask.png")
    made = [Row(n, f"{n}.png", patient=n, split="test" if n in "bdhi" else "train") for n in "abcdefghijklm"]
    made[4] = replace(made[4], answers={"ill": "no"}, masks={"disc": (MaskSource("e_mask.png", above=1),)})
    made[5] = replace(made[5], masks={"disc": (MaskSource("f_mask.png", above=1),)})
    made[7] = replace(made[7], masks={"disc": ABSENT})
    return Manifest(SCHEMA, tuple(made), tmp_path, info={"name": "mine"})


def titles(text: str) -> list[str]:
    return re.findall(r'<section id="[^"]*"><h2>(.*?)</h2>', text)


def test_the_suspicious_come_first(rows: Manifest, tmp_path: Path) -> None:
    text = write_check_page(tmp_path / "check.html", manifest=rows, report=check(rows)).read_text(encoding="utf-8")
    assert titles(text) == [
        "What was found", "Counts", "Same pixels", "Same picture in other pixels", "Answers against masks",
        "Masks of another size", "train", "test",
    ]  # fmt: skip
    for said in (
        "Check of mine",
        "alike 0.9",
        "e: ill is 'no', and 8100 pixels",
        "f_mask.png is 40 x 40",
        "masks not shown",
    ):
        assert said in text.replace("&#39;", "'")
    assert "disc 8100 px" in text
    assert "no disc" in text
    assert "8 of 9 images, drawn by the seed 0." in text  # g cannot be read
    assert text.count("<figure><img") == 2 + 2 + 1 + 1 + 8 + 4


def test_the_page_holds_no_more_than_was_said(rows: Manifest, tmp_path: Path) -> None:
    report = check(rows)
    pages = [
        write_check_page(tmp_path / f"{seed}.html", manifest=rows, report=report, most=12, seed=seed).read_text()
        for seed in (0, 0, 1)
    ]
    shown = [re.findall(r"<b>(\w)</b>", page) for page in pages]
    assert shown[0] == shown[1] != shown[2]
    assert len(shown[0]) <= 12
    assert shown[0][:6] == ["a", "b", "c", "d", "e", "f"]


def test_the_command_writes_the_page_and_fails(rows: Manifest, tmp_path: Path) -> None:
    rows.write(tmp_path / "m.jsonl")
    told = CliRunner().invoke(
        app, ["check", str(tmp_path / "m.jsonl"), "--page", str(tmp_path / "p.html"), "--workers", "0"]
    )
    assert told.exit_code == 1
    assert "NOT OK" in told.stdout
    assert "p.html: what was found, with pictures" in told.stdout
    assert (tmp_path / "p.html").is_file()


def test_a_sound_set_ends_well(rows: Manifest, tmp_path: Path) -> None:
    rows.with_rows(rows.rows[7:]).write(tmp_path / "m.jsonl")
    told = CliRunner().invoke(app, ["check", str(tmp_path / "m.jsonl")])
    assert told.exit_code == 0
    assert told.stdout.endswith("ok\n")


def test_merge_joins_files(rows: Manifest, tmp_path: Path) -> None:
    rows.write(tmp_path / "a.jsonl")
    replace(rows, info={"name": "other"}).write(tmp_path / "b.jsonl")
    (tmp_path / "map.toml").write_text('name = "both"\n[sources.other.questions]\nill = "sick"\n')
    given = ["merge", *(str(tmp_path / f"{n}.jsonl") for n in "ab"), "-o", str(tmp_path / "m.jsonl")]
    told = CliRunner().invoke(app, [*given, "--map", str(tmp_path / "map.toml")])
    assert told.exit_code == 0, told.output
    assert "26 images of 2 sets; asked: ill, sick; marked: disc (may overlap)" in told.stdout
    assert Manifest.read(tmp_path / "m.jsonl").info["name"] == "both"
    assert CliRunner().invoke(app, given).exit_code == 0
    assert [q.name for q in Manifest.read(tmp_path / "m.jsonl").schema.questions] == ["ill"]
