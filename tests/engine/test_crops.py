"""Windows drawn from training images: where they lie, what they hold, and that chance is torch's."""

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Batch
from foveate.engine.crops import DrawnWindows

SCHEMA = LabelSchema((Question("q"),), ("a", "b"))


def batch(side: int = 64, images: int = 4) -> Batch:
    """Image i holds its own pixel numbers; label a is one pixel of image 1, label b a block of images 1 and 2."""
    numbers = torch.arange(images * side * side).reshape(images, 1, side, side).float()
    masks = torch.zeros(images, 2, side, side, dtype=torch.bool)
    masks[1, 0, 5, 60 % side] = True
    masks[1:3, 1, 20:40, 10:30] = True
    return Batch(
        SCHEMA, tuple("abcd"[:images]), numbers, torch.ones(images, 1, dtype=torch.long), masks, torch.ones_like(masks)
    )


def test_windows_are_parts_of_their_image() -> None:
    torch.manual_seed(0)
    whole = batch()
    cut = DrawnWindows(16, each=3).split(whole)
    assert cut.image.shape == (12, 1, 16, 16)
    assert cut.answers.tolist() == [[-1]] * 12
    for i, name in enumerate(cut.ids):
        owner, place = name.split("@")
        top, left = map(int, place.split(","))
        at = "abcd".index(owner)
        assert at == i // 3
        assert torch.equal(cut.image[i], whole.image[at, :, top : top + 16, left : left + 16])
        assert torch.equal(cut.masks[i], whole.masks[at, :, top : top + 16, left : left + 16])


@pytest.mark.parametrize("marked", [0.25, 0.5, 1.0])
def test_a_share_of_the_windows_holds_a_mark(marked: float) -> None:
    """Images without a mark have none, so the share is of all windows, and no less."""
    for seed in range(20):
        torch.manual_seed(seed)
        cut = DrawnWindows(8, each=2, marked=marked).split(batch())
        holding = cut.masks.flatten(1).any(1)
        assert holding[2:6].sum() >= min(4, round(marked * 8))
        assert not holding[[0, 1, 6, 7]].any()


def test_rare_labels_come_as_often_as_common_ones() -> None:
    """One pixel against 400: of windows about a mark of image 1 about half hold the pixel."""
    hits = 0
    for seed in range(200):
        torch.manual_seed(seed)
        cut = DrawnWindows(4, each=1, marked=1.0).split(batch())
        hits += int(cut.masks[1, 0].any())
    assert 70 <= hits <= 130


def test_an_image_smaller_than_the_window_is_padded_and_unknown_there() -> None:
    cut = DrawnWindows(24, each=1).split(batch(side=20, images=2))
    assert cut.image.shape[-2:] == (24, 24)
    assert not cut.known[:, :, 20:].any()
    assert cut.known[:, :, :20, :20].all()


def test_the_same_seed_gives_the_same_windows() -> None:
    torch.manual_seed(3)
    one = DrawnWindows(8).split(batch()).ids
    torch.manual_seed(3)
    assert DrawnWindows(8).split(batch()).ids == one


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 4, "each": 0}, {"size": 4, "marked": 1.5}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give a size and windows per image"):
        DrawnWindows(**wrong)  # type: ignore[arg-type]
