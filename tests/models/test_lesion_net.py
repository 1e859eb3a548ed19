"""Lesion-Net: where its path is cut, how large it is, and that its way up is copy-and-merge."""

import pytest
import torch

from foveate.core.labels import LabelSchema
from foveate.models.lesion_net import CopyAndMerge, LesionNet
from foveate.models.parts.size import parameters

LESIONS = LabelSchema((), tuple(f"lesion{k}" for k in range(8)))
COPIED = (64, 192, 288, 768, 2048)


@torch.no_grad()
def test_padded_inception_gives_the_maps_of_the_paper() -> None:
    """448, 224, 112, 56 and 28 rows at 896 pixels; a strip of the image is enough to see it."""
    net = LesionNet("inception_v3", LESIONS, stride=16).eval()
    outputs = net(torch.rand(1, 3, 896, 32))
    assert [(f.shape[1], f.shape[2]) for f in outputs.features] == list(
        zip(COPIED, (448, 224, 112, 56, 28), strict=True)
    )
    assert tuple(outputs.pixel.shape) == (1, 8, 896, 32)


@pytest.mark.parametrize(("stride", "steps"), [(32, 0), (16, 1), (8, 2), (4, 3), (2, 4)])
def test_size_follows_from_where_the_path_is_cut(stride: int, steps: int) -> None:
    """Every step: a 1x1 convolution to the channels of the copied map and its normalisation; twice as many go on."""
    below, expected = COPIED[-1], 21_785_568  # Inception-v3 without classifier
    for fine in COPIED[-2 : -2 - steps : -1]:
        expected += below * fine + 2 * fine
        below = 2 * fine
    net = LesionNet("inception_v3", LESIONS, stride=stride)
    assert parameters(net) == expected + 8 * below + 8
    assert (len(net.path), net.head.reduction) == (steps, stride)


@torch.no_grad()
def test_copy_and_merge_against_its_definition() -> None:
    """1x1 convolution, doubled by hand at one pixel, the encoder's map beside it unchanged."""
    merge = CopyAndMerge(4, 3).eval()
    coarse, fine = torch.rand(2, 4, 5, 6), torch.rand(2, 3, 10, 12)
    merged = merge(coarse, fine)
    assert torch.equal(merged[:, 3:], fine)
    conv = merge.adjust[0]
    adjusted = torch.einsum("bchw,dc->bdhw", coarse, conv.weight[:, :, 0, 0])
    adjusted = (adjusted / (1 + merge.adjust[1].eps) ** 0.5).relu()
    corners = adjusted[:, :, 1:3, 2:4]
    rows, cols = torch.tensor([0.75, 0.25]), torch.tensor([0.25, 0.75])  # row 3, column 6 of the double size
    by_hand = torch.einsum("bdij,i,j->bd", corners, rows, cols)
    torch.testing.assert_close(merged[:, :3, 3, 6], by_hand)


def test_the_path_is_not_linear() -> None:
    """Doubling what the encoder gives does not double what is added to the bias: no sum of scores."""
    net = LesionNet("resnet10t", LESIONS, stride=8).eval()
    with torch.no_grad():
        features = net.encoder(torch.rand(1, 3, 64, 64))
        merge = net.path[0]
        assert isinstance(merge, CopyAndMerge)
        merge.adjust[1].bias.fill_(0.5)
        once, twice = (merge(features[-1] * k, features[-2] * k) for k in (1, 2))
    assert not torch.allclose(twice - once, once, atol=1e-3)


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(ValueError, match=r"stride=3 must be one of \[2, 4, 8, 16, 32\]"):
        LesionNet("resnet10t", LESIONS, stride=3)
    with pytest.raises(ValueError, match=r"stride=2 must be one of \[4, 8, 16, 32\]"):
        LesionNet("convnext_atto", LESIONS, stride=2)
    with pytest.raises(ValueError, match="no labels"):
        LesionNet("resnet10t", LabelSchema())
