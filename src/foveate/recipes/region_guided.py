"""Regionally guided CNN (Son et al. 2018): classify findings, and see them where readers roughly pointed.

A network with one activation map a finding; cross entropy of the answers plus lambda times the activation outside the
cue. Cues are marked regions, boxes, ellipses or polygons of readers, or are made of masks; rows of all kinds train
together, and one without a cue trains by its answer. ``network="inception_v3"`` (or any timm network) and the other
networks of the house (`HOUSE`) are guided on their class activation maps in the same way; ``guide=0`` turns it off.

Where the paper is silent
  score: the mean of the maps is taken before the sigmoid; after it scores would be confined to 0.5 to 0.73.
  eq. 2 is negative and least where a <= eps outside the cue; it is shifted by -log eps so that the log starts at 0.
  cue at the map's resolution: its maximum over each cell.
  absent: the cue is empty, activation is suppressed everywhere.
  present: marked by at least 2 of 3 readers ("more than 2 out of 3"), see data.consensus.settle.
  maps: at 1/16 of the image, after the fourth reduction; 16 channels first; pyramid branches of 64, side by side.
  small lesions: maxima of 2 x 2 cells before the mean.
  rate: 0.01, divided by 10 when the validation loss has not fallen for 5 epochs; weights of the lowest one are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

import timm
from torch import nn
from torch.optim import SGD

from foveate.core.labels import LabelSchema
from foveate.data.augment import (
    Augment,
    brightness,
    contrast,
    flip_horizontal,
    flip_vertical,
    rotate,
    shear,
    shift,
    zoom,
)
from foveate.data.cues import FORMS, Cues
from foveate.data.prepare import Prepare
from foveate.engine.keep import lowest
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import divide_when_flat
from foveate.losses._masked import Term
from foveate.losses.answer import cross_entropy
from foveate.losses.guidance import guidance, guidance_entropy, guidance_printed
from foveate.losses.weigh import Weigh
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.cm_cnn import CMCNN
from foveate.models.guided import Guided, HBAClassifier
from foveate.models.hba_unet import HBAUNet
from foveate.models.joint import Joint
from foveate.models.parts.encoders import pretrain
from foveate.models.region_cnn import RegionCNN, check_region_cnn

Make = Callable[[], nn.Module]

LOSSES: dict[str, Callable[..., Term]] = {
    "paper": lambda eps: partial(guidance, eps=eps),
    "printed": lambda eps: partial(guidance_printed, eps=eps),
    "entropy": lambda eps: guidance_entropy,
}
"""Guidance losses: eq. 2 shifted to start at 0, eq. 2 as printed, and -(1 - m) log(1 - a)."""

HOUSE: dict[str, Callable[[LabelSchema, int], Make]] = {
    "cm_cnn": lambda schema, _: partial(_house, partial(CMCNN, "resnet18", schema.unite("seen"))),
    "joint": lambda schema, _: partial(_house, partial(Joint, "resnet18", schema.select(labels=()))),
    "opticnet71": lambda schema, _: partial(_house, partial(OpticNet71, schema)),
    "hba_unet": lambda schema, size: partial(_hba, "resnet50", schema, size=max(size // 32 * 32, 32)),
}
"""Networks of the house, on the encoders of their recipes: schema and size of the image -> what makes one.

