"""The recipe of Lesion-Net: its rows, the loss that changes, what is frozen, and sets that know different things."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes_cases import compared, four_retinas, known, narrow, plain, stages_with_batches
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch, Outputs
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe
from foveate.engine.schedule import History, steps
from foveate.engine.stage_reuse import stage_key
from foveate.losses.answer import cross_entropy, squared_emd
from foveate.losses.dual_dice import dual_dice, presence_dice
from foveate.losses.overlap import dice_squared, per_label, whole_batch
from foveate.recipes import load_recipe
from foveate.studies.comparisons._lesion_networks import NETWORKS

FUNDUS = synthetic.SCHEMAS["fundus"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return four_retinas("fundus", tmp_path_factory.mktemp("fundus"))


def made(**keywords: Any) -> Recipe:
    return compared("lesion_net", "fundus", **keywords)


def seen(recipe: Recipe, rows: Manifest, stage: int = 0) -> tuple[nn.Module, Batch, Outputs]:
    """A stage's network, a batch, and what it says of it."""
    _, network, batch = list(stages_with_batches(recipe, rows))[stage]
    with torch.no_grad():
        return network, batch, network.eval()(batch.image)


def test_the_papers_numbers() -> None:
    recipe = load_recipe("lesion_net", FUNDUS)
    (optimizer,) = [recipe.optimizer([torch.zeros(1, requires_grad=True)])]
    group = optimizer.param_groups[0]
    assert (type(optimizer), group["lr"], group["momentum"], group["weight_decay"]) == (
        torch.optim.SGD,
        1e-3,
        0.95,
        1e-4,
    )
    assert (recipe.prepare.size, recipe.validate_every, recipe.patience) == (896, 1000, 10)
    flat = [0.5, 0.4, 0.4, 0.4, 0.4]
    assert recipe.schedule.rate(History(0, 1, flat[:4])) == 1
    assert recipe.schedule.rate(History(0, 1, flat)) == pytest.approx(0.1)
    first, second = recipe.stages
    assert (second.starts_from, second.frozen) == ({"lesions": "lesion_net"}, ("lesions",))
    assert (first.keep.metric, second.keep.metric) == ("dice_pooled", "qkappa/grade")


def test_dice_first_then_dual(drawn: Manifest) -> None:
    recipe = made()
    stage = recipe.stages[0]
    _, batch, outputs = seen(recipe, drawn)
    assert float(stage.loss(outputs, batch)["lesions"]) == float(dice_squared(outputs, batch, pool=whole_batch))
    assert stage.after_drop is not None
    assert float(stage.after_drop(outputs, batch)["lesions"]) == float(dual_dice(outputs, batch, share=0.8))
    at_once = made(late=False, share=0.5, per_lesion=True).stages[0]
    assert at_once.after_drop is None
    expected = dual_dice(outputs, batch, share=0.5, pool=per_label)
    assert float(at_once.loss(outputs, batch)["lesions"]) == float(expected)
    for loss in ("dice", "wce", "focal"):
        assert made(loss=loss).stages[0].after_drop is None


