"""HBA-U-Net: its size beside the published one, ImageNet's weights from a file, any size of image, an answer."""

from pathlib import Path

import pytest
import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.models.answering import Answering
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.hba_unet import HBAUNet
from foveate.models.joint import Joint
from foveate.models.parts.residual import ResidualConv, ResidualUNet
from foveate.models.parts.size import parameters

ONE = LabelSchema((), ("atrophy",))
PPA = LabelSchema((Question("atrophy_present", evidence=("atrophy",)),), ("disc", "atrophy"), exclusive=True)
SMALL = {"size": 64, "widths": (32, 16, 16, 8, 8)}


@pytest.mark.parametrize(("attend_skips", "published"), [(False, 19.66), (True, 22.00)])
def test_size_is_the_published_one_but_for_biases_before_a_normalisation(attend_skips: bool, published: float) -> None:
    with torch.device("meta"):
        network = HBAUNet("resnet50", ONE, attend_skips=attend_skips)
    bare = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is None]
    stack = [m for m in network.stack.modules() if isinstance(m, nn.Conv2d) and m.bias is None]
    biases = sum(m.out_channels for m in bare if not any(m is other for other in stack))
    assert biases == 16_640
    assert (parameters(network) + biases) / 1e6 == pytest.approx(published, abs=0.005)
    with torch.device("meta"):
        ours = HBAUNet("resnet50", PPA, attend_skips=attend_skips)
    assert (
        parameters(ours) - parameters(network) == 2 * (9 * 32 + 1) + 1025
    )  # two more logits of a 3x3 head, one answer


def test_imagenet_weights_fill_all_of_the_encoder(real_weights: Path) -> None:
    network = HBAUNet("resnet50", PPA, size=64, stride_first=True)
    network.encoder.pretrain(real_weights / "resnet50_keras_v1_nofc_fp16.pth")
    filled = network.encoder.filled
    assert filled is not None
    assert filled.matched == filled.total == 258
    assert all(name.startswith("layer4") for name in filled.unused)


@torch.no_grad()
def test_any_size_of_image_and_of_tables() -> None:
    torch.manual_seed(0)
    network = HBAUNet("resnet10t", PPA, attend_skips=True, **SMALL).eval()
    for size in ((64, 64), (65, 97), (32, 160), (7, 9)):
        outputs = network(torch.rand(2, 3, *size))
        assert outputs.pixel.shape == (2, 3, *size)
        assert outputs.image.shape == (2, 1)
    same = HBAUNet("resnet10t", PPA, attend_skips=True, **{**SMALL, "size": 128}).eval()
    assert same.stack[0].body[3].rows.shape[1] == 15


def test_the_first_block_halves_and_the_answer_reads_the_deepest_map() -> None:
    network = HBAUNet("resnet10t", PPA, layers=2, **SMALL)
    outputs = network(torch.rand(2, 3, 64, 64))
    assert [f.shape[2] for f in outputs.features] == [32, 16, 8, 4, 2]
    torch.testing.assert_close(network.image_head(outputs.features[-1]), outputs.image)
    assert HBAUNet("resnet10t", ONE, **SMALL)(torch.rand(2, 3, 64, 64)).image is None


def test_residual_block_is_its_equation() -> None:
    block = ResidualConv(4, 6).eval()
    x = torch.randn(2, 4, 5, 5)
    first = block.first(x)
    torch.testing.assert_close(block(x), torch.relu(first + block.second(first)))
    without = ResidualConv(4, 6, residual=False).eval()
    torch.testing.assert_close(without(x), torch.relu(without.second(without.first(x))))
    decoder = ResidualUNet([4, 8], reductions=[2, 4], widths=[8, 4])
    assert [b.residual for b in decoder.blocks] == [True, False]
    assert decoder([torch.rand(1, 4, 8, 8), torch.rand(1, 8, 4, 4)]).shape == (1, 4, 16, 16)


def test_answering_adds_an_answer_and_changes_nothing_else() -> None:
    torch.manual_seed(0)
    marker = ClassicUNet(PPA, widths=(4, 8, 16)).eval()
    network = Answering(marker, PPA, width=16).eval()
    image = torch.rand(2, 3, 32, 32)
    outputs = network(image)
    torch.testing.assert_close(outputs.pixel, marker(image).pixel)
    torch.testing.assert_close(outputs.image, network.image_head(marker(image).features[-1]))

    class Bare(nn.Module):
        def forward(self, image: torch.Tensor, prior: torch.Tensor | None = None) -> object:
            return marker(image)._replace(features=())

    with pytest.raises(ValueError, match="Bare gives no features"):
        Answering(Bare(), PPA, width=16)(image)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="schema has no labels"):
        HBAUNet("resnet10t", PPA.select(labels=()))
    with pytest.raises(ValueError, match="size=80: the tables need a multiple of 32, such as 64"):
        HBAUNet("resnet10t", PPA, size=80)
    with pytest.raises(ValueError, match="layers=0"):
        HBAUNet("resnet10t", PPA, size=64, layers=0)
    with pytest.raises(ValueError, match=r"widths=\[8\]: give 2"):
        ResidualUNet([4, 8], reductions=[2, 4], widths=[8])
    with pytest.raises(ValueError, match=r"reductions=\[4, 8\]"):
        ResidualUNet([4, 8], reductions=[4, 8], widths=[8, 4])
    assert Joint("resnet10t", PPA).encoder.reductions == [2, 4, 8, 16, 32]  # the whole encoder elsewhere
