"""Grad-CAM: against its closed form, captum, and a network whose map is known; it leaves nothing behind."""

from functools import partial

import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.cam import (
    closed_form,
    grad_cam,
    grad_cams,
    linear_weight,
    normalise,
    of_answer,
    of_label,
    on_image,
)
from foveate.models.joint import Joint
from foveate.models.parts.decoders import UNet

SCHEMA = LabelSchema((Question("disease"), Question("grade", ("0", "1", "2"))), ("disc",))


@pytest.fixture(scope="module")
def net() -> Joint:
    torch.manual_seed(0)
    net = Joint("resnet10t", SCHEMA, decoder=partial(UNet, widths=(16, 8, 8))).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("question", "answer"), [("disease", "yes"), ("disease", "no"), ("grade", "0"), ("grade", "2")]
)
def test_closed_form_is_grad_cam(net: Joint, image: Tensor, question: str, answer: str) -> None:
    channel, sign = SCHEMA.channel(question, answer)
    cam = grad_cam(net, image, target=of_answer(channel, sign=sign))
    with torch.no_grad():
        exact = closed_form(net(image).features[-1], weight=net.image_head.weight[channel] * sign)
    assert cam.shape == (2, 3, 2)
    torch.testing.assert_close(cam, exact, rtol=1e-5, atol=1e-7)


