"""Networks and ablations that dual guidance is compared with (Diao et al. 2023, Tables 2 to 9), and one end to end.

Where the paper is silent
  weights of networks that answer and mark: those with the highest mean of accuracy and Dice on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Adam

from foveate.core.labels import LabelSchema
from foveate.data.prepare import Prepare
from foveate.engine.keep import best
from foveate.engine.recipe import Recipe, Stage
from foveate.losses._masked import Term
from foveate.losses.answer import cross_entropy
from foveate.losses.pixel import deep
from foveate.losses.weigh import Weigh
from foveate.models.baselines.attention_unet import AttentionUNet
from foveate.models.baselines.cenet import CENet
from foveate.models.baselines.classifier import ROWS, Classifier
from foveate.models.baselines.cross_connected import CrossConnected
from foveate.models.baselines.cross_stitch import CrossStitch
from foveate.models.baselines.opticnet71 import OpticNet71
from foveate.models.baselines.pspnet import PSPNet
from foveate.models.baselines.unet import ClassicUNet
from foveate.models.baselines.ynet import YNet
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.parts.encoders import pretrain
from foveate.recipes import dual_guidance as paper
from foveate.recipes._checks import one_of
from foveate.recipes._effect import AllBut
from foveate.recipes._terms import needs_labels

Make = Callable[..., nn.Module]

ALONE: dict[str, Make] = {"opticnet71": OpticNet71, **{row: partial(Classifier, name) for row, name in ROWS.items()}}
"""Classifiers, which mark nothing."""

SEGMENTERS: dict[str, Make] = {"unet": ClassicUNet, "attention_unet": AttentionUNet, "cenet": CENet, "pspnet": PSPNet}
"""Segmenters; guided, they read the map as one more channel of the image."""

TOGETHER: dict[str, Make] = {"ynet": YNet, "cross_stitch": CrossStitch, "cross_connected": CrossConnected}
"""Networks that answer and mark at once."""

DUAL: dict[str, Make] = {
    "dual": DualGuidance,
    "dual_detached": partial(DualGuidance, detach=True),
    "dual_shared": partial(DualGuidance, shared=True),
}
"""The cascade as one network, trained end to end."""

AUXILIARY = {"pspnet": 0.4, **dict.fromkeys(DUAL, 1.0)}
"""Weight of the loss of a network's further masks: PSPNet's as published; CM-CNN's own inside `DUAL`."""

CASCADE = {"classifier": ["cm_cnn"]}
GUIDED = [{"guided": [True]}]
MARKED = [
    {"classifier": [*TOGETHER, *DUAL]},
    {**CASCADE, "mask": AllBut(["none"])},
    {"segmenter": AllBut([None])},
]
"""Combinations in which some network marks."""

EFFECT = {
    "segmenter": [CASCADE],
    "segment_on": [{"segmenter": AllBut([None])}],
    "guided": [{"segmenter": AllBut([None])}],
    "guide": GUIDED,
    "fuse": [{"guided": [True], "segmenter": ["cam_unet"]}],
    "stride": [CASCADE],
    "mask": [{"classifier": ["cm_cnn", *DUAL]}],
    "printed": MARKED,
    "gate": MARKED,
    "annotation_fraction": MARKED,
    "encoder": [{"classifier": AllBut(ALONE)}],
    "weights": [{"classifier": AllBut(ALONE)}],
}


