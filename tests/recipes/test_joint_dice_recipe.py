"""The recipe of joint Dice: its variations, what they learn, and what contradicts itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes_cases import four_retinas, narrow, stages_with_batches

from foveate.core.decisions import Gate
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.engine.recipe import Recipe
from foveate.recipes import load_recipe
from foveate.recipes._segmenters import NETWORKS, Measures, segmenter

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
    recipe = load_recipe("joint_dice", rows.schema, network=network, **{**SMALL, **keywords})
    for stage, net, batch in stages_with_batches(recipe, rows):
        net.train()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        outputs = net(batch.image)
        assert (outputs.image is None) == bool(keywords)
        sum(stage.loss(outputs, batch).values()).backward()
        assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_variations() -> None:
    schema = synthetic.SCHEMAS["fundus"]
    alone = load_recipe("joint_dice", schema, neighbour=False)
    assert alone.schema.labels == ("atrophy",)
    assert alone.schema.pixel_channels == 2
    assert alone.stages[0].keep.figure == "dice_all/atrophy"
    every = load_recipe("joint_dice", schema)
    assert set(every.schema.labels) == set(schema.labels)
    several = load_recipe("joint_dice", TWO)
    assert several.schema.labels == ("dot", "blot", "fluid", "disc")
    assert [q.name for q in several.schema.questions] == ["bleeding", "oedema"]
    assert several.stages[0].keep.figure == "dice_all"
    one = load_recipe("joint_dice", TWO, question="oedema", neighbour=["disc", "blot"], gate=True)
    assert one.schema.labels == ("fluid", "disc", "blot")
    assert one.gates == (Gate("oedema", ("fluid",)),)
    assert "bce" in str(terms(load_recipe("joint_dice", TWO, exclusive=False))["pixels"][1])
    assert load_recipe("joint_dice", TWO, keep="loss").stages[0].keep.highest is False
    plain = load_recipe("joint_dice", TWO, **PLAIN)
    assert plain.schema.questions == ()
    assert list(terms(plain)) == ["pixels", "overlap"]


def test_auxiliary_outputs_share_the_weight_of_a_term() -> None:
    recipe = load_recipe("joint_dice", TWO, network="transfuse")
    weight, term = terms(recipe)["pixels"]
    assert weight == pytest.approx(0.125)
    assert term.keywords["weights"] == (0.6, 0.4)


def test_two_steps_are_a_classifier_that_gates_a_segmenter() -> None:
    recipe = narrow("joint_dice", "fundus", two_step=True, neighbour=False, **PLAIN)
    assert [stage.name for stage in recipe.stages] == ["presence", "hba_unet"]
    assert recipe.gates == (Gate("atrophy_present", ("atrophy",)),)
    image = torch.rand(2, 3, 64, 64)
    asks, marks = (stage.network().eval()(image) for stage in recipe.stages)
    assert asks.pixel is None
    assert marks.image is None
    assert asks.image.shape == (2, 1)


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
    started = {
        name: load_recipe("joint_dice", TWO, network=name, weights="resnet50.pth").stages[0].start for name in NETWORKS
    }
    assert [name for name, start in started.items() if start] == ["hba_unet", "r50_unet"]
    hub = {name: load_recipe("joint_dice", TWO, network=name, weights="hub").stages[0].start for name in NETWORKS}
    assert [name for name, start in hub.items() if not start] == ["unet", "attention_unet"]
    assert load_recipe("joint_dice", TWO, two_step=True, weights="r.pth", **PLAIN).stages[0].start is not None


def test_what_contradicts_itself_is_said() -> None:
    enface = synthetic.SCHEMAS["enface"]
    with pytest.raises(ValueError, match="no yes/no question of the schema names labels as its evidence"):
        load_recipe("joint_dice", enface)
    with pytest.raises(ValueError, match="joint=True weighs by the answer"):
        load_recipe("joint_dice", TWO, multitask=False, joint=True)
    with pytest.raises(ValueError, match="the first step answers"):
        load_recipe("joint_dice", TWO, two_step=True, multitask=True)
    with pytest.raises(ValueError, match="gate=True needs an answer"):
        load_recipe("joint_dice", TWO, gate=True, **PLAIN)
    with pytest.raises(ValueError, match=r"neighbour='cup': \['cup'\] are none of \('disc',\)"):
        load_recipe("joint_dice", TWO, neighbour="cup")
    with pytest.raises(ValueError, match=r"network='vnet' is none of \['hba_unet'"):
        load_recipe("joint_dice", TWO, network="vnet")
    with pytest.raises(ValueError, match="size=100: this network needs a multiple of 16, such as 112"):
        load_recipe("joint_dice", TWO, network="transunet", size=100)
    with pytest.raises(ValueError, match="size=100: this network needs a multiple of 32, such as 128"):
        load_recipe("joint_dice", TWO, network="swin_unet", size=100)


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
    recipe = load_recipe("joint_dice", rows.schema, **SMALL)
    for stage, net, batch in stages_with_batches(recipe, bare):
        found = stage.loss(net(batch.image), batch)
        assert found["pixels"] == found["overlap"] == 0
        assert found["answers"] > 0
