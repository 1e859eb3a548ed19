"""The comparison with peers: plan, resume, frames, one scorer, intervals, page; the loops of peers on the CPU."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"
sys.path.insert(0, str(FOLDER))

from peers import environment, frames, intervals, nnunet_data, predictions, running, training  # noqa: E402
from peers.counting import between, count, read_counts  # noqa: E402
from peers.plan import Plan, read_plan  # noqa: E402

from foveate.data.manifest import Manifest  # noqa: E402
from foveate.metrics.counts import Counts  # noqa: E402

TOML = """
name = "spots"
images = "images/*.png"
[table]
file = "labels.csv"
id = "id"
[columns]
patient = "patient"
[questions.spot]
column = "spot"
values = { 0 = "no", 1 = "yes" }
evidence = "spot"
[[labels.spot]]
masks = "masks/{id}.png"
bit = 0
[[labels.spot]]
masks = "masks/{id}.png"
bit = 2
annotator = "second"
[labels.field]
masks = "masks/{id}.png"
bit = 1
"""

PLAN = """
minutes = 3
threads = 1
folds = 3
compare = "ours"
peers = ["smp", "timm"]
[sets.spots]
scan = "{toml}"
size = 64
truths = ["grader1", "second"]
[methods.ours]
run = "foveate"
recipe = "image_quality"
settings = {{ encoder = "resnet10t" }}
[methods.smp]
run = "smp"
settings = {{ encoder = "resnet10t", batch = 2 }}
[methods.timm]
run = "timm"
[methods.timm.sets.spots]
vertical = false
[[rows]]
methods = ["ours", "smp"]
runs = [[0, 0]]
[[rows]]
methods = ["smp", "timm"]
runs = [[0, 0], [1, 1]]
"""
ORDER = [("ours", 0, 0), ("smp", 0, 0), ("timm", 0, 0), ("smp", 1, 1), ("timm", 1, 1)]


@pytest.fixture
def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peers_command", FOLDER / "peers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images of six patients, 40 x 60; every second patient has a spot, which the second annotator shifts."""
    root = tmp_path / "data" / "spots"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    lines = ["id,patient,spot"]
    for i in range(12):
        image, mask = np.full((40, 60, 3), 60 + i, np.uint8), np.zeros((40, 60), np.uint8)
        mask[4:36, 4:56] |= 2
        if i // 2 % 2:
            mask[10:20, 10:30] |= 1
            mask[15:25, 10:30] |= 4
            image[10:20, 10:30] = 200
        Image.fromarray(image).save(root / "images" / f"i{i:02d}.png")
        Image.fromarray(mask).save(root / "masks" / f"i{i:02d}.png")
        lines.append(f"i{i:02d},p{i // 2},{i // 2 % 2}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "spots.toml").write_text(TOML)
    monkeypatch.setenv("FOVEATE_DATA", str(tmp_path / "data"))
    return root


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(toml=tmp_path / "spots.toml"))
    return path


@pytest.fixture
def plan(plan_file: Path) -> Plan:
    return read_plan(plan_file)


@pytest.fixture
def rows(plan: Plan, data: Path, tmp_path: Path) -> Manifest:
    return frames.manifest_of(plan.sets["spots"], tmp_path / "out", folds=3)


def made(folder: Path, rows: Manifest, *, shift: int = 0, miss: bool = False) -> predictions.Predictions:
    """Predictions: the first annotator's masks, moved down; with ``miss`` the spots alone are never marked."""
    writer = predictions.Writer(folder, rows.schema.labels)
    for number, row in enumerate(rows):
        with Image.open(rows.root / row.masks["field"][0].path) as file:
            field, spot = ((np.roll(np.asarray(file), shift, 0) >> bit) & 1 == 1 for bit in (1, 0))
        masks = np.stack([{"spot": spot & (not miss), "field": field}[label] for label in rows.schema.labels])
        yes = 0.9 - 0.01 * number if row.answers["spot"] == "yes" else 0.1
        presence = masks.any((1, 2)).astype(float).tolist()
        writer.add(row.id, masks=masks, presence=presence, answers={"spot": {"no": 1 - yes, "yes": yes}})
    return writer.close()