def recipe(
    schema: LabelSchema,
    *,
    classifier: str = "cm_cnn",
    segmenter: str | None = "cam_unet",
    mask: str = "complement",
    fuse: str | None = "refine",
    guided: bool = True,
    guide: str = "predicted",
    question: str | None = None,
    unite: str = "",
    segment_on: str = "pathological",
    printed: bool = False,
    encoder: str = "resnet18",
    weights: str = "none",
    size: int = 512,
    stretch: bool = True,
    grey: bool = True,
    fill_white: bool = True,
    crop_field: bool = False,
    annotators: str = "union",
    epochs: int = 50,
    batch: int = 8,
    lr: float = 1e-3,
    annotation_fraction: float = 1.0,
    gate: bool = False,
    stride: int = 32,
) -> Recipe:
    """A row of the paper's tables.

    Args:
        schema: the manifest's; needs a question and, unless only a classifier is trained, labels.
        classifier: "cm_cnn", a name of `ALONE` (then there is no segmenter), of `TOGETHER` or `DUAL` (one stage
            does both).
        segmenter: "cam_unet", a name of `SEGMENTERS`, or None to stop after the classifier.
        mask: of CM-CNN, a name of `models.parts.masks.MASKS`; "none" is the plain ResNet18 row.
        fuse: of CAM-UNet, "refine", "widen" or None (Res18-UNet).
        guided: whether the segmenter sees the map.
        guide, question, unite, segment_on, printed, encoder, weights, size, stretch, grey, fill_white, crop_field,
            `annotators`, epochs, batch, lr, annotation_fraction, gate, stride: as of `recipes.dual_guidance`.

    Raises:
        ValueError: a value that is not allowed, a schema without questions or labels, or a gate without a healthy
            answer.
    """
    one_of("classifier", classifier, ("cm_cnn", *ALONE, *TOGETHER, *DUAL))
    one_of("guide", guide, paper.GUIDES)
    one_of("segment_on", segment_on, paper.SEGMENT_ON)
    schema = paper.united(schema, unite)
    asked = paper.guiding_question(schema, question)
    channels, overlap = 1 if grey else 3, paper.overlap_loss(printed=printed)
    start = partial(pretrain, weights=weights) if weights != "none" else None
    cascade = classifier == "cm_cnn" and segmenter is not None
    marks = classifier not in ALONE and (classifier != "cm_cnn" or mask != "none")
    if marks or cascade:
        needs_labels(schema, recipe="dual_guidance")
    networks: dict[str, Callable[[], nn.Module]] = {
        "cm_cnn": partial(CMCNN, encoder, schema, mask=mask, channels=channels, stride=stride),
        **{name: partial(make, schema, channels=channels) for name, make in ALONE.items()},
        **{name: partial(make, encoder, schema, channels=channels) for name, make in TOGETHER.items()},
        **{
            name: partial(make, encoder, schema, guide=asked.name, mask=mask, channels=channels)
            for name, make in DUAL.items()
        },
    }
    stages: tuple[Stage, ...] = (
        Stage(
            classifier,
            network=networks[classifier],
            loss=Weigh(grade=(1.0, cross_entropy), **(_marking(classifier, overlap) if marks else {})),
            start=start if classifier not in ALONE else None,
            keep=best(f"accuracy/{asked.name}", *(["dice"] if classifier in (*TOGETHER, *DUAL) else [])),
        ),
    )
    if cascade:
        assert segmenter is not None
        segment = Stage(
            segmenter,
            network=_segmenter(schema, segmenter, fuse, encoder=encoder, guided=guided, channels=channels),
            loss=Weigh(**_marking(segmenter, overlap)),
            start=start if segmenter == "cam_unet" else None,
            keep=best("dice"),
            rows=partial(paper.SEGMENT_ON[segment_on], question=asked),
            reads={"prior": "cm_cnn/cam"} if guided else {},
        )
        seen = {"cam": partial(paper.guiding_map, question=asked.name, of=guide)} if guided else {}
        stages = (replace(stages[0], writes=seen), segment)
    return Recipe(
        schema=schema,
        prepare=Prepare(
            size=size, stretch=stretch, grey=grey, fill_white=fill_white, crop_field=crop_field, annotators=annotators
        ),
        augment=paper.AUGMENT,
        optimizer=partial(Adam, lr=lr),
        batch=batch,
        epochs=epochs,
        annotation_fraction=annotation_fraction,
        gates=(paper.healthy_gate(schema, asked),) if gate else (),
        stages=stages,
    )


def method(keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keywords of `recipes.dual_guidance` that do the same; None if it cannot."""
    own = {"classifier": "cm_cnn", "segmenter": "cam_unet", "mask": "complement", "fuse": "refine", "guided": True}
    if any(keywords.get(k, value) != value for k, value in own.items()):
        return None
    return {k: v for k, v in keywords.items() if k not in own}


def _marking(name: str, overlap: Term) -> dict[str, tuple[float, Term]]:
    """Terms of the masks, of all masks that a network gives."""
    terms = paper.marking(overlap)
    if name not in AUXILIARY:
        return terms
    return {k: (weight, partial(deep, term=term, weights=AUXILIARY[name])) for k, (weight, term) in terms.items()}


def _segmenter(
    schema: LabelSchema, name: str, fuse: str | None, *, encoder: str, guided: bool, channels: int
) -> Callable[[], nn.Module]:
    """The maker of the network of the second stage."""
    one_of("segmenter", name, ("cam_unet", *SEGMENTERS))
    if name == "cam_unet":
        return partial(CAMUNet, encoder, schema, fuse=fuse if guided else None, channels=channels)
    return partial(SEGMENTERS[name], schema, channels=channels, prior_channels=int(guided))