def test_yes_and_no_part_the_signed_map(net: Joint, image: Tensor) -> None:
    yes, no = (grad_cam(net, image, target=of_answer(0, sign=sign)) for sign in (1.0, -1.0))
    with torch.no_grad():
        signed = torch.einsum("k,bkij->bij", net.image_head.weight[0], net(image).features[-1]) / 6
    assert signed.abs().min() > 0
    torch.testing.assert_close(yes - no, signed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", [-1, 2])
def test_captum_agrees(net: Joint, image: Tensor, layer: int) -> None:
    part = net.encoder.pyramid["layer4" if layer == -1 else "layer2"]
    theirs = LayerGradCam(lambda x: net(x).image, part).attribute(image, target=1, relu_attributions=True)
    ours = grad_cam(net, image, target=of_answer(1), layer=layer)
    torch.testing.assert_close(ours, theirs.detach()[:, 0], rtol=1e-4, atol=1e-7)


def test_each_image_its_own_channel_and_sign(net: Joint, image: Tensor) -> None:
    channel, sign = torch.tensor([3, 0]), torch.tensor([1.0, -1.0])
    cam = grad_cam(net, image, target=of_answer(channel, sign=sign))
    for i in range(2):
        alone = grad_cam(net, image[i : i + 1], target=of_answer(int(channel[i]), sign=float(sign[i])))
        torch.testing.assert_close(cam[i], alone[0], rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        weight = net.image_head.weight[channel] * sign[:, None]
        torch.testing.assert_close(cam, closed_form(net(image).features[-1], weight=weight), rtol=1e-5, atol=1e-7)


class Known(nn.Module):
    """Three maps of the image itself with weights 2, -1, 0 in the logit, so that the map is known in numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, -1.0, 0.0]))

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        feature = image * 1.0 if prior is None else image * prior
        pixel = torch.einsum("bkij,k->bij", feature, self.weight)[:, None]
        return Outputs(pixel=pixel, image=feature.mean((2, 3)) @ self.weight[:, None], features=(image + 1, feature))


def test_known_map() -> None:
    image = torch.rand(2, 3, 4, 5)
    cam = grad_cam(Known().eval(), image, target=of_answer(0))
    torch.testing.assert_close(cam, (2 * image[:, 0] - image[:, 1]).relu() / 20)
    against = grad_cam(Known().eval(), image, target=of_answer(0, sign=-1.0))
    torch.testing.assert_close(against, (image[:, 1] - 2 * image[:, 0]).relu() / 20)


def test_the_prior_reaches_the_network() -> None:
    image, prior = torch.rand(1, 3, 4, 5), torch.rand(1, 1, 4, 5)
    cam = grad_cam(Known().eval(), image, target=of_answer(0), prior=prior)
    torch.testing.assert_close(cam, ((2 * image[:, 0] - image[:, 1]) * prior[:, 0]).relu() / 20)


def test_of_label_is_the_mean_over_its_pixels() -> None:
    image, where = torch.rand(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.bool)
    where[0, :2] = True  # 10 of 20 pixels in the first image, none in the second
    cam = grad_cam(Known().eval(), image, target=of_label(0, where=where))
    torch.testing.assert_close(cam[0], (2 * image[0, 0] - image[0, 1]).relu() / 20)
    assert not cam[1].any()
    whole = grad_cam(Known().eval(), image, target=of_label(0))
    torch.testing.assert_close(whole, (2 * image[:, 0] - image[:, 1]).relu() / 20)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_leaves_nothing_behind(net: Joint, image: Tensor, mode: type) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    expected = grad_cam(net, image, target=of_answer(1))
    with mode():
        own = image * 1.0  # an inference tensor in inference mode
        cam = grad_cam(net, own, target=of_answer(1), prior=own[:, :1])
    assert torch.equal(cam, expected)
    assert not cam.requires_grad
    assert not image.requires_grad
    assert not own.requires_grad
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in net.modules())


def test_frozen_network(net: Joint, image: Tensor) -> None:
    expected = grad_cam(net, image, target=of_answer(1))
    net.requires_grad_(False)
    try:
        assert torch.equal(grad_cam(net, image, target=of_answer(1)), expected)
    finally:
        net.requires_grad_(True)


def test_closed_form_is_differentiable() -> None:
    feature, weight = torch.rand(1, 3, 2, 2, requires_grad=True), torch.ones(3, requires_grad=True)
    closed_form(feature, weight=weight).sum().backward()
    assert feature.grad is not None
    assert weight.grad is not None
    torch.testing.assert_close(feature.grad, torch.full_like(feature, 0.25))
    torch.testing.assert_close(weight.grad, feature.detach().mean((0, 2, 3)))


def test_normalise() -> None:
    cam = torch.stack(
        [torch.zeros(2, 2), torch.tensor([[0.0, 1e-30], [5e-31, 0.0]]), torch.tensor([[4.0, 1.0], [0.0, 2.0]])]
    )
    expected = [torch.zeros(2, 2), torch.tensor([[0.0, 1.0], [0.5, 0.0]]), torch.tensor([[1.0, 0.25], [0.0, 0.5]])]
    torch.testing.assert_close(normalise(cam), torch.stack(expected))


def test_on_image_lies_where_the_encoder_padded(net: Joint) -> None:
    cam = torch.zeros(1, 3, 2)
    cam[0, 1, 1] = 1.0  # covers rows 32 to 63, columns 32 to 63 of the padded image
    large = on_image(cam, size=(65, 47), reduction=net.encoder.reductions[-1])
    assert large.shape == (1, 65, 47)
    assert large[0, 47, 46] > 0.9
    assert large[0, 0, 0] == 0


@pytest.mark.parametrize("size", [32, 33, 47, 63, 64, 65, 96, 97, 511, 512, 513])
def test_on_image_knows_what_a_map_pixel_covers(size: int) -> None:
    padded = -(-size // 32) * 32
    for reduction in (2, 8, 32):
        cam = torch.rand(1, padded // reduction, padded // reduction)
        assert torch.equal(on_image(cam, size=(size, size)), on_image(cam, size=(size, size), reduction=reduction))


def test_what_is_refused(net: Joint, image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"call network\.eval"):
        grad_cam(nn.Sequential(nn.Identity()).train(), image, target=of_answer(0))
    with pytest.raises(ValueError, match="layer=5: the network gives 5 feature maps"):
        grad_cam(net, image, target=of_answer(0), layer=5)
    with pytest.raises(ValueError, match="layer=0: the target does not depend"):
        grad_cam(Known().eval(), image, target=of_answer(0), layer=0)
    with pytest.raises(ValueError, match="channel=4 must be"):
        grad_cam(net, image, target=of_answer(4))
    with pytest.raises(ValueError, match="channel=1 must be"):
        grad_cam(net, image, target=of_label(1))
    with pytest.raises(ValueError, match="no image logits"):
        of_answer(0)(Outputs())


def test_several_answers_share_one_forward_pass(net: Joint, image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [of_answer(0), of_answer(0, sign=-1.0), of_answer(1)]
    alone = [grad_cam(net, image, target=target) for target in targets]
    calls = []
    net.register_forward_pre_hook(lambda *_: calls.append(1))
    for one, together in zip(alone, grad_cams(net, image, targets=targets), strict=True):
        assert torch.allclose(one, together, atol=1e-6)
    assert calls == [1]
    assert grad_cams(net, image, targets=[]) == []


def test_the_weight_of_a_linear_head_is_checked_against_the_logits(net: Joint, image: Tensor) -> None:
    with torch.inference_mode():
        outputs = net(image)
    weight = linear_weight(net, outputs)
    assert weight is not None
    cam = closed_form(outputs.features[-1], weight=weight[1])
    assert torch.allclose(cam, grad_cam(net, image, target=of_answer(1)), atol=1e-5)
    assert outputs.image is not None
    assert linear_weight(net, outputs._replace(image=outputs.image + 0.1)) is None  # gated or combined answers
    assert linear_weight(net, outputs._replace(image=None)) is None
    assert linear_weight(net, outputs._replace(features=())) is None
    assert linear_weight(Known().eval(), outputs) is None
