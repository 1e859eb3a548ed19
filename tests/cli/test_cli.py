"""Every verb of the command line in its order, on drawn images, and how it ends when something is wrong."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli import demo, options
from foveate.cli import main as cli
from foveate.core import plugins as find
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.read import size
from foveate.metrics import listing

TINY = {"encoder": "resnet10t", "size": 64, "width": 4, "batch": 4, "epochs": 1, "grey": True}
SET = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
LABELS = synthetic.SCHEMAS["enface"].labels
DATASET = """
name = "drawn"
modality = "enface"
images = "images/*.png"
exclusive = true
[table]
file = "grades.csv"
id = "image"
[columns]
patient = "person"
[questions.quality]
column = "grade"
answers = ["0", "1", "2", "3"]
ordered = true
""" + "".join(f'[labels.{label}]\nmasks = "masks/{{id}}.png"\nindex = {k + 1}\n' for k, label in enumerate(LABELS))


@dataclass
class Desk:
    """A folder with drawn images, and what each verb said there."""

    folder: Path
    told: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def say(self, *words: object, called: str | None = None, code: int = 0) -> str:
        result = CliRunner().invoke(cli.app, [str(word) for word in words])
        assert result.exit_code == code, (words, result.output, result.exception)
        name = called or str(words[0])
        self.told[name], self.codes[name] = result.output, result.exit_code
        return result.output


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """All verbs, one after the other."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    data, rows = desk.folder / "data", desk.folder / "m.jsonl"
    drawn = synthetic.write("enface", data, n=24, size=64)
    with (data / "grades.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("image", "grade", "person"), *((r.id, r.answers["quality"], r.patient) for r in drawn)]
        )
    (data / "dataset.toml").write_text(DATASET)
    run, study = desk.folder / "run", desk.folder / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(desk.folder / "cache"))
        patch.setattr(demo, "SMALL", TINY)
        desk.say("scan", data / "dataset.toml", data, "-o", rows)
        desk.say("check", rows, "--workers", "0", "-q")
        desk.say("split", rows, "--ratios", "0.5,0.25,0.25")
        desk.say("fit", "image_quality", rows, "-o", run, *SET, "--device", "cpu", "-q")
        desk.say("evaluate", run, rows, "--device", "cpu", "-q")
        desk.say("report", run, "--device", "cpu")
        test = Manifest.read(rows).where(split="test")
        images = [data / "images" / f"{row.id}.png" for row in test.rows[:2]]
        desk.say(
            "predict", run, *images, "-o", desk.folder / "out", "--cam", "--spacing", "0.02,0.01", "--device", "cpu"
        )
        desk.say("study", "image_quality", rows, "-o", study, "-t", "4 classes", *SET, "--device", "cpu", "-q")
        desk.say("report", study, "--device", "cpu", called="report of a study")
        desk.say("demo", "-o", desk.folder / "demo", "-n", "20", "-q")
    return desk


def test_scan_writes_a_manifest(desk: Desk) -> None:
    rows = Manifest.read(desk.folder / "m.jsonl")
    assert rows.schema.labels == LABELS
    assert len(rows) == 24
    assert "24 images, 12 patients" in desk.told["scan"]


def test_check_says_what_is_there(desk: Desk) -> None:
    assert "24 images in 12 groups" in desk.told["check"]
    assert "quality" in desk.told["check"]


def test_split_parts_patients(desk: Desk) -> None:
    rows = Manifest.read(desk.folder / "m.jsonl")
    homes = {row.patient: row.split for row in rows}
    assert all(homes[row.patient] == row.split for row in rows)
    assert set(homes.values()) == {"train", "val", "test"}
    assert all(f"{part} " in desk.told["split"] for part in ("train", "val", "test"))


def test_fit_writes_a_run_and_says_what_comes_next(desk: Desk) -> None:
    run = desk.folder / "run"
    record = json.loads((run / "recipe.json").read_text())
    assert {k: record["keywords"][k] for k in TINY} == TINY
    assert (run / "joint/weights.safetensors").is_file()
    assert f"next: foveate evaluate {run} {desk.folder / 'm.jsonl'}" in desk.told["fit"]


