"""Joint Dice (Wei et al.): HBA-U-Net marks a target and its neighbour and answers whether the target is there at all.

The paper marks peripapillary atrophy beside the optic disc; the method serves any yes/no question with evidence and
any neighbours, by softmax over background, neighbours and targets.

Where the paper is silent
  which sums the Dice loss weighs: those of the target; the disc is there in every image and keeps the plain loss, the
      background has none (losses.joint_dice, which also notes the slip in the sentence after eq. 2).
  gradient through y^: it flows.
  what the answer reads: the deepest map, after the attention; one linear layer on its mean.
  decoder widths: the published HBA-U-Net's; its residual blocks add a convolution to the one before.
  weights kept: the highest Dice of the target (mean of several) over all validation images, rightly empty masks
      being 1.
  CLAHE 2.0 on 8 x 8 tiles; turns up to 15 degrees; epsilon of one pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import Any

import timm
from torch import nn
from torch.optim import Adam, Optimizer

from foveate.core.decisions import Gate
from foveate.core.labels import LabelSchema
from foveate.data.augment import Augment, flip_horizontal, flip_vertical, rotate
from foveate.data.prepare import Prepare
from foveate.engine.keep import Keep, best, better
from foveate.engine.recipe import Recipe, Stage
from foveate.losses._masked import Term
from foveate.losses._presence import neighbours_of, targets_of
from foveate.losses.answer import cross_entropy
from foveate.losses.joint_dice import Targets, joint_dice
from foveate.losses.pixel import bce, pixel_cross_entropy
from foveate.losses.weigh import Weigh
from foveate.models.hba_unet import HBAUNet
from foveate.models.parts.encoders import pretrain

Terms = dict[str, tuple[float, Term]]


def recipe(
    schema: LabelSchema,
    *,
    neighbour: bool | str | Sequence[str] = True,
    gate: bool = False,
    calibrated: str | None = None,
    question: str | Sequence[str] | None = None,
    exclusive: bool = True,
    pixels: float = 0.25,
    overlap: float = 0.25,
    answers: float = 0.5,
    eps: float = 1.0,
    encoder: str | None = None,
    weights: str = "none",
    stride_first: bool = False,
    width: int = 32,
    attend_skips: bool = False,
    dropout: float = 0.0,
    size: int = 512,
    stretch: bool = True,
    grey: bool = False,
    crop_field: bool = False,
    clahe: float | None = 2.0,
    annotators: str = "union",
    rotation: float = 15.0,
    epochs: int = 500,
    batch: int = 4,
    lr: float = 1e-4,
    weight_decay: float = 1e-4,
    annotation_fraction: float = 1.0,
    keep: str | None = None,
) -> Recipe:
    """The method; ``comparisons/joint_dice`` has its ablations and the networks that it is compared with.

    Args:
        schema: the manifest's; needs a yes/no question with evidence.
        neighbour: labels that are learnt beside the targets: True = all others, False = none, or their names.
        gate: the network's own answer opens or closes its masks (`foveate calibrate` chooses from when on).
        calibrated: a rule by which temperature, threshold and gate are chosen on the validation images once trained
            (`Recipe.calibrated`); None = a gate opens at 0.5, or as `foveate calibrate` chooses later.
        question: the questions whose evidence are targets; None = all that have some.
        exclusive: softmax over background and labels; False = as the manifest's schema has it.
        pixels, overlap, answers: weights of eq. 3.
        eps: of the Dice, in pixels.
        encoder: a timm network; None = ResNet-50.
        weights: "none", "hub" or a file.
        stride_first: of ResNet bottlenecks, as weights from Keras need it.
        width: 32 = published widths; all channels that are not the encoder's shrink with it.
        attend_skips: attention in the skip connections too.
        dropout: before the answer and in the decoder.
        size, stretch, grey, crop_field, clahe, `annotators`: of the preparation.
            The papers resize to a square, stretch=True; False keeps the aspect and pads.
        rotation: largest turn in degrees.
        epochs, batch, lr, weight_decay: of the training.
        annotation_fraction: share of the training patients whose masks are shown.
        keep: validation metric that chooses the weights ("loss", "brier", "nll": the lowest); None = Dice of all
            images, the mean over the targets. If most images are free of the target, "dice/<target>" does not reward
            marking nothing.

    Raises:
        ValueError: no target, no such neighbour or encoder, a width below 1, or eps <= 0.
    """
    check_eps(eps)
    check_encoder(encoder, width=width)
    targets = targets_asked(schema, question)
    learnt = what_is_learnt(schema, targets, neighbour=neighbour, exclusive=exclusive, answered=True)
    weighed = partial(joint_dice, targets=targets, detach=False, eps=eps)
    mark = Stage(
        "hba_unet",
        network=hba_unet(
            learnt,
            encoder=encoder,
            size=size,
            width=width,
            attend_skips=attend_skips,
            channels=1 if grey else 3,
            stride_first=stride_first,
            dropout=dropout,
        ),
        loss=Weigh(
            **marking(learnt, weighed, pixels=pixels, overlap=overlap),
            answers=(answers, cross_entropy),
        ),
        start=partial(pretrain, weights=weights) if weights != "none" else None,
        keep=kept_by(keep, targets, learnt),
    )
    return Recipe(
        schema=learnt,
        prepare=Prepare(
            size=size, stretch=stretch, grey=grey, crop_field=crop_field, clahe=clahe, annotators=annotators
        ),
        augment=flips_and_turns(rotation),
        optimizer=adam(lr, weight_decay=weight_decay),
        batch=batch,
        epochs=epochs,
        annotation_fraction=annotation_fraction,
        gates=gates_of(targets) if gate else (),
        calibrated=calibrated,
        stages=(mark,),
    )


# -- what is learnt --------------------------------------------------------------------------------------------------


def targets_asked(schema: LabelSchema, question: str | Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Question -> its evidence, of those asked."""
    if question is None:
        return targets_of(schema)
    asked = [question] if isinstance(question, str) else question
    return targets_of(schema, {name: schema.question(name).evidence for name in asked})


