"""Attention branch network (Fukui et al. 2019): a branch answers too, and its map weighs the last stage's input."""

from __future__ import annotations

from copy import deepcopy

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.labels import LabelSchema
from foveate.core.types import Outputs
from foveate.models.parts.encoders import encoder
from foveate.models.parts.flat import flatten, stages
from foveate.models.parts.frame import padded
from foveate.models.parts.heads import ImageHead


class ABN(nn.Module):
    """Answer questions; labels of the schema are not marked.

    The attention branch is a copy of the last stage without its stride, then a 1x1 convolution to one map per logit.
    From these maps, (a) another 1x1 convolution and a mean give the branch's own logits, and (b) a 3x3 convolution and
    a sigmoid give the attention map a. The trunk's last stage reads x (1 + a). The paper adds the cross entropies of
    both.

    ``Outputs.activation`` holds the maps of (a): their means over the positions are the branch's logits. As published,
    they come from a ReLU and a convolution without bias. So with one yes/no question the branch's logit has the same
    sign for all images; with two logits or more both signs are possible.
    `pretrain` fills the trunk, `start_branch` then the branch.

    Args:
        encoder_name: a timm network that is a chain of layers (ResNets, EfficientNets, MobileNets, Inception-v3).
        schema: its questions give the number of logits.
        channels: of the image, 1 or 3.
        dropout: before the linear heads.

    Raises:
        ValueError: the schema has no question, or the encoder is not a chain of layers.
    """

    def __init__(self, encoder_name: str, schema: LabelSchema, *, channels: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder(encoder_name, channels=channels)
        self.branch = nn.Sequential(*deepcopy(stages(self.encoder)[-1]))
        flatten(list(self.branch))
        coarse, answers = self.encoder.channels[-1], schema.image_channels
        self.image_head = ImageHead(coarse, schema=schema, dropout=dropout)
        self.maps = nn.Sequential(
            nn.BatchNorm2d(coarse), nn.Conv2d(coarse, answers, 1, bias=False), nn.BatchNorm2d(answers), nn.ReLU()
        )
        self.own = nn.Conv2d(answers, answers, 1, bias=False)
        self.attention = nn.Sequential(nn.Conv2d(answers, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return image logits, the maps of branch and trunk; the prior is not read."""
        x = (padded(image, self.encoder.reductions[-1]) - self.encoder.mean) / self.encoder.std
        *early, last = stages(self.encoder)
        features: list[Tensor] = []
        for stage in early:
            for layer in stage:
                x = layer(x)
            features.append(x)
        maps = self.maps(self.branch(x))
        x = x * (1 + self.attention(maps))
        for layer in last:
            x = layer(x)
        features.append(x)
        return Outputs(image=self.image_head(x), activation=self.own(maps), features=tuple(features))


def start_branch(network: nn.Module) -> None:
    """Copy the weights of the trunk's last stage to the attention branch of every `ABN` in a network."""
    for part in network.modules():
        if isinstance(part, ABN):
            part.branch.load_state_dict(nn.Sequential(*stages(part.encoder)[-1]).state_dict())


def own_logits(outputs: Outputs) -> Float[Tensor, "b c"]:
    """Compute the image logits of the attention branch: the mean of its maps.

    Raises:
        ValueError: the network has no attention branch.
    """
    if outputs.activation is None:
        raise ValueError("outputs.activation is None; the network has no attention branch, take ABN")
    logits: Tensor = outputs.activation.mean((2, 3))
    return logits
