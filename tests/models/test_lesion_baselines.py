"""The networks that Lesion-Net is compared with: published sizes, and what each is known for, by hand."""

from functools import partial

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.baselines.abn import ABN, own_logits, start_branch
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.danet import ChannelAttention, DANet, PositionAttention
from foveate.models.baselines.deeplabv3plus import DeepLabV3Plus
from foveate.models.baselines.fcn import FCN, doubling
from foveate.models.baselines.presence import Presence
from foveate.models.parts.size import parameters

GRADES = LabelSchema((Question("grade", tuple("01234"), ordered=True),))
LESIONS = LabelSchema((), tuple(f"lesion{k}" for k in range(8)))


@pytest.mark.parametrize(("name", "millions"), [("resnet18", 19.58), ("resnet50", 38.50)])
def test_abn_has_the_published_size(name: str, millions: float) -> None:
    assert parameters(ABN(name, GRADES)) / 1e6 == pytest.approx(millions, abs=0.005)


def test_danet_head_has_the_published_size() -> None:
    net = DANet("resnet50", LESIONS)
    assert (parameters(net) - parameters(net.encoder)) / 1e6 == pytest.approx(23.94, abs=0.005)


@torch.no_grad()
def test_abn_against_its_definition() -> None:
    """The trunk's last stage reads x (1 + a); with a sigmoid that is shut it is the plain classifier."""
    net, plain = ABN("resnet10t", GRADES).eval(), Classifier("resnet10t", GRADES).eval()
    plain.encoder.load_state_dict(net.encoder.state_dict())
    plain.image_head.load_state_dict(net.image_head.state_dict())
    image = torch.rand(2, 3, 64, 64)
    outputs = net(image)
    torch.testing.assert_close(own_logits(outputs), net.own(net.maps(net.branch(outputs.features[-2]))).mean((2, 3)))
    assert not torch.allclose(outputs.image, plain(image).image, atol=1e-4)
    net.attention[1].bias.fill_(-100)
    net.attention[1].weight.zero_()
    torch.testing.assert_close(net(image).image, plain(image).image)
    with pytest.raises(ValueError, match="no attention branch"):
        own_logits(plain(image))


def test_branch_starts_from_the_trunk() -> None:
    net = ABN("resnet10t", GRADES)
    branch, trunk = net.branch.state_dict(), net.encoder.state_dict()
    start_branch(net)
    last = {k.partition("layer4.")[2]: v for k, v in trunk.items() if "layer4." in k}
    assert last
    assert all(torch.equal(branch[f"0.{k}"], v) for k, v in last.items())


@torch.no_grad()
def test_position_attention_against_a_loop() -> None:
    net = PositionAttention(16)
    net.gamma.fill_(0.7)
    x = torch.rand(1, 16, 2, 3)
    q, k, v = (conv(x)[0].flatten(1) for conv in (net.query, net.key, net.value))
    expected = x.clone()[0].flatten(1)
    for i in range(6):
        weights = torch.tensor([float(q[:, i] @ k[:, j]) for j in range(6)]).softmax(0)
        expected[:, i] += 0.7 * sum(weights[j] * v[:, j] for j in range(6))
    torch.testing.assert_close(net(x)[0].flatten(1), expected)


@torch.no_grad()
def test_channel_attention_against_a_loop() -> None:
    net = ChannelAttention()
    net.gamma.fill_(0.7)
    x = torch.rand(1, 4, 2, 3)
    rows = x[0].flatten(1)
    expected = rows.clone()
    for c in range(4):
        energy = torch.stack([rows[c] @ rows[d] for d in range(4)])
        weights = (energy.max() - energy).softmax(0)
        expected[c] += 0.7 * sum(weights[d] * rows[d] for d in range(4))
    torch.testing.assert_close(net(x)[0].flatten(1), expected)


@torch.no_grad()
def test_fcn_starts_as_the_coarse_scores_enlarged() -> None:
    """Skips start at 0 and enlargement as bilinear: inside, FCN-8s is FCN-32s until it learns."""
    fine, coarse = (FCN("resnet10t", LESIONS, stride=s).eval() for s in (8, 32))
    coarse.encoder.load_state_dict(fine.encoder.state_dict())
    coarse.score.load_state_dict(fine.score.state_dict())
    x = torch.rand(1, 8, 6, 6)
    up = doubling(8)(x)
    by_torch = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up[..., 1:-1, 1:-1], by_torch[..., 1:-1, 1:-1])
    image = torch.rand(1, 3, 160, 160)
    assert (fine(image).pixel - coarse(image).pixel)[..., 64:96, 64:96].abs().max() < 0.2 * coarse(image).pixel.std()


@torch.no_grad()
def test_presence_is_the_same_everywhere() -> None:
    """Global max pooling of its maps gives back the classifier's logits."""
    for classifier in (Classifier, ABN):
        net = Presence(LESIONS, classifier=partial(classifier, "resnet10t")).eval()
        image = torch.rand(2, 3, 48, 64)
        outputs = net(image)
        found = net.classifier(image)
        assert torch.equal(outputs.pixel.amax((2, 3)), found.image)
        assert torch.equal(outputs.pixel.amin((2, 3)), found.image)
        assert len(outputs.aux) == (1 if classifier is ABN else 0)
        for aux in outputs.aux:
            assert torch.equal(aux.amax((2, 3)), own_logits(Outputs(activation=found.activation)))
    with pytest.raises(ValueError, match="exclusive=True"):
        Presence(LabelSchema((), ("a", "b"), exclusive=True), classifier=partial(Classifier, "resnet10t"))


def test_what_cannot_be_made_is_said() -> None:
    for network in (FCN, DANet, DeepLabV3Plus):
        with pytest.raises(ValueError, match="no labels"):
            network("resnet10t", GRADES)
    with pytest.raises(ValueError, match=r"stride=5 must be one of \[2, 4, 8, 16, 32\]"):
        FCN("resnet10t", LESIONS, stride=5)
