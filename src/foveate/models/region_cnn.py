"""Regionally guided CNN (Son et al. 2018): one activation map per finding, whose mean is the finding's logit.

Residual and reduction layers alternate. The maps of the reductions are averaged to the size of the coarsest and
concatenated. An atrous pyramid, whose rates depend on the size of the lesions, and a 1x1 convolution make the
activation maps. Their mean (for small lesions the mean of the maxima of blocks) is the logit. `losses.guidance`
suppresses the maps outside the cues.

The mean is taken of the logits, before the sigmoid: the mean of a sigmoid map is in (0, 1), and a second sigmoid would
confine the scores to 0.5 to 0.73.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.convs import conv_norm
from foveate.models.parts.frame import padded

RATES: Mapping[str, tuple[int, ...]] = {"small": (1, 2), "medium": (1, 2, 4), "large": (1, 2, 4, 8)}
"""Dilations of the atrous pyramid for each size of lesions."""


class RegionCNN(nn.Module):
    """Answer questions, with one activation map per image logit in ``Outputs.activation``.

    Args:
        schema: its questions give the numbers of maps and logits.
        lesion_size: a name of `RATES`; "small" also takes the maxima of blocks before the mean, because the plain mean
            is low for lesions of few cells. `studies.region_guided.SIZES` lists the size of each finding.
        width: channels of the first layer; they double with every reduction.
        levels: reductions; the maps have 1 / 2**levels of the image's rows and columns.
        blocks: residual units before each reduction.
        pyramid: channels of each branch of the atrous pyramid.
        peak: rows and columns of a block of which the maximum is taken, for small lesions.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: the schema has no question, lesion_size is unknown, or a number is below 1.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        lesion_size: str = "small",
        width: int = 16,
        levels: int = 4,
        blocks: int = 1,
        pyramid: int = 64,
        peak: int = 2,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if not schema.questions:
            raise ValueError("schema has no question; an activation map needs one")
        check_region_cnn(lesion_size=lesion_size, width=width, levels=levels, blocks=blocks, pyramid=pyramid, peak=peak)
        self.peak, self.reduction = peak if lesion_size == "small" else 1, 2**levels
        self.stem = conv_norm(channels, width)
        widths = [width * 2**i for i in range(levels + 1)]
        self.residual = nn.ModuleList(nn.Sequential(*(Residual(w) for _ in range(blocks))) for w in widths[:-1])
        self.reduce = nn.ModuleList(conv_norm(w, 2 * w, stride=2) for w in widths[:-1])
        self.pyramid = Atrous(sum(widths[1:]), pyramid, rates=RATES[lesion_size])
        self.to_maps = nn.Conv2d(pyramid * len(RATES[lesion_size]), schema.image_channels, 1)
        self.apply(_xavier)

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return image logits, activation maps and the maps of the reductions; the prior is not read."""
        x = self.stem(padded(image, self.reduction))
        reduced: list[Tensor] = []
        for residual, reduce in zip(self.residual, self.reduce, strict=True):
            x = reduce(residual(x))
            reduced.append(x)
        last = len(reduced) - 1
        together = torch.cat([F.avg_pool2d(r, 2 ** (last - i)) if i < last else r for i, r in enumerate(reduced)], 1)
        maps = self.to_maps(self.pyramid(together))
        seen = F.max_pool2d(maps, self.peak, ceil_mode=True) if self.peak > 1 else maps
        return Outputs(image=seen.mean((2, 3)), activation=maps, features=tuple(reduced))


def check_region_cnn(*, lesion_size: str, width: int, levels: int, blocks: int, pyramid: int, peak: int) -> None:
    """Raise ValueError unless a `RegionCNN` can be made with these."""
    if lesion_size not in RATES:
        raise ValueError(f"lesion_size={lesion_size!r} must be one of {list(RATES)}")
    numbers = {"width": width, "levels": levels, "blocks": blocks, "pyramid": pyramid, "peak": peak}
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name}={value} must be a whole number of at least 1")


class Residual(nn.Module):
    """Residual unit: x + two 3x3 convolutions with normalisation (He et al. 2016, CVPR)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_norm(width, width)
        self.second = conv_norm(width, width, active=False)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return the sum, after ReLU."""
        added: Tensor = F.relu(x + self.second(self.first(x)))
        return added


class Atrous(nn.Module):
    """Atrous pyramid: 3x3 convolutions of several dilations side by side (Chen et al. 2016, DeepLab)."""

    def __init__(self, channels: int, width: int, *, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(conv_norm(channels, width, dilation=rate) for rate in rates)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d i j"]:
        """Return all branches as channels."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def _xavier(layer: nn.Module) -> None:
    """Set weights by Xavier's rule (Glorot and Bengio 2010), as in the paper, and biases to 0."""
    if isinstance(layer, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
