"""Dual guidance in one pass: the map inside equals Grad-CAM, and both losses reach both halves."""

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.models.cam import grad_cam, normalise, of_answer
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.parts.size import parameters

SCHEMA = LabelSchema((Question("disease"), Question("grade", ("0", "1", "2"))), ("exudate", "haemorrhage"))
WIDTHS = (32, 16)


def seeded(**keywords: object) -> DualGuidance:
    torch.manual_seed(0)
    return DualGuidance("resnet10t", SCHEMA, widths=WIDTHS, channels=1, **keywords)


@pytest.mark.parametrize(("guide", "question"), [(None, "disease"), ("grade", "grade")])
def test_the_map_inside_is_that_of_the_predicted_answer(guide: str | None, question: str) -> None:
    net, image = seeded(guide=guide).eval(), torch.rand(4, 1, 64, 64)
    for linear in net.classify.image_head.questions:
        torch.nn.init.normal_(linear.weight)
    with torch.no_grad():
        outputs = net(image)
        inside = net.guiding_map(outputs.features[-1], outputs.image)[:, 0]
    decided = SCHEMA.decide({k: v.numpy() for k, v in SCHEMA.image_probability(outputs.image).items()})[question]
    answers = SCHEMA.question(question).answers
    for i, position in enumerate(decided):
        channel, sign = SCHEMA.channel(question, answers[position])
        expected = normalise(grad_cam(net.classify, image[i : i + 1], target=of_answer(channel, sign=sign)))
        torch.testing.assert_close(inside[i : i + 1], expected, rtol=1e-4, atol=1e-5)
    assert float(inside.max()) == pytest.approx(1.0)


def test_a_no_is_explained_by_what_speaks_for_no() -> None:
    net, feature = seeded().eval(), torch.rand(2, 512, 2, 2)
    yes, no = (net.guiding_map(feature, torch.full((2, 4), value)) for value in (1.0, -1.0))
    assert not torch.any((yes > 0) & (no > 0))


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_a_prior_takes_the_place_of_the_map(shared: bool) -> None:
    net = seeded(shared=shared).eval()
    image, cue = torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 64)
    own, told = net(image), net(image, cue)
    assert torch.equal(own.image, told.image)
    assert not torch.equal(own.pixel, told.pixel)
    if not shared:
        assert isinstance(net.segment, CAMUNet)
        assert torch.equal(told.pixel, net.segment(image, cue).pixel)


@torch.no_grad()
def test_halves_start_from_networks_trained_apart() -> None:
    classify = CMCNN("resnet10t", SCHEMA, channels=1).eval()
    segment = CAMUNet("resnet10t", SCHEMA, widths=WIDTHS, channels=1).eval()
    net, image = seeded().eval(), torch.rand(1, 1, 64, 64)
    net.classify.load_state_dict(classify.state_dict())
    net.segment.load_state_dict(segment.state_dict())
    outputs, alone = net(image), classify(image)
    assert torch.equal(outputs.image, alone.image)
    assert torch.equal(outputs.aux[0], alone.pixel)


@pytest.mark.parametrize("detach", [False, True])
def test_the_marking_loss_reaches_the_classifier_through_the_map(detach: bool) -> None:
    net = seeded(detach=detach).train()
    for name, parameter in net.classify.named_parameters():
        if name.endswith("weight") and parameter.ndim == 1:  # timm starts the last normalisation of a block at 0
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    net(torch.rand(3, 1, 64, 64)).pixel.square().mean().backward()
    reached = {name for name, p in net.classify.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert ("image_head.questions.0.weight" in reached) is (not detach)
    assert any(name.startswith("encoder.") for name in reached) is (not detach)


@torch.no_grad()
def test_one_encoder_for_both_halves() -> None:
    apart, shared = seeded(), seeded(shared=True)
    assert parameters(apart) - parameters(shared) == parameters(shared.classify.encoder)
    plain = seeded(shared=True, mask="none").eval()(torch.rand(1, 1, 64, 64))
    assert plain.aux == ()
    assert plain.pixel.shape == (1, 2, 64, 64)


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match=r"question must be one of .* got 'stage'"):
        seeded(guide="stage")
