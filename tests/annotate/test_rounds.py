"""annotate, fit, annotate: annotators mark, a run learns from them, its drafts come back to the annotators."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotate_people import Person
from typer.testing import CliRunner

from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.timing import costs, medians, timed
from foveate.annotate.exchange.drafting import as_marks
from foveate.annotate.exchange.export_marks import export
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Draft
from foveate.cli import main as cli
from foveate.core.labels import LabelSchema
from foveate.core.regions import located
from foveate.core.shapes import packed
from foveate.core.types import Prediction, Row
from foveate.data import read, synthetic
from foveate.data.manifest import Manifest
from foveate.report.annotation_cost import Labels, hours
from foveate.report.annotation_cost import timed as times_of

People = Callable[..., Person]
SIZE = 64
SPLITS = ("train", "train", "train", "train", "val", "val", "train", "train")
TINY = {"encoder": "resnet10t", "size": 64, "width": 4, "batch": 2, "epochs": 1, "lr": 0.01}
PROTOCOL = """
name = "bleeding"
extends = true
annotators = 1
order = "active"

[[questions]]
name = "grade"
answers = ["0", "1", "2", "3", "4"]
ordered = true

[[findings]]
name = "haemorrhage"
marks = ["polygon", "brush"]

[[findings]]
name = "drusen"
question = "drusen"
marks = ["regions"]

