"""Frame of a segmenter: encoder -> `Segmenter.decode` -> pixel head -> size of the image, and answers if asked."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.types import Outputs
from foveate.models.parts.encoders import Encoder
from foveate.models.parts.frame import beside
from foveate.models.parts.heads import ImageHead, PixelHead, answered


class Segmenter(nn.Module):
    """Network that marks labels from one encoder, and answers from its coarsest map if it has an ``image_head``.

    A subclass sets ``encoder`` and ``head``, and ``image_head`` if it answers, and implements `decode`.

    Args:
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.
    """

    encoder: Encoder
    head: PixelHead
    image_head: ImageHead | None

    def __init__(self, *, prior_channels: int = 0) -> None:
        super().__init__()
        self.prior_channels = prior_channels
        # Set here and not in the class body: an attribute of the class would hide a module of that name.
        self.image_head = None

    def decode(self, features: Sequence[Tensor]) -> Float[Tensor, "b d i j"]:
        """Make the map that the pixel head reads from the encoder's maps, fine to coarse."""
        raise NotImplementedError

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits, image logits if the network answers, and the encoder's maps."""
        features = self.encoder(beside(image, prior, prior_channels=self.prior_channels))
        return Outputs(
            pixel=self.head(self.decode(features), size=(image.shape[2], image.shape[3])),
            image=answered(self.image_head, features[-1]),
            features=features,
        )