# -- plan ------------------------------------------------------------------------------------------------------------


def test_cells_come_in_the_order_of_the_plan_each_once(plan: Plan) -> None:
    assert [(c.method.name, c.fold, c.seed) for c in plan.cells] == ORDER
    assert plan.cells[0].folder == "cells/spots/ours/fold0-seed0"
    assert plan.cells[2].settings == {"vertical": False}
    assert {c.minutes for c in plan.cells} == {3.0}
    assert len(plan.only(which=["spots/smp"])) == 2
    assert len(plan.only(which=["*/smp", "spots/timm"], folds=[1])) == 2
    assert [c.method.name for c in plan.only(seeds=[0])] == ["ours", "smp", "timm"]
    with pytest.raises(ValueError, match=r"--only 'spots/none' must be one of \['spots/ours'"):
        plan.only(which=["spots/none"])


def test_the_budget_can_be_another(plan_file: Path) -> None:
    assert {c.minutes for c in read_plan(plan_file, minutes=1.5).cells} == {1.5}
    plan_file.write_text(plan_file.read_text().replace("size = 64", "size = 64\nminutes = 7"))
    assert {c.minutes for c in read_plan(plan_file).cells} == {7.0}
    assert {c.minutes for c in read_plan(plan_file, minutes=1.5).cells} == {1.5}, "for every data set"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threads = 1", "cores = 1", "'cores' must be one of"),
        ("[sets.spots]", '[sets."../spots"]', "becomes a folder"),
        ('recipe = "image_quality"', "", "give one with run = 'foveate'"),
        ('run = "timm"', 'run = "monai"', "run must be one of .* got 'monai'"),
        ("[methods.timm.sets.spots]", "[methods.timm.sets.dots]", r"'dots' must be one of \['spots'\]"),
        ("runs = [[0, 0]]", "runs = [[3, 0]]", "fold=3 must lie in 0 to 2"),
        ('compare = "ours"', 'compare = "auto"', "'auto' must be one of"),
        ('methods = ["ours", "smp"]', 'methods = ["unet"]', "'unet' must be one of"),
    ],
)
def test_a_wrong_plan_is_refused(plan_file: Path, old: str, new: str, message: str) -> None:
    text = plan_file.read_text()
    assert old in text
    plan_file.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_plan(plan_file)


def test_the_plan_of_the_results_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_WEIGHTS", "weights")
    plan = read_plan(FOLDER / "peers" / "plan.toml")
    assert all((frames.ROOT / part.scan).is_file() for part in plan.sets.values())
    assert {c.data.name for c in plan.cells} == set(plan.sets), "each set is used"
    assert {c.method.name for c in plan.cells} == set(plan.methods), "and each method"
    assert all(
        {(c.fold, c.seed) for c in plan.cells if (c.data.name, c.method.name) == (name, method)}
        == {(0, 0), (1, 1), (2, 2)}
        for name in plan.sets
        for method in ("auto", "smp", "nnunet")
    )
    for cell in plan.cells:
        if cell.method.run != "foveate":
            assert training._settings(cell)
    cell = next(c for c in plan.cells if c.method.name == "smp")
    assert training._settings(cell)["weights"] == "weights/tf_efficientnet_lite0.pth"
    with pytest.raises(ValueError, match="setting 'lrr' must be one of"):
        training._settings(replace(cell, method=replace(cell.method, settings={"lrr": 1})))
    with pytest.raises(ValueError, match="the variable is not set"):
        environment.expanded({"weights": "$FOVEATE_NOWHERE_AT_ALL/a.pth"})


# -- data ------------------------------------------------------------------------------------------------------------


