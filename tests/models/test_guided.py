"""Guided networks: the mean of the map is the logit, whichever network has the head; what has own maps is refused."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs
from foveate.models.answering import Answering
from foveate.models.baselines.abn import ABN, own_logits
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.cross_stitch import CrossStitch
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.baselines.presence import Presence
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.guided import Guided, HBAClassifier
from foveate.models.hba_unet import HBAUNet
from foveate.models.joint import Joint

SCHEMA = LabelSchema((Question("exudate", evidence=("ex",)), Question("grade", ("0", "1", "2"))), ("ex", "disc"))
HBA = partial(HBAUNet, "resnet10t", size=64, widths=(16, 8, 8, 8, 8))
ANSWER: dict[str, Callable[[], nn.Module]] = {
    "classifier": lambda: Classifier("resnet10t", SCHEMA),
    "joint": lambda: Joint("resnet10t", SCHEMA),
    "cm_cnn": lambda: CMCNN("resnet10t", SCHEMA),
    "opticnet71": lambda: OpticNet71(SCHEMA, stem=8, widths=(16, 32, 64), depths=(1, 1, 1), hidden=8),
    "hba_unet": lambda: HBA(SCHEMA),
    "hba_classifier": lambda: HBAClassifier(HBA(SCHEMA)),
    "cross_stitch": lambda: CrossStitch("resnet10t", SCHEMA, widths=(32, 16)),
    "answering": lambda: Answering(ClassicUNet(SCHEMA, widths=(8, 16, 32)), SCHEMA, width=32),
}


def image() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("name", ANSWER)
def test_the_mean_of_the_map_is_the_logit(name: str) -> None:
    torch.manual_seed(0)
    net = Guided(ANSWER[name]()).eval()
    for question in net.image_head.questions:
        nn.init.normal_(question.bias)
    outputs = net(image())
    torch.testing.assert_close(outputs.activation.mean((2, 3)), outputs.image, rtol=0, atol=1e-5)
    inside = net.network(image())
    assert torch.equal(outputs.image, inside.image)
    assert (outputs.pixel is None) == (inside.pixel is None)


@torch.no_grad()
def test_masks_that_nothing_teaches_are_left_out() -> None:
    net = CMCNN("resnet10t", SCHEMA).eval()
    shown, hidden = Guided(net)(image()), Guided(net, marks=False)(image())
    assert shown.pixel is not None
    assert (hidden.pixel, hidden.aux) == (None, ())
    assert torch.equal(shown.activation, hidden.activation)


@torch.no_grad()
def test_hba_without_its_decoder_answers_the_same() -> None:
    whole = HBA(SCHEMA).eval()
    half = HBAClassifier(whole)
    theirs, ours = whole(image()), half(image())
    assert ours.pixel is None
    assert torch.equal(ours.image, theirs.image)
    assert all(torch.equal(a, b) for a, b in zip(ours.features, theirs.features, strict=True))
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in half.state_dict().items())
    assert not [name for name in half.state_dict() if name.startswith(("decoder", "pixel_head"))]
    with pytest.raises(ValueError, match="build it with a schema that has a question"):
        HBAClassifier(HBA(SCHEMA.select(questions=())))


class Own(Classifier):
    """A classifier with activation maps of its own."""

    def forward(self, image: torch.Tensor, prior: torch.Tensor | None = None) -> Outputs:
        outputs = super().forward(image, prior)
        return outputs._replace(activation=outputs.features[-1][:, :4])


def test_maps_of_its_own_are_not_overwritten() -> None:
    """The maps of ABN average to its branch's logits, which its loss reads."""
    branched = ABN("resnet10t", SCHEMA).eval()
    outputs = branched(image())
    assert not torch.allclose(own_logits(outputs), outputs.image)
    with pytest.raises(ValueError, match="network=ABN has activation maps of its own"):
        Guided(branched)
    with pytest.raises(ValueError, match="network=Own has activation maps of its own"):
        Guided(Own("resnet10t", SCHEMA))(image())


@torch.no_grad()
def test_for_one_finding_the_maps_of_abn_have_one_sign() -> None:
    """Why no recipe guides them: they cannot be bright inside a cue and dark outside."""
    torch.manual_seed(0)
    maps = ABN("resnet10t", SCHEMA.select(questions=["exudate"])).eval()(image()).activation
    assert (maps >= 0).all() or (maps <= 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: DualGuidance("resnet10t", SCHEMA, widths=(32, 16, 8, 8)),
        lambda: Presence(LabelSchema((), ("ex",)), classifier=partial(Classifier, "resnet10t")),
        lambda: Joint("resnet10t", SCHEMA.select(questions=())),
    ],
    ids=["dual", "presence", "segmenter"],
)
def test_networks_without_a_head_of_their_own_are_refused(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match="has no image_head that is linear on a mean; take a Classifier"):
        Guided(make())