def test_evaluate_says_figures_with_intervals(desk: Desk) -> None:
    told, run = desk.told["evaluate"], desk.folder / "run"
    assert all((run / name).is_file() for name in ("counts.csv", "scores.csv", "metrics.json"))
    assert json.loads((run / "metrics.json").read_text())["about"]["seen in training"] == 0
    for word in ("nerve_head", "quality", "bootstrap", "found", "false alarms", "Dice where"):
        assert word in told
    assert "warning: the run has seen" not in told


def test_evaluate_and_report_warn_of_what_is_never_given(desk: Desk) -> None:
    """A network of few steps gives one answer throughout."""
    never = json.loads((desk.folder / "run/metrics.json").read_text())["about"]["never given"]
    assert never
    for line in never:
        assert f"warning: {line}" in desk.told["evaluate"]
        assert f"warning: {line}" in desk.told["report"]
    assert "warning: " in desk.told["report of a study"]
    assert 'class="warning"' in (desk.folder / "study/report.html").read_text(encoding="utf-8")


def test_evaluate_warns_of_images_seen_in_training(desk: Desk) -> None:
    words = ("evaluate", desk.folder / "run", desk.folder / "m.jsonl", "--split", "train", "-o", desk.folder / "seen")
    told = desk.say(*words, "--device", "cpu", "-q", called="seen")
    assert "warning: the run has seen 12 of these 12 images in training" in told


