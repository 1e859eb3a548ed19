"""Lesion-Net and side attention (Wei et al. 2021): segment lesions with imprecise boundaries, then grade by them.

Stage 1 marks lesions. Its expansive path is cut early, before details that imprecise boundaries do not have. It learns
on a Dice loss, to which the presence of each lesion in the image is added at the first drop of the learning rate. Stage
2 grades with a second trunk, whose last maps are weighed by the lesions that stage 1, frozen, marks. Beyond the paper:
fine-tuning both together, an ordinal loss, and sets that know lesions only or grades only in one manifest.

Where the paper is silent
  expansive path: each 1x1 convolution gives as many channels as the map that it meets, and has the normalisation and
      ReLU of Inception's own blocks; without them the path would be FCN's sum of scores in other words.
  enlargement: of the logits; the paper enlarges probabilities. Presence is the highest enlarged probability.
  down-sampling of the lesions' maps to the trunk's: the highest of each block of pixels (``shrink``).
  weights of eq. 7: two 3x3 convolutions with 64 channels between; the last bias starts at 1, no function bounds them.
  validation performance: mean over lesions of the pixel F1 (pooled), and kappa.
  batch and the limit of epochs are not printed; patience ends the training before the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn
from torch.optim import SGD, Optimizer

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.augment import (
    Augment,
    brightness,
    contrast,
    flip_horizontal,
    flip_vertical,
    rotate,
    saturation,
    shift,
    zoom,
)
from foveate.data.prepare import Prepare
from foveate.engine.keep import Keep, best
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import divide_when_flat
from foveate.losses.answer import cross_entropy, squared_emd
from foveate.losses.dual_dice import dual_dice
from foveate.losses.overlap import dice_squared, per_label, whole_batch
from foveate.losses.weigh import Weigh
from foveate.models.lesion_net import LesionNet
from foveate.models.parts.encoders import pretrain
from foveate.models.side_attention import SHRINK, SideAttention
from foveate.recipes._checks import one_of
from foveate.recipes._terms import needs_labels

Make = Callable[..., nn.Module]
PIXEL_F1 = best("dice_pooled")

STRIDES = (2, 4, 8, 16, 32)
"""The strides at which the paper cuts the path."""

ANATOMY = ("disc", "optic_disc", "cup", "optic_cup", "fovea", "macula", "vessel", "vessels", "artery", "vein")
"""Labels of parts of the eye."""

EFFECT = {
    **{name: [{"grade": [True]}] for name in ("shrink", "ordinal", "finetune", "grade_lr", "grade_epochs")},
    "anatomy": [{"labels": [None]}],
}
"""Keywords of the stage that grades."""

AUGMENT = Augment(
    (
        flip_horizontal(0.5),
        flip_vertical(0.5),
        rotate(30.0),
        zoom(1.0, 1.2),
        shift(0.05),
        brightness(0.2),
        contrast(0.2),
        saturation(0.2),
    )
)


def recipe(
    schema: LabelSchema,
    *,
    stride: int = 16,
    share: float = 0.8,
    late: bool = True,
    per_lesion: bool = False,
    grade: bool = True,
    shrink: str = "max",
    ordinal: bool = False,
    finetune: bool = False,
    question: str | None = None,
    labels: Sequence[str] | None = None,
    anatomy: bool = False,
    encoder: str = "inception_v3",
    weights: str = "auto",
    size: int = 896,
    stretch: bool = True,
    crop_field: bool = True,
    annotators: str = "union",
    epochs: int = 200,
    batch: int = 8,
    lr: float = 1e-3,
    grade_lr: float | None = None,
    grade_epochs: int | None = None,
    momentum: float = 0.95,
    weight_decay: float = 1e-4,
    validate_every: int | None = 1000,
    validations: int | None = 30,
    flat: int = 4,
    patience: int | None = 10,
    balance: bool = False,
) -> Recipe:
    """The multi-task network; ``comparisons/lesion_net`` has the networks that the paper compares it with.

    Args:
        schema: the manifest's; needs labels, and a question for the grade.
        stride: of the map at which the path is cut, one of `STRIDES` of which the encoder has a map.
        share: lambda of the dual loss, in [0, 1].
        late: the dual loss begins at the first drop of the rate.
        per_lesion: Dice losses are means over lesions, not one ratio of all.
        grade: train stage 2 too; False = mark lesions alone.
        shrink: of the lesions' maps to the trunk's: "max", "mean" or "bilinear".
        ordinal: grade by squared earth mover's distance (the question must be ordered, or yes/no), not by cross
            entropy.
        finetune: stage 2 trains stage 1's network too, on both losses; the paper keeps it frozen.
        question: the question that is graded; None = the first ordered one, else the first.
        labels: the labels that are learnt; None = all lesions.
        anatomy: without ``labels``: parts of the eye (`ANATOMY`) are learnt too; they are not lesions.
        encoder, weights: of both trunks; weights "auto" (those of ImageNet from a file in $FOVEATE_WEIGHTS,
            the hub or its cache; else none), "none", "hub" or a file.
        size, stretch, crop_field, `annotators`: of the preparation.
            The papers resize to a square, stretch=True; False keeps the aspect and pads.
        epochs, batch, lr, momentum, weight_decay, validate_every: of each stage; validate_every in steps.
        grade_lr: of the stage that grades, whose loss is steeper than Dice; None = ``lr``.
        grade_epochs: of that stage, if many more images have a grade than lesions; None = ``epochs``.
        flat: validations without gain after which the rate is divided by 10.
        validations: fewest validations in a stage, for sets smaller than the paper's, in which 1000 batches are a whole
            training and neither the rate nor the loss would change; None = every ``validate_every`` steps alone.
        patience: validations without gain after which a stage ends.
        balance: draw the answers equally often (in both stages).

    Raises:
        ValueError: a name or number out of its range, nothing to learn, or a schema without labels or a question.
    """
    one_of("stride", stride, STRIDES)
    one_of("shrink", shrink, tuple(SHRINK))
    learnt, asked = what_is_learnt(schema, question=question, labels=labels, anatomy=anatomy, grade=grade)
    lesions = partial(LesionNet, encoder, learnt.select(questions=()), stride=stride)
    before, after = dual_losses(share=share, late=late, per_lesion=per_lesion)
    mark = mark_stage("lesion_net", lesions, learnt, before=before, after=after, weights=weights)
    stages: tuple[Stage, ...] = (mark,)
    if grade:
        assert asked is not None
        answer = grade_stage(
            "side_attention",
            partial(SideAttention, encoder, learnt, lesions=lesions, attention="conv", shrink=shrink),
            asked,
            loss=grade_loss(asked, ordinal=ordinal),
            weights=weights,
            optimizer=None if grade_lr is None else sgd(grade_lr, momentum=momentum, weight_decay=weight_decay),
            epochs=grade_epochs,
        )
        stages = (mark, guided_by(mark, answer, finetune=finetune))
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, stretch=stretch, crop_field=crop_field, annotators=annotators),
        augment=AUGMENT,
        optimizer=sgd(lr, momentum=momentum, weight_decay=weight_decay),
        schedule=divide_when_flat(by=10.0, patience=flat),
        batch=batch,
        epochs=epochs,
        validate_every=validate_every,
        validations=validations,
        patience=patience,
        balance=asked.name if balance and asked is not None else None,
        stages=stages,
    )


# -- stages ----------------------------------------------------------------------------------------------------------


def mark_stage(
    name: str,
    network: Make,
    learnt: LabelSchema,
    *,
    before: Weigh,
    after: Weigh | None,
    weights: str,
    keep: Keep = PIXEL_F1,
) -> Stage:
    """Stage 1: learn lesions from the images in which one of them is known.

    Args:
        name: of the stage.
        network: makes it.
        learnt: its labels are the lesions.
        before, after: the loss, and the loss from the first drop of the rate on.
        weights: "none", "hub" or a file.
        keep: validation metric that chooses the weights.

    Raises:
        ValueError: there are no labels.
    """
    needs_labels(learnt, recipe="lesion_net")
    known = partial(marked, labels=tuple(member for label in learnt.labels for member in learnt.members(label)))
    return Stage(name, network=network, loss=before, after_drop=after, start=filled(weights), keep=keep, rows=known)


def grade_stage(
    name: str,
    network: Make,
    asked: Question,
    *,
    loss: Weigh,
    weights: str,
    optimizer: Callable[[Iterable[Any]], Optimizer] | None,
    epochs: int | None,
) -> Stage:
    """Stage 2: learn the answers of a question from the images in which it is answered."""
    return Stage(
        name,
        network=network,
        loss=loss,
        start=filled(weights),
        keep=best(f"{'qkappa' if asked.ordered else 'accuracy'}/{asked.name}"),
        rows=partial(graded, question=asked.name),
        optimizer=optimizer,
        epochs=epochs,
    )


def guided_by(mark: Stage, grade: Stage, *, finetune: bool) -> Stage:
    """Stage 2 with stage 1's network inside: frozen, or trained on with its own loss and on its own images too."""
    grade = replace(grade, starts_from={"lesions": mark.name})
    if not finetune:
        return replace(grade, frozen=("lesions",))
    later = mark.after_drop or mark.loss
    assert isinstance(grade.loss, Weigh)
    assert isinstance(later, Weigh)
    return replace(grade, loss=Weigh(**grade.loss.terms, **later.terms), rows=None)