def test_frames_lead_back_to_the_original_pixels(rows: Manifest, tmp_path: Path) -> None:
    assert {row.fold for row in rows} == {0, 1, 2}
    framed = frames.frames_of(rows, tmp_path / "frames", size=64)
    raw = tmp_path / "raw"
    raw.mkdir()
    geometries = frames.geometries_of(tmp_path / "frames")
    for row in framed:
        with Image.open(framed.root / f"masks/{row.id}.png") as file:
            masks = frames.unbits(np.asarray(file), 2)
        assert masks.shape == (2, 64, 64)
        np.save(raw / f"{row.id}.npy", masks.astype(np.float16))
    answers: dict[str, Any] = {row.id: {"spot": [0.25, 0.75]} for row in framed}
    (raw / "answers.json").write_text(json.dumps(answers))
    back = predictions.place(raw, tmp_path / "back", geometries=geometries, schema=rows.schema)
    assert back.answers["i02"] == {"spot": {"no": 0.25, "yes": 0.75}}
    assert back.masks("i02").shape == (2, 40, 60)
    counts = count(back, rows, truth="union")
    dice = intervals.values([counts])
    assert dice["present/field"].value > 0.95
    assert dice["present/spot"].value > 0.9
    assert back.presence["i00"]["spot"] == 0.0 != back.presence["i02"]["spot"]

    np.save(raw / "i02.npy", np.zeros((2, 32, 32), np.float16))
    with pytest.raises(ValueError, match=r"probabilities of shape \(2, 32, 32\)"):
        predictions.place(raw, tmp_path / "again", geometries=geometries, schema=rows.schema)


def test_a_peer_never_sees_the_truth_of_test_images(rows: Manifest, tmp_path: Path) -> None:
    framed = frames.frames_of(rows, tmp_path / "frames", size=64)
    task = frames.task_of(framed, fold=1)
    parts = {one["part"] for one in task["images"]}
    assert parts == {"train", "test"}
    assert [bool(one["mask"] or one["answers"]) for one in task["images"]] == [
        one["part"] == "train" for one in task["images"]
    ]
    tests = {one["id"] for one in task["images"] if one["part"] == "test"}
    assert tests == {row.id for row in rows if row.fold == 1}
    assert not {row.id for row in rows if row.fold == 2} & {one["id"] for one in task["images"]}


def test_overlapping_labels_become_regions_of_one_nnunet_data_set(rows: Manifest, tmp_path: Path) -> None:
    framed = frames.frames_of(rows, tmp_path / "frames", size=64)
    split = nnunet_data.write_raw(framed.fold(1), tmp_path / "raw")
    folder = tmp_path / "raw" / nnunet_data.NAME
    about = json.loads((folder / "dataset.json").read_text())
    labels = list(rows.schema.labels)
    assert labels == ["spot", "field"]
    assert about["labels"] == {"background": 0, "spot": [1, 3], "field": [2, 3]}, "3 is both at once"
    assert split == {p: [r.id for r in rows.fold(1) if r.split == p] for p in ("train", "val")}
    assert about["numTraining"] == len(split["train"]) + len(split["val"]) == 8
    assert {p.stem for p in (folder / "labelsTr").iterdir()} == {*split["train"], *split["val"]}
    assert {p.stem for p in (folder / "imagesTs").iterdir()} == {f"{r.id}_0000" for r in rows if r.fold == 1}
    for name in split["train"]:
        with Image.open(folder / "labelsTr" / f"{name}.png") as file:
            drawn = np.asarray(file)
        with Image.open(framed.root / "masks" / f"{name}.png") as file:
            wanted = frames.unbits(np.asarray(file), 2)
        np.testing.assert_array_equal(np.isin(drawn, about["labels"]["spot"]), wanted[0])
        np.testing.assert_array_equal(np.isin(drawn, about["labels"]["field"]), wanted[1])
    with Image.open(next((folder / "imagesTr").iterdir())) as file:
        assert file.mode == "L", "frames without colour have one channel"

    alone = frames.frames_of(rows.select(labels=["field"], questions=[]), tmp_path / "one", size=64)
    nnunet_data.write_raw(alone.fold(1), tmp_path / "raw1")
    about = json.loads((tmp_path / "raw1" / nnunet_data.NAME / "dataset.json").read_text())
    assert about["labels"] == {"background": 0, "field": 1}
    assert "regions_class_order" not in about


