"""The plan of auto: what it decides from drawn data, what the user overrides, and bad input before training starts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes_cases import four_retinas
from typer.testing import CliRunner

from foveate.cli import main as cli
from foveate.core.labels import LabelSchema, Question
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.plan import FILE, Plan
from foveate.engine.precision import Measured
from foveate.recipes import load_recipe, load_run, plan_recipe
from foveate.recipes._auto import planning
from foveate.recipes._auto.lengths import FEWEST, length
from foveate.recipes._auto.step_cost import Cost, step_mib

SMALL: dict[str, Any] = {"encoder": "resnet10t", "weights": "none", "width": 4}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    folder = tmp_path_factory.mktemp("auto")
    return {kind: four_retinas(kind, folder / kind) for kind in synthetic.SCHEMAS}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose steps take a tenth of a second and that has no use for bf16."""
    monkeypatch.setattr(planning, "measure", lambda recipe, stage, device: Cost(0.1, 0.01))
    monkeypatch.setattr(planning, "has_bf16_units", lambda device: False)
    monkeypatch.setattr(planning, "step_mib", lambda recipe, stage: 100.0)


def made(rows: Manifest, *, time: float | None = None, memory: float | None = None, **keywords: Any) -> Plan:
    plan = plan_recipe("auto", rows, keywords={**SMALL, **keywords}, time=time, memory=memory, device="cpu")
    assert plan is not None
    return plan


def value(plan: Plan, name: str) -> Any:
    return next(d.value for d in plan.decisions if d.name == name)


def reason(plan: Plan, name: str) -> str:
    return next(d.reason for d in plan.decisions if d.name == name)


def test_every_kind_gets_a_recipe(drawn: dict[str, Manifest]) -> None:
    for kind, rows in drawn.items():
        plan = made(rows)
        recipe = load_recipe("auto", rows.schema, **plan.keywords)
        names = [*rows.schema.labels, *(q.name for q in rows.schema.questions)]
        learnt = [*recipe.schema.labels, *(q.name for q in recipe.schema.questions)]
        assert learnt == [name for name in names if name not in plan.keywords["leave_out"]]
        assert learnt
        assert value(plan, "modality") == kind
        assert all(d.reason for d in plan.decisions)


def test_what_a_b_scan_allows(drawn: dict[str, Manifest]) -> None:
    oct_, fundus = made(drawn["oct"]).keywords, made(drawn["fundus"]).keywords
    assert (oct_["turn_over"], oct_["rotation"], oct_["grey"], oct_["crop_field"]) == (False, 5.0, True, False)
    assert (fundus["turn_over"], fundus["grey"], fundus["mirror"]) == (True, False, True)


def test_images_are_read_in_the_flips_that_training_makes(drawn: dict[str, Manifest]) -> None:
    def views(rows: Manifest, **keywords: Any) -> tuple[str, ...]:
        return load_recipe("auto", rows.schema, **made(rows, **keywords).keywords).views

    assert views(drawn["fundus"]) == ("as is", "horizontal", "vertical", "both")
    assert views(drawn["oct"]) == ("as is", "horizontal")
    assert views(drawn["oct"], mirror=False) == ()
    assert views(drawn["fundus"], flips=False) == ()
    with pytest.raises(ValueError, match="there is no flip; leave it out"):
        made(drawn["oct"], mirror=False, flips=True)


def test_masks_and_answers_are_decided_on_validation_images(drawn: dict[str, Manifest]) -> None:
    for rows, masks in ((drawn["fundus"], True), (drawn["fundus"].select(labels=()), False)):
        plan = made(rows)
        recipe = load_recipe("auto", rows.schema, **plan.keywords)
        assert (recipe.calibrated, recipe.postprocess) == ("half", masks)
        assert ("smallest lesion" in reason(plan, "postprocess")) is masks
    assert load_recipe("auto", drawn["fundus"].schema).calibrated is None


