"""Two encoders that exchange their maps after every stage: one answers, one marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from timm.models import FeatureListNet
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import padded
from foveate.models.parts.heads import ImageHead, PixelHead
from foveate.models.parts.transposed import TransposedUNet


class TwoTrunks(nn.Module):
    """Answering and marking encoder, each followed by its own head.

    Args:
        encoder_name: a timm network that is a chain of layers (ResNets and most others).
        schema: its questions and labels give the numbers of logits.
        exchange: channels of a stage -> module that reads both maps and returns both.
        stages: end of the range of maps that are exchanged, from the finest on: None = all, -1 = all except the
            coarsest.
        widths: of the decoder, coarse to fine.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema lacks questions or labels, or the encoder is not a chain of layers.
    """

    def __init__(
        self,
        encoder_name: str,
        schema: LabelSchema,
        *,
        exchange: Callable[[int], nn.Module],
        stages: int | None,
        widths: Sequence[int],
        channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.answering = encoder(encoder_name, channels=channels)
        self.marking = encoder(encoder_name, channels=channels)
        if not isinstance(self.answering.pyramid, FeatureListNet):
            raise ValueError(f"encoder_name={encoder_name!r} must be a chain of layers; take a ResNet")
        sizes = self.answering.channels
        self.exchanges = nn.ModuleList(exchange(size) for size in sizes[:stages])
        self.decoder = TransposedUNet(sizes, reductions=self.answering.reductions, widths=widths)
        self.pixel_head = PixelHead.after(self.decoder, schema)
        self.image_head = ImageHead(sizes[-1], schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel and image logits and the answering encoder's maps; the prior is not read."""
        answering, marking = self.pyramids(image)
        return Outputs(
            pixel=self.pixel_head(self.decoder(marking), size=(image.shape[2], image.shape[3])),
            image=self.image_head(answering[-1]),
            features=tuple(answering),
        )

    def pyramids(self, image: Float[Tensor, "b c h w"]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of both encoders, fine to coarse, after the exchange."""
        frame = padded(image, self.answering.reductions[-1])
        a = (frame - self.answering.mean) / self.answering.std
        m = (frame - self.marking.mean) / self.marking.std
        answering: list[Tensor] = []
        marking: list[Tensor] = []
        chain, beside = self.answering.pyramid, self.marking.pyramid
        assert isinstance(chain, FeatureListNet)
        assert isinstance(beside, FeatureListNet)
        for name, layer in chain.items():
            a, m = layer(a), beside[name](m)
            if name in chain.return_layers:
                if len(answering) < len(self.exchanges):
                    a, m = self.exchanges[len(answering)](a, m)
                answering.append(a)
                marking.append(m)
        return answering, marking
