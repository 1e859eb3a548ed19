"""The cache on the command line: shown, cleared, limited; a run names files that are missing before it trains."""

import os
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foveate.apps import cli
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split

TINY = {"encoder": "resnet10t", "size": 32, "width": 4, "batch": 4, "epochs": 1, "grey": True}
SET = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


def say(*words: object, code: int = 0, answer: str | None = None) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], input=answer)
    assert result.exit_code == code, (words, result.output, result.exception)
    return result.output


def refused(*words: object) -> str:
    """Message of the error that a command ends with."""
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert isinstance(result.exception, ValueError), (words, result.output, result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with drawn images, a manifest, a trained run and the cache that it filled."""
    desk = tmp_path_factory.mktemp("desk")
    drawn = synthetic.write("enface", desk / "data", n=16, size=64)
    rows = Manifest(synthetic.SCHEMAS["enface"], tuple(drawn), desk / "data")
    split(rows, ratios=(0.5, 0.25, 0.25)).write(desk / "m.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(desk / "cache"))
        say("fit", "image_quality", desk / "m.jsonl", "-o", desk / "run", *SET, "--device", "cpu", "-q")
    return desk


def test_the_cache_is_shown_limited_and_cleared(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "small cache"
    monkeypatch.setenv("FOVEATE_CACHE", str(folder))
    told = say("cache")
    assert f"folder  {folder}" in told
    assert "images  0 in 0 files" in told
    evaluate = ("evaluate", desk / "run", desk / "m.jsonl", "-o", tmp_path / "figures", "--device", "cpu", "-q")
    say(*evaluate, "--cache-limit", "20MB")
    count = len(Manifest.read(desk / "m.jsonl").where(split="test"))
    assert f"images  {count} in {2 * count} files" in say("cache")
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    with pytest.warns(UserWarning, match="need more than its limit"):
        say(*evaluate, "--cache-limit", "1KB")
    assert "images  0 in 0 files" in say("cache"), "what is above a limit that is given goes"
    say(*evaluate)
    monkeypatch.setenv("FOVEATE_CACHE_LIMIT", "3GB")
    assert "limit   3.0 GB (FOVEATE_CACHE_LIMIT;" in say("cache", "show")
    assert f"Remove {count} prepared images" in say("cache", "clear", answer="n\n", code=1)
    assert f"images  {count}" in say("cache")
    assert f"removed {count} prepared images" in say("cache", "clear", "--yes")
    assert not folder.exists()
    assert "there is nothing to clear" in say("cache", "clear")
    assert "ACTION must be one of ['show', 'clear'], got 'empty'" in refused("cache", "empty")
    assert "--cache-limit must be a size such as 20GB" in refused(*evaluate, "--cache-limit", "much")


def test_fit_names_missing_files_before_it_trains_though_their_samples_are_kept(
    desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(desk / "cache"))
    shutil.copytree(desk, tmp_path / "desk")
    rows = Manifest.read(tmp_path / "desk/m.jsonl")
    val = rows.where(split="val")
    (rows.root / val[0].image).unlink()
    (rows.root / str(next(iter(val[1].masks.values()))[0].path)).unlink()
    fit = ("fit", "image_quality", rows.path, "-o", tmp_path / "run", *SET, "--device", "cpu", "-q")
    for _ in range(2):
        assert re.search(r"there is no such file \(image .*; 2 of \d+ files are missing\)", refused(*fit))
    assert not (tmp_path / "run").exists()
    done = ("fit", "image_quality", rows.path, "-o", tmp_path / "desk/run", *SET, "--device", "cpu", "-q", "--resume")
    assert "trained" in say(*done), "a finished run needs none of them"


def test_help_shows_two_examples() -> None:
    told = say("cache", "--help")
    assert told.count("Example:") == 2
    assert "--yes" in told
