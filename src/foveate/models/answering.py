"""Answers for any segmenter: a linear head on the mean of its coarsest map."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.heads import ImageHead


class Answering(nn.Module):
    """Mark as the network inside does, and answer from the last of its features.

    Args:
        marker: a network whose `Outputs` have features, fine to coarse.
        schema: its questions give the number of image logits.
        width: channels of the last feature map.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema asks no question, or (from forward) the network gives no features.
    """

    def __init__(self, marker: nn.Module, schema: LabelSchema, *, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.marker = marker
        self.image_head = ImageHead(width, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return the network's outputs with image logits."""
        outputs: Outputs = self.marker(image, prior)
        if not outputs.features:
            raise ValueError(f"{type(self.marker).__name__} gives no features to answer from; take another network")
        return outputs._replace(image=self.image_head(outputs.features[-1]))
