"""Cross-stitch network (Misra et al. 2016): two encoders whose maps are mixed after every stage, by learnt weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.models.parts.trunks import TwoTrunks


class Stitch(nn.Module):
    """Return a' = alpha_a a + beta_a b, b' = alpha_b b + beta_b a (eq. 1), with separate weights for every channel.

    Args:
        channels: of both maps.
        own: alpha at the start; beta starts at 1 - own. The paper found 0.9 to work best.
        per_channel: False = the same four numbers for all channels.
    """

    def __init__(self, channels: int, *, own: float = 0.9, per_channel: bool = True) -> None:
        super().__init__()
        start = torch.tensor([own, 1 - own, own, 1 - own]).view(4, 1, 1, 1)
        self.mix = nn.Parameter(start.repeat(1, channels if per_channel else 1, 1, 1))

    def forward(
        self, a: Float[Tensor, "b c i j"], b: Float[Tensor, "b c i j"]
    ) -> tuple[Float[Tensor, "b c i j"], Float[Tensor, "b c i j"]]:
        """Return both maps, mixed."""
        own_a, other_a, own_b, other_b = self.mix.unbind()
        return own_a * a + other_a * b, own_b * b + other_b * a


class CrossStitch(TwoTrunks):
    """Two encoders stitched after every stage, the coarsest included.

    Diao et al. 2023 print 97.21 MiB. Two ResNet-18, decoder and head have 97.21; stitches per channel add 0.02.

    Args:
        encoder_name: a timm network that is a chain of layers; the comparison's is "resnet18".
        schema: its questions and labels give the numbers of logits.
        own: weight of a map's own encoder at the start.
        per_channel: every channel has its own four weights.
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
        own: float = 0.9,
        per_channel: bool = True,
        widths: Sequence[int] = (256, 128, 64, 64),
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            encoder_name,
            schema,
            exchange=partial(Stitch, own=own, per_channel=per_channel),
            stages=None,
            widths=widths,
            channels=channels,
            dropout=dropout,
        )
