"""Y-Net (Mehta et al. 2018) as in the comparison of Diao et al. 2023: ResNet-18, an image head and a U-Net decoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from foveate.core.labels import LabelSchema
from foveate.models.joint import Joint
from foveate.models.parts.transposed import TransposedUNet


class YNet(Joint):
    """Answer from the encoder's coarsest map, mark from the decoder's finest.

    The published network has a small encoder of its own. The size that Diao et al. print (54.61 MiB) is that of
    ResNet-18 with the decoder of Res18-UNet and a linear head (54.60).

    Args:
        encoder_name: any convolutional timm network; the comparison's is "resnet18".
        schema: its questions and labels give the numbers of logits.
        widths: of the decoder, coarse to fine.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema has neither questions nor labels, or the encoder cannot be made.
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
            decoder=partial(TransposedUNet, widths=widths),
            channels=channels,
            dropout=dropout,
        )
