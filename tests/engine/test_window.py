"""Windows: what is read window by window is what is read whole, where a network looks at single pixels."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_toys import TinyNet, tiny_recipe, toy_manifest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch, Outputs
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.run import forward
from foveate.engine.window import SlidingWindow

OVERLAPPING = LabelSchema((Question("grade", ("0", "1", "2")),), ("MA", "HE"))
EXCLUSIVE = LabelSchema((Question("grade", ("0", "1", "2")),), ("disc", "atrophy"), exclusive=True)


class PixelWise(nn.Module):
    """A 1x1 convolution with an auxiliary output: sees nothing but the pixel itself."""

    def __init__(self, channels: int, *, image: bool = False) -> None:
        super().__init__()
        self.pixel, self.aux, self.image = nn.Conv2d(2, channels, 1), nn.Conv2d(2, channels, 1), image

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        seen = image if prior is None else torch.cat([image, prior], 1)
        answer = seen.new_zeros(len(seen), 3) if self.image else None
        return Outputs(pixel=self.pixel(seen), image=answer, aux=(self.aux(seen),))


class Mean(nn.Module):
    """A probability that follows from the whole window: the logit is its mean brightness."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        return Outputs(pixel=image.mean((1, 2, 3), keepdim=True).expand(-1, 2, *image.shape[2:]))


def some(schema: LabelSchema, shape: tuple[int, int], *, b: int = 3, channels: int = 1, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    masks = torch.rand(b, 2, *shape, generator=g) < 0.3
    return Batch(
        schema,
        tuple("abcdefgh"[:b]),
        torch.randn(b, channels, *shape, generator=g),
        torch.randint(0, 3, (b, 1), generator=g),
        masks,
        torch.rand(b, 2, *shape, generator=g) < 0.8,
        prior=torch.randn(b, 2 - channels, *shape, generator=g) if channels < 2 else None,
        cues=masks[:, :1],
        cues_known=torch.tensor([[True], [False], [True]])[:b],
    )


@pytest.mark.parametrize("schema", [OVERLAPPING, EXCLUSIVE], ids=["overlapping", "exclusive"])
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 23),
    cols=st.integers(1, 23),
    size=st.integers(1, 12),
    part=st.floats(0.1, 1),
    batch=st.integers(1, 9),
)
def test_windows_change_nothing_for_a_network_of_single_pixels(
    schema: LabelSchema, rows: int, cols: int, size: int, part: float, batch: int
) -> None:
    window = SlidingWindow(size, max(1, int(size * part)), batch=batch)
    network = PixelWise(schema.pixel_channels)
    seen = some(schema, (rows, cols))
    whole, cut = forward(network, seen), forward(network, seen, infer=window)
    assert cut.pixel is not None
    for a, b in ((whole.pixel, cut.pixel), (whole.aux[0], cut.aux[0])):
        if schema.exclusive:
            a, b = a.log_softmax(1), b.log_softmax(1)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_overlaps_are_averaged_as_probabilities() -> None:
    """Two windows of 4 on a row of 6: the columns between have the mean of both."""
    image = torch.zeros(1, 2, 4, 6)
    image[..., 4:] = 3.0
    batch = replace(some(OVERLAPPING, (4, 6), b=1, channels=2), image=image)
    found = forward(Mean(), batch, infer=SlidingWindow(4, 2)).pixel
    assert found is not None
    p, q = torch.sigmoid(torch.tensor([0.0, 1.5])).tolist()
    told = torch.tensor([p, p, (p + q) / 2, (p + q) / 2, q, q])
    torch.testing.assert_close(torch.sigmoid(found[0, 0, 0]), told)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "starts"),
    [
        ((896, 896), 224, 112, list(range(0, 673, 112))),
        ((896, 896), 224, 224, [0, 224, 448, 672]),
        ((10, 10), 4, 4, [0, 4, 6]),
        ((3, 3), 4, 2, [0]),
        ((5, 5), 4, 4, [0, 1]),
    ],
)
def test_windows_reach_the_edges(shape: tuple[int, int], size: int, stride: int, starts: list[int]) -> None:
    places = SlidingWindow(size, stride).places(shape)
    assert places == [(top, left) for top in starts for left in starts]


def test_patches_hold_the_image() -> None:
    """4 x 4 tiles put together are the image again, with its masks and what is known of them."""
    batch = some(OVERLAPPING, (16, 16))
    tiles = SlidingWindow(4, 4).split(batch)
    assert len(tiles) == 48
    assert tiles.ids[17] == "b@0,4"
    for name in ("image", "masks", "known", "prior", "cues"):
        whole, part = getattr(batch, name), getattr(tiles, name)
        put = part.unflatten(0, (3, 4, 4)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        assert torch.equal(put, whole)
    assert (tiles.answers == -1).all()
    assert tiles.answers.shape == (48, 1)
    assert tiles.cues_known is not None
    assert tiles.cues_known.flatten().tolist() == [True] * 16 + [False] * 16 + [True] * 16


def test_patches_of_a_small_image_are_unknown_outside_it() -> None:
    tiles = SlidingWindow(8, 8).split(some(OVERLAPPING, (5, 7)))
    assert tiles.image.shape == (3, 1, 8, 8)
    assert not tiles.known[:, :, 5:].any()
    assert not tiles.known[:, :, :, 7:].any()
    assert not tiles.masks[:, :, 5:].any()


@pytest.mark.parametrize(("size", "stride", "batch"), [(0, 1, 1), (4, 5, 1), (4, 0, 1), (4, 2, 0)])
def test_gaps_are_refused(size: int, stride: int, batch: int) -> None:
    with pytest.raises(ValueError, match=rf"size={size}, stride={stride}, batch={batch}.*no gaps"):
        SlidingWindow(size, stride, batch)


def test_an_answer_about_the_image_has_no_window() -> None:
    network = PixelWise(2, image=True)
    with pytest.raises(ValueError, match=r"image logits.*infer=None"):
        forward(network, some(OVERLAPPING, (9, 9)), infer=SlidingWindow(4, 2))


class PixelsOnly(TinyNet):
    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        seen.append(tuple(image.shape))
        return super().forward(image, prior)._replace(image=None)


seen: list[tuple[int, ...]] = []


def test_a_recipe_trains_on_patches_and_reads_in_windows(tmp_path: Path) -> None:
    from foveate.losses.pixel import bce
    from foveate.losses.weigh import Weigh

    rows = toy_manifest(tmp_path)
    toy = tiny_recipe(epochs=1)
    stage = replace(toy.stages[0], network=PixelsOnly, loss=Weigh(blob=(1.0, bce)))
    recipe = replace(toy, stages=(stage,), patches=SlidingWindow(16, 16), infer=SlidingWindow(16, 8))
    assert "infer: SlidingWindow(size=16, stride=8, batch=16)" in str(recipe)
    assert "infer" not in str(toy)
    seen.clear()
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "cache")
    side = toy.prepare.shape[0]
    assert (toy.batch * (side // 16) ** 2, 1, 16, 16) in seen
    assert {shape[2:] for shape in seen} == {(16, 16)}
    counts = evaluate(run, rows.where(split="test"), device="cpu", intervals=False, cache=tmp_path / "cache")
    assert len(counts)
    assert {shape[2:] for shape in seen} == {(16, 16)}