def test_a_mask_that_is_known_in_part_is_refused(rows: Manifest, tmp_path: Path) -> None:
    first = rows[0]
    doubtful = {name: tuple(replace(s, ignore=(2,)) for s in of) for name, of in first.masks.items() if name == "spot"}
    with pytest.raises(ValueError, match="known in part"):
        frames.frames_of(rows.with_rows([replace(first, masks=doubtful)]), tmp_path / "frames", size=64)


def test_readings_of_predict_become_predictions(rows: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "readings"
    folder.mkdir()
    mask = np.zeros((40, 60), np.uint8)
    mask[:5] = 255
    Image.fromarray(mask).save(folder / "i00_field.png")
    told = {
        "size": [40, 60], "probabilities": {"spot": {"no": 0.7, "yes": 0.3}}, "presence": {"field": 0.8, "spot": 0.1},
        "files": {"masks": {"field": "i00_field.png"}},
    }  # fmt: skip
    (folder / "i00.json").write_text(json.dumps(told))
    found = predictions.from_readings(folder, tmp_path / "out2", stems={"row one": "i00"}, schema=rows.schema)
    assert found.labels == ("field",), "what the method does not mark is left out"
    np.testing.assert_array_equal(found.masks("row one"), mask[None] > 0)
    assert found.presence["row one"] == {"field": 0.8}
    assert found.answers["row one"]["spot"]["yes"] == 0.3


# -- scores ----------------------------------------------------------------------------------------------------------


def test_every_method_is_judged_by_the_same_counts(rows: Manifest, tmp_path: Path) -> None:
    right = count(made(tmp_path / "a", rows), rows, truth="grader1")
    told = intervals.values([right])
    assert told["present/spot"].value == told["all/spot"].value == told["auc/spot"].value == 1.0
    assert (told["found/spot"].value, told["bear/spot"].value) == (6, 6)
    assert (told["alarms/spot"].value, told["free/spot"].value) == (0, 6)
    second = intervals.values([count(made(tmp_path / "a", rows), rows, truth="second")])
    assert second["present/spot"].value == pytest.approx(0.5)
    assert "present/field" not in second or np.isnan(second["present/field"].value), "that annotator drew none"
    missed = intervals.values([count(made(tmp_path / "b", rows, miss=True), rows, truth="grader1")])
    assert (missed["present/spot"].value, missed["all/spot"].value, missed["found/spot"].value) == (0, 0.5, 0)
    annotators = intervals.values([between(rows, truth="grader1", other="second")])
    assert annotators["present/spot"].value == pytest.approx(0.5)
    assert not [name for name in annotators if name.startswith("auc")]
    with pytest.raises(ValueError, match="test images have no prediction, as 'new'"):
        count(made(tmp_path / "a", rows), rows.with_rows([replace(rows[0], id="new")]), truth="grader1")


def test_false_alarms_are_counted_on_images_that_are_free(rows: Manifest, tmp_path: Path) -> None:
    writer = predictions.Writer(tmp_path / "all", ("spot",))
    for row in rows:
        writer.add(row.id, masks=np.ones((1, 40, 60), bool), presence=[1.0], answers={})
    counts = count(writer.close(), rows, truth="grader1")
    told = intervals.values([counts])
    assert (told["alarms/spot"].value, told["found/spot"].value) == (6, 6)
    assert told["all/spot"].value == pytest.approx(0.5 * told["present/spot"].value)
    counts.write(tmp_path / "counts")
    again = read_counts(tmp_path / "counts", rows.schema)
    assert again.schema.labels == ("spot",)
    assert again.schema.questions == ()


def test_replicates_take_each_fold_with_every_seed(rows: Manifest, tmp_path: Path) -> None:
    parts = {
        (fold, seed): count(made(tmp_path / f"{fold}{seed}", rows, shift=seed), part, truth="grader1")
        for fold, seed in ((0, 0), (0, 3), (1, 0), (2, 5))
        for part in [rows.where(fold=fold)]
    }
    runs = intervals.replicates(parts)
    assert [len(run) for run in runs] == [12, 12]
    kept = {image: {int(r.labels["field"].tp[r.images.index(image)]) for r in runs} for image in runs[0].images}
    assert {len(kept[row.id]) for row in rows if row.fold == 0} == {2}
    assert {len(kept[row.id]) for row in rows if row.fold != 0} == {1}


def test_intervals_hold_seeds_and_patients(rows: Manifest, tmp_path: Path) -> None:
    good, bad = (count(made(tmp_path / f"{s}", rows, shift=s), rows, truth="grader1") for s in (0, 6))
    one, two = intervals.values([good], repeats=300), intervals.values([good, bad], repeats=300)
    assert (one["present/field"].low, one["present/field"].high) == (1.0, 1.0), "all patients are alike, and one seed"
    low = intervals.values([bad])["present/field"].value
    assert two["present/field"].value == pytest.approx((1 + low) / 2)
    assert two["present/field"].low == pytest.approx(low)
    assert two["present/field"].high == pytest.approx(1.0)
    assert one["bear/spot"].low < 6 < one["bear/spot"].high, "patients are drawn"

    same = intervals.differences([good], [good], repeats=100)
    assert {name: (v.low, v.high) for name, v in same.items() if name == "present/spot"} == {"present/spot": (0, 0)}
    less = intervals.differences([good], [bad.take(bad.images[:6])], repeats=100)["present/field"]
    assert less.value == pytest.approx(1 - low)
    first, last = good.take(good.images[:4]), bad.take(bad.images[4:])
    assert intervals.differences([first], [last]) == {}


# -- running ---------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_it_was_stopped(
    command: ModuleType, plan_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out, trained, trouble = tmp_path / "out", [], {"smp/fold0": KeyboardInterrupt(), "timm/fold0": None}
    trouble["timm/fold0"] = environment.CellError("exit status 1\nout of memory")

    def train(cell: Any, rows: Manifest, *, out: Path) -> tuple[predictions.Predictions, dict[str, Any]]:
        trained.append((cell.method.name, cell.fold, cell.seed))
        for name, error in trouble.items():
            if error is not None and name in cell.folder:
                raise error
        tests = rows.fold(cell.fold).where(split="test")
        return made(out / cell.folder / "predictions", tests, shift=cell.seed), {"train": 60.0, "steps": 7}

    monkeypatch.setattr(running, "train", train)
    words = ["run", str(plan_file), "-o", str(out)]
    with pytest.raises(KeyboardInterrupt):
        command.main(words)
    assert trained == ORDER[:2]
    trouble["smp/fold0"] = None
    trained.clear()
    assert command.main(words) == 1, "a cell failed"
    assert trained == ORDER[1:], "what was interrupted starts again, what failed does not stop the others"
    assert "failed: exit status 1: out of memory" in capsys.readouterr().out
    trained.clear()
    assert command.main(words) == 0
    assert trained == [], "nothing is left, and failed cells are not tried again"

    assert command.main([*words, "--dry"]) == 0
    listed = capsys.readouterr().out
    assert "spots/timm" in listed
    assert "failed" in listed
    assert "5 trainings, 0.0 hours to do" in listed
    assert command.main(["page", str(out), "-o", str(tmp_path / "docs" / "page.md")]) == 0
    assert "Failed: timm 0/0 (exit status 1: out of memory)." in (tmp_path / "docs" / "page.md").read_text()
    trouble["timm/fold0"] = None
    assert command.main([*words, "--retry"]) == 0
    assert trained == [("timm", 0, 0)]

    trained.clear()
    with pytest.raises(ValueError, match="was made with another minutes; remove it"):
        command.main([*words, "--budget", "4"])
    assert trained == []


def test_the_page_has_what_ran_and_names_what_did_not(
    command: ModuleType, plan_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(cell: Any, rows: Manifest, *, out: Path) -> tuple[predictions.Predictions, dict[str, Any]]:
        tests = rows.fold(cell.fold).where(split="test")
        shift = {"ours": 0, "smp": 5, "timm": 1}[cell.method.name]
        return made(out / cell.folder / "predictions", tests, shift=shift), {"train": 180.0, "steps": 40 + cell.fold}

    monkeypatch.setattr(running, "train", train)
    out, page = tmp_path / "out", tmp_path / "page.md"
    assert (
        command.main(["run", str(plan_file), "-o", str(out), "--only", "spots/ours", "spots/smp", "--folds", "0"]) == 0
    )
    assert command.main(["page", str(out), "-o", str(page)]) == 0
    text = page.read_text()
    assert "2 of 5 planned trainings have run" in text
    assert "Not run: smp 1/1; timm 0/0, 1/1." in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    head = next(line for line in lines if line.startswith("| method | fold/seed"))
    titles = ["spot, by grader1: Dice where present", "spot, by second: found", "spot, by grader1: false alarms"]
    assert all(title in head for title in [*titles, "spot: AUROC", "spot: AP"])
    ours, theirs = (
        next(line for line in lines if line.startswith(f"| {name} | 0/0 | 4 |")) for name in ("ours", "smp")
    )
    assert "**1.000" in ours
    assert "2 of 2" in ours
    assert "0 of 2" in ours
    assert "0.500" in theirs, "moved by half of its height, a spot has a Dice of a half"
    second = next(line for line in lines if line.startswith("| annotator second"))
    assert "0.500 (0.500–0.500)" in second
    assert "| spot, by grader1: Dice where present | smp | +0.500 (0.500 to 0.500) |" in lines
    assert "| spots | smp | 3.0 | " in text
    assert "40 steps" in text


def test_ours_is_called_as_a_user_calls_it(
    plan: Plan, rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    clock = iter(range(0, 100000, 1))

    def call(words: list[str], **_: Any) -> None:
        called.append(words)
        if "fit" in words and (epochs := [w for w in words if w.startswith("epochs=")]):
            for _ in range(10 + 6 * int(epochs[0].partition("=")[2])):
                next(clock)
            Path(words[words.index("-o") + 1]).mkdir(parents=True, exist_ok=True)
        if "predict" in words:
            folder = Path(words[words.index("-o") + 1])
            folder.mkdir(parents=True)
            for row in rows.fold(0).where(split="test"):
                told = {"size": [40, 60], "probabilities": {}, "presence": {}, "files": {"masks": {}}}
                (folder / f"{row.id}.json").write_text(json.dumps(told))

    monkeypatch.setattr(training, "call", call)
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
    cell = plan.cells[0]
    _, told = training.train(cell, rows, out=tmp_path / "out")
    assert told["epoch"] == pytest.approx(6, abs=0.5)
    assert told["epochs"] == pytest.approx((180 - 11) / 6, abs=1)
    fits = [words for words in called if "fit" in words]
    assert len(fits) == 4
    assert fits[-1][fits[-1].index("fit") + 1] == "image_quality"
    assert {"size=64", "encoder=resnet10t", f"epochs={told['epochs']}"} <= set(fits[-1])
    called.clear()
    training.train(cell, rows, out=tmp_path / "out")
    assert len([words for words in called if "fit" in words]) == 1, "the speed is measured once"
    called.clear()
    auto = replace(cell, method=replace(cell.method, recipe="auto", settings={}))
    training.train(auto, rows, out=tmp_path / "out")
    assert called[0][called[0].index("--time") + 1] == "3m"
    assert "--set" not in called[0]


def test_what_a_program_prints_is_in_the_log_and_its_error_too(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    environment.call([sys.executable, "-c", "print('hello')"], log=log, threads=1, seconds=60)
    words = [sys.executable, "-c", "import sys; print('so it ends'); sys.exit(3)"]
    with pytest.raises(environment.CellError, match=r"exit status 3\n(.|\n)*so it ends"):
        environment.call(words, log=log, threads=1, seconds=60)
    with pytest.raises(environment.CellError, match="killed after"):
        environment.call([sys.executable, "-c", "import time; time.sleep(60)"], log=log, threads=1, seconds=0.2)
    assert "hello" in log.read_text()


# -- peers' loops, in this environment -------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["smp_unet", "timm_classifier"])
def test_the_plain_loops_train_and_predict(
    script: str, rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER / "peers" / "theirs"))
    module = importlib.import_module(script)
    framed = frames.frames_of(rows, tmp_path / "frames", size=(40, 64))
    task = frames.task_of(framed, fold=0) | {
        "encoder": "resnet10t", "weights": "", "batch": 2, "lr": 1e-3, "weight_decay": 0.0, "rotation": 15,
        "vertical": False, "window": 32 if script == "smp_unet" else None, "minutes": 0.003, "seed": 0, "threads": 1,
    }  # fmt: skip
    (tmp_path / "task.json").write_text(json.dumps(task))
    module.main(tmp_path / "task.json", tmp_path / "raw")
    done = json.loads((tmp_path / "raw" / "done.json").read_text())
    assert done["steps"] > 0
    found = predictions.place(
        tmp_path / "raw", tmp_path / "p", geometries=frames.geometries_of(framed.root), schema=rows.schema
    )
    counts = count(found, rows.fold(0).where(split="test"), truth="union")
    assert found.labels == (rows.schema.labels if script == "smp_unet" else ())
    assert counts.questions["spot"].probability.shape == (4, 2)


def test_encoder_weights_must_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER / "peers" / "theirs"))
    loop, timm = importlib.import_module("loop"), importlib.import_module("timm")
    network = timm.create_model("resnet10t", num_classes=2)
    other = timm.create_model("resnet10t", num_classes=7)
    torch.save(other.state_dict(), tmp_path / "w.pth")
    loop.load_encoder(network, str(tmp_path / "w.pth"))
    assert torch.equal(network.state_dict()["conv1.0.weight"], other.state_dict()["conv1.0.weight"])
    state = {name: value for name, value in other.state_dict().items() if not name.startswith("layer1")}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="lack"):
        loop.load_encoder(network, str(tmp_path / "w.pth"))


