"""CM-CNN: what each mask lets through, several labels under one mask, Grad-CAM in closed form."""

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.classifier import Classifier
from foveate.models.cam import closed_form, grad_cam, of_answer
from foveate.models.cm_cnn import CMCNN
from foveate.models.parts.masks import MASKS, union

SCHEMA = LabelSchema((Question("disease", ("CNV", "drusen", "normal")),), ("lesion",))
SEVERAL = LabelSchema((Question("disease"), Question("grade", ("0", "1", "2"))), ("exudate", "haemorrhage"))
EXCLUSIVE = LabelSchema(SEVERAL.questions, ("disc", "cup"), exclusive=True)


def seeded(schema: LabelSchema, mask: str = "complement") -> CMCNN:
    torch.manual_seed(0)
    return CMCNN("resnet10t", schema, mask=mask, channels=1).eval()


def test_masks() -> None:
    a, s = torch.randn(2, 3, 2, 2), torch.rand(2, 1, 2, 2)
    both, inside, beside = (MASKS[name] for name in ("complement", "single", "auxiliary"))
    assert both is not None
    assert inside is not None
    assert beside is not None
    halves = both.apply(a, s)
    torch.testing.assert_close(halves[:, :3] + halves[:, 3:], a)
    assert torch.equal(halves[:, :3], inside.apply(a, s))
    assert torch.equal(beside.apply(a, s), a)
    for mask in (both, inside, beside):
        assert mask.apply(a, s).shape[1] == mask.copies * 3


def test_union_of_labels() -> None:
    logits = torch.randn(2, 1, 3, 3)
    torch.testing.assert_close(union(logits, schema=SCHEMA), torch.sigmoid(logits))
    p = torch.sigmoid(two := torch.randn(2, 2, 3, 3))
    torch.testing.assert_close(union(two, schema=SEVERAL), (p[:, :1] + p[:, 1:] - p[:, :1] * p[:, 1:]))
    three = torch.randn(2, 3, 3, 3)
    torch.testing.assert_close(union(three, schema=EXCLUSIVE), 1 - three.softmax(1)[:, :1])


@torch.no_grad()
def test_pixel_logits_are_those_of_the_mask_enlarged() -> None:
    net, image = seeded(SCHEMA), torch.rand(1, 1, 64, 96)
    outputs = net(image)
    assert outputs.pixel.shape == (1, 1, 64, 96)
    assert net.mask_head is not None
    coarse = net.mask_head.conv(outputs.features[-2])
    assert coarse.shape[2:] == (2, 3)
    torch.testing.assert_close(outputs.pixel[:, :, :16, :16], coarse[:, :, :1, :1].expand(-1, -1, 16, 16))


@torch.no_grad()
def test_without_a_mask_it_is_a_classifier() -> None:
    net = seeded(SCHEMA, "none")
    plain = Classifier("resnet10t", SCHEMA, channels=1).eval()
    plain.load_state_dict(net.state_dict())
    image = torch.rand(1, 1, 64, 64)
    outputs = net(image)
    assert outputs.pixel is None
    assert torch.equal(outputs.image, plain(image).image)


@torch.no_grad()
def test_the_mask_reaches_the_answer_unless_it_is_auxiliary() -> None:
    image = torch.rand(1, 1, 64, 64)
    for mask, reaches in {"complement": True, "single": True, "auxiliary": False}.items():
        net = seeded(SCHEMA, mask)
        before = net(image).image
        assert net.mask_head is not None
        net.mask_head.conv.bias.data += 2.0
        assert (not torch.equal(before, net(image).image)) is reaches


@pytest.mark.parametrize("mask", list(MASKS))
def test_closed_form_equals_grad_cam(mask: str) -> None:
    net, image = seeded(SEVERAL, mask), torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        feature = net(image).features[-1]
    for channel in range(SEVERAL.image_channels):
        expected = grad_cam(net, image, target=of_answer(channel))
        closed = closed_form(feature, weight=net.image_head.weight[channel].detach())
        torch.testing.assert_close(closed, expected, rtol=1e-5, atol=1e-5)


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match=r"mask='both' must be one of \['complement'"):
        CMCNN("resnet10t", SCHEMA, mask="both")
    with pytest.raises(ValueError, match="take mask='none'"):
        CMCNN("resnet10t", SCHEMA.select(labels=()))
    assert CMCNN("resnet10t", SCHEMA.select(labels=()), mask="none").mask_head is None


@pytest.mark.parametrize("stride", [8, 16])
def test_a_dilated_trunk_sees_more_finely_with_the_same_weights(stride: int) -> None:
    """The map has 32 / stride times the cells a side, whatever the size of the image; the parameters do not change."""
    coarse, fine = CMCNN("resnet10t", SCHEMA, channels=1), CMCNN("resnet10t", SCHEMA, channels=1, stride=stride)
    fine.load_state_dict(coarse.state_dict())
    out = fine.eval()(torch.rand(2, 1, 65, 96))
    assert out.features[-1].shape[2:] == (-(-65 // stride), 96 // stride)
    assert out.pixel is not None
    assert out.pixel.shape[2:] == (65, 96)
    with pytest.raises(ValueError, match="cannot be made with coarsest=8"):
        CMCNN("inception_v3", SCHEMA, stride=8)
