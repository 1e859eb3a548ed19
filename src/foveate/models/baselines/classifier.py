"""Single-task classifier: encoder, mean over its coarsest map, one linear head per question."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.heads import ImageHead

ROWS = {"vgg16": "vgg16", "mobilenet": "mobilenetv1_100", "senet": "seresnet50", "inception_v3": "inception_v3"}
"""Classifiers in the papers' tables -> timm's name, as in ``Classifier(ROWS["senet"], schema)``.

Each ends with the mean of its last map and linear heads. So does VGG16, unlike the published network: its head of three
layers alone has 119.6 million parameters and needs images of one size. Sizes in MiB for three answers and one image
channel (in brackets those printed by Diao et al. 2023): Inception-v3 83.13 (83.13); MobileNet-v1 12.24 (12.26); VGG16
56.13, which are 14.72 million parameters (14.93, closer to millions than to MiB); SE-ResNet-50 99.33 (115.21; no
squeeze-and-excitation network of timm comes within 1 % of it in MiB).
"""


class Classifier(nn.Module):
    """Answer questions; labels of the schema are not marked.

    Args:
        encoder_name: any convolutional timm network (`foveate.models.parts.encoders.encoder`).
        schema: its questions give the number of logits.
        channels: of the image, 1 or 3.
        stride_first: of the encoder's ResNet bottlenecks.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema has no question, or the encoder cannot be made.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        channels: int = 3,
        stride_first: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder(encoder_name, channels=channels, stride_first=stride_first)
        self.image_head = ImageHead(self.encoder.channels[-1], schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return image logits and the encoder's maps; the prior is not read."""
        features = self.encoder(image)
        return Outputs(image=self.image_head(features[-1]), features=features)
