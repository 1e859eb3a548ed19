"""Files written before the names of metrics had levels read as those of today."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foveate.engine.evaluate import read_metrics
from foveate.engine.run import Run
from foveate.studies import study_record

TABLE: dict[str, Any] = {
    "rows": {"U-Net": "u-net-123456"},
    "figures": ["dice", "sensitivity", "sensitivity/oedema", "auc/oedema/*"],
    "paper": {"U-Net": {"sensitivity": 0.9, "dice": 0.8, "size": 31.0}},
    "compared": ["dice", "sensitivity"],
    "references": [],
}


def test_metrics_of_an_evaluation(tmp_path: Path) -> None:
    old = {"dice": {"value": 0.8, "low": 0.7}, "sensitivity/dr/yes": {"value": 0.5}, "found/ma": {"value": 1.0}}
    new = {"pixel/dice": old["dice"], "image/sensitivity/dr/yes": {"value": 0.5}, "image/found/ma": {"value": 1.0}}
    for key, values in (("figures", old), ("metrics", new)):
        (tmp_path / "metrics.json").write_text(json.dumps({"about": {}, key: values}), encoding="utf-8")
        found = read_metrics(tmp_path)
        assert found == new
        assert found["dice"]["low"] == 0.7
        assert found["pixel/dice"]["low"] == 0.7


def test_validations_of_a_log(tmp_path: Path) -> None:
    """Of a run that an earlier version began and this one ended, too."""
    old, new = {"loss": 0.3, "dice": 0.5, "auc/dr": None}, {"loss": 0.2, "pixel/dice": 0.6, "image/auc/dr": 0.9}
    lines = [json.dumps({"stage": "mark", "epoch": k + 1, "val": val}) for k, val in enumerate((old, new))]
    (tmp_path / "mark").mkdir()
    (tmp_path / "mark/log.jsonl").write_text("\n".join(lines), encoding="utf-8")
    run = cast("Run", SimpleNamespace(stage_folder=lambda stage: tmp_path / stage))
    log = Run.log(run, "mark")
    assert [list(entry["val"]) for entry in log] == [["loss", "pixel/dice", "image/auc/dr"]] * 2
    assert [entry["val"]["dice"] for entry in log] == [0.5, 0.6]
    assert [entry["epoch"] for entry in log] == [1, 2]


@pytest.mark.parametrize("key", ["figures", "metrics"])
def test_tables_of_a_study(tmp_path: Path, key: str) -> None:
    """There the mean of a metric that labels and answers share was that over labels."""
    table = {key if k == "figures" else k: v for k, v in TABLE.items()}
    (tmp_path / "study.json").write_text(json.dumps({"tables": {"One": table}}), encoding="utf-8")
    found = study_record(tmp_path)["tables"]["One"]
    assert found["metrics"] == ["dice", "pixel/sensitivity", "sensitivity/oedema", "auc/oedema/*"]
    assert found["paper"] == {"U-Net": {"pixel/sensitivity": 0.9, "dice": 0.8, "size": 31.0}}
    assert found["compared"] == ["dice", "pixel/sensitivity"]
    assert "figures" not in found
