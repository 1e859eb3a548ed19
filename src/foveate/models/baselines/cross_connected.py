"""Cross-connected network (Kawakami et al. 2019): two encoders joined by convolutions in both directions."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.trunks import TwoTrunks


class Connect(nn.Module):
    """Return a' = a + conv(b), b' = b + conv(a): the other task's map through a 3x3 convolution of the same width.

    Args:
        channels: of both maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.to_b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(
        self, a: Float[Tensor, "b c i j"], b: Float[Tensor, "b c i j"]
    ) -> tuple[Float[Tensor, "b c i j"], Float[Tensor, "b c i j"]]:
        """Return both maps, each with the convolved other one added."""
        return a + self.to_a(b), b + self.to_b(a)


class CrossConnected(TwoTrunks):
    """Two encoders connected after every stage except the coarsest.

    Four pairs of convolutions on ResNet-18 (64, 64, 128, 256 channels) are 6.19 MiB: the difference between the sizes
    that Diao et al. 2023 print for this row (103.40) and for two unconnected encoders (97.21).

    Args:
        encoder_name: a timm network that is a chain of layers; the comparison's is "resnet18".
        schema: its questions and labels give the numbers of logits.
        widths: of the decoder, coarse to fine.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema lacks questions or labels, or the encoder is not a chain of layers.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        widths: Sequence[int] = (256, 128, 64, 64),
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            encoder_name,
            schema,
            exchange=Connect,
            stages=-1,
            widths=widths,
            channels=channels,
            dropout=dropout,
        )
