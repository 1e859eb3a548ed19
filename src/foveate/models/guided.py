"""Any network with a linear head on a mean, with activation maps: its class activation maps, logits included.

The head's weights and bias at every position of the map that it averages give maps whose mean is the logit itself
(Zhou et al. 2016, CAM), so `losses.guidance` can teach any such network where to look.
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
    """A network, and ``Outputs.activation`` beside its answers: one map an image logit, its mean is the logit.

    In training with dropout before the head the mean is the logit's expectation.

    Args:
        network: with an ``image_head`` of the house that reads the last of its ``Outputs.features``.
        marks: False leaves its pixel logits out, where nothing teaches it to mark.

    Raises:
        ValueError: it has no such head, or (ABN; any other from forward) activation maps of its own.
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
        """The network's outputs with its class activation maps."""
        outputs: Outputs = self.network(image, prior)
        if outputs.activation is not None:
            raise ValueError(_own_maps(self.network))
        head = self.image_head
        maps = cam_logits(outputs.features[-1], weight=head.weight, bias=head.bias)
        shown = outputs if self.marks else outputs._replace(pixel=None, aux=())
        return shown._replace(activation=maps)

    @property
    def image_head(self) -> ImageHead:
        """The head whose weights make the maps."""
        head = self.network.image_head
        assert isinstance(head, ImageHead)
        return head


class HBAClassifier(nn.Module):
    """HBA-U-Net without its decoder: encoder, bottleneck attention and answer, whose weights keep their names.

    Args:
        whole: gives the parts; attention on its skips has nothing to do here.

    Raises:
        ValueError: it answers no question.
    """

    def __init__(self, whole: HBAUNet) -> None:
        super().__init__()
        if whole.image_head is None:
            raise ValueError("whole=HBAUNet has no image_head; make it with a schema that asks a question")
        self.encoder, self.stack, self.image_head = whole.encoder, whole.stack, whole.image_head

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b k h w"] | None = None) -> Outputs:
        """Image logits; the encoder's maps and the deepest one after them. The prior is not read."""
        maps = self.encoder(image, multiple=2 * self.encoder.reductions[-1])
        deepest = self.stack(maps[-1])
        return Outputs(image=self.image_head(deepest), features=(*maps, deepest))


def _own_maps(network: nn.Module) -> str:
    """Why a network with activation maps is refused."""
    return (
        f"network={type(network).__name__} has activation maps of its own (those of ABN average to its branch's "
        "logits), which class activation maps would overwrite; guide the network as it is, losses.guidance reads them"
    )
