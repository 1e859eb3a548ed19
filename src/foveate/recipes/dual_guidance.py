"""Dual guidance networks (Diao et al. 2023): CM-CNN -> Grad-CAM -> CAM-UNet, for OCT B-scans.

CM-CNN answers, guided by the lesion mask that it learns and by its complement; the class activation map of its answer
then guides CAM-UNet at every skip.

Where the paper is silent
  eq. 3 as printed averages a ratio per pixel, which is 0/0 at q = t = 0 and lets false positives cost nothing; read as
      the ratio of sums for each image (losses.overlap.dice_squared); ``printed=True`` takes it literally.
  class whose map guides a training image: the predicted one, as at test time (``guide="true"`` for the other reading).
  map: ReLU, divided by its maximum, 0 if that is 0; behind GAP and a linear head Grad-CAM is closed form.
  mask resolution: the logits of S are enlarged to the mask.
  pathological images, on which CAM-UNet trains: those whose answer is not the healthy one (`Question.healthy`), which
      must be known; ``segment_on="answered"`` takes all that have an answer.
"""

from __future__ import annotations

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
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh
from foveate.models.cam import closed_form, normalise
from foveate.models.cam_unet import CAMUNet
from foveate.models.cm_cnn import CMCNN
from foveate.models.parts.encoders import pretrain
from foveate.models.parts.heads import ImageHead
from foveate.recipes._checks import one_of
from foveate.recipes._terms import needs_labels

GUIDES = ("predicted", "true", "blank")
AUGMENT = Augment((flip_horizontal(0.5),))


def recipe(
    schema: LabelSchema,
    *,
    guide: str = "predicted",
    question: str | None = None,
    unite: str = "",
    segment_on: str = "pathological",
    printed: bool = False,
    gate: bool = False,
    stride: int = 32,
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
) -> Recipe:
    """The cascade; ``comparisons/dual_guidance`` has its ablations and the networks that it is compared with.

    Args:
        schema: the manifest's; needs a question and labels.
        guide: "predicted" or "true": the answer whose map guides training images; "blank": an empty map guides all
            images, the control that separates the effect of the map from that of the layers that read it.
        question: the question whose answer guides; None = the first.
        segment_on: images that the second stage trains on: "pathological" or "answered".
        unite: name of the one mask that all labels become, as in the paper; "" = each label has its own.
        printed: eq. 3 as printed.
        gate: images read as healthy are left unmarked; the paper scores pathological images only and is silent on it.
        stride: of CM-CNN's map, in pixels: 16 or 8 give small images one as fine as the paper's (16x16 at 512 px).
        encoder, weights: of both networks; weights "none", "hub" or a file.
        size, stretch, grey, fill_white, crop_field, `annotators`: of the preparation.
            The papers resize to a square, stretch=True; False keeps the aspect and pads.
        epochs, batch, lr: of each stage.
        annotation_fraction: share of the training patients whose masks are shown; of the others only the answers are
            learnt.

    Raises:
        ValueError: a value that is not allowed, a schema without questions or labels, or a gate without a healthy
            answer.
    """
    one_of("guide", guide, GUIDES)
    one_of("segment_on", segment_on, SEGMENT_ON)
    schema = united(schema, unite)
    asked = guiding_question(schema, question)
    needs_labels(schema, recipe="dual_guidance")
    channels, overlap = 1 if grey else 3, overlap_loss(printed=printed)
    start = partial(pretrain, weights=weights) if weights != "none" else None
    classify = Stage(
        "cm_cnn",
        network=partial(CMCNN, encoder, schema, mask="complement", channels=channels, stride=stride),
        loss=Weigh(grade=(1.0, cross_entropy), **marking(overlap)),
        start=start,
        keep=best(f"accuracy/{asked.name}"),
        writes={"cam": partial(guiding_map, question=asked.name, of=guide)},
    )
    segment = Stage(
        "cam_unet",
        network=partial(CAMUNet, encoder, schema, fuse="refine", channels=channels),
        loss=Weigh(**marking(overlap)),
        start=start,
        keep=best("dice"),
        rows=partial(SEGMENT_ON[segment_on], question=asked),
        reads={"prior": "cm_cnn/cam"},
    )
    return Recipe(
        schema=schema,
        prepare=Prepare(
            size=size, stretch=stretch, grey=grey, fill_white=fill_white, crop_field=crop_field, annotators=annotators
        ),
        augment=AUGMENT,
        optimizer=partial(Adam, lr=lr),
        batch=batch,
        epochs=epochs,
        annotation_fraction=annotation_fraction,
        gates=(healthy_gate(schema, asked),) if gate else (),
        stages=(classify, segment),
    )


