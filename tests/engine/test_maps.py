"""A stage whose maps are gone, or are of other rows, is told before it trains; so is a network without its prior."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import CLASSES, TinyNet, tiny_recipe, toy_manifest
from torch import nn

from foveate.core.types import Outputs
from foveate.data.manifest import Manifest
from foveate.engine.artifacts import check_maps, claim_maps, write_map
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.cam_unet import CAMUNet


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return toy_manifest(tmp_path_factory.mktemp("toys"))


def cascade(*, epochs: int = 2) -> Recipe:
    """Two stages, the second guided by the first."""
    writes = {"cam": lambda net, batch, outputs: outputs.features[-1].mean(1, keepdim=True)}
    first = replace(tiny_recipe().stages[0], writes=writes, epochs=1)
    second = Stage(
        "second", network=partial(TinyNet, prior=1), loss=Weigh(pixels=(1.0, bce)), reads={"prior": "tiny/cam"}
    )
    return replace(tiny_recipe(epochs=epochs), stages=(first, second))


@pytest.fixture(scope="module")
def trained(rows: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both stages."""
    folder = tmp_path_factory.mktemp("trained")
    fit(cascade(), rows, out=folder / "run", device="cpu", quiet=True, cache=folder / "c")
    return folder


def again(folder: Path, rows: Manifest) -> Run:
    return fit(cascade(), rows, out=folder / "run", device="cpu", quiet=True, cache=folder / "c", resume=True)


@pytest.fixture
def half_done(trained: Path, tmp_path: Path) -> Path:
    """The run with its second stage still to be trained."""
    shutil.copytree(trained, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/run/second")
    return tmp_path / "copy"


@pytest.mark.parametrize("lost", ["all", "one"])
def test_maps_that_are_gone_are_told_with_what_helps(half_done: Path, lost: str, rows: Manifest, trained: Path) -> None:
    maps = half_done / "run/tiny/maps"
    if lost == "all":
        shutil.rmtree(maps)
    else:
        (maps / "cam/i13.npy").unlink()
    many, first = (12, "i0") if lost == "all" else (1, "i13")
    with pytest.raises(ValueError, match=f"maps/cam: maps of {many} images are missing, of '{first}' first") as said:
        again(half_done, rows)
    assert f"delete the folder {half_done / 'run/tiny'} and fit again with resume" in str(said.value)
    assert not (half_done / "run/second").exists()
    shutil.rmtree(half_done / "run/tiny")
    run = again(half_done, rows)
    assert run.log("second") == Run(trained / "run", run.recipe).log("second")


def test_an_interrupted_stage_is_told_too(half_done: Path, rows: Manifest, trained: Path) -> None:
    shutil.copytree(trained / "run/second", half_done / "run/second")
    (half_done / "run/second/done.json").unlink()
    shutil.rmtree(half_done / "run/tiny/maps")
    with pytest.raises(ValueError, match=r"are missing, of 'i0' first; delete the folder .*tiny and fit again"):
        again(half_done, rows)


def test_maps_of_another_manifest_are_refused(half_done: Path, rows: Manifest) -> None:
    """Copied from a run on other rows, where every image is found."""
    other = rows.with_rows([replace(row, split="val" if row.id == "i0" else row.split) for row in rows])
    claimed = half_done / "elsewhere"
    shutil.copytree(half_done / "run/tiny/maps/cam", claimed / "cam")
    claim_maps(claimed, manifest=other.hash)
    shutil.rmtree(half_done / "run/tiny/maps")
    shutil.copytree(claimed, half_done / "run/tiny/maps")
    words = f"are of manifest {other.hash[:12]}, the run is of {rows.hash[:12]}; delete the folder .*tiny and fit again"
    with pytest.raises(ValueError, match=words):
        again(half_done, rows)
    (half_done / "run/tiny/done.json").unlink()  # neither does the first stage take them for its own
    with pytest.raises(ValueError, match=words):
        again(half_done, rows)


def test_maps_say_whose_they_are(tmp_path: Path) -> None:
    write_map(tmp_path / "cam", "a", np.zeros((1, 2, 2)))
    check_maps(tmp_path / "cam", ["a"], manifest="m" * 64)  # maps from before this was written down
    claim_maps(tmp_path, manifest="m" * 64)
    claim_maps(tmp_path, manifest="m" * 64)
    check_maps(tmp_path / "cam", ["a"], manifest="m" * 64)
    with pytest.raises(ValueError, match="are of manifest mmmmmmmmmmmm, the run is of nnnnnnnnnnnn"):
        check_maps(tmp_path / "cam", ["a"], manifest="n" * 64)
    with pytest.raises(ValueError, match="are of manifest mmmmmmmmmmmm, the run is of nnnnnnnnnnnn"):
        claim_maps(tmp_path, manifest="n" * 64)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (partial(ClassicUNet, CLASSES, widths=(4, 8), channels=1, prior_channels=1), "the network reads 1 maps"),
        (partial(CAMUNet, "resnet10t", CLASSES, widths=(8, 8), channels=1), "the network is guided by a map"),
    ],
)
def test_a_guided_network_without_a_map_is_told(
    network: partial[ClassicUNet], words: str, rows: Manifest, tmp_path: Path
) -> None:
    """A recipe that forgets ``reads`` does not train a network on a map of zeros."""
    stage = Stage("alone", network=network, loss=Weigh(pixels=(1.0, bce)))
    recipe = replace(tiny_recipe(epochs=1), stages=(stage,))
    with pytest.raises(ValueError, match=f"prior=None, {words}.*give it the maps of the stage before"):
        fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")


class OneValuePerChannel(nn.Module):
    """Normalises a map of one pixel, as a pyramid pool does."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)

    def forward(self, image: torch.Tensor, prior: torch.Tensor | None = None) -> Outputs:
        mean = self.norm(image.mean((2, 3), keepdim=True))
        return Outputs(pixel=self.head(image + mean))


def test_a_network_that_needs_two_images_in_a_batch_is_named(rows: Manifest, tmp_path: Path) -> None:
    stage = Stage("alone", network=OneValuePerChannel, loss=Weigh(pixels=(1.0, bce)))
    recipe = replace(tiny_recipe(epochs=1), stages=(stage,), batch=1)
    with pytest.raises(ValueError, match=r"batch=1: this network normalises one value per channel.*use batch=2"):
        fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    fit(replace(recipe, batch=2), rows, out=tmp_path / "two", device="cpu", quiet=True, cache=tmp_path / "c")
