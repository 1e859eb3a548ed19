"""Dual guidance end to end: the mask guides the answer, and the answer's map guides the marking, in one pass.

Diao et al. 2023 train CM-CNN, write its Grad-CAM for each image and then train CAM-UNet; they name one network for
both as future work. For a linear head on a mean, Grad-CAM is a weighted sum of the last map's channels
(`cam.closed_form`). So it is part of the graph here: both losses reach both halves, and prediction needs no backward
pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.cam import closed_form, normalise
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.parts.frame import one_map, padded
from foveate.models.parts.fusion import GuidedDecoder


class DualGuidance(nn.Module):
    """CM-CNN and CAM-UNet as one network; ``classify`` and ``segment`` can start from separate training.

    Args:
        encoder_name: any convolutional timm network; the paper's is "resnet18".
        schema: its questions and labels give the numbers of logits.
        guide: question; the map of its predicted answer guides. None = the first.
        mask: of the classifying half, a name of `parts.masks.MASKS`.
        fuse: of the segmenting half, a name of `parts.fusion.FUSIONS`, or None for no guidance.
        widths: of the decoder, coarse to fine.
        shared: one encoder for both halves (78.8 instead of 121.4 MiB with ResNet-18); ``segment`` is then a decoder.
        detach: keep the loss of the segmentation from reaching the classifying half through the map.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema lacks labels or questions, or the name given as a keyword is unknown.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        guide: str | None = None,
        mask: str = "complement",
        fuse: str | None = "refine",
        widths: Sequence[int] = (256, 128, 64, 64),
        shared: bool = False,
        detach: bool = False,
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.classify = CMCNN(encoder_name, schema, mask=mask, channels=channels, dropout=dropout)
        self.question = schema.question(schema.questions[0].name if guide is None else guide)
        self.logits, self.detach = schema.slices[self.question.name], detach
        self.segment: GuidedDecoder | CAMUNet = (
            GuidedDecoder(
                self.classify.encoder.channels,
                reductions=self.classify.encoder.reductions,
                schema=schema,
                fuse=fuse,
                widths=widths,
            )
            if shared
            else CAMUNet(encoder_name, schema, fuse=fuse, widths=widths, channels=channels)
        )

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return all logits; ``aux`` holds the classifying half's pixel logits, ``features`` are that half's.

        A prior (the map of a true answer, an annotator's cue) replaces the network's own map.
        """
        size, encoder = (image.shape[2], image.shape[3]), self.classify.encoder
        seen: Outputs = self.classify(image)
        assert seen.image is not None
        if prior is None:
            cam = self.guiding_map(seen.features[-1], seen.image)
        else:
            cam = padded(one_map(prior, image), encoder.reductions[-1])
        if isinstance(self.segment, CAMUNet):
            pixel = self.segment.guided(self.segment.encoder(image), cam, size=size)
        else:
            pixel = self.segment(seen.features[: len(encoder.channels)], cam, size=size)
        return seen._replace(pixel=pixel, aux=() if seen.pixel is None else (seen.pixel,))

    def guiding_map(self, feature: Float[Tensor, "b k i j"], logits: Float[Tensor, "b c"]) -> Float[Tensor, "b 1 i j"]:
        """Compute the map of the predicted answer, in [0, 1], at the resolution of the feature map.

        Args:
            feature: the map that the image head reads.
            logits: of all questions.
        """
        asked, weight = logits[:, self.logits], self.classify.image_head.weight[self.logits]
        chosen = torch.where(asked >= 0, 1.0, -1.0) * weight if self.question.yes_no else weight[asked.argmax(1)]
        cam = normalise(closed_form(feature, weight=chosen))[:, None]
        return cam.detach() if self.detach else cam
