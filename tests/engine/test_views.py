"""Test-time augmentation: exact flips there and back, of images, priors, maps and what is marked."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_toys import TinyNet, tiny_recipe, toy_manifest
from torch import Tensor, nn

from foveate.core.types import Batch, Outputs
from foveate.data.loader import Dataset, batches
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import StagePipeline
from foveate.engine.stage_reuse import stage_key
from foveate.engine.views import ALL, VIEWS, turned, turned_back
from foveate.engine.window import SlidingWindow
from foveate.losses.answer import cross_entropy
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh


class Pointwise(nn.Module):
    """Looks at each pixel by itself, so that it sees a flipped image as it sees the image: flip-equivariant."""

    def __init__(self) -> None:
        super().__init__()
        self.pixel, self.image = nn.Conv2d(1, 1, 1), nn.Linear(1, 1)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        pixel = self.pixel(image)
        cells = nn.functional.avg_pool2d(pixel, 8)
        return Outputs(pixel=pixel, image=self.image(pixel.amax((2, 3))), activation=cells)


class Ramp(nn.Module):
    """Marks the right side, whatever the image, and hands its marks on: no flip leaves it as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        ramp = torch.linspace(-3, 3, image.shape[3]).expand(len(image), 1, *image.shape[2:])
        return Outputs(pixel=self.scale * ramp + image)


