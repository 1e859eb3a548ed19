"""CM-CNN (Diao et al. 2023): a classifier guided by its own lesion mask and the complement of it.

A = encoder(image); S = sigmoid(1x1 conv(A)); F = ReLU(BN(3x3 conv([A S, A (1 - S)]))); answers = FC(mean(F)).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import enlarged
from foveate.models.parts.heads import ImageHead, PixelHead
from foveate.models.parts.masks import MASKS, union


class CMCNN(nn.Module):
    """Answer questions, and mark the lesions coarsely, at the resolution of the encoder's coarsest map.

    The paper has one label. With several there is one logit map per label (and a background if they are exclusive),
    each learnt from its own truth. The mask that guides is their union (`union`), because an image-level question is
    about all of them; so the mask keeps one channel. ``Outputs.features`` ends with F, which the head reads, so that
    `cam.closed_form` is exact there; A comes before it.

    Args:
        encoder_name: any convolutional timm network; the paper's is "resnet18".
        schema: its questions and labels give the numbers of logits.
        mask: a name of `MASKS`: "complement" (the paper's), "single" (A S alone), "auxiliary" (the mask is learnt but
            does not guide), "none" (plain encoder and head; no pixel logits).
        channels: of the image, 1 or 3.
        dropout: before the linear heads.
        stride: image pixels per pixel of the map from which it answers. The paper's 32 gives 16x16 cells at 512 px; at
            a fourth of that size, 8 gives the same cells.

    Raises:
        ValueError: the schema has no question, has no labels although a mask is learnt, or mask is unknown.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        mask: str = "complement",
        channels: int = 3,
        dropout: float = 0.0,
        stride: int = 32,
    ) -> None:
        super().__init__()
        if mask not in MASKS:
            raise ValueError(f"mask={mask!r} must be one of {list(MASKS)}")
        self.mask, self.schema = MASKS[mask], schema
        self.encoder = encoder(encoder_name, channels=channels, coarsest=stride)
        width = self.encoder.channels[-1]
        self.mask_head: PixelHead | None = None
        if self.mask is not None:
            if not schema.labels:
                raise ValueError(f"mask={mask!r} needs a schema with labels to learn it from; take mask='none'")
            self.mask_head = PixelHead(width, logits=schema.pixel_channels, reduction=self.encoder.reductions[-1])
            self.join = conv_norm(self.mask.copies * width, width)
        self.image_head = ImageHead(width, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel logits (of S, enlarged), image logits and the maps; the prior is not read."""
        features = self.encoder(image)
        if self.mask is None or self.mask_head is None:
            return Outputs(image=self.image_head(features[-1]), features=features)
        logits = self.mask_head.conv(features[-1])
        guided = self.join(self.mask.apply(features[-1], union(logits, schema=self.schema)))
        pixel = enlarged(logits, self.mask_head.reduction, size=(image.shape[2], image.shape[3]))
        return Outputs(pixel=pixel, image=self.image_head(guided), features=(*features, guided))