def what_is_learnt(
    schema: LabelSchema, targets: Targets, *, neighbour: bool | str | Sequence[str], exclusive: bool, answered: bool
) -> LabelSchema:
    """Targets, their neighbours and, if a network answers, their questions."""
    learnt = schema.select(
        # targets first: if a mask of theirs overlaps a neighbour's (haemorrhage on the disc) the pixel is theirs
        labels=list(dict.fromkeys([*chain(*targets.values()), *_beside(schema, targets, neighbour)])),
        questions=list(targets) if answered else (),
    )
    return replace(learnt, exclusive=exclusive or schema.exclusive)


def _beside(schema: LabelSchema, targets: Targets, neighbour: bool | str | Sequence[str]) -> tuple[str, ...]:
    """Labels that are learnt beside the targets; ValueError if one is a target or unknown."""
    there = neighbours_of(schema, targets)
    if isinstance(neighbour, bool):
        return there if neighbour else ()
    chosen = (neighbour,) if isinstance(neighbour, str) else tuple(neighbour)
    if strange := sorted(set(chosen) - set(there)):
        raise ValueError(f"neighbour must be True, False or some of {list(there)}, got {strange}")
    return chosen


# -- parts -----------------------------------------------------------------------------------------------------------


def hba_unet(
    schema: LabelSchema,
    *,
    encoder: str | None,
    size: int,
    width: int,
    attend_skips: bool,
    channels: int,
    stride_first: bool,
    dropout: float,
) -> Callable[[], nn.Module]:
    """The maker of HBA-U-Net; any size, its tables are made for the next lower multiple of 32."""
    return partial(
        HBAUNet,
        encoder or "resnet50",
        schema,
        size=max(size // 32 * 32, 32),
        attend_skips=attend_skips,
        widths=tuple(width * n for n in (8, 6, 4, 2, 1)),
        channels=channels,
        stride_first=stride_first,
        dropout=dropout,
    )


def marking(learnt: LabelSchema, overlapping: Term, *, pixels: float, overlap: float) -> Terms:
    """Terms of the masks: cross entropy (binary if labels overlap) and a Dice."""
    return {"pixels": (pixels, pixel_cross_entropy if learnt.exclusive else bce), "overlap": (overlap, overlapping)}


def kept_by(metric: str | None, targets: Targets, learnt: LabelSchema) -> Keep:
    """Choose weights by the metric named, or by the Dice of all images, the mean over the labels of all targets."""
    if metric is None:
        labels = list(dict.fromkeys(chain(*targets.values())))
        every = 1 < len(labels) == len(learnt.labels)  # nothing beside them: the mean over all labels is theirs
        return best("dice_all") if every else best(*(f"dice_all/{label}" for label in labels))
    return better(metric)


def gates_of(targets: Targets) -> tuple[Gate, ...]:
    """A gate per question: its "yes" opens the masks of its target."""
    return tuple(Gate(name, tuple(labels)) for name, labels in targets.items())


def flips_and_turns(rotation: float) -> Augment:
    """The paper's augmentation."""
    return Augment((flip_horizontal(0.5), flip_vertical(0.5), rotate(rotation)))


def adam(lr: float, *, weight_decay: float) -> Callable[[Iterable[Any]], Optimizer]:
    """The paper's optimizer."""
    return partial(Adam, lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay)


def check_encoder(encoder: str | None, *, width: int) -> None:
    """ValueError if timm has no such encoder, or a width is below 1."""
    if width < 1:
        raise ValueError(f"width must be a whole number from 1 on, got {width}; 32 is as published")
    if encoder is not None and not timm.is_model(encoder):
        near = get_close_matches(encoder, timm.list_models(), n=5)
        raise ValueError(f"encoder must be a timm network, got {encoder!r}; similar names are {near}")


def check_eps(eps: float) -> None:
    """ValueError if the Dice's epsilon is not positive."""
    if not eps > 0:
        raise ValueError(f"eps must be a number of pixels above 0, such as 1.0, got {eps}")