def test_the_loss_changes_at_the_first_drop_and_stays_so_when_resumed(drawn: Manifest, tmp_path: Path) -> None:
    """Two steps on Dice, then the rate drops; killed there and resumed the log is the same to the digit."""
    recipe = plain(made(grader=None, epochs=4), validate_every=1)
    recipe = replace(recipe, schedule=steps(at=(0.5,)))
    settings: dict[str, Any] = {"device": "cpu", "quiet": True, "cache": tmp_path / "cache"}
    whole = fit(recipe, drawn, out=tmp_path / "whole", **settings).log("lesion_net")
    dice = replace(recipe, stages=tuple(replace(s, after_drop=None) for s in recipe.stages))
    other = fit(dice, drawn, out=tmp_path / "dice", **settings).log("lesion_net")
    same = [a["train"]["lesions"] == b["train"]["lesions"] for a, b in zip(whole, other, strict=True)]
    assert same == [True, True, False, False]

    class Killed(Exception):  # noqa: N818
        pass

    calls = 0

    def killing(outputs: Outputs, batch: Batch) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:  # the third step's training and validation, then the fourth step
            raise Killed
        assert recipe.stages[0].after_drop is not None
        return recipe.stages[0].after_drop(outputs, batch)

    killing.__name__ = repr(recipe.stages[0].after_drop)  # the record of a run is its text
    fragile = replace(recipe, stages=(replace(recipe.stages[0], after_drop=killing),))
    with pytest.raises(Killed):
        fit(fragile, drawn, out=tmp_path / "killed", **settings)
    resumed = fit(recipe, drawn, out=tmp_path / "killed", resume=True, **settings).log("lesion_net")
    assert [e["train"] for e in resumed] == [e["train"] for e in whole]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_lesion_network_trains(network: str, drawn: Manifest) -> None:
    """Forward, loss and gradient; classifiers of presence learn on their part of the loss alone."""
    recipe = made(network=network, grader=None)
    stage, net, batch = next(iter(stages_with_batches(recipe, drawn)))
    outputs = net.train()(batch.image)
    assert outputs.image is None
    terms = stage.loss(outputs, batch)
    sum(terms.values()).backward()
    assert sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None) > 0
    if network == "classifier":
        assert float(terms["lesions"].detach()) == float(presence_dice(outputs, batch).detach())
        assert stage.keep.metric == "presence_f1"
    if network in ("abn", "danet"):
        assert len(outputs.aux) == {"abn": 1, "danet": 2}[network]


@pytest.mark.parametrize("network", ["fcn", "unet", "classifier"])
def test_any_lesion_network_guides_the_grader(network: str, drawn: Manifest) -> None:
    recipe = made(network=network, attention="concat")
    _, batch, outputs = seen(recipe, drawn, 1)
    assert outputs.pixel.shape == batch.masks.shape
    assert outputs.image.shape == (4, 5)
    assert recipe.stages[1].starts_from == {"lesions": network}


def test_graders_without_lesions(drawn: Manifest) -> None:
    for grader in ("classifier", "abn"):
        recipe = made(network=None, grader=grader)
        assert recipe.schema.labels == ()
        _, batch, outputs = seen(recipe, drawn)
        terms = recipe.stages[0].loss(outputs, batch)
        assert float(terms["grade"]) == float(cross_entropy(outputs, batch))
        assert set(terms) == ({"grade"} if grader == "classifier" else {"grade", "grade_branch"})


def test_the_grader_may_have_a_rate_of_its_own(drawn: Manifest) -> None:
    """The lesion network is the same stage then, so that runs share it."""
    both, slow = (load_recipe("lesion_net", drawn.schema, lr=0.05, **own) for own in ({}, {"grade_lr": 0.005}))
    assert slow.stages[1].optimizer is not None
    assert slow.stages[1].optimizer.keywords == {"lr": 0.005, "momentum": 0.95, "weight_decay": 1e-4}
    keys = [[stage_key(r, stage, seed=0, manifest="m") for stage in r.stages] for r in (both, slow)]
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]
    alone = load_recipe("comparisons/lesion_net", drawn.schema, network=None, grader="abn", grade_lr=0.005)
    assert "lr=0.005" in str(alone.stages[0].optimizer)


def test_the_grader_may_have_epochs_of_its_own(drawn: Manifest) -> None:
    recipe = made(epochs=7, grade_epochs=3)
    assert [stage.epochs or recipe.epochs for stage in recipe.stages] == [7, 3]
    assert made(network=None, grader="classifier", grade_epochs=3).stages[0].epochs == 3
    assert made(epochs=7).stages[1].epochs is None


def test_ordinal_loss(drawn: Manifest) -> None:
    recipe = made(ordinal=True)
    _, batch, outputs = seen(recipe, drawn, 1)
    assert float(recipe.stages[1].loss(outputs, batch)["grade"]) == float(squared_emd(outputs, batch))