def united(schema: LabelSchema, unite: str) -> LabelSchema:
    """The schema with one mask of that name; as it is if there is no name."""
    return schema.unite(unite) if unite else schema


def guiding_question(schema: LabelSchema, question: str | None) -> Question:
    """The question whose answer guides: the first if none is named; ValueError if there is none."""
    if not schema.questions:
        raise ValueError("dual_guidance: the schema has no question, so there is no answer to guide by; add one")
    return schema.questions[0] if question is None else schema.question(question)


def overlap_loss(*, printed: bool) -> Term:
    """Eq. 3: the ratio of sums, or the mean of ratios as printed."""
    return dice_per_pixel if printed else dice_squared


def marking(overlap: Term) -> dict[str, tuple[float, Term]]:
    """Terms of the masks: binary cross entropy and overlap."""
    return {"lesion": (1.0, bce), "overlap": (1.0, overlap)}


def healthy_gate(schema: LabelSchema, asked: Question) -> Gate:
    """A gate for every label: open if the answers that are not healthy are together likelier than the healthy one."""
    if asked.healthy is None:
        raise ValueError(
            f"gate=True: the healthy answer of question {asked.name!r} is not known; state it in dataset.toml "
            f"(healthy = one of {list(asked.answers)}) or in the manifest's schema, or leave gate out"
        )
    return Gate(asked.name, schema.labels, answers=tuple(a for a in asked.answers if a != asked.healthy))


def pathological(row: Row, *, question: Question) -> bool:
    """Whether an image's answer is known and not the healthy one; ValueError if no answer is known to be healthy."""
    if question.healthy is None:
        raise ValueError(
            f"dual_guidance: the second stage trains on pathological images, but the healthy answer of question "
            f"{question.name!r} is not known; state it (`foveate derive M.jsonl --healthy {question.name}=ANSWER`, one "
            f'of {list(question.answers)}), or train on all answered images, segment_on="answered"'
        )
    answer = row.answers.get(question.name)
    return answer is not None and question.answers[question.index(answer)] != question.healthy


def answered(row: Row, *, question: Question) -> bool:
    """Whether an image's answer is known."""
    return row.answers.get(question.name) is not None


SEGMENT_ON = {"pathological": pathological, "answered": answered}
"""Images that the second stage trains on."""


def guiding_map(network: nn.Module, batch: Batch, outputs: Outputs, *, question: str, of: str) -> Tensor:
    """Grad-CAM in [0, 1] of one answer of each image, ``(b, 1, h', w')`` at the network's coarsest map; closed form.

    Args:
        network: with an ``image_head`` that is linear in the mean of its last feature map.
        batch: gives the true answers.
        outputs: of this network on this batch.
        question: the question whose answer is explained.
        of: "predicted", "true" (the predicted one if the truth is unknown), or "blank".
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
    at = [schema.channel(question, answer) for answer in schema.question(question).answers]
    signs = head.weight.new_tensor([sign for _, sign in at])[:, None]
    # One row per answer, chosen by a tensor: `torch.export` takes no Python list of the answers.
    weight = (head.weight[[channel for channel, _ in at]] * signs)[chosen]
    return normalise(closed_form(outputs.features[-1].float(), weight=weight))[:, None]
