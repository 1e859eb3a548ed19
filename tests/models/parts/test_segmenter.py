"""The frame of segmenters: size of the image, the prior beside it, an answer if there is a head."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from foveate.core.labels import LabelSchema, Question
from foveate.models.parts.decoders import UNet
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import bilinear, doubled
from foveate.models.parts.heads import ImageHead, PixelHead, answered
from foveate.models.parts.segmenter import Segmenter

ASKED = LabelSchema((Question("ill"),), ("drusen", "fluid"))
MARKED = ASKED.select(questions=())


class Coarse(Segmenter):
    """Marks from the coarsest map."""

    def __init__(self, schema: LabelSchema, *, prior_channels: int = 0) -> None:
        super().__init__(prior_channels=prior_channels)
        self.encoder = encoder("resnet10t", channels=1 + prior_channels)
        width = self.encoder.channels[-1]
        self.head = PixelHead(width, logits=schema.pixel_channels, reduction=32)
        self.image_head = ImageHead.if_asked(width, schema=schema)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        return features[-1]


def test_logits_have_the_size_of_the_image_and_answers_come_from_the_coarsest_map() -> None:
    network = Coarse(ASKED).eval()
    out = network(torch.rand(2, 1, 40, 70))
    assert out.pixel.shape == (2, 2, 40, 70)
    assert torch.equal(out.image, network.image_head(out.features[-1]))
    assert {name.partition(".")[0] for name in network.state_dict()} == {"encoder", "head", "image_head"}


def test_without_questions_there_is_no_image_head_and_no_weight_of_one() -> None:
    network = Coarse(MARKED)
    assert network(torch.rand(2, 1, 32, 32)).image is None
    assert not any(name.startswith("image_head") for name in network.state_dict())
    assert ImageHead.if_asked(8, schema=MARKED) is None
    assert answered(None, torch.rand(1, 8, 2, 2)) is None


def test_a_prior_is_read_if_the_network_was_made_for_it() -> None:
    network, image = Coarse(MARKED, prior_channels=1).eval(), torch.rand(1, 1, 32, 32)
    dark, light = (network(image, torch.full((1, 1, 32, 32), value)).pixel for value in (0.0, 1.0))
    assert not torch.equal(dark, light)
    with pytest.raises(ValueError, match="prior=None"):
        network(image)


def test_a_frame_without_decoder_is_refused() -> None:
    network = Coarse(MARKED)
    network.decode = lambda features: Segmenter.decode(network, features)
    with pytest.raises(NotImplementedError):
        network(torch.rand(2, 1, 32, 32))


def test_the_head_after_a_decoder_fits_it() -> None:
    decoder = UNet([8, 16, 32], reductions=[4, 8, 16], widths=(16, 8))
    head = PixelHead.after(decoder, ASKED)
    assert (head.conv.in_channels, head.conv.out_channels, head.reduction) == (8, 2, decoder.reduction)
    assert head.conv.kernel_size == (3, 3)


def test_enlargement_keeps_the_outer_edges_in_place() -> None:
    """A ramp of cells keeps its values at the middles between pixels, and its ends are flat."""
    ramp = torch.arange(3.0).reshape(1, 1, 1, 3)
    large = doubled(ramp)[0, 0, 0]
    assert large.tolist() == [0.0, 0.25, 0.75, 1.25, 1.75, 2.0]
    assert torch.equal(bilinear(ramp, (2, 6)), doubled(ramp))