def test_left_and_right_stay_if_a_question_needs_them(drawn: dict[str, Manifest]) -> None:
    rows = drawn["fundus"]
    schema = replace(rows.schema, questions=(*rows.schema.questions, Question("laterality", ("OD", "OS"))))
    sided = replace(
        rows, schema=schema, rows=tuple(replace(r, answers={**r.answers, "laterality": "OD"}) for r in rows.rows[:7])
    )
    plan = made(sided, leave_out=[])
    assert plan.keywords["mirror"] is False


@pytest.mark.parametrize("kind", ["fundus", "oct", "enface"])
def test_masks_alone_and_answers_alone(kind: str, drawn: dict[str, Manifest]) -> None:
    for part in (drawn[kind].select(questions=()), drawn[kind].select(labels=())):
        plan = made(part)
        recipe = load_recipe("auto", part.schema, **plan.keywords)
        terms = list(recipe.stages[0].loss.terms)  # type: ignore[attr-defined]
        assert terms == (["answers"] if not part.schema.labels else ["rare", "pixels", "overlap"])
        assert "classify" not in plan.keywords


def test_the_user_overrides_any_decision(drawn: dict[str, Manifest]) -> None:
    plan = made(drawn["oct"], turn_over=True, size=96, lr=0.5, modality="enface", annotators="majority")
    assert (plan.keywords["turn_over"], plan.keywords["size"], plan.keywords["lr"]) == (True, 96, 0.5)
    assert plan.keywords["annotators"] == "majority"
    assert plan.keywords["rotation"] == 15.0  # follows from the modality that the user gave
    assert sum(d.reason == "set by the user" for d in plan.decisions) == 5 + len(SMALL)
    with pytest.raises(ValueError, match=r"unknown keyword \['sise'\]"):
        made(drawn["oct"], sise=3)


# -- bad input -------------------------------------------------------------------------------------------------------


def free_of(rows: Manifest, label: str, split: str) -> Manifest:
    """The manifest in which the images of a split are known to be free of a label."""
    from foveate.data.lines import ABSENT

    return rows.with_rows(
        replace(row, masks={**row.masks, label: ABSENT}) if row.split == split else row for row in rows
    )


def test_a_label_that_no_training_image_has_is_left_out(drawn: dict[str, Manifest]) -> None:
    rows = drawn["enface"]
    label = rows.schema.labels[0]
    plan = made(free_of(rows, label, "train"))
    assert label in plan.keywords["leave_out"]
    assert any(repr(label) in note and "none of 4 training images" in note for note in plan.notes)
    assert label not in load_recipe("auto", rows.schema, **plan.keywords).schema.labels


def test_a_question_with_one_answer_is_left_out(drawn: dict[str, Manifest]) -> None:
    rows = drawn["enface"]
    same = rows.with_rows(replace(row, answers={**row.answers, "quality": "1"}) for row in rows)
    plan = made(same)
    assert "quality" in plan.keywords["leave_out"]
    assert any("the one answer '1'" in note for note in plan.notes)
    with pytest.raises(ValueError, match="nothing to learn"):
        made(same.select(labels=()))


def test_validation_that_cannot_choose(drawn: dict[str, Manifest]) -> None:
    rows = drawn["enface"]
    label = rows.schema.labels[0]
    plan = made(free_of(rows, label, "val"))
    assert "the last weights are kept" in reason(plan, "keep")  # four validation images
    assert any(f"0 validation images have {label}" in note and "does not count" in note for note in plan.notes)
    more = rows.with_rows(
        replace(row, id=f"{row.id}_{k}", patient=f"{row.patient}_{k}") for row in rows for k in range(8)
    )
    assert f"dice_pooled/{label}" in reason(made(more), "keep")


def test_no_validation_images(drawn: dict[str, Manifest]) -> None:
    with pytest.raises(ValueError, match=r"no row has split 'val'.*foveate split"):
        made(drawn["enface"].where(split="train"))


def test_time_that_is_too_short(drawn: dict[str, Manifest]) -> None:
    with pytest.raises(ValueError, match=r"too short for one epoch: at size=64 .* give more time"):
        made(drawn["enface"], time=0.1, size=64)


