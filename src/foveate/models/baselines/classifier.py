"""Single-task classifier: encoder, mean over its coarsest map, one linear head a question."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.heads import ImageHead


class Classifier(nn.Module):
    """Answers the questions and marks nothing, whatever labels the schema has.

    Args:
        encoder_name: any convolutional timm network (`foveate.models.parts.encoders.encoder`).
        schema: its questions give the number of logits.
        channels: of the image, 1 or 3.
        weights: of the encoder: "none", "hub" or a file.
        stride_first: of the encoder's ResNet bottlenecks.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema asks no question, or the encoder cannot be made.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        channels: int = 3,
        weights: Path | str = "none",
        stride_first: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder(encoder_name, channels=channels, weights=weights, stride_first=stride_first)
        self.image_head = ImageHead(self.encoder.channels[-1], schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Image logits and the encoder's maps; the prior is not read."""
        features = self.encoder(image)
        return Outputs(image=self.image_head(features[-1]), features=features)
