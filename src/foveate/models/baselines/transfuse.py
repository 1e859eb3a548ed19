"""TransFuse (Zhang et al. 2021): a vision transformer and a ResNet whose maps are fused at three scales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.layers import SEModule
from timm.layers.cbam import SpatialAttn
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.encoders import encoder
from foveate.models.parts.frame import beside, doubled
from foveate.models.parts.heads import ImageHead, PixelHead, answered
from foveate.models.parts.tokens import Size, Tokens, TransformerEncoder, expected, sides

PATCH = 16


class Variant(NamedTuple):
    """The two branches of a published network.

    Args:
        encoder_name: a ResNet of timm; three of its stages are used.
        tokens_name: the vision transformer of timm, for its weights.
        embed: channels of a token.
        depth: transformer blocks.
        heads: of their attention.
    """

    encoder_name: str
    tokens_name: str
    embed: int
    depth: int
    heads: int


VARIANTS = {
    "small": Variant("resnet34", "deit_small_patch16_224", 384, 8, 6),
    "large": Variant("resnet50", "deit_base_patch16_224", 768, 12, 12),
}
"""TransFuse-S (26.25 million parameters published) and TransFuse-L (143.54), each for one label at 192 x 256."""


point = partial(conv_norm, kernel=1, active=False)
"""1x1 convolution and batch normalisation."""


class BiFusion(nn.Module):
    """BiFusion f = Residual([Conv(W1 t * W2 g), channel attention of t, spatial attention of g]) (section 2.2).

    Args:
        g: channels of the convolutions' map.
        t: channels of the transformer's map.
        width: channels of the fused map.
        ratio: factor by which the hidden layer of the channel attention has fewer channels.
        dropout: probability that a fused channel is dropped in training.
    """

    def __init__(self, g: int, t: int, width: int, *, ratio: int, dropout: float) -> None:
        super().__init__()
        self.of_g, self.of_t = point(g, width), point(t, width)
        self.both = conv_norm(width, width)
        self.channel = SEModule(t, rd_channels=max(t // ratio, 1))
        self.spatial = SpatialAttn(kernel_size=7)
        entering, inner = g + t + width, max(width // 2, 1)
        self.residual = nn.Sequential(
            nn.BatchNorm2d(entering),
            nn.ReLU(),
            conv_norm(entering, inner, kernel=1),
            conv_norm(inner, inner),
            nn.Conv2d(inner, width, 1),
        )
        self.short = nn.Conv2d(entering, width, 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, g: Float[Tensor, "b c i j"], t: Float[Tensor, "b d i j"]) -> Float[Tensor, "b k i j"]:
        """Return the fused map."""
        both = self.both(self.of_g(g) * self.of_t(t))
        beside_both = torch.cat([self.spatial(g), self.channel(t), both], 1)
        fused: Tensor = self.dropout(self.residual(beside_both) + self.short(beside_both))
        return fused


class Up(nn.Module):
    """Double the map, join a skip, then two 3x3 convolutions with a 1x1 convolution as their shortcut.

    Args:
        channels: of the coarse map.
        width: channels of the result.
        skip: channels of the skip, which the enlarged map gates; 0 = there is none.
    """

    def __init__(self, channels: int, width: int, *, skip: int = 0) -> None:
        super().__init__()
        entering = channels + skip
        self.main = nn.Sequential(conv_norm(entering, width), conv_norm(width, width, active=False))
        self.short = point(entering, width)
        self.of_x, self.of_skip = (point(c, width) if skip else None for c in (channels, skip))
        self.psi = point(width, 1) if skip else None

    def forward(
        self, x: Float[Tensor, "b c i j"], skip: Float[Tensor, "b s m n"] | None = None
    ) -> Float[Tensor, "b d m n"]:
        """Return the larger map."""
        x = doubled(x)
        if skip is not None and self.of_x is not None and self.of_skip is not None and self.psi is not None:
            gate = torch.sigmoid(self.psi(F.relu(self.of_x(x) + self.of_skip(skip))))
            x = torch.cat([skip * gate, x], 1)
        return F.relu(self.main(x) + self.short(x))


class TransFuse(nn.Module):
    """Mark labels from the finest fused map; answer questions, if the schema has any, from the coarsest.

    ``Outputs.aux`` are the logits of the transformer's finest map and of the coarsest fused one; the published loss
    weighs the three outputs 0.5, 0.3 and 0.2. Two things differ from the published network: enlargement keeps the outer
    edges in place (there: the centres of the corner pixels), and convolutions before a normalisation have no bias.
    `pretrain` fills both branches from a file with the tensors of ResNet and transformer under timm's names, which do
    not collide.

    Args:
        schema: its labels and questions give the numbers of logits.
        variant: "small" or "large" (`VARIANTS`); the next four arguments replace its numbers.
        encoder_name: a timm ResNet.
        embed: channels of a token.
        depth: transformer blocks.
        heads: of their attention.
        channels: of the image, 1 or 3.
        size: of the image for which the position embeddings are made, one side or (rows, cols), a multiple of 16. For
            other images they are interpolated, and the image is padded to the next multiple.
        dropout: probability that a channel of either branch is dropped in training; half of it after each fusion.
        prior_channels: maps of the prior that are read as further image channels; 0 = the prior is not read.

    Raises:
        ValueError: the schema has no labels, variant is unknown, the size is not a multiple of 16, or (from forward)
            the prior does not fit.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        variant: str = "small",
        encoder_name: str | None = None,
        embed: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        channels: int = 3,
        size: int | Size = (192, 256),
        dropout: float = 0.2,
        prior_channels: int = 0,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant={variant!r} must be one of {list(VARIANTS)}")
        published = VARIANTS[variant]
        self.prior_channels, entering = prior_channels, channels + prior_channels
        name = encoder_name or published.encoder_name
        self.encoder = encoder(name, channels=entering, maps=4)
        if self.encoder.reductions != [2, 4, 8, PATCH]:
            raise ValueError(f"encoder_name={name!r} has maps of {self.encoder.reductions}; take a ResNet")
        width = embed or published.embed
        tokens = Tokens(
            size=sides(size, multiple=PATCH),
            patch=PATCH,
            channels=entering,
            width=width,
            depth=depth or published.depth,
            heads=heads or published.heads,
        )
        name = published.tokens_name
        self.tokens = TransformerEncoder(
            tokens, name=name, channels=[width], reductions=[PATCH], **expected(name, entering)
        )
        _, fine, middle, coarse = self.encoder.channels
        self.dropout = nn.Dropout2d(dropout)
        self.up = nn.ModuleList([Up(width, middle), Up(middle, fine)])
        fuse = [(coarse, width, coarse, 4), (middle, middle, middle, 2), (fine, fine, fine, 1)]
        self.fuse = nn.ModuleList(BiFusion(g, t, w, ratio=ratio, dropout=dropout / 2) for g, t, w, ratio in fuse)
        self.join = nn.ModuleList([Up(coarse, middle, skip=middle), Up(middle, fine, skip=fine)])
        before = [(fine, 4), (fine, 4), (coarse, PATCH)]
        self.before = nn.ModuleList(self._before(given, fine) for given, _ in before)
        self.heads = nn.ModuleList(
            PixelHead(fine, logits=schema.pixel_channels, reduction=r, kernel=3) for _, r in before
        )
        self.image_head = ImageHead.if_asked(coarse, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return pixel and image logits, those of the two further outputs as ``aux``, and the fused maps."""
        frame = beside(image, prior, prior_channels=self.prior_channels)
        ours: list[Tensor] = [self.dropout(m) for m in self.encoder(frame)[:0:-1]]
        seen: list[Tensor] = [self.dropout(self.tokens(frame)[0])]
        for up in self.up:
            seen.append(self.dropout(up(seen[-1])))
        met = [fuse(g, t) for fuse, g, t in zip(self.fuse, ours, seen, strict=True)]
        fused = [met[0]]
        for join, skip in zip(self.join, met[1:], strict=True):
            fused.append(join(fused[-1], skip))
        size = (image.shape[2], image.shape[3])
        pixel, *aux = (
            head(before(m), size=size)
            for before, head, m in zip(self.before, self.heads, (fused[2], seen[2], fused[0]), strict=True)
        )
        image_logits = answered(self.image_head, fused[0])
        return Outputs(pixel=pixel, image=image_logits, features=tuple(fused[::-1]), aux=tuple(aux))

    @staticmethod
    def _before(channels: int, width: int) -> nn.Module:
        """Make the layers before an output's last convolution; a map of its width needs no 1x1."""
        enter: Sequence[nn.Module] = [] if channels == width else [conv_norm(channels, width, kernel=1)]
        return nn.Sequential(*enter, conv_norm(width, width))