def test_time_decides_the_epochs(drawn: dict[str, Manifest]) -> None:
    plan = made(drawn["enface"], time=100.0, size=64)
    assert 500 < plan.keywords["epochs"] < 1000  # a step an epoch, a tenth of a second each, and validations
    assert value(plan, "time") in ("100 s", "2 min")
    steps = plan.keywords["epochs"]
    assert 10 <= steps / plan.keywords["validate_every"] <= 31


def test_memory_makes_the_frame_smaller_or_is_refused(
    drawn: dict[str, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "step_mib", lambda recipe, stage: recipe.prepare.shape[0] * 10.0 / recipe.accumulate)
    rows = drawn["enface"].select(labels=())
    roomy = made(rows, memory=1e6)
    assert roomy.keywords["accumulate"] == 1
    tight = made(rows, memory=600.0, size=96)
    assert tight.keywords["accumulate"] == 2
    with pytest.raises(ValueError, match="memory: a step at size=96 needs about 480 MiB"):
        made(rows, memory=300.0, size=96)


def test_a_budget_needs_a_recipe_with_a_plan(drawn: dict[str, Manifest]) -> None:
    assert plan_recipe("image_quality", drawn["enface"], keywords={}) is None
    with pytest.raises(ValueError, match="'image_quality' makes no plan"):
        plan_recipe("image_quality", drawn["enface"], keywords={}, time=3.0)


def test_precision_follows_from_measured_steps(drawn: dict[str, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn["enface"]
    assert made(rows).keywords["precision"] == "fp32"
    assert "no units for bf16" in reason(made(rows, precision="auto"), "precision")
    assert made(rows, precision="bf16").keywords["precision"] == "bf16"
    monkeypatch.setattr(planning, "has_bf16_units", lambda device: True)
    monkeypatch.setattr(planning, "steps_of", lambda recipe, stage, device: None)
    monkeypatch.setattr(planning, "measured_precision", lambda make, repeats: Measured("bf16", 0.3, 0.1))
    plan = made(rows)
    assert load_recipe("auto", rows.schema, **plan.keywords).precision == "bf16"
    assert "0.3 s in fp32 and 0.1 s in bf16: 3.00 times as fast" in str(plan)


def test_rare_labels_are_drawn_more_often(drawn: dict[str, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    """Images whose mask is unknown do not make a label rare."""
    rows = drawn["fundus"]
    found, first = planning.survey(rows), rows.schema.labels[0]

    def with_counts(having: int, free: int) -> Plan:
        changed = {
            name: replace(one, with_it={"train": 4, "val": 4}, without_it={"train": 0, "val": 0})
            for name, one in found.labels.items()
        }
        rare = replace(changed[first], with_it={"train": having, "val": 4}, without_it={"train": free, "val": 0})
        now = replace(found, labels={**changed, first: rare}, images={"train": 100, "val": 8})
        monkeypatch.setattr(planning, "survey", lambda rows, progress: now)
        return made(rows, size=64)

    plan = with_counts(1, 9)
    assert load_recipe("auto", rows.schema, **plan.keywords).rare_images == 0.33
    assert reason(plan, "rare_images").startswith(f"{first}: in fewer than a third")
    assert with_counts(4, 6).keywords["rare_images"] == 0


# -- lengths ---------------------------------------------------------------------------------------------------------


def test_lengths_keep_to_the_time() -> None:
    for seconds in (60.0, 600.0, 6000.0):
        for read in (0.001, 0.1, 1.0):
            found = length({"joint": Cost(0.5, read)}, train=100, val=30, batch=8, prepare=5.0, seconds=seconds)
            assert found.total <= seconds * 1.1
            assert found.epochs == 0 or found.validations >= 1
    two = length(
        {"answer": Cost(0.1, 0.01), "mark": Cost(1.0, 0.1)}, train=80, val=10, batch=8, prepare=0, seconds=3000
    )
    assert two.total <= 3300
    assert two.steps > FEWEST
    assert two.validations >= 10


# -- windows ---------------------------------------------------------------------------------------------------------


def test_small_lesions_are_seen_in_windows(drawn: dict[str, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph of 2,000 pixels whose smallest lesion is 10 pixels across: a whole frame would not show it."""
    rows = drawn["fundus"]
    found = planning.survey(rows)
    large = replace(
        found,
        size=(2000, 2000),
        field=(2000, 2000),
        labels={n: replace(one, share=(0.005, 0.004)) for n, one in found.labels.items()},
    )
    monkeypatch.setattr(planning, "survey", lambda rows, progress: large)
    plan = made(rows)
    assert plan.keywords["size"] == 1600
    assert plan.keywords["window"] == 256
    recipe = load_recipe("auto", rows.schema, **plan.keywords)
    assert [stage.name for stage in recipe.stages] == ["answer", "mark"]
    alone = load_recipe("auto", rows.schema.select(questions=()), size=1600, window=256)
    assert [stage.name for stage in alone.stages] == ["mark"]
    assert made(rows, size=256).keywords["window"] is None


def test_two_stages_train_and_read_whole_images(drawn: dict[str, Manifest], tmp_path: Path) -> None:
    rows = drawn["fundus"]
    keywords = {**SMALL, "size": 96, "window": 32, "answer_size": 64, "batch": 4, "epochs": 1}
    recipe = load_recipe("auto", rows.schema, **keywords)
    plan = Plan("auto", (), ())
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c", plan=plan)
    assert (run.folder / FILE).is_file()
    opened = load_run(run.folder)
    assert str(opened.recipe) == str(run.recipe)
    counts = evaluate(opened, rows.where(split="val"), device="cpu", intervals=False, cache=tmp_path / "c")
    assert len(counts) == 4
    assert set(counts.schema.labels) == set(rows.schema.labels)
    assert len(counts.answers["image"])


@pytest.mark.parametrize(
    ("keywords", "wrong"),
    [
        ({"each": 2}, "are of windows"),
        ({"answer_size": 64}, "are of windows"),
        ({"leave_out": ["nobody"]}, "must be labels or questions"),
        ({"classify": 1.0}, "between 0 and 1"),
        ({"decoder": "mlp"}, "must be one of"),
    ],
)
def test_keywords_without_use(keywords: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        load_recipe("auto", synthetic.SCHEMAS["enface"], **keywords)


def test_windows_need_labels() -> None:
    schema = LabelSchema((Question("q"),))
    with pytest.raises(ValueError, match="windows are for marking"):
        load_recipe("auto", schema, window=64)


# -- memory, command ----------------------------------------------------------------------------------------


def test_memory_of_a_step_grows_with_frame_and_batch() -> None:
    recipe = load_recipe("auto", synthetic.SCHEMAS["enface"], **SMALL, size=64, batch=4)
    stage = recipe.stages[0]
    small = step_mib(recipe, stage)
    larger = recipe.with_(batch=8, prepare=replace(recipe.prepare, size=128))
    assert step_mib(larger, stage) > small
    assert step_mib(recipe.with_(accumulate=2), stage) < small
    assert torch.get_default_device() == torch.device("cpu")


def test_dry_prints_reasons_and_trains_nothing(drawn: dict[str, Manifest], tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    drawn["enface"].write(path)
    words = ["fit", "auto", str(path), "-o", str(tmp_path / "run"), "--dry", "--time", "2m", "--device", "cpu"]
    for key, given in SMALL.items():
        words += ["--set", f"{key}={given}"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "plan of auto" in result.output
    assert "what fits into 2 min" in result.output
    assert not (tmp_path / "run").exists()
    bad = CliRunner().invoke(cli.app, [*words, "--time", "two"])
    assert "--time 'two': give a positive number" in str(bad.exception)


def test_a_plan_is_kept_and_read_on_resume(drawn: dict[str, Manifest], tmp_path: Path) -> None:
    rows, out = drawn["enface"], tmp_path / "run"
    plan = made(rows, size=64, epochs=1)
    recipe = load_recipe("auto", rows.schema, **plan.keywords)
    fit(recipe, rows, out=out, device="cpu", quiet=True, cache=tmp_path / "c", plan=plan)
    assert json.loads((out / FILE).read_text())["format"] == 1
    again = plan_recipe("auto", rows, keywords={}, resume=out)
    assert again is not None
    assert again.keywords == plan.keywords
