"""Regional guidance by keyword: which network, which loss, whose cues; what cannot be is refused at once."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes_cases import compared, four_retinas, known, narrow, stages_with_batches
from torch import nn

from foveate.core.types import Batch, Cue
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe
from foveate.losses.guidance import guidance, guidance_entropy, guidance_printed
from foveate.studies.comparisons.region_guided import NETWORKS as OTHERS

FINDING = "atrophy_present"
NETWORKS = ("resnet10t", *OTHERS)


def total_of(terms: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss that the loop differentiates."""
    return torch.stack(list(terms.values())).sum()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return four_retinas("fundus", tmp_path_factory.mktemp("drawn"))


def made(**keywords: Any) -> Recipe:
    return compared("region_guided", "fundus", **{"pyramid": 8, "levels": 3, "vary": False, **keywords})


def cues_of(recipe: Recipe, rows: Manifest, *, evaluated: bool = False) -> Batch:
    """The training images with the recipe's cues, or with those for evaluation."""
    cues = recipe.eval_cues if evaluated else recipe.cues
    data = Dataset(rows.where(split="train").rows, rows.root, recipe.schema, recipe.prepare, cues=cues)
    return next(batches(data, batch=4, shuffle=False, threads=0))


def started(recipe: Recipe, rows: Manifest) -> tuple[nn.Module, Batch]:
    """The network and a batch."""
    _, network, batch = next(iter(stages_with_batches(recipe, rows)))
    for module in network.modules():  # timm starts the last normalisation of a block at 0, where nothing passes
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network, batch


# -- networks --------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_the_mean_of_the_map_is_the_logit(name: str, rows: Manifest) -> None:
    network, batch = started(made(network=name), rows)
    outputs = network.eval()(batch.image)
    torch.testing.assert_close(outputs.activation.mean((2, 3)), outputs.image, rtol=0, atol=1e-5)
    assert outputs.pixel is None
    assert outputs.aux == ()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_learns_by_the_guidance(name: str, rows: Manifest) -> None:
    recipe = made(network=name)
    network, batch = started(recipe, rows)
    loss, without = recipe.stages[0].loss, made(network=name, guide=0.0).stages[0].loss
    optimizer = recipe.optimizer(network.train().parameters())
    outputs = network(batch.image)
    before, plain = total_of(loss(outputs, batch)), total_of(without(outputs, batch))
    assert (before - plain).item() == pytest.approx(guidance(outputs, batch).item(), rel=1e-4)
    assert before > plain
    before.backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() and g.abs().sum() > 0 for g in gradients)
    optimizer.step()
    assert total_of(loss(network(batch.image), batch)).isfinite()
    assert total_of(loss(network(batch.image), batch)) != before


def test_a_network_of_another_recipe_trains_and_is_evaluated(rows: Manifest, tmp_path: Path) -> None:
    """Its answers and its maps are, its masks are not: nothing teaches CM-CNN to mark here."""
    recipe = made(network="cm_cnn", epochs=1)
    assert "without_masks(CMCNN('resnet18', schema))" in str(recipe)
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "cache")
    assert set(run.log("findings")[0]["train"]) == {"answers", "guidance"}
    counts = evaluate(run, rows.where(split="val"), device="cpu", intervals=False, cache=tmp_path / "cache")
    assert not len(counts.pixels["image"])
    assert len(counts.looks["image"])


def test_weights_are_for_encoders() -> None:
    """One table gives them to all its rows."""
    for name in ("cm_cnn", "joint", "hba_unet", "inception_v3"):
        assert made(network=name, weights="hub").stages[0].start is not None
    for name in ("region_cnn", "opticnet71"):
        assert made(network=name, weights="hub").stages[0].start is None


@pytest.mark.parametrize("size", [32, 100, 512])
def test_the_tables_of_hba_are_made_for_the_image(size: int) -> None:
    assert f"hba_classifier('resnet50', schema, size={size // 32 * 32})" in str(made(network="hba_unet", size=size))


# -- losses and cues -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "term"), [("paper", guidance), ("printed", guidance_printed), ("entropy", guidance_entropy)]
)
def test_every_guidance_loss(name: str, term: Any, rows: Manifest) -> None:
    recipe = made(guidance_loss=name, guide=0.5)
    network, batch = started(recipe, rows)
    outputs = network(batch.image)
    terms = recipe.stages[0].loss(outputs, batch)
    torch.testing.assert_close(terms["guidance"], 0.5 * term(outputs, batch))
    assert (terms["guidance"] < 0) == (name == "printed")
    total_of(terms).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_eps_is_that_of_the_loss(rows: Manifest) -> None:
    network, batch = started(made(), rows)
    outputs = network(batch.image)
    coarse = made(eps=0.3).stages[0].loss(outputs, batch)["guidance"]
    torch.testing.assert_close(coarse, guidance(outputs, batch, eps=0.3))
    assert coarse < made().stages[0].loss(outputs, batch)["guidance"]


