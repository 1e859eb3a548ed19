"""Joint network and classifier: what the schema decides; decoders and heads."""

from functools import partial

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.classifier import Classifier
from foveate.models.joint import Joint
from foveate.models.parts.decoders import FPN, UNet
from foveate.models.parts.heads import ImageHead, PixelHead

QUESTIONS = (Question("disease"), Question("grade", ("0", "1", "2")))
BOTH = LabelSchema(QUESTIONS, ("disc", "cup"), exclusive=True)
NARROW = partial(UNet, widths=(32, 16, 16, 8, 8))


def test_channels_follow_the_schema() -> None:
    outputs = Joint("resnet10t", BOTH, decoder=NARROW)(torch.rand(2, 3, 64, 64))
    assert outputs.pixel is not None
    assert outputs.image is not None
    assert (outputs.pixel.shape, outputs.image.shape) == ((2, 3, 64, 64), (2, 4))


def test_a_part_that_the_schema_lacks_is_none() -> None:
    image = torch.rand(2, 3, 64, 64)
    classifier = Joint("resnet10t", BOTH.select(labels=()))
    assert classifier.decoder is None
    assert classifier(image).pixel is None
    segmenter = Joint("resnet10t", BOTH.select(questions=()), decoder=NARROW)
    assert segmenter.image_head is None
    assert segmenter(image).image is None
    with pytest.raises(ValueError, match="neither questions nor labels"):
        Joint("resnet10t", LabelSchema())


def test_classifier_is_joint_without_labels() -> None:
    torch.manual_seed(0)
    alone = Classifier("resnet10t", BOTH).eval()
    joint = Joint("resnet10t", BOTH.select(labels=())).eval()
    joint.load_state_dict(alone.state_dict())
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(alone(image).image, joint(image).image)
    with pytest.raises(ValueError, match="has no question"):
        Classifier("resnet10t", BOTH.select(questions=()))


def test_the_prior_is_not_read() -> None:
    net, image = Joint("resnet10t", BOTH, decoder=NARROW).eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net(image).pixel, net(image, torch.rand(1, 1, 64, 64)).pixel)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_unet_ends_where_the_widths_end(count: int) -> None:
    decoder = UNet([8, 8, 16, 16, 32], reductions=[2, 4, 8, 16, 32], widths=[16, 8, 8, 4, 4][:count])
    features = [torch.rand(1, c, 64 // r, 96 // r) for c, r in zip([8, 8, 16, 16, 32], [2, 4, 8, 16, 32], strict=True)]
    decoded = decoder(features)
    assert decoder.reduction == 2 ** (5 - count)
    assert decoded.shape == (1, [16, 8, 8, 4, 4][count - 1], 64 // decoder.reduction, 96 // decoder.reduction)
    assert decoder.channels == decoded.shape[1]


@pytest.mark.parametrize(
    ("reductions", "ends_at"), [([1, 2, 4, 8, 16, 32], 1), ([4, 8, 16, 32], 2), ([2, 4, 8, 16], 1), ([2, 4, 8, 32], 1)]
)
def test_unet_fits_other_pyramids(reductions: list[int], ends_at: int) -> None:
    decoder = UNet([4] * len(reductions), reductions=reductions, widths=(8, 8, 8, 8, 8, 8))
    assert decoder.reduction == ends_at
    decoded = decoder([torch.rand(1, 4, 64 // r, 32 // r) for r in reductions])
    assert decoded.shape == (1, 8, 64 // ends_at, 32 // ends_at)


def test_fpn_ends_at_the_fourth_coarsest_map() -> None:
    decoder = FPN([4] * 5, reductions=[2, 4, 8, 16, 32], pyramid=8, width=32)
    assert decoder([torch.rand(2, 4, 64 // r, 96 // r) for r in (2, 4, 8, 16, 32)]).shape == (2, 32, 16, 24)
    assert (decoder.channels, decoder.reduction) == (32, 4)


def test_what_decoders_refuse() -> None:
    with pytest.raises(ValueError, match="widths is empty"):
        UNet([4, 4], reductions=[2, 4], widths=())
    with pytest.raises(ValueError, match=r"four maps or more"):
        FPN([4] * 3, reductions=[8, 16, 32])
    with pytest.raises(ValueError, match="width=48 must be a multiple of 32; take 32"):
        FPN([4] * 4, reductions=[4, 8, 16, 32], width=48)


def test_pixel_head_keeps_the_outer_edges_in_place() -> None:
    """A ramp over the padded image stays that ramp: nothing shifts when the map is enlarged and cut."""
    head = PixelHead(1, logits=1, reduction=4)
    torch.nn.init.ones_(head.conv.weight)
    torch.nn.init.zeros_(head.conv.bias)
    ramp = (4 * torch.arange(16.0) + 1.5).expand(1, 1, 8, 16)
    logits = head(ramp, size=(30, 61))
    assert logits.shape == (1, 1, 30, 61)
    torch.testing.assert_close(logits[0, 0, 3, 2:61], torch.arange(61.0)[2:])
    with pytest.raises(ValueError, match="kernel=2 is even; take 3"):
        PixelHead(1, logits=1, reduction=4, kernel=2)
    with pytest.raises(ValueError, match="no labels, which a pixel head needs; take a classifier"):
        PixelHead(1, logits=0, reduction=4)


def test_image_head_is_linear_in_the_mean_in_schema_order() -> None:
    head = ImageHead(6, schema=BOTH).eval()
    feature = torch.rand(2, 6, 3, 4)
    bias = torch.cat([question.bias for question in head.questions])
    torch.testing.assert_close(head(feature), feature.mean((2, 3)) @ head.weight.T + bias)
    torch.testing.assert_close(head(feature)[:, BOTH.slices["grade"]], head.questions[1](feature.mean((2, 3))))


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    head, feature = ImageHead(64, schema=BOTH, dropout=0.5), torch.rand(2, 64, 2, 2)
    assert not torch.equal(head(feature), head(feature))
    head.eval()
    assert torch.equal(head(feature), head(feature))


def test_padding_hardly_moves_the_answer() -> None:
    """An image cut by one pixel is padded back by repeating it: pixel logits stay near."""
    torch.manual_seed(0)
    net = Joint("resnet10t", BOTH, decoder=NARROW).eval()
    image = torch.rand(1, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    with torch.no_grad():
        whole, cut = net(image), net(image[:, :, :63, :61])
    torch.testing.assert_close(whole.pixel[:, :, :63, :61], cut.pixel)
    torch.testing.assert_close(whole.image, cut.image)
