"""Studies: their tables and rows, and that a comparison is trained once, goes on where it stopped, and is written."""

import csv
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from foveate.core import plugins as find
from foveate.core.labels import LabelSchema, Question
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe
from foveate.engine.run import DivergedError, Run
from foveate.engine.study import Study, StudyTable, run_name
from foveate.recipes import load_recipe
from foveate.studies import _training, load_study, pooled, run_study, study_record, study_tables
from foveate.studies.image_quality import groupings

ENFACE = synthetic.SCHEMAS["enface"]
SMALL = {"encoder": "resnet10t", "size": 64, "width": 4, "batch": 4, "epochs": 1}


@pytest.mark.parametrize("name", find.names("studies"))
def test_every_study_serves_a_drawn_schema(name: str) -> None:
    served = []
    for schema in synthetic.SCHEMAS.values():
        try:
            study = load_study(name, schema)
        except ValueError:
            continue
        if len(study):
            served.append(study)
    assert served
    for study in served:
        assert study.name == name
        for title, table in study.items():
            assert len(table), title
            assert all(isinstance(recipe, Recipe) for recipe in table.values())
            assert len({run_name(row, recipe) for row, recipe in table.items()}) == len(table)
            assert set(table.references) <= set(table)
            for row, values in table.paper.items():
                figures = set(values) - set(table.costs)
                shown = {f.removesuffix("*") for f in table.metrics}
                assert all(f in shown or f.rpartition("/")[0] + "/" in shown for f in figures), (title, row)
                assert all(0 <= values[f] <= 1 for f in figures)


def test_image_quality_has_the_tables_of_the_paper() -> None:
    study = load_study("image_quality", ENFACE)
    assert list(study) == ["4 classes", "3 classes", "2 classes", "Tasks"]
    assert list(study["4 classes"]) == ["Classifier", "U-Net, joint", "FPN, joint"]
    assert len(study["3 classes"]) == len(study["2 classes"]) == 9
    assert study["4 classes"].paper["FPN, joint"] == {"f1/quality": 0.938}
    assert study["2 classes"].paper == {
        "Classifier 012|3": {"f1/quality": 0.961},
        "FPN, joint 012|3": {"f1/quality": 0.981},
    }
    assert study["3 classes"].paper == {}
    assert study["4 classes"].reference == "Classifier"
    for title, table in study.items():
        for row, recipe in table.items():
            answers = recipe.schema.questions[0].answers if recipe.schema.questions else ()
            if title != "Tasks":
                assert len(answers) == int(title[0])
            assert (recipe.schema.labels == ()) == (row.startswith("Classif"))


@pytest.mark.parametrize("answers", ["0123", ("none", "mild", "severe"), "01234"])
def test_groupings_are_all_merges_of_neighbours(answers: str) -> None:
    """Against every way to put cuts between the answers, written out."""
    question = Question("grade", tuple(answers), ordered=True)
    for number in range(2, len(answers) + 1):
        found = groupings(question, number)
        assert len(found) == len(set(found)) == len(list(combinations(range(len(answers) - 1), number - 1)))
        for grouping in found:
            merged = question.group(grouping)
            assert len(merged.answers) == number
            assert [a for group in merged.merged for a in group] == list(answers)
    assert groupings(Question("q", tuple("0123"), ordered=True), 2) == ["0|123", "01|23", "012|3"]
    assert groupings(Question("q", tuple("0123"), ordered=True), 3) == ["0|1|23", "0|12|3", "01|2|3"]


def test_keywords_go_to_the_study_or_to_its_recipes() -> None:
    encoders = {"Classifier": "efficientnet_b0", "FPN, joint": "resnext101_32x8d"}
    study = load_study("image_quality", ENFACE, classes=[2], encoders=encoders, lr=0.5)
    assert list(study) == ["2 classes", "Tasks"]
    used = {row: recipe.keywords["encoder"] for row, recipe in study["2 classes"].items()}
    assert used["Classifier 012|3"] == "efficientnet_b0"
    assert used["U-Net, joint 012|3"] == "resnet18"
    assert all(recipe.keywords["lr"] == 0.5 for table in study.values() for recipe in table.values())
    tasks = load_study("image_quality", ENFACE, weights="hub")["Tasks"]
    assert list(tasks) == ["Joint", "Classification only", "Segmentation only", "Joint, random start"]
    assert tasks["Joint, random start"].keywords["weights"] == "none"
    assert list(load_study("image_quality", synthetic.SCHEMAS["oct"])) == ["Tasks"]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"must be one of \[.*'image_quality'.*got 'nonsense'"):
        load_study("nonsense", ENFACE)
    with pytest.raises(ValueError, match=r"unknown keyword \['epoch'\]"):
        load_study("image_quality", ENFACE, epoch=1)
    with pytest.raises(ValueError, match=r"question must be one of the ordered .*, got 'shape'"):
        load_study("image_quality", ENFACE, question="shape")
    study = load_study("image_quality", ENFACE)
    with pytest.raises(ValueError, match=r"table must be one of \['4 classes'.* got 'Table 9'"):
        study["Table 9"]
    with pytest.raises(ValueError, match=r"row must be one of \['Classifier'.* got 'VGG'"):
        study["4 classes"]["VGG"]


