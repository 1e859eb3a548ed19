"""Dual guidance networks (Diao et al. 2023): CM-CNN -> Grad-CAM -> CAM-UNet, for OCT B-scans.

CM-CNN answers, guided by the lesion mask that it learns and by its complement; the class activation map of its answer
then guides CAM-UNet at every skip. By keyword: the paper's ablations and comparisons, and one network end to end.

Where the paper is silent
  eq. 3 as printed averages a ratio a pixel, which is 0/0 at q = t = 0 and lets false positives cost nothing; read as
      the ratio of sums for each image (losses.overlap.dice_squared); ``printed=True`` takes it literally.
  class whose map guides a training image: the predicted one, as at test time (``guide="true"`` for the other reading).
  map: ReLU, divided by its maximum, 0 where that is 0; behind GAP and a linear head Grad-CAM is closed form.
  mask resolution: the logits of S are enlarged to the mask.
  weights of networks that do both: those with the highest mean of accuracy and Dice on validation.
  pathological images, on which CAM-UNet trains: those whose answer is not the healthy one ("no", "normal").
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Adam

from foveate.core.decisions import Gate
from foveate.core.labels import UNKNOWN, LabelSchema, Question
from foveate.core.types import Batch, Outputs, Row
from foveate.data.augment import Augment, flip_horizontal
from foveate.data.prepare import Prepare
from foveate.engine.keep import best
from foveate.engine.recipe import Recipe, Stage
from foveate.losses._masked import Term
from foveate.losses.answer import cross_entropy
from foveate.losses.overlap import dice_per_pixel, dice_squared
from foveate.losses.pixel import bce, deep
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
from foveate.models.cam import closed_form, normalise
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.dual import DualGuidance
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.heads import ImageHead
from foveate.recipes._terms import needs_labels

Make = Callable[..., nn.Module]

ALONE: dict[str, Make] = {"opticnet71": OpticNet71, **{row: partial(Classifier, name) for row, name in ROWS.items()}}
"""Classifiers of the comparison, which mark nothing."""

SEGMENTERS: dict[str, Make] = {"unet": ClassicUNet, "attention_unet": AttentionUNet, "cenet": CENet, "pspnet": PSPNet}
"""Segmenters of the comparison; guided, they read the map as one more channel of the image."""

TOGETHER: dict[str, Make] = {"ynet": YNet, "cross_stitch": CrossStitch, "cross_connected": CrossConnected}
"""Networks of the comparison that answer and mark at once."""

DUAL: dict[str, Make] = {
    "dual": DualGuidance,
    "dual_detached": partial(DualGuidance, detach=True),
    "dual_shared": partial(DualGuidance, shared=True),
}
"""The cascade as one network, trained end to end."""

AUXILIARY = {"pspnet": 0.4, **dict.fromkeys(DUAL, 1.0)}
"""Weight of the loss of a network's further masks: PSPNet's as published; CM-CNN's own inside `DUAL`."""

HEALTHY = ("no", "normal")
GUIDES = ("predicted", "true", "blank")


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
    printed: bool = False,
    encoder: str = "resnet18",
    weights: str = "none",
    size: int = 512,
    grey: bool = True,
    fill_white: bool = True,
    crop_field: bool = False,
    graders: str = "union",
    epochs: int = 50,
    batch: int = 8,
    lr: float = 1e-3,
    masks: float = 1.0,
    gate: bool = False,
    stride: int = 32,
) -> Recipe:
    """The cascade, or one of the rows that it is compared with.

    Args:
        schema: the manifest's; needs a question and, but for classifiers alone, labels.
        classifier: "cm_cnn", a name of `ALONE` (then there is no segmenter), of `TOGETHER` or `DUAL` (one stage
            does both).
        segmenter: "cam_unet", a name of `SEGMENTERS`, or None to stop after the classifier.
        mask: of CM-CNN, a name of `models.parts.masks.MASKS`; "none" is the plain ResNet18 row.
        fuse: of CAM-UNet, "refine", "widen" or None (Res18-UNet).
        guided: whether the segmenter sees the map.
        guide: "predicted" or "true": whose map guides training images; "blank": an empty map guides all images, the
            control that tells what a map says from what the layers that read it add.
        question: whose answer guides; None = the first.
        unite: name of the one mask that all labels become, as in the paper; "" = each label has its own.
        printed: eq. 3 as printed.
        encoder, weights: of CM-CNN, CAM-UNet, `TOGETHER` and `DUAL`; weights "none", "hub" or a file.
        size, grey, fill_white, crop_field, graders: of the preparation.
        epochs, batch, lr: of each stage.
        masks: share of the training patients whose masks are shown; the others teach by their answers alone.
        gate: images read as healthy are left unmarked; the paper scores pathological images only and does not say.
        stride: of CM-CNN's map, in pixels: 16 or 8 give small images one as fine as the paper's (16x16 at 512 px).

    Raises:
        ValueError: a name that is none, a schema without questions or labels, or a gate without a healthy answer.
    """
    if not schema.questions:
        raise ValueError("dual_guidance: the schema asks no question; there is no answer to guide by")
    schema = schema.unite(unite) if unite else schema
    asked = schema.questions[0] if question is None else schema.question(question)
    if guide not in GUIDES:
        raise ValueError(f"guide={guide!r} is none of {list(GUIDES)}")
    channels = 1 if grey else 3
    overlap = dice_per_pixel if printed else dice_squared
    start = partial(pretrain, weights=weights) if weights != "none" else None
    first, marks = _classifier(schema, classifier, mask, asked.name, encoder, channels, stride)
    if marks or (classifier == "cm_cnn" and segmenter is not None):
        needs_labels(schema, recipe="dual_guidance")
    classify = Stage(
        classifier,
        network=first,
        loss=Weigh(grade=(1.0, cross_entropy), **(_marking(classifier, overlap) if marks else {})),
        start=start if classifier not in ALONE else None,
        keep=best(f"accuracy/{asked.name}", *(["dice"] if classifier in (*TOGETHER, *DUAL) else [])),
    )
    stages: tuple[Stage, ...] = (classify,)
    if classifier == "cm_cnn" and segmenter is not None:
        second = _segmenter(schema, segmenter, fuse if guided else None, guided, encoder, channels)
        seen = {"cam": partial(guiding_map, question=asked.name, of=guide)} if guided else {}
        segment = Stage(
            segmenter,
            network=second,
            loss=Weigh(**_marking(segmenter, overlap)),
            start=start if segmenter == "cam_unet" else None,
            keep=best("dice"),
            rows=partial(pathological, question=asked),
            reads={"prior": "cm_cnn/cam"} if guided else {},
        )
        stages = (Stage(**{**vars(classify), "writes": seen}), segment)
    return Recipe(
        schema=schema,
        prepare=Prepare(size=size, grey=grey, fill_white=fill_white, crop_field=crop_field, graders=graders),
        augment=Augment((flip_horizontal(0.5),)),
        optimizer=partial(Adam, lr=lr),
        batch=batch,
        epochs=epochs,
        masks=masks,
        gates=(_gate(schema, asked),) if gate else (),
        stages=stages,
    )


