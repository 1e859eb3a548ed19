"""Transformers, rates by depth and LoRA from the recipe's keywords to the run folder and back."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from recipes_cases import four_retinas, narrow, stages_with_batches
from safetensors.torch import save_file
from torch import nn

from foveate.engine.fit import fit
from foveate.recipes import load_run

TINY = "vit_tiny_patch16_224"
TUNED = ("image_quality", "auto")
"""Recipes whose pretrained encoder may be tuned."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model(TINY).state_dict(), path)
    return str(path)


def test_a_run_with_lora_and_rates_by_depth_opens_again(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = four_retinas("enface", tmp_path / "drawn")
    recipe = narrow(
        "image_quality", "enface", encoder=TINY, weights=weights, lora=2, layer_decay=0.7, epochs=2, lr=1e-3
    )
    start = timm.create_model(TINY, num_classes=0).state_dict()
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=False, cache=tmp_path / "c")
    printed = " ".join(capsys.readouterr().err.split())
    assert "of the encoder" in printed
    assert run.log("joint")[0]["lr"] <= 1e-3
    opened = load_run(run.folder)
    network = opened.network("joint")
    trained = network.state_dict()
    inner = "encoder.pyramid.net.blocks.3.attn.qkv."
    assert set(start) <= {name.removeprefix("encoder.pyramid.net.") for name in trained}
    assert trained[f"{inner}lora_up"].abs().sum() > 0
    _, _, batch = next(iter(stages_with_batches(opened.recipe, rows)))
    with torch.no_grad():
        apart, merged = network(batch.image, batch.prior), opened.pipeline()(batch)
    torch.testing.assert_close(merged.pixel, apart.pixel, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TUNED)
def test_frozen_weights_stay_those_of_the_file(name: str, weights: str, tmp_path: Path) -> None:
    recipe = narrow(name, "enface", encoder=TINY, weights=weights, lora=2)
    network = recipe.stages[0].network()
    recipe.stages[0].start(network)
    inner = network.encoder.net
    assert not any(p.requires_grad for n, p in inner.named_parameters() if "lora_" not in n)
    assert all(p.requires_grad for n, p in network.named_parameters() if "pyramid.net." not in n)


@pytest.mark.parametrize("name", TUNED)
def test_rates_of_the_encoder(name: str) -> None:
    recipe = narrow(name, "enface", encoder="resnet10t", lr=1e-2, encoder_lr=1e-3, layer_decay=0.5)
    network: nn.Module = recipe.stages[0].network()
    groups = recipe.stages[0].groups(network)
    assert groups[0]["lr"] == 1e-2
    assert max(g["lr"] for g in groups if g["lr"] < 1e-2) == pytest.approx(0.5e-3)
    assert narrow(name, "enface").stages[0].groups is None


@pytest.mark.parametrize("name", TUNED)
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"lora": 4}, "lora=4 freezes the encoder, whose weights are random"),
        ({"lora": 4, "weights": "hub"}, "lora=4 changes plain vision transformers, not 'resnet10t'"),
        ({"normalise": "half"}, "normalise='half' (has no effect with|belongs to) weights"),
        ({"layer_decay": 1.5}, "layer_decay must be over 0 and at most 1, got 1.5"),
    ],
)
def test_keywords_that_would_change_nothing(name: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        narrow(name, "enface", **keywords)
