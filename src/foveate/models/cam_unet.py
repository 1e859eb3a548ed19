"""CAM-UNet (Diao et al. 2023): a U-Net on ResNet-18 whose skips are guided by a class activation map."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import one_map, padded
from foveate.models.parts.fusion import GuidedDecoder


class CAMUNet(nn.Module):
    """Mark labels under the guidance of a classifier's activation map; give no answers.

    The prior is the map, in [0, 1] over the image. Of several maps the largest counts at each pixel. Zeros point at
    nothing: the skips then pass the network's own convolutions unchanged by the map.

    Args:
        encoder_name: any convolutional timm network; the paper's is "resnet18".
        schema: its labels give the number of logits.
        fuse: how map and skip are joined: "refine" (x m + x, then two convolutions), "widen" (x, x m, x + m as
            channels), or None (Res18-UNet: the prior is not read).
        widths: of the decoder, coarse to fine.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the schema has no labels, fuse is unknown, or (from forward) the prior is missing or differs from
            the image in size.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        fuse: str | None = "refine",
        widths: Sequence[int] = (256, 128, 64, 64),
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.encoder = encoder(encoder_name, channels=channels)
        self.guided = GuidedDecoder(
            self.encoder.channels, reductions=self.encoder.reductions, schema=schema, fuse=fuse, widths=widths
        )

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits and the encoder's maps."""
        features = self.encoder(image)
        guide = (
            one_map(prior, image) if self.guided.fusions else image[:, :1]
        )  # any map: without fusions it is not read
        cam = padded(guide, self.encoder.reductions[-1])
        return Outputs(pixel=self.guided(features, cam, size=(image.shape[2], image.shape[3])), features=features)
