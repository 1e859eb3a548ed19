"""Which weights are kept: few validation images decide nothing, lucky validations are averaged away."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_toys import CLASSES, tiny_recipe, toy_manifest

from foveate.core.labels import LabelSchema, Question
from foveate.data.loader import Dataset, batches
from foveate.engine.fit import fit
from foveate.engine.keep import LEAST, Keep, Support, best, trusted
from foveate.engine.outlook import outlook
from foveate.engine.schedule import cosine, divide_when_flat

SCHEMA = LabelSchema((Question("dr"), Question("grade", ("0", "1", "2"))), ("ma", "he"))


def support(ma: int, he: int, yes: int, no: int) -> Support:
    found = Support(images=yes + no)
    found.bearing.update({"ma": ma, "he": he})
    found.free.update({"ma": yes + no - ma, "he": yes + no - he})
    found.answers = {"dr": _counter(no=no, yes=yes), "grade": _counter(**{"0": 40, "1": 3, "2": 1})}
    return found


def _counter(**numbers: int) -> Counter[str]:

    return Counter(numbers)


def test_labels_and_answers_with_few_images_do_not_choose() -> None:
    """9 validation images, 4 of them "yes": the answer cannot choose; the cup, marked in all, can."""
    keep = trusted(SCHEMA)
    assert keep.metric == "dice_pooled + skill"
    chosen = keep.within(support(9, 2, yes=4, no=5))
    assert chosen is not None
    assert chosen.metric == "dice_pooled/ma"
    whole = keep.within(support(9, 9, yes=5, no=30))
    assert whole is not None
    assert whole.metric == "dice_pooled/ma, dice_pooled/he + skill/dr"
    assert keep.within(support(4, 0, yes=4, no=90)) is None
    assert best("f1").within(support(0, 0, yes=0, no=1)) == best("f1")  # named by the user: it stays


def test_tasks_count_alike_whatever_their_number_of_labels() -> None:
    keep = Keep("dice_pooled/ma, dice_pooled/he + skill/dr")
    figures = {"dice_pooled/ma": 0.2, "dice_pooled/he": 0.4, "skill/dr": 0.5}
    assert keep.of(figures) == pytest.approx((0.3 + 0.5) / 2)
    assert keep.of({**figures, "dice_pooled/he": math.nan}) == pytest.approx((0.2 + 0.5) / 2)


def test_one_lucky_validation_does_not_win() -> None:
    values = [0.1, 0.9, 0.2, 0.5, 0.6, 0.6]
    kept = [n for n in range(1, 7) if Keep("f1", smooth=1).best(values[:n])]
    smoothed = [n for n in range(1, 7) if Keep("f1", smooth=3).best(values[:n])]
    assert kept[-1] == 2
    assert smoothed[-1] == 6
    assert Keep("f1", smooth=3).best([-math.inf, -math.inf])


def test_support_counts_what_is_known(tmp_path: Path) -> None:
    rows = toy_manifest(tmp_path).where(split="val")
    recipe, found = tiny_recipe(), Support()
    for batch in batches(Dataset(rows.rows, rows.root, CLASSES, recipe.prepare), batch=4, shuffle=False, threads=0):
        found.add(batch)
    assert (found.images, found.bearing["blob"], found.free["blob"]) == (6, 3, 3)
    assert found.answers == {"blob_present": {"no": 3, "yes": 3}}
    assert str(found) == "6 validation images; blob in 3, absent in 3; blob_present no: 3, yes: 3"


def test_settings_without_effect_are_reported_before_training() -> None:
    recipe, few = tiny_recipe(), support(9, 9, yes=9, no=9)
    stage = recipe.stages[0]

    def lines(every: int, **changes: object) -> str:
        changed = recipe.with_(**changes)
        return "\n".join(outlook(changed, stage, steps=40, every=every, support=few, keep=stage.keep))

    assert "warning" not in lines(10)
    assert "one validation in the whole run" in lines(1000)
    assert "validate_every=4" in lines(1000)
    assert "can not drop" in lines(10, schedule=divide_when_flat(patience=4))
    assert "can not drop" not in lines(2, schedule=divide_when_flat(patience=4))
    assert "warning" not in lines(10, schedule=cosine())

    later = replace(stage, after_drop=stage.loss)
    text = outlook(recipe, later, steps=40, every=2, support=few, keep=stage.keep)
    assert any("never switched on" in line for line in text)
    dropping = recipe.with_(schedule=divide_when_flat(patience=2))
    assert not any("never" in line for line in outlook(dropping, later, steps=40, every=2, support=few, keep=None))


def test_a_validation_split_too_small_keeps_the_last_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = toy_manifest(tmp_path)
    recipe = tiny_recipe(epochs=4, lr=0.3)

    stage = replace(recipe.stages[0], keep=trusted(CLASSES))
    run = fit(replace(recipe, stages=(stage,)), rows, out=tmp_path / "run", device="cpu", cache=tmp_path / "c")
    assert [entry["best"] for entry in run.log("tiny")] == [True] * 4
    assert np.isfinite(run.log("tiny")[-1]["val"]["skill"])
    text = " ".join(capsys.readouterr().err.split())
    assert "blob in 3, absent in 3" in text
    assert "the last weights are kept" in text
    assert LEAST == 5


def test_what_the_network_never_gives_is_reported_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = toy_manifest(tmp_path)
    run = fit(tiny_recipe(epochs=1, lr=0.0), rows, out=tmp_path / "run", device="cpu", cache=tmp_path / "c")
    never = json.loads((run.folder / "tiny/done.json").read_text())["never given"]
    assert never
    text = " ".join(capsys.readouterr().err.split())
    assert all(f"warning: on the validation images, {line}" in text for line in never)