def test_answers_of_several_kinds_are_learnt_and_unknown_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER / "peers" / "theirs"))
    loop = importlib.import_module("loop")
    task = {"questions": [{"name": "a", "answers": ["no", "yes"]}, {"name": "b", "answers": ["0", "1", "2"]}]}
    assert loop.channels(task) == 4
    logits = torch.tensor([[2.0, 0.0, 3.0, 0.0], [-1.0, 1.0, 0.0, 0.0]], requires_grad=True)
    truth = torch.tensor([[1, -1], [-1, 0]])
    wanted = (torch.nn.functional.softplus(torch.tensor(-2.0)) - torch.tensor([1.0, 0, 0]).log_softmax(0)[0]) / 2
    assert loop.answer_loss(logits, truth, task).item() == pytest.approx(wanted.item())
    nothing = loop.answer_loss(logits, torch.full((2, 2), -1), task)
    assert nothing.item() == 0.0
    told = loop.answer_probabilities(logits[0].detach(), task)
    assert told["a"][1] == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item())
    assert told["b"] == pytest.approx(torch.tensor([0.0, 3.0, 0.0]).softmax(0).tolist())


def test_a_set_without_a_question_has_no_classifier(plan: Plan, rows: Manifest, tmp_path: Path) -> None:
    cell = next(c for c in plan.cells if c.method.name == "timm")
    with pytest.raises(environment.CellError, match="asks no question"):
        training.train(cell, rows.select(questions=[]), out=tmp_path / "out")
    with pytest.raises(ValueError, match="make the peers' environment"):
        training.train(cell, rows, out=tmp_path / "out")


def test_counts_of_some_labels_are_those_of_the_method(rows: Manifest, tmp_path: Path) -> None:
    whole = count(made(tmp_path / "a", rows), rows, truth="grader1")
    whole.write(tmp_path / "counts")
    assert read_counts(tmp_path / "counts", rows.schema) == Counts(rows.schema, whole.pixels, whole.answers)
