"""Any classifier with a linear head on a mean, with activation maps: its class activation maps, logits included.

The head's weights and bias at every position of the map that it averages give maps whose mean is the logit itself
(Zhou et al. 2016, CAM), so `losses.guidance` can teach any such network where to look.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.types import Outputs
from foveate.models.cam import cam_logits
from foveate.models.parts.heads import ImageHead


class Guided(nn.Module):
    """A network, and ``Outputs.activation`` beside its answers: one map an image logit, its mean is the logit.

    In training with dropout before the head the mean is the logit's expectation.

    Args:
        network: with an ``image_head`` of the house that reads the last of its ``Outputs.features``.

    Raises:
        ValueError: it has no such head.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if not isinstance(getattr(network, "image_head", None), ImageHead):
            raise ValueError(
                f"network={type(network).__name__} has no image_head that is linear on a mean; take a Classifier, "
                "Joint or CM-CNN"
            )
        self.network = network

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """The network's outputs with its class activation maps."""
        outputs: Outputs = self.network(image, prior)
        head = self.image_head
        return outputs._replace(activation=cam_logits(outputs.features[-1], weight=head.weight, bias=head.bias))

    @property
    def image_head(self) -> ImageHead:
        """The head whose weights make the maps."""
        head = self.network.image_head
        assert isinstance(head, ImageHead)
        return head
