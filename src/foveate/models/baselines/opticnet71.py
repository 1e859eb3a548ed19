"""OpticNet-71 (Kamran et al. 2019): bottlenecks of dilated 2x2 convolutions, and gates without weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.frame import doubled, padded
from foveate.models.parts.heads import ImageHead


def active(channels: int, *layers: nn.Module) -> nn.Sequential:
    """Put batch normalisation and ReLU before the layers."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), *layers)


class Reduce(nn.Module):
    """Bottleneck 1x1, 2x2 (with the stride), 1x1 beside a strided 1x1, each after normalisation and ReLU.

    Args:
        channels: of the map it reads.
        width: channels of the map it gives, four times the inner ones.
        stride: 1 or 2.
    """

    def __init__(self, channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        inner = width // 4
        # an even kernel at stride 1 would lose a row and a column: one of each is added at the end
        edge = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 1 else nn.Identity()
        self.main = nn.Sequential(
            active(channels, nn.Conv2d(channels, inner, 1)),
            active(inner, edge, nn.Conv2d(inner, inner, 2, stride=stride)),
            active(inner, nn.Conv2d(inner, width, 1)),
        )
        self.short = active(channels, nn.Conv2d(channels, width, 1, stride=stride))

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d m n"]:
        """Return the sum of both paths."""
        added: Tensor = self.main(x) + self.short(x)
        return added


class Refine(nn.Module):
    """Return x + bottleneck of an eighth of the width, whose middle is the sum of a dilated and a separable 2x2.

    Args:
        width: of the map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 8
        self.enter = active(width, nn.Conv2d(width, inner, 1))
        self.full = active(inner, nn.Conv2d(inner, inner, 2, dilation=2, padding=1))
        self.separable = active(
            inner,
            nn.Conv2d(inner, inner, 2, dilation=2, padding=1, groups=inner, bias=False),
            nn.Conv2d(inner, inner, 1),
        )
        self.leave = active(inner, nn.Conv2d(inner, width, 1))

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return the refined map."""
        entered = self.enter(x)
        refined: Tensor = x + self.leave(self.full(entered) + self.separable(entered))
        return refined


def gated(x: Float[Tensor, "b c i j"], refined: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
    """Return x + g + r + g r with the gate g = sigmoid of x, pooled and enlarged again."""
    # ceil_mode: with an even number of rows the last window has two, as if only the end were padded
    pooled = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
    gate = torch.sigmoid(doubled(pooled))
    return x + gate + refined + gate * refined


class OpticNet71(nn.Module):
    """Answer questions; labels of the schema are not marked.

    Diao et al. 2023 print 11.91 among rows in MiB. With one image channel and three answers the parameters and the
    running statistics, which Keras counts too, are 12,488,963; divided by 2**20 they are 11.91.
    The published head is two linear layers without an activation between. The first is a 1x1 convolution here, so that
    Grad-CAM has a closed form for the map that the head reads (``Outputs.features[-1]``).

    Args:
        schema: its questions give the number of logits.
        stem: channels of the first convolution.
        widths: of the four stages.
        depths: refining blocks in each.
        hidden: channels before the last linear heads.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema has no question.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        stem: int = 64,
        widths: Sequence[int] = (256, 512, 1024, 2048),
        depths: Sequence[int] = (4, 4, 3, 3),
        hidden: int = 256,
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, stem, 7, stride=2, padding=3), nn.BatchNorm2d(stem), nn.ReLU())
        self.reduce = nn.ModuleList(
            Reduce(i, o, stride=2 if n else 1) for n, (i, o) in enumerate(zip([stem, *widths], widths, strict=False))
        )
        self.refine = nn.ModuleList(
            nn.Sequential(*(Refine(width) for _ in range(depth))) for width, depth in zip(widths, depths, strict=True)
        )
        self.hidden = nn.Conv2d(widths[-1], hidden, 1)
        self.image_head = ImageHead(hidden, schema=schema, dropout=dropout)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return image logits and the maps of the stages; the prior is not read."""
        x = self.stem(padded(image, 2 ** (len(self.reduce) + 1)))
        features: list[Tensor] = []
        for reduce, refine in zip(self.reduce, self.refine, strict=True):
            x = reduce(x)
            x = gated(x, refine(x))
            features.append(x)
        hidden = self.hidden(x)
        return Outputs(image=self.image_head(hidden), features=(*features, hidden))
