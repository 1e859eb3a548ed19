"""The recipe of joint Dice: its variations, what they learn, and what contradicts itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipes_cases import compared, four_retinas, stages_with_batches

from foveate.core.decisions import Decisions, Gate
from foveate.core.files import write_json
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Prediction, Row
from foveate.data import synthetic
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.engine.checkpoint import save_weights
from foveate.engine.evaluate import evaluate, read_metrics
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe
from foveate.engine.run import CALIBRATION, Run
from foveate.inference.predictor import Predictor
from foveate.recipes import load_recipe
from foveate.studies._rows import row_recipe
from foveate.studies.comparisons._segmenters import ENCODED, NETWORKS, Measures, segmenter

SMALL = {"neighbour": "disc", "width": 4, "encoder": "resnet10t", "size": 64, "batch": 2, "depth": 1}
PLAIN = {"multitask": False, "joint": False}
TWO = LabelSchema(
    (
        Question("grade", ("0", "1", "2")),
        Question("bleeding", evidence=("dot", "blot")),
        Question("oedema", evidence=("fluid",)),
    ),
    ("disc", "dot", "blot", "fluid"),
)


def any_recipe(schema: LabelSchema, **keywords: Any) -> Recipe:
    """The method or its comparison, whichever the keywords belong to; it has those that it uses."""
    return row_recipe("joint_dice", schema, {}, **keywords)


def terms(recipe: Recipe) -> dict:
    return recipe.stages[-1].loss.terms  # type: ignore[attr-defined]


def test_the_papers_numbers() -> None:
    """Eq. 3, Adam, batch, epochs, size; softmax over background, target and neighbour."""
    recipe = load_recipe("joint_dice", synthetic.SCHEMAS["fundus"], neighbour="disc")
    assert {name: weight for name, (weight, _) in terms(recipe).items()} == {
        "pixels": 0.25,
        "overlap": 0.25,
        "answers": 0.5,
    }
    optimizer = recipe.optimizer([torch.nn.Parameter(torch.zeros(1))])
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"][0], group["weight_decay"]) == (1e-4, 0.9, 1e-4)
    assert (recipe.batch, recipe.epochs, recipe.prepare.size, recipe.prepare.clahe) == (4, 500, 512, 2.0)
    assert recipe.schema.labels == ("atrophy", "disc")
    assert recipe.schema.exclusive
    assert recipe.schema.pixel_channels == 3
    assert [q.name for q in recipe.schema.questions] == ["atrophy_present"]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("keywords", [{}, PLAIN], ids=["joint", "plain"])
def test_joint_dice_goes_with_every_network(network: str, keywords: dict, tmp_path: Path) -> None:
    """Every parameter learns, with an answer and without."""
    rows = four_retinas("fundus", tmp_path)
    recipe = any_recipe(rows.schema, network=network, **{**SMALL, **keywords})
    for stage, net, batch in stages_with_batches(recipe, rows):
        net.train()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        outputs = net(batch.image)
        assert (outputs.image is None) == bool(keywords)
        sum(stage.loss(outputs, batch).values()).backward()
        removed = "psi.0.bias"  # batch normalisation takes it out again: its gradient is rounding alone
        silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not [n for n in silent if not n.endswith(removed)]


def test_variations() -> None:
    schema = synthetic.SCHEMAS["fundus"]
    alone = load_recipe("joint_dice", schema, neighbour=False)
    assert alone.schema.labels == ("atrophy",)
    assert alone.schema.pixel_channels == 2
    assert alone.stages[0].keep.metric == "dice_all/atrophy"
    every = load_recipe("joint_dice", schema)
    assert set(every.schema.labels) == set(schema.labels)
    several = load_recipe("joint_dice", TWO)
    assert several.schema.labels == ("dot", "blot", "fluid", "disc")
    assert [q.name for q in several.schema.questions] == ["bleeding", "oedema"]
    assert several.stages[0].keep.metric == "dice_all/dot + dice_all/blot + dice_all/fluid"
    assert load_recipe("joint_dice", TWO, question="bleeding").stages[0].keep.metric == "dice_all/dot + dice_all/blot"
    assert load_recipe("joint_dice", TWO, neighbour=False).stages[0].keep.metric == "dice_all"
    one = load_recipe("joint_dice", TWO, question="oedema", neighbour=["disc", "blot"], gate=True)
    assert one.schema.labels == ("fluid", "disc", "blot")
    assert one.gates == (Gate("oedema", ("fluid",)),)
    assert "bce" in str(terms(load_recipe("joint_dice", TWO, exclusive=False))["pixels"][1])
    for keep, highest in (("loss", False), ("brier/oedema", False), ("nll", False), ("auc/oedema", True)):
        assert load_recipe("joint_dice", TWO, keep=keep).stages[0].keep.highest is highest
    plain = any_recipe(TWO, **PLAIN)
    assert plain.schema.questions == ()
    assert list(terms(plain)) == ["pixels", "overlap"]


def test_auxiliary_outputs_share_the_weight_of_a_term() -> None:
    recipe = any_recipe(TWO, network="transfuse")
    weight, term = terms(recipe)["pixels"]
    assert weight == pytest.approx(0.125)
    assert term.keywords["weights"] == (0.6, 0.4)


def test_the_gate_may_be_chosen_on_validation() -> None:
    recipe = load_recipe(
        "joint_dice", synthetic.SCHEMAS["fundus"], question="atrophy_present", gate=True, calibrated="half"
    )
    assert recipe.calibrated == "half"
    assert load_recipe("joint_dice", synthetic.SCHEMAS["fundus"], question="atrophy_present").calibrated is None
    with pytest.raises(ValueError, match=r"rule must be one of .* got 'best'"):
        load_recipe("joint_dice", synthetic.SCHEMAS["fundus"], question="atrophy_present", calibrated="best")


def test_two_steps_are_a_classifier_that_gates_a_segmenter() -> None:
    recipe = compared("joint_dice", "fundus", two_step=True, neighbour=False, **PLAIN)
    assert [stage.name for stage in recipe.stages] == ["presence", "hba_unet"]
    assert recipe.gates == (Gate("atrophy_present", ("atrophy",)),)
    image = torch.rand(2, 3, 64, 64)
    asks, marks = (stage.network().eval()(image) for stage in recipe.stages)
    assert asks.pixel is None
    assert marks.image is None
    assert asks.image.shape == (2, 1)


def likelier(run: Run, *, predicted_at: Manifest) -> None:
    """Move the bias of the kept segmenter so that it marks some of each image: an epoch is too short to mark any."""
    recipe, network = run.recipe, run.network("hba_unet")
    data = Dataset(predicted_at.rows, predicted_at.root, recipe.schema, recipe.prepare)
    with torch.no_grad():
        logits = network(next(batches(data, batch=len(data), shuffle=False, threads=0)).image).pixel
        odds = (logits[:, 1] - logits[:, 0]).flatten(1)
        cut = (odds.median(1).values.max() + odds.amax(1).min()) / 2
        network.pixel_head.conv.bias[1] -= cut  # type: ignore[union-attr, index]
    save_weights(run.stage_folder("hba_unet") / "weights.safetensors", network)


def test_two_steps_from_images_to_masks(tmp_path: Path) -> None:
    """Evaluation and prediction agree, and where the first step says no nothing is marked."""
    drawn = synthetic.write("fundus", tmp_path, n=12, size=64)
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    rows = Manifest(
        synthetic.SCHEMAS["fundus"],
        tuple(replace(row, split=split) for row, split in zip(drawn, splits, strict=True)),
        tmp_path,
    )
    recipe = compared("joint_dice", "fundus", two_step=True, neighbour=False, batch=1, epochs=1, lr=1e-2, **PLAIN)
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "cache")
    test = rows.where(split="test")
    likelier(run, predicted_at=test)
    found: dict[str, Prediction] = {}

    def evaluated() -> np.ndarray:
        """Pixels given the target in each test image."""
        counts = evaluate(
            run, test, device="cpu", cache=tmp_path / "cache", each=lambda row, one: found.update({row.id: one})
        )
        return counts.labels["atrophy"].tp + counts.labels["atrophy"].fp

    evaluated()
    seen = sorted(one.probabilities["atrophy_present"]["yes"] for one in found.values())
    cut = (seen[1] + seen[2]) / 2  # two yes, two no
    gate = replace(recipe.gates[0], threshold=cut)
    decisions = Decisions(thresholds={"atrophy_present": cut}, gates=(gate,))
    write_json(run.folder / CALIBRATION, decisions.to_json())
    marked = evaluated()
    predict = Predictor.load(run.folder, device="cpu")
    for row, pixels in zip(test, marked, strict=True):
        reading = predict(tmp_path / row.image)
        assert reading.answers == found[row.id].answers
        assert reading.probabilities["atrophy_present"] == pytest.approx(found[row.id].probabilities["atrophy_present"])
        np.testing.assert_array_equal(reading.masks, found[row.id].masks)
        assert reading.masks.sum() == pixels
        assert reading.masks.any() == (reading.answers["atrophy_present"] == "yes")
    assert sorted(one.answers["atrophy_present"] for one in found.values()) == ["no", "no", "yes", "yes"]
    metrics = read_metrics(run.folder)
    assert 0 < metrics["brier/atrophy_present"]["value"] < 1
    assert metrics["nll/atrophy_present"]["low"] <= metrics["nll"]["value"]


def test_a_target_on_its_neighbour_is_the_target(tmp_path: Path) -> None:
    """A haemorrhage drawn on the disc stays a haemorrhage in an exclusive schema, for training too."""
    from PIL import Image

    schema = LabelSchema((Question("bleeding", evidence=("blot",)),), ("disc", "blot"))
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "i.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 1
    mask[24:32, 24:32] = 3
    Image.fromarray(mask).save(tmp_path / "m.png")
    row = Row(
        "i", "i.png", {"bleeding": "yes"}, {n: (MaskSource("m.png", bit=k),) for k, n in enumerate(schema.labels)}
    )
    recipe = load_recipe("joint_dice", schema)
    sample = Prepare(size=64)(row, tmp_path, recipe.schema)
    assert recipe.schema.labels == ("blot", "disc")
    assert sample.masks.sum((1, 2)).tolist() == [64, 32 * 32 - 64]


def test_weights_fill_what_they_fit() -> None:
    started = {name: any_recipe(TWO, network=name, weights="resnet50.pth").stages[0].start for name in NETWORKS}
    assert [name for name, start in started.items() if start] == ["hba_unet", "r50_unet"]
    hub = {name: any_recipe(TWO, network=name, weights="hub").stages[0].start for name in NETWORKS}
    assert [name for name, start in hub.items() if not start] == ["unet", "attention_unet"]
    assert any_recipe(TWO, two_step=True, weights="r.pth", **PLAIN).stages[0].start is not None


def test_what_contradicts_itself_is_said() -> None:
    enface = synthetic.SCHEMAS["enface"]
    with pytest.raises(ValueError, match="no yes/no question of the schema names labels as its evidence"):
        load_recipe("joint_dice", enface)
    with pytest.raises(ValueError, match="joint=True weighs by the answer"):
        any_recipe(TWO, multitask=False, joint=True)
    with pytest.raises(ValueError, match="the first step answers"):
        any_recipe(TWO, two_step=True, multitask=True)
    with pytest.raises(ValueError, match="gate=True needs an answer"):
        any_recipe(TWO, gate=True, **PLAIN)
    with pytest.raises(ValueError, match=r"neighbour must be True, False or some of \['disc'\], got \['cup'\]"):
        load_recipe("joint_dice", TWO, neighbour="cup")
    with pytest.raises(ValueError, match=r"network must be one of \['hba_unet'.*, got 'vnet'"):
        any_recipe(TWO, network="vnet")
    with pytest.raises(ValueError, match="size=100: this network needs a multiple of 16, such as 112"):
        any_recipe(TWO, network="transunet", size=100)
    with pytest.raises(ValueError, match="detach=True cuts what the answer learns from joint Dice: set joint=True"):
        any_recipe(TWO, detach=True, joint=False)
    with pytest.raises(ValueError, match="detach=True"):
        any_recipe(TWO, detach=True, two_step=True)
    for eps in (0.0, -1.0, float("nan")):
        for joint in (True, False):
            with pytest.raises(ValueError, match=f"eps must be a number of pixels above 0, such as 1.0, got {eps}"):
                any_recipe(TWO, eps=eps, joint=joint)


@pytest.mark.parametrize("network", NETWORKS)
def test_measures_that_no_network_has_are_told_before_training(network: str) -> None:
    with pytest.raises(ValueError, match="width must be a whole number from 1 on, got 0"):
        any_recipe(TWO, network=network, width=0)
    message = r"encoder must be a timm network, got 'resnet5O'; similar names are \['resnet50"
    if network not in ENCODED:
        message = f"encoder='resnet5O' has no effect with network='{network}'"
    with pytest.raises(ValueError, match=message):
        load_recipe("comparisons/joint_dice", TWO, network=network, encoder="resnet5O")
    assert any_recipe(TWO, network=network, encoder="resnet10t.c3_in1k").stages


@pytest.mark.parametrize(
    ("size", "near"),
    [(352, "320 or 384"), (416, "384 or 448"), (544, "512 or 576"), (608, "576 or 640"), (32, "64"), (100, "96 or 128"),
     (340, "320 or 384")],
)  # fmt: skip
def test_swin_unet_has_no_windows_of_a_single_patch(size: int, near: str) -> None:
    """They would part the coarsest map of any size, and then no patch sees another."""
    said = f"size={size}: this network needs a multiple of 32 that windows of 2 to 8 patches divide, such as {near}"
    with pytest.raises(ValueError, match=f"{said}$"):
        any_recipe(TWO, network="swin_unet", size=size)
    for fits in near.split(" or "):
        assert any_recipe(TWO, network="swin_unet", size=int(fits))


def test_swin_unets_windows_are_of_seven_patches_where_they_fit() -> None:
    sizes = {64: 2, 96: 3, 128: 4, 160: 5, 192: 6, 224: 7, 256: 8, 320: 5, 384: 6, 448: 7, 512: 8, 1792: 7}
    schema = replace(TWO, questions=())
    for size, window in sizes.items():
        assert segmenter("swin_unet", schema, Measures(size=size)).keywords["window"] == window  # type: ignore[attr-defined]


def test_measures_shrink_what_is_no_encoder() -> None:
    schema = replace(TWO, questions=())
    for name in NETWORKS:
        with torch.device("meta"):
            sizes = [
                sum(p.numel() for p in segmenter(name, schema, Measures(width=w, size=128))().parameters())
                for w in (32, 16)
            ]
        assert sizes[1] < sizes[0], name


def test_rows_without_masks_still_teach_the_answer(tmp_path: Path) -> None:
    rows = four_retinas("fundus", tmp_path)
    bare = Manifest(rows.schema, tuple(replace(row, masks={}) for row in rows), rows.root)
    recipe = load_recipe("joint_dice", rows.schema, **{k: v for k, v in SMALL.items() if k != "depth"})
    for stage, net, batch in stages_with_batches(recipe, bare):
        found = stage.loss(net(batch.image), batch)
        assert found["pixels"] == found["overlap"] == 0
        assert found["answers"] > 0
