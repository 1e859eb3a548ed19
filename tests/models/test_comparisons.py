"""The networks that dual guidance is compared with: exchanges between trunks, and the parts of each."""

import pytest
import torch

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.attention_unet import Gate
from foveate.models.baselines.cenet import CENet, DenseAtrous, MultiPool
from foveate.models.baselines.classifier import ROWS
from foveate.models.baselines.cross_connected import Connect, CrossConnected
from foveate.models.baselines.cross_stitch import CrossStitch, Stitch
from foveate.models.baselines.opticnet71 import Reduce, gated
from foveate.models.baselines.pspnet import PyramidPooling
from foveate.models.parts.encoders import encoder

SCHEMA = LabelSchema((Question("grade", ("0", "1", "2")),), ("lesion",))


def test_stitch_mixes_as_in_the_equation() -> None:
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    mixed = Stitch(3, own=0.8)(a, b)
    torch.testing.assert_close(mixed[0], 0.8 * a + 0.2 * b)
    torch.testing.assert_close(mixed[1], 0.8 * b + 0.2 * a)
    assert [Stitch(3, per_channel=each).mix.numel() for each in (True, False)] == [12, 4]


def test_connect_adds_what_the_other_has() -> None:
    a, b = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    connect = Connect(3)
    torch.nn.init.dirac_(connect.to_a.weight)
    torch.nn.init.zeros_(connect.to_b.weight)
    joined = connect(a, b)
    torch.testing.assert_close(joined[0], a + b)
    assert torch.equal(joined[1], b)


@pytest.mark.parametrize(("make", "count"), [(CrossStitch, 5), (CrossConnected, 4)])
def test_each_trunk_reaches_the_other_answer(make: type, count: int) -> None:
    torch.manual_seed(0)
    net = make("resnet10t", SCHEMA, widths=(16, 8), channels=1).eval()
    assert len(net.exchanges) == count
    outputs = net(torch.rand(1, 1, 64, 64))
    (crossed,) = torch.autograd.grad(outputs.image.sum(), net.marking.pyramid["conv1"][0].weight, retain_graph=True)
    assert float(crossed.abs().sum()) > 0
    (crossed,) = torch.autograd.grad(outputs.pixel.sum(), net.answering.pyramid["conv1"][0].weight)
    assert float(crossed.abs().sum()) > 0


@torch.no_grad()
def test_trunks_that_do_not_mix_are_the_encoders_alone() -> None:
    net, image = CrossStitch("resnet10t", SCHEMA, own=1.0, widths=(16, 8), channels=1).eval(), torch.rand(1, 1, 65, 47)
    answering, marking = net.pyramids(image)
    for ours, alone in zip((*answering, *marking), (*net.answering(image), *net.marking(image)), strict=True):
        torch.testing.assert_close(ours, alone)
    with pytest.raises(ValueError, match="no labels"):
        CrossStitch("resnet10t", SCHEMA.select(labels=()))


def test_gate_passes_a_share() -> None:
    x, g = torch.rand(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    passed = Gate(4).eval()(x, g)
    share = passed / x
    assert torch.all((share > 0) & (share < 1))
    torch.testing.assert_close(share[:, :1].expand_as(share), share)


def test_parts_of_cenet() -> None:
    atrous = DenseAtrous(4)
    assert sum(p.numel() for p in atrous.parameters()) == 3 * (9 * 16 + 4) + 16 + 4
    x = torch.rand(1, 4, 14, 14)
    assert atrous(x).shape == x.shape
    for rows, cols in ((14, 14), (2, 3), (1, 1)):
        pooled = MultiPool(4)(torch.rand(1, 4, rows, cols))
        assert pooled.shape == (1, 8, rows, cols)
    with pytest.raises(ValueError, match="take a ResNet"):
        CENet(SCHEMA, encoder_name="convnext_atto")


def test_pyramid_pooling_knows_the_whole_image() -> None:
    pool = PyramidPooling(8).eval()
    x = torch.rand(1, 8, 12, 12)
    pooled = pool(x)
    assert torch.equal(pooled[:, :8], x)
    whole = pooled[:, 8:10]
    torch.testing.assert_close(whole, whole[:, :, :1, :1].expand_as(whole))


def test_parts_of_opticnet() -> None:
    x, refined = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    torch.testing.assert_close(gated(x, refined), torch.full_like(x, 0.5 + 1 + 0.5))
    assert Reduce(4, 8, stride=1)(torch.rand(2, 4, 6, 8)).shape == (2, 8, 6, 8)
    assert Reduce(4, 8, stride=2)(torch.rand(2, 4, 6, 8)).shape == (2, 8, 3, 4)


@pytest.mark.parametrize(("row", "width"), [("vgg16", 512), ("mobilenet", 1024), ("senet", 2048)])
def test_rows_of_classifiers_end_at_the_published_width(row: str, width: int) -> None:
    assert encoder(ROWS[row], channels=1).channels[-1] == width
