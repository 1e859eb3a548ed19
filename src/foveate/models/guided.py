"""Activation maps for any network with a linear head on a mean: its class activation maps.

The head, applied at every position of the map that it averages, gives maps whose mean is the logit itself (Zhou et al.
2016, CAM). So `losses.guidance` can guide any such network.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from foveate.core.types import Outputs
from foveate.models.baselines.abn import ABN
from foveate.models.cam import cam_logits
from foveate.models.hba_unet import HBAUNet
from foveate.models.parts.heads import ImageHead


class Guided(nn.Module):
    """Add ``Outputs.activation`` to a network: one map per image logit, whose mean is the logit.

    In training, with dropout before the head, the mean is the logit's expectation.

    Args:
        network: with an ``image_head`` (`parts.heads.ImageHead`) that reads the last of its ``Outputs.features``.
        marks: False leaves its pixel logits out, for a training without masks.

    Raises:
        ValueError: it has no such head, or it has activation maps of its own (ABN at once, others in forward).
    """

    def __init__(self, network: nn.Module, *, marks: bool = True) -> None:
        super().__init__()
        if not isinstance(getattr(network, "image_head", None), ImageHead):
            raise ValueError(
                f"network={type(network).__name__} has no image_head that is linear on a mean; take a Classifier, "
                "Joint or CM-CNN"
            )
        if isinstance(network, ABN):
            raise ValueError(_own_maps(network))
        self.network, self.marks = network, marks

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return the network's outputs with its class activation maps."""
        outputs: Outputs = self.network(image, prior)
        if outputs.activation is not None:
            raise ValueError(_own_maps(self.network))
        head = self.image_head
        maps = cam_logits(outputs.features[-1], weight=head.weight, bias=head.bias)
        shown = outputs if self.marks else outputs._replace(pixel=None, aux=())
        return shown._replace(activation=maps)

    @property
    def image_head(self) -> ImageHead:
        """Head whose weights make the maps."""
        head = self.network.image_head
        assert isinstance(head, ImageHead)
        return head


class HBAClassifier(nn.Module):
    """HBA-U-Net without its decoder: encoder, bottleneck attention and image head, whose weights keep their names.

    Args:
        whole: gives the parts; attention on its skips is not used.

    Raises:
        ValueError: it has no image head.
    """

    def __init__(self, whole: HBAUNet) -> None:
        super().__init__()
        if whole.image_head is None:
            raise ValueError("whole=HBAUNet has no image_head; build it with a schema that has a question")
        self.encoder, self.stack, self.image_head = whole.encoder, whole.stack, whole.image_head

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Return image logits, and the encoder's maps followed by the deepest one; the prior is not read."""
        maps = self.encoder(image, multiple=2 * self.encoder.reductions[-1])
        deepest = self.stack(maps[-1])
        return Outputs(image=self.image_head(deepest), features=(*maps, deepest))


def _own_maps(network: nn.Module) -> str:
    """Explain why a network with activation maps is refused."""
    return (
        f"network={type(network).__name__} has activation maps of its own (those of ABN average to its branch's "
        "logits), which class activation maps would overwrite; train the network itself, losses.guidance reads its maps"
    )