def filled(weights: str) -> Callable[[nn.Module], Iterable[str] | None] | None:
    """The function that fills encoders with weights from outside; None = they start at random."""
    return None if weights == "none" else partial(pretrain, weights=weights)


def sgd(lr: float, *, momentum: float, weight_decay: float) -> Callable[[Iterable[Any]], Optimizer]:
    """The paper's optimizer."""
    return partial(SGD, lr=lr, momentum=momentum, weight_decay=weight_decay)


# -- losses and rows -------------------------------------------------------------------------------------------------


def dual_losses(*, share: float, late: bool, per_lesion: bool) -> tuple[Weigh, Weigh | None]:
    """Losses of stage 1, before and from the first drop of the rate on."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}; the paper's is 0.8, 1 is the Dice of pixels alone")
    pool = per_label if per_lesion else whole_batch
    dual = Weigh(lesions=(1.0, partial(dual_dice, share=share, pool=pool)))
    return (Weigh(lesions=(1.0, partial(dice_squared, pool=pool))), dual) if late else (dual, None)


def grade_loss(asked: Question, *, ordinal: bool) -> Weigh:
    """Loss of stage 2; ValueError if an ordinal one is wanted of answers without order."""
    if ordinal and len(asked.answers) > 2 and not asked.ordered:
        raise ValueError(
            f"ordinal=True: the answers of question {asked.name!r} have no order; set ordered = true in the manifest's "
            f"schema if they are grades, choose another question (question=...), or set ordinal=False"
        )
    return Weigh(grade=(1.0, partial(squared_emd if ordinal else cross_entropy, questions=(asked.name,))))


def what_is_learnt(
    schema: LabelSchema, *, question: str | None, labels: Sequence[str] | None, anatomy: bool, grade: bool
) -> tuple[LabelSchema, Question | None]:
    """The schema that is learnt, and the question that is graded.

    A network that marks alone keeps the question: stage 1 is the same stage then, and runs share it.

    Raises:
        ValueError: a name is not in the schema, or a grade is wanted and it has no question.
    """
    if not schema.questions and grade:
        raise ValueError("lesion_net: the schema has no question to grade by; set grade=False to mark lesions alone")
    if labels is None and not anatomy:
        labels = [label for label in schema.labels if not set(schema.members(label)) <= set(ANATOMY)]
    ordered_first = sorted(schema.questions, key=lambda q: not q.ordered)
    asked = schema.question(question) if question is not None else next(iter(ordered_first), None)
    learnt = schema.select(questions=() if asked is None else (asked.name,), labels=labels)
    return learnt, asked


def marked(row: Row, *, labels: Sequence[str]) -> bool:
    """Whether anything is known of one of these labels in an image."""
    return any(label in row.masks for label in labels)


def graded(row: Row, *, question: str) -> bool:
    """Whether the answer of an image is known."""
    return question in row.answers