class ReadsPrior(nn.Module):
    """Marks by its prior where the image is bright: a prior that is not flipped with the image gives other masks."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.image = nn.Parameter(torch.tensor(2.0)), nn.Linear(1, 1)

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        assert prior is not None
        pixel = self.gain * (prior - 0.5) * image
        return Outputs(pixel=pixel, image=self.image(pixel.mean((2, 3))))


def marked(network: nn.Module, batch: Batch, outputs: Outputs) -> Tensor:
    assert outputs.pixel is not None
    return outputs.pixel.sigmoid()


def recipe_of(*networks: type[nn.Module], views: tuple[str, ...] = ()) -> Recipe:
    stages = [
        Stage("first", network=networks[0], loss=Weigh(answers=(1.0, cross_entropy)), writes={"map": marked}),
        *(Stage("then", network=n, loss=Weigh(p=(1.0, bce)), reads={"prior": "first/map"}) for n in networks[1:]),
    ]
    return tiny_recipe(epochs=1).with_(stages=tuple(stages), views=views)


def reader(recipe: Recipe, seed: int = 0) -> StagePipeline:
    torch.manual_seed(seed)
    networks = {stage.name: stage.network().eval() for stage in recipe.stages}
    return StagePipeline(recipe, networks)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    rows = toy_manifest(tmp_path_factory.mktemp("toys"))
    recipe = tiny_recipe()
    data = Dataset(rows.rows[:4], rows.root, recipe.schema, recipe.prepare)
    return next(iter(batches(data, batch=4, shuffle=False)))


def test_views_of_what_no_flip_changes_are_one_view(batch: Batch) -> None:
    plain = reader(recipe_of(Pointwise))(batch)
    several = reader(recipe_of(Pointwise, views=ALL))(batch)
    for name in ("pixel", "image", "activation"):
        one, mean = getattr(plain, name), getattr(several, name)
        torch.testing.assert_close(mean.sigmoid(), one.sigmoid(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("networks", [(TinyNet,), (Ramp, ReadsPrior)], ids=["one stage", "a stage reads maps"])
@pytest.mark.parametrize("view", ["horizontal", "vertical", "both"])
def test_a_flipped_image_is_read_flipped(networks: tuple[type[nn.Module], ...], view: str, batch: Batch) -> None:
    """To the last bit, though the networks alone do not do so; of two stages the maps between them turn, too."""
    axes = VIEWS[view]
    read, alone = reader(recipe_of(*networks, views=ALL)), reader(recipe_of(*networks))
    here, there = read(batch), read(turned(batch, axes))
    assert here.pixel is not None
    assert there.pixel is not None
    assert torch.equal(there.pixel, here.pixel.flip(axes))
    assert torch.equal(there.image, here.image)
    once, again = alone(batch).pixel, alone(turned(batch, axes)).pixel
    assert once is not None
    assert again is not None
    if view != "vertical" or networks[0] is TinyNet:  # a ramp across knows nothing of up and down
        assert not torch.equal(again, once.flip(axes))


def test_probabilities_are_averaged_over_the_views_named(batch: Batch) -> None:
    read = reader(recipe_of(TinyNet, views=("as is", "horizontal")))
    network = read.networks["first"]
    with torch.no_grad():
        there, back = network(batch.image), network(batch.image.flip(-1))
    expected = (there.pixel.sigmoid() + back.pixel.flip(-1).sigmoid()) / 2
    found = read(batch)
    assert found.pixel is not None
    torch.testing.assert_close(found.pixel.sigmoid(), expected, atol=1e-6, rtol=1e-5)
    assert [look.axes for look in read.passes(batch)] == [(), (-1,)]


def test_a_batch_turns_as_a_whole(batch: Batch) -> None:
    prior, cues = torch.rand(4, 1, 32, 32), torch.rand(4, 1, 32, 32) > 0.5
    whole = replace(batch, prior=prior, cues=cues)
    flipped = turned(whole, (-2,))
    for name in ("image", "masks", "known", "prior", "cues"):
        assert torch.equal(getattr(flipped, name), getattr(whole, name).flip(-2))
    assert turned(whole, ()) is whole
    assert turned(batch, (-1,)).prior is None


def test_maps_whose_cells_do_not_divide_the_frame_stay_those_of_the_image_as_it_is(batch: Batch) -> None:
    outputs = Outputs(image=torch.zeros(4, 1), activation=torch.rand(4, 1, 5, 4))
    assert turned_back(outputs, batch, (-1,)).activation is None
    assert turned_back(outputs, batch, ()).activation is outputs.activation
    fits = outputs._replace(activation=torch.rand(4, 1, 8, 4))
    assert torch.equal(turned_back(fits, batch, (-1,)).activation, fits.activation.flip(-1))  # type: ignore[arg-type, union-attr]


def test_windows_are_laid_over_every_view(batch: Batch) -> None:
    """Windows that do not lie alike from both sides: 32 pixels by 12 in steps of 12."""
    window = SlidingWindow(12, 12)
    marks = recipe_of(Ramp, views=("as is", "horizontal")).with_(infer=window)
    found = reader(marks)(batch).pixel
    assert found is not None
    there = window.read(batch, reader(marks).networks["first"]).pixel  # type: ignore[arg-type]
    back = window.read(turned(batch, (-1,)), reader(marks).networks["first"]).pixel  # type: ignore[arg-type]
    expected = (there.sigmoid() + back.flip(-1).sigmoid()) / 2  # type: ignore[union-attr]
    torch.testing.assert_close(found.sigmoid(), expected.detach(), atol=1e-6, rtol=1e-5)


def test_views_are_stated_and_change_nothing_that_is_trained(tmp_path: Path) -> None:
    plain, several = recipe_of(TinyNet), recipe_of(TinyNet, views=ALL)
    assert "views: ('as is', 'horizontal', 'vertical', 'both')" in str(several)
    assert "views" not in str(plain)
    keys = {stage_key(recipe, recipe.stages[0], seed=0, manifest="m") for recipe in (plain, several)}
    assert len(keys) == 1
    with pytest.raises(ValueError, match=r"each must be one of \['as is', .*\], got 'diagonal'"):
        plain.with_(views=("as is", "diagonal"))
    for views in (("horizontal",), ("as is", "as is")):
        with pytest.raises(ValueError, match="name each view once, and 'as is' among them"):
            plain.with_(views=views)
