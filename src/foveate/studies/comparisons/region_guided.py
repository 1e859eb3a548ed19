"""Networks that regional guidance is compared with (Son et al. 2018, Table 1), guided on their class activation maps.

Any timm network, and the networks of other recipes (`NETWORKS`). The paper trains Inception-v3 without guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

import timm
from torch import nn
from torch.optim import SGD

from foveate.core.labels import LabelSchema
from foveate.data.augment import Augment
from foveate.data.cues import Cues
from foveate.data.prepare import Prepare
from foveate.engine.recipe import Recipe
from foveate.engine.schedule import divide_when_flat
from foveate.models.baselines.classifier import Classifier
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.cm_cnn import CMCNN
from foveate.models.guided import Guided, HBAClassifier
from foveate.models.hba_unet import HBAUNet
from foveate.models.joint import Joint
from foveate.models.parts.encoders import pretrain
from foveate.recipes import region_guided as paper
from foveate.recipes._effect import AllBut

Make = Callable[[], nn.Module]

NETWORKS: dict[str, Callable[[LabelSchema, int], Make]] = {
    "cm_cnn": lambda schema, _: partial(without_masks, partial(CMCNN, "resnet18", schema.unite("seen"))),
    "joint": lambda schema, _: partial(without_masks, partial(Joint, "resnet18", schema.select(labels=()))),
    "opticnet71": lambda schema, _: partial(without_masks, partial(OpticNet71, schema)),
    "hba_unet": lambda schema, size: partial(hba_classifier, "resnet50", schema, size=max(size // 32 * 32, 32)),
}
"""Networks of other recipes, on the encoders of these: schema and size of the image -> the maker of one.

None learns masks, and none gives any. cm_cnn: its one mask learns from answers and cues alone, as attention. joint,
hba_unet: the part that answers, without the decoder; joint is then ResNet-18 with its head, as Y-Net would be.
Left out: cross-stitch, cross-connected, TransUNet, TransFuse, side attention and U-Nets with an answer, half of which
is there to mark; the cascade and Presence, which have no head of their own; ABN, whose own maps are not logits of one
finding: a ReLU and a convolution without bias give them one sign, so they cannot be bright inside and dark outside.
"""

EFFECT = {**paper.EFFECT, "weights": [{"network": AllBut(["opticnet71"])}]}  # OpticNet has no published weights


def recipe(
    schema: LabelSchema,
    *,
    network: str = "inception_v3",
    guide: float = 1.0,
    guidance_loss: str = "paper",
    eps: float = 1e-3,
    cue: str = "regions",
    eval_cue: str = "regions",
    at_least: int | str = 1,
    findings: Sequence[str] | None = None,
    weights: str = "none",
    size: int = 512,
    stretch: bool = True,
    crop_field: bool = True,
    annotators: str = "union",
    epochs: int = 50,
    batch: int = 32,
    lr: float = 0.01,
    patience: int | None = 15,
    vary: bool = True,
    balance: bool = False,
    annotation_fraction: float = 1.0,
) -> Recipe:
    """Another network than the paper's, guided in the same way or not at all.

    Args:
        schema: the manifest's; needs a finding, a yes/no question whose evidence is a label.
        network: a name of `NETWORKS`, or a timm network ("inception_v3").
        weights: of the encoder, "none", "hub" or a file.
        guide, guidance_loss, eps, cue, eval_cue, at_least, findings, size, stretch, crop_field, `annotators`,
            epochs, batch, lr, patience, vary, balance, annotation_fraction: as of `recipes.region_guided`.

    Raises:
        ValueError: the schema has no such finding, a name is not one of those there are, or a number is out of range.
    """
    if network not in NETWORKS and not timm.is_model(network):
        near = get_close_matches(network, timm.list_models(), n=5)
        raise ValueError(
            f"network must be one of {list(NETWORKS)} or a timm network, got {network!r}; similar names are {near}"
        )
    paper.check_guidance(guidance_loss, cue=cue, eval_cue=eval_cue, guide=guide, eps=eps)
    learnt = paper.findings_asked(schema, findings)
    make = NETWORKS[network](learnt, size) if network in NETWORKS else partial(on_its_maps, network, learnt)
    filled = weights != "none" and network != "opticnet71"
    stage = paper.findings_stage(make, guide=guide, loss=paper.LOSSES[guidance_loss](eps))
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, stretch=stretch, crop_field=crop_field, annotators=annotators),
        augment=paper.AUGMENT if vary else Augment(()),
        optimizer=partial(SGD, lr=lr, momentum=0.9, nesterov=True),
        schedule=divide_when_flat(by=10, patience=5),
        batch=batch,
        epochs=epochs,
        patience=patience,
        balance=learnt.questions[0].name if balance else None,
        annotation_fraction=annotation_fraction,
        cues=Cues(learnt, form=cue, at_least=at_least) if guide > 0 else None,
        eval_cues=Cues(learnt, form=eval_cue, at_least=at_least),
        stages=(replace(stage, start=partial(pretrain, weights=weights) if filled else None),),
    )


def method(keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keywords of `recipes.region_guided` that do the same; None if it cannot."""
    if keywords.get("network", "region_cnn") != "region_cnn":
        return None
    return {k: v for k, v in keywords.items() if k not in ("network", "weights")}


def on_its_maps(name: str, schema: LabelSchema) -> Guided:
    """A timm network with its class activation maps."""
    return Guided(Classifier(name, schema))


def without_masks(network: Make) -> Guided:
    """A network of another recipe with its class activation maps, and without masks, which it does not learn here."""
    return Guided(network(), marks=False)


def hba_classifier(encoder: str, schema: LabelSchema, *, size: int) -> Guided:
    """HBA-U-Net without its decoder."""
    return Guided(HBAClassifier(HBAUNet(encoder, schema, size=size)))