def test_names_of_runs_follow_from_the_recipe() -> None:
    table = load_study("image_quality", ENFACE, **SMALL)["4 classes"]
    name = run_name("FPN, joint", table["FPN, joint"])
    assert name.startswith("fpn-joint-")
    assert name == run_name("FPN, joint", load_study("image_quality", ENFACE, **SMALL)["4 classes"]["FPN, joint"])
    assert name != run_name(
        "FPN, joint", load_study("image_quality", ENFACE, lr=0.1, **SMALL)["4 classes"]["FPN, joint"]
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("drawn")
    rows = Manifest(ENFACE, tuple(synthetic.write("enface", folder, n=24, size=64)), folder)
    return split(rows, ratios=(0.5, 0.25, 0.25), seed=0).write(folder / "enface.jsonl")


class Killed(Exception):  # noqa: N818 - what it says
    pass


def test_a_study_is_trained_once_and_goes_on_where_it_stopped(
    drawn: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first row; then the others are trained; then nothing is."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    study = load_study("image_quality", ENFACE, **SMALL)
    settings = {"out": tmp_path / "study", "tables": ["Tasks"], "device": "cpu", "quiet": True}
    fitted: list[str] = []

    def second_is_killed(recipe: Recipe, rows: Manifest, **keywords: object) -> Run:
        if fitted:
            raise Killed
        fitted.append(str(recipe))
        return fit(recipe, rows, **keywords)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(_training, "fit", second_is_killed)
        with pytest.raises(Killed):
            run_study(study, drawn, say=lambda _: None, **settings)  # type: ignore[arg-type]
    runs = tmp_path / "study" / "runs"
    (first,) = runs.iterdir()
    assert (first / "split" / "metrics.json").is_file()
    before = {p: p.stat().st_mtime_ns for p in first.rglob("*")}

    told: list[str] = []
    made = run_study(study, drawn, say=told.append, **settings)  # type: ignore[arg-type]
    assert told == ["[2/3] Classification only, split", "[3/3] Segmentation only, split"]
    assert {p: p.stat().st_mtime_ns for p in first.rglob("*")} == before
    weights = sorted(runs.rglob("weights.safetensors"))
    assert len(weights) == 3

    times = [p.stat().st_mtime_ns for p in weights]
    again = run_study(study, drawn, say=told.append, **settings)  # type: ignore[arg-type]
    assert len(told) == 2
    assert [p.stat().st_mtime_ns for p in weights] == times
    assert str(again["Tasks"]) == str(made["Tasks"]) == str(study_tables(tmp_path / "study")["Tasks"])
    the_tables_are_written(tmp_path / "study", study, drawn)


def the_tables_are_written(folder: Path, study: Study, rows: Manifest) -> None:
    record = study_record(folder)
    assert record["manifest"]["hash"] == rows.hash
    assert record["folds"] == ["split"]
    assert list(record["tables"]) == ["Tasks"]
    assert sorted(p.name for p in (folder / "tables").iterdir()) == [
        "tasks.csv",
        "tasks.tex",
        "tasks.txt",
        "tasks_below.csv",
    ]
    text = (folder / "tables/tasks.txt").read_text()
    assert "The weights of each row are those of its lowest validation loss." in text
    tex = (folder / "tables/tasks.tex").read_text()
    assert "tabular" in tex
    lines = list(csv.reader((folder / "tables/tasks.csv").read_text().splitlines()))
    column = [line[0] for line in lines]
    for row, recipe in study["Tasks"].items():
        assert row in text
        assert row in tex
        assert row in column
        counts = pooled(folder, run_name(row, recipe), ["split"])
        assert set(counts.images) <= {r.id for r in rows.where(split="test")}
        metrics = json.loads((folder / "runs" / run_name(row, recipe) / "split/metrics.json").read_text())
        assert metrics["about"]["seen in training"] == 0


def test_folds_each_test_once(drawn: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's counts are those of all folds together: every image of the manifest once."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    folded = split(drawn, folds=3, seed=0).write(tmp_path / "folds.jsonl")
    study = load_study("image_quality", ENFACE, **SMALL)
    one = Study("image_quality", {"Tasks": study["Tasks"], "4 classes": study["4 classes"]})
    only = {"Joint": one["Tasks"]["Joint"]}
    single = Study("image_quality", {"Only": type(one["Tasks"])(only, ("dice", "f1/quality"))})
    settings = {"device": "cpu", "quiet": True, "say": lambda _: None}
    run_study(single, folded, out=tmp_path / "study", **settings)  # type: ignore[arg-type]
    name = run_name("Joint", only["Joint"])
    assert study_record(tmp_path / "study")["folds"] == ["fold0", "fold1", "fold2"]
    counts = pooled(tmp_path / "study", name, ["fold0", "fold1", "fold2"])
    assert sorted(counts.images) == sorted(row.id for row in drawn)
    with pytest.raises(ValueError, match=r"folds must be in the manifest's \[0, 1, 2\], got \[7\]"):
        run_study(single, folded, out=tmp_path / "none", folds=[7], **settings)  # type: ignore[arg-type]


def test_rows_may_be_trained_one_by_one(drawn: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables show the rows that are done; runs are named as in the whole study, whoever asks first."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    study = load_study("image_quality", ENFACE, **SMALL)
    settings = {"out": tmp_path, "tables": ["Tasks"], "device": "cpu", "quiet": True, "say": lambda _: None}
    first = run_study(study, drawn, only=["Segmentation only"], **settings)  # type: ignore[arg-type]
    assert [line[0] for line in first["Tasks"].rows] == ["Segmentation only"]
    then = run_study(study, drawn, only=["Joint"], **settings)  # type: ignore[arg-type]
    assert [line[0] for line in then["Tasks"].rows] == ["Joint", "Segmentation only"]
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == sorted(
        name for row, name in study.runs("Tasks").items() if row != "Classification only"
    )


def test_a_part_of_a_study() -> None:
    study = load_study("image_quality", ENFACE)
    part = study.only(tables=["4 classes", "Tasks"], rows=["Classifier", "U-Net, joint"])
    assert {title: list(table) for title, table in part.items()} == {"4 classes": ["Classifier", "U-Net, joint"]}
    assert part["4 classes"].references == ("Classifier",)
    bare = study.only(rows=["FPN, joint"])["4 classes"]
    assert bare.references == ()
    assert set(bare.paper) <= {"FPN, joint"}
    assert study.only() == study
    with pytest.raises(ValueError, match=r"table must be one of .* got 'Table 9'"):
        study.only(tables=["Table 9"])
    with pytest.raises(ValueError, match=r"rows=\['FPN'\] are in none of the tables \['Tasks'\]"):
        study.only(tables=["Tasks"], rows=["FPN"])


def test_a_manifest_that_is_not_split_is_refused(drawn: Manifest, tmp_path: Path) -> None:
    study = load_study("image_quality", ENFACE)
    whole = Manifest(LabelSchema.from_json(ENFACE.to_json()), tuple(drawn.where(split="train")), drawn.root)
    with pytest.raises(ValueError, match=r"neither folds nor train, val, test; run `foveate split"):
        run_study(study, whole, out=tmp_path)
    with pytest.raises(ValueError, match=r"no study there \(study\.json is missing\)"):
        study_tables(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_that_diverges_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    rows = Manifest(ENFACE, tuple(synthetic.write("enface", tmp_path / "drawn", n=12, size=64)), tmp_path / "drawn")
    rows = split(rows, ratios=(0.5, 0.25, 0.25), seed=0)
    calm, wild = (load_recipe("image_quality", ENFACE, **SMALL | {"lr": lr, "epochs": 3}) for lr in (1e-3, 1e30))
    both = StudyTable(
        {"wild": wild, "calm": calm}, ("f1/quality",), reference="wild", paper={"wild": {"f1/quality": 1}}
    )
    told: list[str] = []
    study = Study("tried", {"Both": both})
    made = run_study(study, rows, out=tmp_path, device="cpu", workers=workers, quiet=True, say=told.append)
    assert [line[0] for line in made["Both"].rows] == ["calm"]
    assert any("[1/2] wild, split: " in said and "is not finite" in said for said in told)
    assert any("Left out: wild (split: " in note and "lower learning rate" in note for note in made["Both"].note)
    assert str(study_tables(tmp_path)["Both"]) == str(made["Both"])
    alone = Study("tried", {"Alone": replace(both, rows={"wild": wild}), "Both": both})
    with pytest.raises(DivergedError, match="Alone: no row was trained"):
        run_study(alone, rows, out=tmp_path, device="cpu", quiet=True, say=told.append)