def test_the_cache_is_shown_cleared_and_limited(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = desk.folder / "small cache"
    monkeypatch.setenv("FOVEATE_CACHE", str(folder))
    told = desk.say("cache", called="empty cache")
    assert f"folder  {folder}" in told
    assert "images  0 in 0 files" in told
    words = (
        "evaluate",
        desk.folder / "run",
        desk.folder / "m.jsonl",
        "-o",
        desk.folder / "again",
        "--device",
        "cpu",
        "-q",
    )
    desk.say(*words, "--cache-limit", "20MB", called="within a limit")
    count = len(Manifest.read(desk.folder / "m.jsonl").where(split="test"))
    assert re.search(rf"images  {count} in \d+ files", desk.say("cache"))  # their digests are files of the cache, too
    with pytest.warns(UserWarning, match="need more than its limit"):
        desk.say(*words, "--cache-limit", "1KB", called="a limit too small")
    assert "images  0 in " in desk.say("cache"), "what is above a limit that is given goes"
    desk.say(*words, called="no limit")
    monkeypatch.setenv("FOVEATE_CACHE_LIMIT", "3GB")
    assert "limit   3.0 GB (FOVEATE_CACHE_LIMIT;" in desk.say("cache")
    asked = CliRunner().invoke(cli.app, ["cache", "clear"], input="n\n")
    assert asked.exit_code == 1
    assert f"Remove {count} prepared images" in asked.output
    assert f"images  {count}" in desk.say("cache")
    assert f"removed {count} prepared images" in desk.say("cache", "clear", "--yes")
    assert not folder.exists()
    assert "there is nothing to clear" in desk.say("cache", "clear")
    for wrong in (["cache", "empty"], ["evaluate", *words[1:], "--cache-limit", "much"]):
        result = CliRunner().invoke(cli.app, [str(word) for word in wrong])
        assert isinstance(result.exception, ValueError)
        assert re.search(r"must be (one of|a size such as 20GB)", str(result.exception))


@pytest.mark.parametrize("verb", ["cache", "scan", "check", "merge", "consensus", "split", "crop", "export"])
def test_help_shows_two_examples(verb: str) -> None:
    said = CliRunner().invoke(cli.app, [verb, "--help"]).output
    assert said.count(f"Example: `foveate {verb}") == 2


def test_fit_names_files_that_are_missing_before_it_trains(desk: Desk, tmp_path: Path) -> None:
    """Though all samples are in the cache."""
    rows = Manifest.read(desk.folder / "m.jsonl")
    shutil.copytree(desk.folder / "data", tmp_path / "data")
    moved = rows.at(desk.folder).with_rows(rows.rows)
    Manifest(moved.schema, moved.rows, tmp_path).write(tmp_path / "m.jsonl")
    val = rows.where(split="val")
    (tmp_path / "data/images" / f"{val[0].id}.png").unlink()
    (tmp_path / "data/masks" / f"{val[1].id}.png").unlink()
    words = ["fit", "image_quality", str(tmp_path / "m.jsonl"), "-o", str(tmp_path / "run"), *SET, "-q"]
    for _ in range(2):
        result = CliRunner().invoke(cli.app, words)
        assert isinstance(result.exception, ValueError)
        assert re.search(r"there is no such file \(image .*; 2 of \d+ files are missing\)", str(result.exception))
    assert not (tmp_path / "run").exists()


def test_reports_are_pages(desk: Desk) -> None:
    for name, folder in (("report", "run"), ("report of a study", "study")):
        page = Path(desk.told[name].splitlines()[-1])
        assert page == desk.folder / folder / "report.html"
        text = page.read_text(encoding="utf-8")
        assert "<html" in text
        assert 'src="http' not in text


def test_predict_writes_what_it_read(desk: Desk) -> None:
    out = desk.folder / "out"
    readings = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    assert len(readings) == 2
    assert "2 of 2 images read" in desk.told["predict"]
    for reading in readings:
        assert reading["size"] == [64, 64]
        assert reading["spacing_mm"] == [0.02, 0.01]
        assert "mm2" in reading["areas"]["nerve_head"]
        files = reading["files"]
        named = [*files["masks"].values(), files["overlay"], *files["cam"]["quality"].values()]
        assert len(named) == 4 + 1 + 4
        assert all(size(out / name)[1] == 64 for name in named)


def test_study_prints_its_table(desk: Desk) -> None:
    for word in ("Classifier", "U-Net, joint", "FPN, joint", "F1"):
        assert word.lower() in desk.told["study"].lower()
    assert sorted(p.suffix for p in (desk.folder / "study/tables").iterdir()) == [".csv", ".tex", ".txt"]
    assert "[1/3] Classifier, split" in desk.told["study"]


def test_demo_does_it_all(desk: Desk) -> None:
    folder = desk.folder / "demo"
    assert (folder / "enface_run/report.html").is_file()
    assert len(list((folder / "predictions").glob("*.json"))) == 4
    assert "report:" in desk.told["demo"]


def test_list_names_every_file(desk: Desk) -> None:
    told = desk.say("list")
    for room in ("recipes", "studies", "models", "models/baselines"):
        for name, line in find.names(room).items():
            assert name in told
            assert line in told
    for name, line in (find.losses() | listing.lines()).items():
        assert name in told
        assert line in told
    alone = desk.say("list", "studies", called="list studies")
    assert "image_quality" in alone
    assert "adapters" not in alone


def test_dry_prints_every_number_and_trains_nothing(desk: Desk) -> None:
    words = ("fit", "image_quality", desk.folder / "m.jsonl", "-o", desk.folder / "none", "--dry")
    told = desk.say(*words, "--set", "lr=0.0125", "--set", "weights=none", "-s", "clahe=None", called="dry")
    assert "lr=0.0125" in told
    assert "clahe = None" in told
    assert not (desk.folder / "none").exists()


def test_one_bad_image_does_not_stop_the_rest(desk: Desk) -> None:
    """It is named with its reason, the others are read, the exit code is 1; doubled names are told apart."""
    good = next((desk.folder / "data/images").glob("*.png"))
    other, bad = desk.folder / "other" / good.name, desk.folder / "bad.png"
    other.parent.mkdir()
    other.write_bytes(good.read_bytes())
    bad.write_bytes(good.read_bytes()[:50])
    out = desk.folder / "some"
    words = ("predict", desk.folder / "run", good, bad, other.parent, "-o", out, "--device", "cpu")
    told = desk.say(*words, called="bad", code=1)
    assert f"{bad}: not read: cannot be decoded" in told
    assert "2 of 3 images read" in told
    assert {p.name for p in out.glob("*.json")} == {f"{good.stem}.json", f"{good.stem}_2.json"}


@pytest.fixture
def leaky(desk: Desk, tmp_path: Path) -> Path:
    """A manifest in which one patient is in two splits."""
    lines = (desk.folder / "m.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines[1:]]
    for row in rows:
        row["image"] = str(desk.folder / row["image"])
        for sources in row["masks"].values():
            for source in sources:
                source["path"] = str(desk.folder / source["path"])
    first = rows[0]
    twin = next(row for row in rows[1:] if row["patient"] == first["patient"])
    first["split"], twin["split"] = "train", "test"
    path = tmp_path / "leaky.jsonl"
    path.write_text("\n".join([lines[0], *map(json.dumps, rows)]) + "\n")
    return path


def test_check_fails_on_a_leak(desk: Desk, leaky: Path) -> None:
    told = desk.say("check", leaky, "--workers", "0", "-q", called="leak", code=1)
    assert "leaks: 1" in told
    assert told.rstrip().endswith("NOT OK")


def test_check_fails_on_a_file_that_cannot_be_read(desk: Desk, tmp_path: Path) -> None:
    rows = synthetic.write("enface", tmp_path, n=2, size=64)
    Manifest(synthetic.SCHEMAS["enface"], tuple(rows), tmp_path).write(tmp_path / "m.jsonl")
    (tmp_path / rows[0].image).write_bytes(b"no image")
    told = desk.say("check", tmp_path / "m.jsonl", "--workers", "0", "-q", called="unreadable", code=1)
    assert "unreadable: 1" in told
    assert rows[0].image in told


def ended(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Exit code of the whole program, called in this process."""
    monkeypatch.setattr(sys, "argv", ["foveate", *map(str, words)])
    with pytest.raises(SystemExit) as code:
        cli.main()
    return int(code.value.code or 0)


def test_what_is_wrong_is_told_in_one_line(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = desk.folder / "m.jsonl"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    cases: list[tuple[tuple[object, ...], str]] = [
        (("list", "rooms"), "kind must be one of"),
        (("check", tmp_path / "gone.jsonl"), "No such file"),
        (("split", rows, "--ratios", "1,2"), "give three numbers"),
        (("fit", "nonsense", rows, "-o", tmp_path / "r"), "got 'nonsense'"),
        (("fit", "image_quality", rows, "-o", tmp_path / "r", "--set", "epoch=1"), "unknown keyword ['epoch']"),
        (("fit", "image_quality", rows, "-o", tmp_path / "r", "--set", "epochs"), "write KEY=VALUE"),
        (
            ("fit", "image_quality", rows, "-o", desk.folder / "run", *SET, "--device", "cpu", "-q"),
            "holds a run already",
        ),
        (("evaluate", tmp_path, rows), "recipe.json is missing"),
        (("evaluate", desk.folder / "run", rows, "--fold", "9"), "rows have no fold"),
        (("evaluate", desk.folder / "run", rows, "--split", "none"), "none to evaluate"),
        (("report", tmp_path), "no run there"),
        (("predict", desk.folder / "run", tmp_path / "a.png", "-o", tmp_path / "o", "--spacing", "-1"), "spacing='-1'"),
        (("study", "nonsense", rows, "-o", tmp_path / "s"), "got 'nonsense'"),
        (("demo", "-o", tmp_path / "d", "-n", "3"), "draw at least 20"),
        (("demo", "-o", tmp_path / "d", "--kind", "angiogram"), "kind must be one of"),
    ]
    for words, expected in cases:
        assert ended(monkeypatch, *words) == 2, words
        told = capsys.readouterr()
        assert told.err.startswith("error: "), (words, told)
        assert expected in told.err, (words, told)
        assert told.err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", stop)
    assert ended(monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


HELP = """
import sys
sys.argv = ["foveate", *{words!r}]
from foveate.cli.main import main
try:
    main()
except SystemExit as end:
    heavy = sorted({{"torch", "numpy", "cv2", "PIL", "timm", "scipy", "matplotlib"}} & set(sys.modules))
    sys.exit(f"imported {{heavy}}" if heavy or end.code else 0)
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["fit", "--help"], ["scan", "--help"], ["split", "--help"], ["list", "recipes"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(words=words)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TERM": "dumb"},
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout or words[0] == "list"
    if words == ["--help"]:
        verbs = [info.name or info.callback.__name__ for info in cli.app.registered_commands if info.callback]
        assert all(verb in done.stdout for verb in verbs)


def test_settings_are_read_as_json() -> None:
    told = options.keywords(
        ["a=1", "b=0.5", "c=true", "d=None", "e=resnet18", "f=[1, 2]", "g= x=y", "h=012|3", "i=False"]
    )
    assert told == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": None,
        "e": "resnet18",
        "f": [1, 2],
        "g": " x=y",
        "h": "012|3",
        "i": False,
    }
