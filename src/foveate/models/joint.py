"""Joint network: one encoder, a decoder for the labels and a linear head for every question."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.decoders import MakeDecoder, UNet
from foveate.models.parts.encoders import encoder
from foveate.models.parts.heads import ImageHead, PixelHead, answered


class Joint(nn.Module):
    """Answer and mark from one encoder; the image head reads its coarsest map.

    With a schema without labels it is a classifier, without questions a segmenter.

    Args:
        encoder_name: any convolutional timm network (`foveate.models.parts.encoders.encoder`).
        schema: its questions and labels give the numbers of logits.
        decoder: class or function that makes the decoder; ``functools.partial(UNet, widths=(64, 32, 16))`` for a
            narrow one.
        channels: of the image, 1 or 3.
        stride_first: of the encoder's ResNet bottlenecks.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema has neither questions nor labels, or the encoder cannot be made.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        decoder: MakeDecoder = UNet,
        channels: int = 3,
        stride_first: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not schema.questions and not schema.labels:
            raise ValueError("schema has neither questions nor labels; give it at least one of them")
        self.encoder = encoder(encoder_name, channels=channels, stride_first=stride_first)
        self.decoder = decoder(self.encoder.channels, reductions=self.encoder.reductions) if schema.labels else None
        self.pixel_head = None if self.decoder is None else PixelHead.after(self.decoder, schema)
        self.image_head = ImageHead.if_asked(self.encoder.channels[-1], schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel and image logits and the encoder's maps; the prior is not read."""
        features = self.encoder(image)
        pixel = None
        if self.decoder is not None and self.pixel_head is not None:
            pixel = self.pixel_head(self.decoder(features), size=(image.shape[2], image.shape[3]))
        return Outputs(pixel=pixel, image=answered(self.image_head, features[-1]), features=features)
