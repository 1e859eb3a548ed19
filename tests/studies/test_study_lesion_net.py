"""The study of Lesion-Net: the paper's tables, what is trained once for all of them, and the data of Figure 5."""

from pathlib import Path

import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.stage_reuse import stage_key
from foveate.engine.study import Study
from foveate.metrics.counts import Counts
from foveate.metrics.lesions import sizes
from foveate.metrics.summary import estimates
from foveate.studies import load_study, run_study, study_charts
from foveate.studies.lesion_net import GRADED, MARKED, NAMES, OURS, PRESENT, by_class_of_size, by_size

FUNDUS = synthetic.SCHEMAS["fundus"]
SMALL = {"encoder": "resnet10t", "size": 64, "batch": 4, "epochs": 1, "lr": 0.05}


def test_printed_means_are_the_means_of_the_printed_lesions() -> None:
    """Table II holds together to its last digit but for slips of a thousandth; a wrongly copied number would not."""
    for table in (MARKED, PRESENT):
        for row, (mean, *lesions) in table.items():
            assert len(lesions) == len(NAMES)
            assert mean == pytest.approx(sum(lesions) / 8, abs=0.0021), row


def test_tables_of_the_paper() -> None:
    study = load_study("lesion_net", FUNDUS)
    assert list(study) == [
        "Table II segmentation", "Table II classification", "Path", "Loss", "Table III", "Table IV", "Beyond",
    ]  # fmt: skip
    assert set(study["Table II segmentation"]) | set(study["Loss"]) >= set(MARKED)
    assert set(study["Table II classification"]) | set(study["Loss"]) >= set(PRESENT)
    assert set(study["Table III"]) == set(GRADED)
    marked = study["Table II segmentation"]
    assert marked.paper["Lesion-Net-8s"]["dice_pooled"] == 0.603
    assert marked.paper["Lesion-Net-8s"]["dice_pooled/preretinal_haemorrhage"] == 0.616
    assert "dice_pooled/disc" not in marked.metrics
    assert study["Table III"].paper[OURS] == {"qkappa/grade": 0.803}
    assert study["Table IV"].paper[OURS] == {
        "dice_pooled": 0.591, "presence_f1": 0.801, "qkappa/grade": 0.803, "memory": 1536,
    }  # fmt: skip
    assert study["Path"].references == ("Lesion-Net-2s", "U-Net")
    assert study["Loss"].references == ("Lesion-Net-16s (Dice)",)
    assert study["Table III"].references == ("Inception-v3, grading", "Concat, Lesion-Net-16s")
    assert study["Table III"]["Inception-v3 (224)"].prepare.size == 224


def test_a_lesion_network_is_trained_once_for_all_tables() -> None:
    study = load_study("lesion_net", FUNDUS, **SMALL)
    alone = study["Table II segmentation"]["Lesion-Net-16s"]
    key = stage_key(alone, alone.stages[0], seed=0, manifest="m")
    own = [*study["Table III"].items(), *study["Beyond"].items()]
    guided = [r for name, r in own if name.startswith(("Multi-task, Lesion-Net", "Concat, Lesion", "Ordinal", "Both"))]
    assert len(guided) == 6
    runs = [study.runs(table) for table in study]
    assert len({runs[0]["Lesion-Net-16s"], *(r["Lesion-Net-16s"] for r in runs[1:4])}) == 1
    for recipe in guided:
        assert recipe.stages[0].name == "lesion_net"
        assert str(recipe.stages[0].loss) == str(alone.stages[0].loss)
    keys = {stage_key(recipe, recipe.stages[0], seed=0, manifest="m") for recipe in guided}
    assert keys == {key}


def test_what_the_schema_lacks_is_left_out() -> None:
    lesions = LabelSchema((), ("haemorrhage", "exudate"))
    study = load_study("lesion_net", lesions, labels=["haemorrhage"])
    assert list(study) == ["Table II segmentation", "Table II classification", "Path", "Loss"]
    table = study["Table II segmentation"]
    assert table.metrics == ("dice_pooled", "dice_pooled/haemorrhage")
    assert table.paper["FCN-8s"] == {"dice_pooled/haemorrhage": 0.609}
    three = LabelSchema((Question("risk", ("0", "1", "2"), ordered=True),), ("exudate",))
    assert load_study("lesion_net", three)["Table III"].paper == {}
    with pytest.raises(ValueError, match="no labels"):
        load_study("lesion_net", LabelSchema((Question("dr"),)))
    exclusive = load_study("lesion_net", synthetic.SCHEMAS["oct"])
    assert "ABN-lesion" not in list(exclusive["Table II classification"])
    assert "Ordinal loss" not in list(exclusive["Beyond"])
    assert "Ordinal loss" in list(load_study("lesion_net", three)["Beyond"])


def test_figure_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels come by the area of their marks, and every row of the table has a bar for each."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    drawn = Manifest(FUNDUS, tuple(synthetic.write("fundus", tmp_path / "d", n=20, size=64)), tmp_path / "d")
    rows = split(drawn, ratios=(0.4, 0.3, 0.3), seed=0).write(tmp_path / "d" / "fundus.jsonl")
    learnt = ["microaneurysm", "disc"]
    study = load_study("lesion_net", FUNDUS, labels=learnt, **SMALL)
    table = study["Path"]
    two = {row: table[row] for row in ("Lesion-Net-2s", "Lesion-Net-16s")}
    few = Study("lesion_net", {"Path": type(table)(two, ("dice_pooled",))})
    run_study(few, rows, out=tmp_path / "s", device="cpu", quiet=True, say=lambda _: None)
    chart = by_size(tmp_path / "s", table="Path")
    assert list(chart) == learnt
    assert all(list(bars) == list(two) for bars in chart.values())
    for bars in chart.values():
        for f1 in bars.values():
            assert 0 <= f1.low <= f1.value <= f1.high <= 1
    counts = Counts.read(
        tmp_path / "s" / "runs" / few.runs("Path")["Lesion-Net-2s"] / "split", table["Lesion-Net-2s"].schema
    )
    told = estimates(counts)["dice_pooled/disc"]
    assert (chart["disc"]["Lesion-Net-2s"].value, chart["disc"]["Lesion-Net-2s"].high) == (told.value, told.high)
    single = by_class_of_size(tmp_path / "s", table="Path", repeats=20)
    assert list(single) == list(two)
    assert list(single["Lesion-Net-2s"]) == list(sizes())
    made = study_charts(tmp_path / "s")
    assert [(one.table, one.file) for one in made] == [("Path", "path_f1_by_label"), ("Path", "path_f1_by_size")]
    names = [text.get_text() for text in made[0].figure.legends[0].get_texts()]
    assert names == list(two)
    assert [label.get_text() for label in made[0].figure.axes[0].get_xticklabels()] == learnt
    with pytest.raises(ValueError, match="seconds: the study 'lesion_net' has no chart that uses it"):
        study_charts(tmp_path / "s", seconds={})
    (tmp_path / "s" / "runs" / few.runs("Path")["Lesion-Net-2s"] / "split" / "lesions.csv").unlink()
    assert list(by_class_of_size(tmp_path / "s", table="Path", repeats=20)) == ["Lesion-Net-16s"]
    with pytest.raises(ValueError, match=r"table must be one of \['Path'\], got 'Table II segmentation'"):
        by_size(tmp_path / "s")
