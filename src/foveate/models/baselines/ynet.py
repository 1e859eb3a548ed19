"""Y-Net (Mehta et al. 2018) as Diao et al. 2023 compare it: one ResNet-18, a head to answer, a U-Net to mark."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from foveate.core.labels import LabelSchema
from foveate.models.joint import Joint
from foveate.models.parts.transposed import TransposedUNet


class YNet(Joint):
    """Answers from the encoder's coarsest map and marks from the decoder's finest.

    The published network has its own small encoder; the size printed for this row (54.61 MiB) is that of ResNet-18 with
    the decoder of Res18-UNet and a linear head (54.60).

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