[consensus]
at_least = 1
"""


def say(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == code, (words, result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Eight drawn photographs with their truth, split by patient."""
    folder = tmp_path_factory.mktemp("drawn")
    rows = synthetic.write("fundus", folder, n=len(SPLITS), size=SIZE)
    split = [replace(row, split=part, fold=k // 2) for k, (row, part) in enumerate(zip(rows, SPLITS, strict=True))]
    return Manifest(synthetic.SCHEMAS["fundus"], tuple(split), folder).write(folder / "truth.jsonl")


def true_marks(drawn: Manifest, row: Row) -> dict[str, object]:
    """Marks of a perfect annotator."""
    schema = drawn.schema.select(questions=(), labels=("haemorrhage",))
    mask, _ = read.masks(row, drawn.root, schema, shape=(SIZE, SIZE))
    runs = list(packed(mask[0] > 0).runs)
    shapes = [{"id": "b", "label": "haemorrhage", "kind": "brush", "runs": runs}] if runs else []
    if row.answers["grade"] in ("0", "1"):
        shapes.append({"id": "r", "label": "drusen", "kind": "regions", "regions": ["macula"]})
    return {"answers": {"grade": row.answers["grade"]}, "shapes": shapes}


@pytest.fixture
def reading(drawn: Manifest, tmp_path: Path, person: People) -> tuple[Project, Person, Path]:
    """A project of which six images are read, made by the command line; its annotator and its folder."""
    bare = drawn.with_rows(replace(row, answers={}, masks={}) for row in drawn)
    study = Manifest(LabelSchema(), bare.rows, drawn.root).write(tmp_path / "study.jsonl")
    assert study.path is not None
    (tmp_path / "p.toml").write_text(PROTOCOL)
    say("annotate", "init", study.path, "--protocol", tmp_path / "p.toml", "-o", tmp_path / "ROOM")
    project = Project.open(tmp_path / "ROOM")
    anna = person("anna", at=project)
    for item, row in enumerate(drawn.rows[:6], 1):
        anna.claim(item)
        anna.save(true_marks(drawn, row), item=item, state="done", seconds=20.0)
    return project, anna, tmp_path


def test_annotate_fit_annotate_in_three_commands(
    reading: tuple[Project, Person, Path], person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, anna, folder = reading
    monkeypatch.setenv("FOVEATE_CACHE", str(folder / "cache"))
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]

    told = say("annotate", "export", folder / "ROOM", "-o", folder / "round.jsonl", "--settled")
    assert "6 of 8 images settled" in told
    assert "foveate split" not in told
    say("fit", "image_quality", folder / "round.jsonl", "-o", folder / "first", *settings, "--device", "cpu", "-q")
    assert "drafts for 2 images" in say("annotate", "assist", folder / "ROOM", folder / "first", "--device", "cpu")

    rows = Manifest.read(folder / "round.jsonl")
    for row, before in zip(rows, project.manifest.rows[:6], strict=True):
        for name in ("id", "patient", "eye", "spacing", "split", "fold", "laterality", "disc", "fovea"):
            assert getattr(row, name) == getattr(before, name), name
    with project.store.read() as db:
        unsure = {n: db.get_one(Draft, n).uncertainty for n in (7, 8)}
        assert [db.get(Draft, n) for n in range(1, 7)] == [None] * 6, "what is settled gets no drafts"
    order = sorted(unsure, key=lambda n: -unsure[n])
    for wanted in order:
        assert anna.send("POST", "/api/work/next")["item"] == wanted, "the most uncertain first"
        drafts = anna.get(f"/api/items/{wanted}")["drafts"]
        assert drafts["run"] == "first"
        assert set(drafts["answers"]) == {"grade"}
        assert set(drafts["findings"]) == {"haemorrhage", "drusen"}
        taken = [shape | {"id": f"mine{k}", "draft": shape["id"]} for k, shape in enumerate(drafts["shapes"])]
        if wanted == order[0]:  # as it stands
            anna.save({"answers": drafts["answers"], "shapes": taken}, item=wanted, state="done")
        else:
            other = "0" if drafts["answers"]["grade"] != "0" else "1"
            gone = {"answers": {"grade": other}, "rejected": [shape["id"] for shape in drafts["shapes"]]}
            anna.save(gone, item=wanted, state="done")
    made = sum(len(anna.get(f"/api/items/{n}")["drafts"]["shapes"]) for n in order)
    tally = person("chief", "coordinator", at=project).get("/api/progress")["drafts"]
    assert tally["edited"] == 1, "the grade that was answered otherwise"
    assert tally["accepted"] >= 1
    assert (sum(tally.values()), tally["untouched"]) == (2 + made, 0)
    say("annotate", "export", folder / "ROOM", "-o", folder / "round.jsonl", "--settled")
    small = [w for pair in ("size=64", "epochs=1", "width=4", "pyramid=4", "batch=2") for w in ("--set", pair)]
    say("fit", "region_guided", folder / "round.jsonl", "-o", folder / "second", *small, "--device", "cpu", "-q")
    project.store.close()


def test_a_run_that_only_answers_drafts_regions(reading: tuple[Project, Person, Path]) -> None:
    project, _, _ = reading
    row = project.manifest[0]
    regions = located(shape=(SIZE, SIZE), disc=row.disc, fovea=row.fovea, laterality=row.laterality)
    assert regions is not None
    seen = np.zeros((SIZE, SIZE), np.float32)
    seen[regions.masks((SIZE, SIZE))[2]] = 0.8
    seen[0, 0] = 0.3
    none = np.zeros((0, SIZE, SIZE))

    def answered(answer: str) -> Prediction:
        odds = {"drusen": {"no": 0.4, "yes": 0.6}}
        return Prediction(row.id, odds, {"drusen": answer}, none, none > 0, (), cam={"drusen": {"yes": seen}})

    found = as_marks(project, row, answered("yes"))
    assert [(s.kind, s.label, s.regions) for s in found.shapes] == [("regions", "drusen", ("macula",))]
    assert found.findings == {"drusen": "present"}
    assert as_marks(project, row, answered("no")).shapes == ()
    project.store.close()


def test_what_cannot_be_trained_with_is_told_with_the_remedy(
    drawn: Manifest, make_project: Callable[..., Project], person: People, tmp_path: Path
) -> None:
    rows = [replace(row, split=None, fold=None, answers={}, masks={}) for row in drawn]
    project = make_project(PROTOCOL, name="rounds", manifest=Manifest(LabelSchema(), tuple(rows), drawn.root))
    out = tmp_path / "round.jsonl"
    say("annotate", "export", project.folder, "-o", out, "--settled", code=1)
    anna = person("anna", at=project)
    for item in range(1, 9):
        anna.read(true_marks(drawn, drawn[item - 1]), item=item)
    told = say("annotate", "export", project.folder, "-o", out, "--settled")
    assert f"no settled image is in split 'train' or 'val'; before foveate fit: foveate split {out} -o {out}" in told
    say("split", out, "-o", out, "--ratios", "0.5,0.5,0")
    assert {row.split for row in Manifest.read(out)} == {"train", "val"}


def test_seconds_are_told_by_what_was_drawn(reading: tuple[Project, Person, Path], person: People) -> None:
    project, anna, folder = reading
    anna.claim(7)
    anna.save({"answers": {"grade": "3"}}, item=7, state="done", seconds=8.0)
    told = person("chief", "coordinator", at=project).get("/api/progress")
    kinds = {one["drawn"]: (one["annotations"], one["median_seconds"]) for one in told["drawn"]}
    assert kinds["answers alone"] == (1, 8.0)
    assert kinds["brush"][1] == 20.0
    export(project, folder / "round.jsonl")
    measured = json.loads((folder / "round.seconds.json").read_text())
    assert measured == told["costs"]
    assert (measured["image"], measured["masks"]) == (8.0, 12.0)
    spent = hours(Labels("masks"), images=10, present=5, seconds=times_of(measured))
    assert spent == pytest.approx((10 * 8 + 5 * 12) / 3600)
    project.store.close()


def test_only_what_was_done_by_hand_alone_is_timed() -> None:
    ellipse = {"id": "e", "label": "a", "kind": "ellipse", "centre": [1, 1], "radii": [1, 1]}
    other = ellipse | {"id": "f", "label": "b"}
    point = {"id": "p", "label": "a", "kind": "point", "at": [1, 1]}
    polygon = {"id": "q", "label": "a", "kind": "polygon", "corners": [[0, 0], [0, 1], [1, 1]]}
    given = [
        ({}, 10.0), ({}, 14.0), ({}, 0.0), ({"ungradable": {}}, 99.0), ({"shapes": [ellipse]}, 32.0),
        ({"shapes": [ellipse, other]}, 72.0), ({"shapes": [ellipse | {"draft": "d1"}]}, 5.0),
        ({"rejected": ["d1"]}, 4.0), ({"shapes": [ellipse, point]}, 50.0), ({"shapes": [polygon]}, 9.0),
    ]  # fmt: skip
    found = timed([(Marks.model_validate(marks), seconds) for marks, seconds in given])
    assert medians(found) == [
        ("answers alone", 2, 12.0), ("ellipses", 2, 52.0), ("polygons", 1, 9.0), ("several kinds", 1, 50.0),
        ("drafts", 2, 4.5),
    ]  # fmt: skip
    assert costs(found) == {"image": 12.0, "ellipses": 25.0, "masks": 0.1}, "a finding: (20 + 30) / 2"
    assert costs([one for one in found if one.drawn == "ellipses"]) == {}
