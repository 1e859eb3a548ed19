"""Run and study folders from the time when a method and its comparisons were one recipe open as what they are."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from foveate.engine.recipe import Recipe
from foveate.recipes import load_run
from foveate.recipes._lookup import placed
from foveate.studies import study_tables

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDS: list[dict[str, Any]] = [
    json.loads(line) for line in (FIXTURES / "runs_before_comparisons.jsonl").read_text(encoding="utf-8").splitlines()
]
METHODS = ("dual_guidance", "image_quality", "joint_dice", "lesion_net", "lesion_net_alone", "region_guided")
RENAMED = {
    r"\bgraders=": "annotators=",
    r"^masks: ": "annotation_fraction: ",
    r"^aims: ": "eval_cues: ",
    r"\b_house\(": "without_masks(",
    r"\b_guided\(": "on_its_maps(",
}


def settings(text: str) -> list[str]:
    """The lines of a recipe's text that its name and keywords lead to, in today's words."""
    for old, new in RENAMED.items():
        text = re.sub(old, new, text, flags=re.MULTILINE)
    return sorted(line for line in text.splitlines()[1:] if not re.match(r"  \w+ = ", line))


def opened(record: dict[str, Any], folder: Path) -> Recipe:
    kept = {k: v for k, v in record.items() if k != "folder"}
    (folder / "recipe.json").write_text(json.dumps(kept), encoding="utf-8")
    return load_run(folder).recipe


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["folder"])
def test_a_former_run_opens_with_the_same_settings(record: dict[str, Any], tmp_path: Path) -> None:
    recipe = opened(record, tmp_path)
    assert recipe.name == ("" if record["folder"] in METHODS else "comparisons/") + record["name"]
    assert settings(str(recipe)) == settings(record["text"])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["folder"])
def test_a_run_of_today_opens_as_itself(record: dict[str, Any], tmp_path: Path) -> None:
    """The keywords of today lead to the same recipe again."""
    recipe = opened(record, tmp_path)
    again = opened({**record, "name": recipe.name, "keywords": dict(recipe.keywords)}, tmp_path)
    assert str(again) == str(recipe)


def test_lesions_alone_are_the_method_without_a_grade(tmp_path: Path) -> None:
    (record,) = [record for record in RECORDS if record["folder"] == "lesion_net_alone"]
    recipe = opened(record, tmp_path)
    assert (recipe.keywords["grade"], recipe.keywords["stride"]) == (False, 8)
    assert "shrink" not in recipe.keywords


def test_keywords_without_effect_are_left_out() -> None:
    name, keywords = placed(
        "lesion_net", {"network": "unet", "annotator": None, "loss": "dice", "stride": 4, "lr": 0.1}
    )
    assert (name, keywords) == (
        "comparisons/lesion_net",
        {"network": "unet", "annotator": None, "loss": "dice", "lr": 0.1},
    )
    assert placed("image_quality", {"classify": 1.0, "width": 8}) == ("image_quality", {"classify": 1.0})


def test_a_former_study_writes_its_tables_again(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(FIXTURES / "study_before_comparisons", folder)
    before = (folder / "tables/path.csv").read_text(encoding="utf-8")
    made = study_tables(folder)
    assert [row[0] for row in made["Path"].rows] == ["Lesion-Net-2s", "U-Net"]
    after = (folder / "tables/path.csv").read_text(encoding="utf-8")
    for old, new in zip(cells(before), cells(after), strict=True):
        assert new == pytest.approx(old, rel=1e-9, nan_ok=True) if isinstance(old, float) else new == old
    names = {path.parents[1].name: load_run(path.parent).recipe.name for path in folder.rglob("recipe.json")}
    assert names == {"lesion-net-2s-d58cd5": "lesion_net", "u-net-8ac40c": "comparisons/lesion_net"}


def cells(text: str) -> list[float | str]:
    """The cells of a CSV table; numbers differ in their last digit between processors."""
    found: list[float | str] = []
    for cell in text.replace("\n", ",").split(","):
        try:
            found.append(float(cell))
        except ValueError:
            found.append(cell)
    return found