def _classifier(
    schema: LabelSchema, name: str, mask: str, asked: str, encoder: str, channels: int, stride: int
) -> tuple[Callable[[], nn.Module], bool]:
    """What the first stage trains, and whether it marks pixels."""
    if name == "cm_cnn":
        return partial(CMCNN, encoder, schema, mask=mask, channels=channels, stride=stride), mask != "none"
    if name in ALONE:
        return partial(ALONE[name], schema, channels=channels), False
    if name in TOGETHER:
        return partial(TOGETHER[name], encoder, schema, channels=channels), True
    if name in DUAL:
        return partial(DUAL[name], encoder, schema, guide=asked, mask=mask, channels=channels), True
    raise ValueError(f"classifier={name!r} is none of {['cm_cnn', *ALONE, *TOGETHER, *DUAL]}")


def _marking(name: str, overlap: Term) -> dict[str, tuple[float, Term]]:
    """Terms of the masks: binary cross entropy and overlap, of all masks that a network gives."""
    terms: dict[str, Term] = {"lesion": bce, "overlap": overlap}
    if name in AUXILIARY:
        terms = {k: partial(deep, term=term, weights=AUXILIARY[name]) for k, term in terms.items()}
    return {k: (1.0, term) for k, term in terms.items()}


def _segmenter(
    schema: LabelSchema, name: str, fuse: str | None, guided: bool, encoder: str, channels: int
) -> Callable[[], nn.Module]:
    """What the second stage trains."""
    if name == "cam_unet":
        return partial(CAMUNet, encoder, schema, fuse=fuse, channels=channels)
    if name in SEGMENTERS:
        return partial(SEGMENTERS[name], schema, channels=channels, prior_channels=int(guided))
    raise ValueError(f"segmenter={name!r} is none of {['cam_unet', *SEGMENTERS]}")


def _gate(schema: LabelSchema, asked: Question) -> Gate:
    """Every label, where the answers that are not healthy are likelier than not."""
    ill = tuple(a for a in asked.answers if a not in HEALTHY)
    if len(ill) == len(asked.answers):
        raise ValueError(f"gate=True: no answer of {asked.name!r} is one of {list(HEALTHY)}; leave it out")
    return Gate(asked.name, schema.labels, answers=ill)


def pathological(row: Row, *, question: Question) -> bool:
    """Whether an image's answer is known and not the healthy one."""
    answer = row.answers.get(question.name)
    return answer is not None and question.answers[question.index(answer)] not in HEALTHY


def guiding_map(network: nn.Module, batch: Batch, outputs: Outputs, *, question: str, of: str) -> Tensor:
    """Grad-CAM in [0, 1] of one answer of each image, ``(b, 1, h', w')`` at the network's coarsest map; closed form.

    Args:
        network: with an ``image_head`` that is linear in the mean of its last feature map.
        batch: gives the true answers.
        outputs: of this network on this batch.
        question: whose answer is explained.
        of: "predicted", "true" (the predicted one where the truth is unknown), or "blank".
    """
    if of == "blank":
        return torch.zeros_like(outputs.features[-1][:, :1])
    schema, head = batch.schema, network.get_submodule("image_head")
    assert isinstance(head, ImageHead)
    assert outputs.image is not None
    chosen = schema.image_probability(outputs.image)[question].argmax(1)
    if of == "true":
        truth = batch.answer(question)
        chosen = torch.where(truth == UNKNOWN, chosen, truth)
    at = [schema.channel(question, schema.question(question).answers[i]) for i in chosen.tolist()]
    weight = head.weight[[channel for channel, _ in at]]
    sign = weight.new_tensor([sign for _, sign in at])[:, None]
    return normalise(closed_form(outputs.features[-1].float(), weight=weight * sign))[:, None]