@pytest.mark.parametrize("finetune", [False, True])
def test_lesion_branch_is_frozen_or_fine_tuned(finetune: bool, drawn: Manifest, tmp_path: Path) -> None:
    recipe = plain(made(finetune=finetune, lr=0.05, epochs=2))
    run = fit(recipe, drawn, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    before = run.network("lesion_net").state_dict()
    after = run.network("side_attention").get_submodule("lesions").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before) != finetune
    terms = set(run.log("side_attention")[-1]["train"])
    assert terms == ({"grade", "lesions"} if finetune else {"grade"})


@pytest.mark.parametrize("finetune", [False, True])
def test_sets_that_know_different_things_train_one_network(finetune: bool, tmp_path: Path) -> None:
    """Half the images have lesions and no grade, half a grade and no lesions; another set knows one lesion alone."""
    rows = four_retinas("fundus", tmp_path / "drawn")
    known = []
    for number, row in enumerate(rows):
        if number % 2:
            known.append(replace(row, masks={}))
        elif number % 4:
            known.append(replace(row, answers={}, masks={"haemorrhage": row.masks["haemorrhage"]}))
        else:
            known.append(replace(row, answers={}))
    mixed = Manifest(rows.schema, tuple(known), rows.root)
    recipe = made(finetune=finetune, lr=0.05, batch=2).with_(validate_every=1)
    run = fit(recipe, mixed, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    for stage, expected in zip(recipe.stages, (2, 4 if finetune else 2), strict=True):
        assert sum(stage.rows is None or stage.rows(row) for row in mixed.where(split="train")) == expected
        assert all(torch.isfinite(torch.tensor(list(e["train"].values()))).all() for e in run.log(stage.name))
    counts = evaluate(run, mixed.where(split="val"), device="cpu", intervals=False, cache=tmp_path / "c")
    assert set(counts.pixels["image"].tolist()) == {row.id for row in mixed if row.masks and row.split == "val"}
    assert set(counts.answers["image"].tolist()) == {row.id for row in mixed if row.answers and row.split == "val"}


def test_patches_train_and_windows_read() -> None:
    recipe = made(network="fcn", stride=32, parts=2, grader=None)
    assert recipe.patches is not None
    assert recipe.infer is not None
    assert (recipe.patches.size, recipe.patches.stride) == (32, 32)
    assert (recipe.infer.size, recipe.infer.stride) == (32, 16)
    paper = load_recipe("comparisons/lesion_net", FUNDUS, network="fcn", stride=32, parts=4, grader=None)
    assert paper.patches is not None
    assert paper.infer is not None
    assert (paper.patches.size, paper.infer.size, paper.infer.stride) == (224, 224, 112)
    with pytest.raises(ValueError, match="patches need `grader=None`"):
        made(network="fcn", parts=2)
    with pytest.raises(ValueError, match="parts=3, size=64"):
        made(network="fcn", parts=3, grader=None)


def test_what_is_learnt() -> None:
    recipe = made(labels=["haemorrhage", "disc"], question="atrophy_present")
    assert recipe.schema.labels == ("haemorrhage", "disc")
    assert [q.name for q in recipe.schema.questions] == ["atrophy_present"]
    assert recipe.stages[1].keep.metric == "accuracy/atrophy_present"
    assert made(balance=True).balance == "grade"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"network": "vgg"}, r"network must be one of \['lesion_net', 'fcn', .*, got 'vgg'"),
        ({"grader": "vgg"}, r"grader must be one of \['side_attention', 'classifier', 'abn', None\], got 'vgg'"),
        ({"loss": "hinge"}, r"loss must be one of \['dual', 'dice', 'wce', 'focal'\], got 'hinge'"),
        ({"loss": None}, "loss must be text, got None"),
        ({"attention": "cbam"}, r"attention must be one of \['conv', 'cw_maxpool', 'concat'\], got 'cbam'"),
        ({"shrink": "nearest"}, r"shrink must be one of \['max', 'mean', 'bilinear'\], got 'nearest'"),
        ({"stride": 12}, r"stride must be one of [\[(]2, 4, 8, 16, 32[\])], got 12"),
        ({"share": 1.2}, r"share must be in \[0, 1\], got 1\.2; the paper's is 0\.8"),
        ({"share": -0.1, "late": False}, r"share must be in \[0, 1\], got -0\.1"),
        ({"share": float("nan")}, "share must be in .* got nan"),
        ({"network": None}, "side_attention needs a network"),
        ({"network": None, "grader": None}, "`grader=None` trains a network alone"),
        ({"grader": "abn"}, "`classifier` and `abn` none"),
        ({"question": "age"}, r"question must be one of .*got 'age'"),
        ({"labels": []}, "the schema has no labels"),
    ],
)
def test_what_cannot_be_made_is_refused(keywords: dict[str, Any], message: str) -> None:
    """By the comparison and, if it knows the keywords, by the method."""
    for name in ("comparisons/lesion_net", "lesion_net"):
        if set(keywords) <= set(known(name)):
            with pytest.raises(ValueError, match=message):
                narrow(name, "fundus", **keywords)