def test_cues_for_evaluation_are_others(rows: Manifest, tmp_path: Path) -> None:
    """Maps are evaluated on cues of their own form, whatever the network was guided by; unguided ones, too."""
    shares = {}
    for form in ("regions", "masks"):
        recipe = made(eval_cue=form, guide=0.0, epochs=1)
        assert recipe.cues is None
        run = fit(recipe, rows, out=tmp_path / form, device="cpu", quiet=True, cache=tmp_path / "cache")
        counts = evaluate(run, rows.where(split="val"), device="cpu", intervals=False, cache=tmp_path / "cache")
        shares[form] = counts.looks["share"].mean()
    assert 0 < shares["masks"] < shares["regions"]
    guided = made(cue="ellipses", eval_cue="masks")
    assert cues_of(guided, rows).cues.sum() > cues_of(guided, rows, evaluated=True).cues.sum() > 0


@pytest.mark.parametrize(
    ("at_least", "height"), [(1, 48), (2, 16), (3, None), ("union", 48), ("majority", 16), ("intersection", 16)]
)
def test_at_least_counts_readers(at_least: int | str, height: int | None, rows: Manifest) -> None:
    """Two drew boxes that share 16 rows: one reader is enough for all they drew, two for what they share."""
    drew = Cue(box=(-0.5, -0.5, 31.5, 63.5), annotator="a"), Cue(box=(15.5, -0.5, 47.5, 63.5), annotator="b")
    read = [replace(row, answers={FINDING: "yes"}, masks={}, cues={"atrophy": drew}) for row in rows.rows]
    recipe = made(at_least=at_least, crop_field=False)
    for evaluated in (False, True):
        batch = cues_of(recipe, Manifest(rows.schema, tuple(read), rows.root), evaluated=evaluated)
        assert batch.cues_known.all() == (height is not None)
        assert set(batch.cues.sum((2, 3)).flatten().tolist()) == {64 * (height or 0)}


# -- what cannot be --------------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"network": "cmcnn"}, r"network must be one of \['cm_cnn', .* or a timm network, got 'cmcnn'; similar names are"),
    ({"network": "abn"}, r"network must be one of .* got 'abn'"),
    ({"guidance_loss": "log"}, r"guidance_loss must be one of \['paper', 'printed', 'entropy'\], got 'log'"),
    ({"cue": "x"}, r"^cue must be one of \['regions', 'boxes', .* got 'x'"),
    ({"eval_cue": "x"}, r"^eval_cue must be one of \['regions', 'boxes', "),
    ({"lesion_size": "tiny"}, r"lesion_size='tiny' must be one of \['small', 'medium', 'large'\]"),
    ({"guide": -0.5}, r"guide must be 0 \(no guidance\) or a positive weight, got -0.5"),
    ({"guide": float("nan")}, "guide must be .* got nan"),
    ({"eps": 0.0}, "eps must be between 0 and 1, such as 1e-3, got 0.0"),
    ({"at_least": 0}, "at_least=0: give 1 or more"),
    ({"at_least": 0, "guide": 0.0}, "at_least=0: give 1 or more"),
    ({"at_least": "most"}, r"at_least must be one of \['union', 'intersection', 'majority'\] .* got 'most'"),
    *(({name: 0}, f"{name}=0 must be a whole number of") for name in ("width", "levels", "blocks", "pyramid")),
    ({"peak": 0}, "peak=0 must be a whole number of at least 1"),
    (
        {"cue": "boxes", "guide": 0.0},
        "cue='boxes' has no effect with guide=0.0; leave cue out, or set guide to",
    ),
    ({"eps": 1e-2, "guidance_loss": "entropy"}, "eps=0.01 has no effect with guidance_loss='entropy'; leave eps out"),
    ({"eps": 1e-2, "guide": 0}, "eps=0.01 has no effect with guide=0; leave eps out"),
    ({"weights": "hub", "network": "opticnet71"}, "weights='hub' has no effect with network='opticnet71'"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=str)
def test_what_cannot_be_is_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    """By the method and by its comparison, if they know the keywords."""
    names = [name for name in ("region_guided", "comparisons/region_guided") if set(wrong) <= set(known(name))]
    assert names
    for name in names:
        with pytest.raises(ValueError, match=message):
            narrow(name, "fundus", **wrong)


def test_the_text_that_runs_are_found_by_lists_what_has_an_effect() -> None:
    """A keyword that comes or goes gives every row of a study another folder."""
    recipe = made(network="inception_v3", guide=0.0)
    assert recipe.name == "comparisons/region_guided"
    assert re.findall(r"^  (\w+) = ", str(recipe), re.MULTILINE) == [
        "network", "guide", "eval_cue", "at_least", "findings", "weights", "size", "stretch", "crop_field",
        "annotators", "lr", "vary", "balance",
    ]  # fmt: skip
    assert "\n  network: on_its_maps('inception_v3', schema)\n" in str(recipe)
