"""The tables of dual guidance: rows and published figures, shared stages, costs, and two classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.stage_reuse import stage_key
from foveate.engine.study import Study, StudyTable
from foveate.recipes import load_run
from foveate.studies import load_study, run_study, study_record, study_tables
from foveate.studies._costs import row_costs, stage_costs

OCT = synthetic.SCHEMAS["oct"]
SMALL = {"encoder": "resnet10t", "size": 64, "batch": 4, "epochs": 1}


def test_the_paper_s_tables_for_three_classes() -> None:
    study = load_study("dual_guidance", OCT)
    assert list(study) == [
        "Table 2", "Table 3", "Table 4", "Table 5", "Table 6", "End to end", "Maps", "Partial labels", "Apart",
    ]  # fmt: skip
    assert list(study["Table 3"]) == [
        "PSPNet", "PSPNet + CAM", "Attention-UNet", "Attention-UNet + CAM", "UNet", "UNet + CAM", "CENet",
        "CENet + CAM", "CAM-UNet",
    ]  # fmt: skip
    paper = study["Table 2"].paper["CM-CNN"]
    assert paper["auc/class/cnv"] == 0.9988
    assert paper["sensitivity/class/drusen"] == 0.9120
    assert paper["accuracy/class/normal"] == 0.9920
    assert (paper["accuracy/class"], paper["kappa/class"], paper["size"]) == (0.9693, 0.9540, 60.63)
    assert study["Table 3"].paper["CAM-UNet"]["dice"] == 0.7751
    assert study["Table 3"].paper["CENet"]["training"] == pytest.approx(6.12 * 60)
    assert "size" not in study["Table 3"].paper["CENet + CAM"]  # printed once a network
    assert study["Table 4"].paper["Y-Net"]["iou"] == 0.6240
    assert study["Table 6"].paper["CAM-UNet*"]["dice"] == 0.7688
    for title in ("Table 2", "Table 3", "Table 4", "Table 5", "Table 6"):
        for recipe in study[title].values():
            assert [q.name for q in recipe.schema.questions] == ["class"]
            if recipe.schema.labels:
                assert recipe.schema.labels == ("lesion",)
                assert recipe.schema.members("lesion") == ("drusen", "cnv", "fluid")
    assert study["Apart"]["CAM-UNet"].schema.labels == ("drusen", "cnv", "fluid")


def test_means_over_classes_in_the_paper_fit_its_accuracy() -> None:
    """The mean sensitivity over classes of equal size is the accuracy: a digit mistyped would show.

    SENet's Normal sensitivity is the slip that the notes of the study name (0.9930 for 0.9920).
    """
    table = load_study("dual_guidance", OCT)["Table 2"]
    for name, values in table.paper.items():
        mean = sum(values[f"sensitivity/class/{a}"] for a in ("cnv", "drusen", "normal")) / 3
        assert mean == pytest.approx(values["accuracy/class"], abs=5e-4 if name == "SENet" else 2e-4), name


def test_two_classes_have_the_tables_of_the_second_set() -> None:
    schema = LabelSchema((Question("oedema", evidence=("fluid",)),), ("fluid",))
    study = load_study("dual_guidance", schema)
    first = ["Table 7", "Table 8", "Table 9", "Table 5", "Table 6"]
    assert list(study) == [*first, "End to end", "Maps", "Partial labels"]
    assert study["Table 7"].paper["VGG16"]["specificity/oedema"] == 0.75
    assert study["Table 8"].paper["UNet"]["pixel/sensitivity"] == 0.9096
    assert study["Table 9"].paper["Cross-stitch"]["accuracy/oedema"] == 0.9250
    assert study["Table 6"].paper == {}
    other = load_study("dual_guidance", LabelSchema((Question("set", ("healthy", "ill")),), ("fluid",)))
    assert "auc/set/ill" in other["Table 7"].metrics
    with pytest.raises(ValueError, match="need a question and labels"):
        load_study("dual_guidance", OCT.select(labels=()))


def test_the_cascade_is_one_run_for_all_its_tables() -> None:
    study = load_study("dual_guidance", OCT)
    rows = [("Table 2", "CM-CNN"), ("Table 3", "CAM-UNet"), ("Table 4", "CM-CNN + CAM-UNet"), ("Table 5", "CM-CNN")]
    rows += [("Table 6", "CAM-UNet"), ("End to end", "CM-CNN + CAM-UNet"), ("Partial labels", "CAM-UNet, 100%")]
    assert len({study.runs(table)[row] for table, row in rows}) == 1
    names = [name for table in study for name in study.runs(table).values()]
    assert len(set(names)) == 38


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("drawn")
    rows = Manifest(OCT, tuple(synthetic.write("oct", folder, n=24, size=64)), folder)
    return split(rows, ratios=(0.5, 0.25, 0.25), seed=0).write(folder / "oct.jsonl")


def test_a_stage_in_common_is_trained_once(drawn: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes; the second row takes CM-CNN over from the first, with the weights that training would give."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    whole = load_study("dual_guidance", OCT, **SMALL)
    rows = {name: whole["Table 6"][name] for name in ("Res18-UNet", "CAM-UNet")}
    table = StudyTable(rows, ("dice",), absent="exclude", costs=("size", "training", "test", "operations", "memory"))
    study = Study("dual_guidance", {"Two": table})
    told: list[str] = []
    settings: dict[str, Any] = {"device": "cpu", "quiet": True, "say": told.append}
    made = run_study(study, drawn, out=tmp_path / "study", workers=2, **settings)
    assert "fp32" in told[0]  # one precision for the rows that are compared
    assert [line.split(" ", 1)[1] for line in told[1:]] == ["Res18-UNet, split", "CAM-UNet, split"]
    folders = {row: tmp_path / "study/runs" / name / "split" for row, name in study.runs("Two").items()}
    first, second = (folder / "cm_cnn" for folder in folders.values())
    assert (first / "times.jsonl").read_bytes() == (second / "times.jsonl").read_bytes()  # clock times: it is a copy
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    assert len(list((second / "maps/cam").iterdir())) == len(drawn)
    alone = run_study(
        Study("dual_guidance", {"Two": StudyTable({"CAM-UNet": rows["CAM-UNet"]}, ("dice",), absent="exclude")}),
        drawn, out=tmp_path / "alone", **settings,
    )  # fmt: skip
    (lonely,) = (tmp_path / "alone/runs").iterdir()
    for stage in ("cm_cnn", "cam_unet"):
        trained = (lonely / "split" / stage / "weights.safetensors").read_bytes()
        assert trained == (folders["CAM-UNet"] / stage / "weights.safetensors").read_bytes()
    assert alone["Two"].rows[0][1].value == made["Two"].rows[1][1].value  # type: ignore[union-attr]
    the_costs_are_shown(tmp_path / "study", folders["CAM-UNet"], made["Two"])


def the_costs_are_shown(study: Path, folder: Path, table: Any) -> None:
    assert [c.name for c in table.columns][-5:] == ["MiB", "training, min", "test, ms", "GMAC", "memory, MiB"]
    stages = stage_costs(load_run(folder))
    assert list(stages) == ["cm_cnn", "cam_unet"]
    both, last = row_costs(stages, (None, None)), row_costs(stages, (-1, None))
    assert table.rows[1][-5:] == tuple(both[k] for k in ("size", "training", "test", "operations", "memory"))
    assert both["size"] == pytest.approx(stages["cm_cnn"]["size"] + last["size"])
    assert both["memory"] == max(stages["cm_cnn"]["memory"], last["memory"])
    assert all(value > 0 for value in both.values())
    measured = json.loads((folder / "costs.json").read_text())
    assert measured["device"] == "cpu"
    assert study_record(study)["tables"]["Two"]["costs"] == ["size", "training", "test", "operations", "memory"]
    assert "absent=exclude" in str(study_tables(study)["Two"])
    assert "absent=one" in str(study_tables(study, absent="one")["Two"])
    assert (study / "tables/two_one.txt").is_file()


def test_what_guides_a_stage_makes_it_another() -> None:
    """Rows that differ in the map alone share CM-CNN, whatever it writes, and nothing else."""
    table = load_study("dual_guidance", OCT)["Maps"]
    first = {stage_key(r, r.stages[0], seed=0, manifest="m") for r in table.values()}
    second = {stage_key(r, r.stages[1], seed=0, manifest="m") for r in table.values()}
    assert (len(first), len(second)) == (2, 5)  # the finer map is another CM-CNN
    recipe = table["CAM-UNet"]
    others = {stage_key(recipe, recipe.stages[0], seed=seed, manifest=m) for seed, m in [(1, "m"), (0, "n")]}
    assert len(others | first) == 4


def test_costs_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"costs must be some of \['size', .* got \['money'\]"):
        StudyTable({}, ("dice",), costs=("money",))


def test_a_failing_row_is_told_and_no_worker_is_not_allowed(drawn: Manifest, tmp_path: Path) -> None:
    study = load_study("dual_guidance", OCT, **SMALL)
    with pytest.raises(ValueError, match="workers=0; give 1 or more"):
        run_study(study, drawn, out=tmp_path, workers=0)
    whole = drawn.with_rows(row for row in drawn if row.split != "val")
    with pytest.raises(ValueError, match="neither folds nor train, val, test"):
        run_study(study, whole, out=tmp_path)