def test_an_ordinal_loss_needs_an_order() -> None:
    """Yes and no have one."""
    three = LabelSchema((Question("class", ("normal", "drusen", "cnv")), Question("fluid")), ("fluid",))
    message = r"ordinal=True: the answers of question 'class' have no order.*ordinal=False"
    with pytest.raises(ValueError, match=message):
        load_recipe("lesion_net", three, ordinal=True)
    with pytest.raises(ValueError, match=message):
        load_recipe("comparisons/lesion_net", three, ordinal=True, network=None, grader="abn")
    assert len(load_recipe("lesion_net", three, ordinal=True, question="fluid").stages) == 2


IDLE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"network": "classifier", "grader": None}, {"loss": "wce", "share": 0.5, "stride": 2, "late": False}, "network"),
    ({"network": "unet", "grader": None, "loss": "focal"}, {"share": 0.5, "late": False}, "loss"),
    ({"network": "unet", "grader": None, "loss": "focal"}, {"per_lesion": True}, "network"),
    ({"network": "unet", "grader": None}, {"stride": 16}, "network"),
    ({"network": None, "grader": "abn"}, {"attention": "concat", "shrink": "mean", "finetune": True}, "grader"),
    ({"grader": None}, {"attention": "conv", "ordinal": True, "grade_lr": 0.1, "grade_epochs": 2}, "grader"),
]


@pytest.mark.parametrize(("row", "idle", "other"), IDLE)
def test_a_keyword_that_changes_nothing_is_refused(row: dict[str, Any], idle: dict[str, Any], other: str) -> None:
    """Also with its default value; a study leaves it out for such a row."""
    name = "comparisons/lesion_net"
    for keyword, value in idle.items():
        message = rf"{keyword}={value!r} has no effect with {other}=.*; leave {keyword} out, or set {other} to "
        with pytest.raises(ValueError, match=message):
            narrow(name, "fundus", **row, **{keyword: value})
    assert str(made(**row, **idle)) == str(made(**row))


def test_a_network_that_marks_alone_has_no_keywords_of_the_grade() -> None:
    for keyword, value in {"shrink": "max", "ordinal": True, "finetune": True, "grade_lr": 0.1}.items():
        message = rf"{keyword}=.* has no effect with grade=False; leave {keyword} out, or set grade to one of \[True\]"
        with pytest.raises(ValueError, match=message):
            load_recipe("lesion_net", FUNDUS, grade=False, **{keyword: value})


def test_a_schema_without_questions_is_for_lesions_alone() -> None:
    schema = LabelSchema((), ("exudate",))
    with pytest.raises(ValueError, match="has no question to grade by; set grade=False to mark lesions alone"):
        load_recipe("lesion_net", schema)
    assert len(load_recipe("lesion_net", schema, grade=False).stages) == 1
    first = LabelSchema((Question("dr"),), ("exudate",))
    assert load_recipe("lesion_net", first).stages[1].keep.metric == "accuracy/dr"