None is taught masks, and none gives any. cm_cnn: its one mask learns from answers and cues alone, as attention. joint,
hba_unet: what answers, without the decoder; joint is then ResNet-18 with its head, as Y-Net would be.
Left out: cross-stitch, cross-connected, TransUNet, TransFuse, side attention and U-Nets with an answer, half of which
is there to mark; the cascade and Presence, which have no head of their own; ABN, whose own maps are no logits for one
finding: a ReLU and a convolution without bias give them one sign, so they cannot be bright inside and dark outside.
"""

UNFILLED = ("region_cnn", "opticnet71")
"""Networks without an encoder for ``weights`` to fill; they pass it over, so that a table can give it to all rows."""


def recipe(
    schema: LabelSchema,
    *,
    network: str = "region_cnn",
    lesion_size: str = "small",
    guide: float = 1.0,
    guidance_loss: str = "paper",
    eps: float = 1e-3,
    cue: str = "regions",
    aim: str = "regions",
    at_least: int | str = 1,
    findings: tuple[str, ...] | list[str] | None = None,
    weights: str = "none",
    width: int = 16,
    levels: int = 4,
    blocks: int = 1,
    pyramid: int = 64,
    peak: int = 2,
    size: int = 512,
    crop_field: bool = True,
    graders: str = "union",
    epochs: int = 50,
    batch: int = 32,
    lr: float = 0.01,
    patience: int | None = 15,
    vary: bool = True,
    balance: bool = False,
    masks: float = 1.0,
) -> Recipe:
    """The paper's method, or one of the rows that it is compared with.

    Args:
        schema: the manifest's; needs a finding, a yes/no question whose evidence is a label.
        network: "region_cnn", a name of `HOUSE`, or a timm network whose class activation maps are guided
            ("inception_v3").
        lesion_size: of region_cnn, a name of `models.region_cnn.RATES`.
        guide: lambda of eq. 3; 0 = no guidance.
        guidance_loss: a name of `LOSSES`.
        eps: of eq. 2, in (0, 1).
        cue: what masks become before they guide, a name of `data.cues.FORMS`.
        aim: what they become when activation maps are held against them (AIR).
        at_least: readers who must have marked a place, or a name of `core.consensus.RULES`.
        findings: yes/no questions to learn; None = all that have evidence. The paper trains one network each.
        weights: of the encoder of another network than `UNFILLED`, "none", "hub" or a file.
        width, levels, blocks, pyramid, peak: of region_cnn.
        size, crop_field, graders: of the preparation.
        epochs, batch, lr: of the training.
        patience: stop after so many epochs without a lower validation loss; None = never.
        vary: flip, scale, turn, shift, shear and re-scale brightness in training.
        balance: draw the first finding's answers equally often.
        masks: share of the training patients whose masks are shown, that is, have cues made of them.

    Raises:
        ValueError: the schema has no such finding, a name is none, or a number is out of range.
    """
    _check_guidance(network, guidance_loss, cue, aim, guide=guide, eps=eps)
    check_region_cnn(lesion_size=lesion_size, width=width, levels=levels, blocks=blocks, pyramid=pyramid, peak=peak)
    there = [q.name for q in schema.findings]
    asked = there if findings is None else list(findings)
    if not asked or set(asked) - set(there):
        raise ValueError(
            f"region_guided: findings={asked} of {there}; give the schema a yes/no question with a label as evidence"
        )
    learnt = schema.select(questions=asked)
    terms: dict[str, tuple[float, Term]] = {"answers": (1.0, cross_entropy)}
    if guide > 0:
        terms["guidance"] = (guide, LOSSES[guidance_loss](eps))
    make: Make
    if network in HOUSE:
        make = HOUSE[network](learnt, size)
    elif network != "region_cnn":
        make = partial(_guided, network, learnt)
    else:
        make = partial(
            RegionCNN,
            learnt,
            lesion_size=lesion_size,
            width=width,
            levels=levels,
            blocks=blocks,
            pyramid=pyramid,
            peak=peak,
        )
    stage = Stage(
        "findings",
        network=make,
        loss=Weigh(**terms),
        start=partial(pretrain, weights=weights) if weights != "none" and network not in UNFILLED else None,
        keep=lowest("loss"),
    )
    varied = (
        flip_horizontal(0.5),
        flip_vertical(0.5),
        rotate(15),
        zoom(0.9, 1.1),
        shift(0.05),
        shear(5),
        brightness(0.15),
        contrast(0.15),
    )
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, crop_field=crop_field, graders=graders),
        augment=Augment(varied if vary else ()),
        optimizer=partial(SGD, lr=lr, momentum=0.9, nesterov=True),
        schedule=divide_when_flat(by=10, patience=5),
        batch=batch,
        epochs=epochs,
        patience=patience,
        balance=asked[0] if balance else None,
        masks=masks,
        cues=Cues(learnt, form=cue, at_least=at_least) if guide > 0 else None,
        aims=Cues(learnt, form=aim, at_least=at_least),
        stages=(stage,),
    )


def _guided(name: str, schema: LabelSchema) -> Guided:
    """A timm network with its class activation maps."""
    return Guided(Classifier(name, schema))


def _house(network: Make) -> Guided:
    """A network of the house with its class activation maps, and without masks, which nothing teaches it."""
    return Guided(network(), marks=False)


def _hba(encoder: str, schema: LabelSchema, *, size: int) -> Guided:
    """HBA-U-Net without its decoder."""
    return Guided(HBAClassifier(HBAUNet(encoder, schema, size=size)))


def _check_guidance(network: str, guidance_loss: str, cue: str, aim: str, *, guide: float, eps: float) -> None:
    """ValueError where a name is none or a number out of range."""
    if network not in ("region_cnn", *HOUSE) and not timm.is_model(network):
        near = get_close_matches(network, timm.list_models(), n=5)
        raise ValueError(
            f"network={network!r} is none of {['region_cnn', *HOUSE]} and no timm network; near it are {near}"
        )
    for name, value, names in (("guidance_loss", guidance_loss, LOSSES), ("cue", cue, FORMS), ("aim", aim, FORMS)):
        if value not in names:
            raise ValueError(f"{name}={value!r} is none of {list(names)}")
    if not 0 <= guide < float("inf"):
        raise ValueError(f"guide={guide}: give 0 (no guidance) or a positive weight; the paper's is 1")
    if not 0 < eps < 1:
        raise ValueError(f"eps={eps} must lie between 0 and 1, such as 1e-3")
