"""DeepLabv3+ (Chen et al. 2018): dilated last stage, atrous pyramid, one skip at a quarter of the resolution."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from torch import Tensor

from foveate.core.labels import LabelSchema
from foveate.models.parts.flat import dilated
from foveate.models.parts.heads import PixelHead
from foveate.models.parts.segmenter import Segmenter


class DeepLabV3Plus(Segmenter):
    """Mark labels; questions of the schema are not answered. The decoder is that of segmentation-models-pytorch.

    Args:
        encoder_name: a timm network that is a chain of layers with maps at a quarter and a sixteenth.
        schema: its labels give the number of logits.
        width: channels of the decoder.
        rates: dilation of the pyramid's branches; those published for a sixteenth of the resolution.
        dropout: probability that a channel of the pyramid is dropped in training.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the schema has no labels, or the encoder lacks such maps.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        width: int = 256,
        rates: Sequence[int] = (6, 12, 18),
        dropout: float = 0.5,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.encoder = dilated(encoder_name, reduction=16, channels=channels)
        if 4 not in self.encoder.reductions:
            raise ValueError(f"encoder {encoder_name!r} has no map at a quarter; it has {self.encoder.reductions}")
        self.fine = self.encoder.reductions.index(4)
        self.decoder = DeepLabV3PlusDecoder(
            # smp's decoder reads only the third and the last entry of its list
            [0, 0, self.encoder.channels[self.fine], self.encoder.channels[-1]],
            encoder_depth=4,
            out_channels=width,
            atrous_rates=tuple(rates),
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=dropout,
        )
        self.head = PixelHead(width, logits=schema.pixel_channels, reduction=4)

    def decode(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Join the pyramid of the coarsest map to the map at a quarter."""
        fine, coarse = features[self.fine], features[-1]
        decoded: Tensor = self.decoder([fine, fine, fine, coarse])
        return decoded
