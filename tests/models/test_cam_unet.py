"""CAM-UNet: how map and skip meet, what no map means, and that training learns to look where the map points."""

import pytest
import torch
import torch.nn.functional as F

from foveate.core.labels import LabelSchema
from foveate.models.baselines.ynet import YNet
from foveate.models.cam_unet import CAMUNet
from foveate.models.parts.frame import beside, one_map, padded, resampled
from foveate.models.parts.fusion import Refine, Widen
from foveate.models.parts.transposed import TransposedUNet

SCHEMA = LabelSchema((), ("lesion",))
WIDTHS = (32, 16, 8, 8)


def seeded(fuse: str | None = "refine") -> CAMUNet:
    torch.manual_seed(0)
    return CAMUNet("resnet10t", SCHEMA, fuse=fuse, widths=WIDTHS, channels=1).eval()


@torch.no_grad()
@pytest.mark.parametrize(("fuse", "reads"), [("refine", True), ("widen", True), (None, False)])
def test_the_map_is_read_where_skips_are_fused(fuse: str | None, reads: bool) -> None:
    net, image = seeded(fuse), torch.rand(1, 1, 65, 47)
    nowhere, somewhere = torch.zeros(1, 1, 65, 47), torch.rand(1, 1, 65, 47)
    assert (not torch.equal(net(image, nowhere).pixel, net(image, somewhere).pixel)) is reads


@torch.no_grad()
def test_of_several_maps_the_largest_counts() -> None:
    net, image, maps = seeded(), torch.rand(1, 1, 64, 64), torch.rand(1, 3, 64, 64)
    assert torch.equal(net(image, maps).pixel, net(image, maps.amax(1, keepdim=True)).pixel)


@torch.no_grad()
def test_without_fusion_it_is_the_marking_half_of_ynet() -> None:
    net, image = seeded(None), torch.rand(1, 1, 64, 64)
    joint = YNet("resnet10t", SCHEMA, widths=WIDTHS, channels=1).eval()
    names = {"encoder.": "encoder.", "guided.decoder.": "decoder.", "guided.head.": "pixel_head."}
    joint.load_state_dict(
        {
            new + k.removeprefix(old): v
            for k, v in net.state_dict().items()
            for old, new in names.items()
            if old in k[:16]
        }
    )
    assert torch.equal(net(image).pixel, joint(image).pixel)


def test_fusions() -> None:
    x, m = torch.randn(1, 4, 8, 8), torch.rand(1, 1, 8, 8)
    parts = Widen(4)(x, m).split(4, 1)
    for part, expected in zip(parts, (x, x * m, x + m), strict=True):
        assert torch.equal(part, expected)
    refine = Refine(4).eval()
    torch.testing.assert_close(refine(x, m), refine.convs(x * (1 + m)))


def test_maps_at_other_resolutions() -> None:
    fine = torch.rand(1, 1, 64, 32)
    assert torch.equal(resampled(fine, torch.empty(1, 3, 64, 32)), fine)
    small = resampled(fine, torch.empty(1, 3, 8, 4))
    torch.testing.assert_close(small[0, 0, 1, 2], fine[0, 0, 8:16, 16:24].mean())
    large = resampled(torch.ones(1, 1, 2, 1), torch.empty(1, 3, 16, 8))
    torch.testing.assert_close(large, torch.ones(1, 1, 16, 8))


def test_frame() -> None:
    image = torch.rand(1, 2, 33, 64)
    whole = padded(image, 32)
    assert whole.shape == (1, 2, 64, 64)
    assert torch.equal(whole[:, :, :33], image)
    assert torch.equal(whole[:, :, 63], image[:, :, 32])
    assert beside(image, torch.rand(1, 1, 33, 64), prior_channels=0) is image
    with pytest.raises(ValueError, match="prior has 2 maps, the network reads 1; make it with prior_channels=2"):
        beside(image, torch.rand(1, 2, 33, 64), prior_channels=1)
    with pytest.raises(ValueError, match=r"prior is \(8, 8\), but the image is \(33, 64\)"):
        one_map(torch.rand(1, 1, 8, 8), image)


def test_decoder_ends_where_the_widths_end() -> None:
    sizes, reductions = [4, 8, 16, 32], [4, 8, 16, 32]
    features = [torch.rand(1, c, 64 // r, 96 // r) for c, r in zip(sizes, reductions, strict=True)]
    for count, reduction in ((1, 16), (2, 8), (3, 4), (4, 4)):
        decoder = TransposedUNet(sizes, reductions=reductions, widths=(16, 8, 6, 5)[:count])
        assert decoder.reduction == reduction
        assert decoder(features).shape == (1, decoder.channels, 64 // reduction, 96 // reduction)
    jump = TransposedUNet([4, 8], reductions=[4, 16], widths=(8,))
    assert jump([torch.rand(1, 4, 16, 16), torch.rand(1, 8, 4, 4)]).shape == (1, 8, 16, 16)
    with pytest.raises(ValueError, match=r"widths=\[\]"):
        TransposedUNet(sizes, reductions=reductions, widths=())


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="fuse='add' must be one of"):
        CAMUNet("resnet10t", SCHEMA, fuse="add")
    with pytest.raises(ValueError, match="no labels"):
        CAMUNet("resnet10t", LabelSchema())
    image = torch.rand(1, 1, 64, 64)
    for fuse in ("refine", "widen"):
        with pytest.raises(ValueError, match=r"prior=None, the network is guided by a map; .* with fuse=None"):
            seeded(fuse)(image)
    assert seeded(None)(image).pixel.shape == image.shape


@pytest.mark.parametrize("fuse", ["refine", "widen"])
def test_training_learns_to_look_where_the_map_points(fuse: str) -> None:
    """Images are noise and the lesion is the quarter that the map points at: only the map can tell which."""
    net = seeded(fuse).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    quarters = torch.eye(4).view(4, 1, 2, 2).repeat_interleave(16, 2).repeat_interleave(16, 3)
    for _ in range(25):
        loss = F.binary_cross_entropy_with_logits(net(torch.rand(4, 1, 32, 32), quarters).pixel, quarters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        image = torch.rand(4, 1, 32, 32)
        right = F.binary_cross_entropy_with_logits(net(image, quarters).pixel, quarters)
        wrong = F.binary_cross_entropy_with_logits(net(image, quarters.roll(1, 0)).pixel, quarters)
    assert float(right) < 0.45  # the share of lesion alone gives 0.56
    assert float(wrong) > 0.56
