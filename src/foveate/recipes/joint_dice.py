"""Joint Dice (Wei et al.): HBA-U-Net marks a target and its neighbour and says whether the target is there at all.

The paper marks peripapillary atrophy beside the optic disc; the method serves any yes/no question with evidence and
any neighbours, by softmax over background, neighbours and targets. By keyword: its ablations, its baselines, other
networks under the same loss, and the two-step method in which a classifier opens or closes the masks.

Where the paper is silent
  which sums the Dice loss weighs: those of the target; the disc is there in every image and keeps the plain loss, the
      background has none (losses.joint_dice, which also tells the slip in the sentence after eq. 2).
  gradient through y^: it flows (``detach=True`` cuts it).
  what the answer reads: the deepest map, after the attention; one linear layer on its mean.
  decoder widths: the published HBA-U-Net's; its residual blocks add a convolution to the one before.
  baselines' loss: cross entropy and Dice in equal parts, two classes.
  two steps: the segmenter trains on all images, as the same row in one step does.
  weights kept: the highest Dice of the target (mean of several) over all validation images, rightly empty masks
      being 1.
  CLAHE 2.0 on 8 x 8 tiles; turns up to 15 degrees; epsilon of one pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from torch.optim import Adam

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
from foveate.losses.overlap import dice
from foveate.losses.pixel import bce, deep, pixel_cross_entropy
from foveate.losses.weigh import Weigh
from foveate.models.baselines.classifier import Classifier
from foveate.models.parts.encoders import pretrain
from foveate.recipes._segmenters import AUXILIARY, ON_ENCODER, WITHOUT, Measures, segmenter


def recipe(
    schema: LabelSchema,
    *,
    network: str = "hba_unet",
    neighbour: bool | str | Sequence[str] = True,
    multitask: bool | None = None,
    joint: bool | None = None,
    detach: bool = False,
    two_step: bool = False,
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
    depth: int | None = None,
    attend_skips: bool = False,
    dropout: float = 0.0,
    size: int = 512,
    grey: bool = False,
    crop_field: bool = False,
    clahe: float | None = 2.0,
    graders: str = "union",
    rotation: float = 15.0,
    epochs: int = 500,
    batch: int = 4,
    lr: float = 1e-4,
    weight_decay: float = 1e-4,
    masks: float = 1.0,
    keep: str | None = None,
) -> Recipe:
    """The method, or one of the rows that it is compared with.

    Args:
        schema: the manifest's; needs a yes/no question with evidence.
        network: a name of `_segmenters.NETWORKS`.
        neighbour: labels of no target that are learnt beside: True = all, False = none, or their names.
        multitask: the network that marks answers the question, too; None = unless there are two steps.
        joint: joint Dice instead of Dice, which needs that answer; None = where there is one.
        detach: the answer learns nothing from joint Dice.
        two_step: a classifier of its own answers, and opens or closes the masks of a segmenter that does not.
        gate: the network's own answer opens or closes its masks (`foveate calibrate` chooses from when on).
        calibrated: a rule by which temperature, threshold and gate are chosen on the validation images once trained
            (`Recipe.calibrated`); None = a gate opens at 0.5, or where `foveate calibrate` says later.
        question: the questions whose evidence are targets; None = all that have some.
        exclusive: softmax over background and labels, whatever the manifest says; False = as the manifest says.
        pixels, overlap, answers: weights of eq. 3.
        eps: of the Dice, in pixels.
        encoder: a timm network; None = the network's own (ResNet-50; TransFuse ResNet-34).
        weights: of networks that are built on it "none", "hub" or a file; for other encoders "hub" alone counts.
        stride_first: of ResNet bottlenecks, as weights from Keras need it.
        width: 32 = published widths; all channels that are not the encoder's shrink with it.
        depth: transformer blocks; None = as published.
        attend_skips: of HBA-U-Net.
        dropout: before the answer and in the decoder of HBA-U-Net.
        size, grey, crop_field, clahe, graders: of the preparation.
        rotation: largest turn in degrees.
        epochs, batch, lr, weight_decay: of each stage.
        masks: share of the training patients whose masks are shown.
        keep: validation figure that chooses the marking network's weights ("loss", "brier", "nll": the lowest); None =
            Dice of all images, the mean over the targets. Where most images are free of the target, "dice/<target>"
            does not reward marking nothing.

    Raises:
        ValueError: no target, no such network, neighbour or encoder, a size or width that the network cannot have,
            eps <= 0, or settings that contradict each other.
    """
    multitask = not two_step if multitask is None else multitask
    joint = multitask if joint is None else joint
    if joint and not multitask:
        raise ValueError("joint=True weighs by the answer of the same network: say multitask=True")
    if two_step and (multitask or joint):
        raise ValueError("two_step=True: the first step answers, the second does not; leave multitask out")
    if detach and not joint:
        raise ValueError("detach=True cuts what the answer learns from joint Dice: say joint=True, or leave detach out")
    if not eps > 0:
        raise ValueError(f"eps={eps}: give a number of pixels above 0, such as 1.0")
    answered = multitask or two_step
    if gate and not answered:
        raise ValueError("gate=True needs an answer; say multitask=True or two_step=True")
    targets = _targets(schema, question)
    learnt = schema.select(
        # targets first: where a mask of theirs overlaps a neighbour's (haemorrhage on the disc) the pixel is theirs
        labels=list(dict.fromkeys([*chain(*targets.values()), *_beside(schema, targets, neighbour)])),
        questions=list(targets) if answered else (),
    )
    learnt = replace(learnt, exclusive=exclusive or schema.exclusive)
    weighed = partial(joint_dice, targets=targets, detach=detach, eps=eps) if joint else partial(dice, eps=eps)
    marking: dict[str, tuple[float, Term]] = {
        "pixels": (pixels, pixel_cross_entropy if learnt.exclusive else bce),
        "overlap": (overlap, weighed),
    }
    if beside_main := AUXILIARY.get(network):
        share = 1 / (1 + sum(beside_main))  # so that the terms weigh as they do in a network with one output
        marking = {n: (w * share, partial(deep, term=t, weights=beside_main)) for n, (w, t) in marking.items()}
    channels, own = 1 if grey else 3, encoder or "resnet50"
    filled = weights != "none" and (network in ON_ENCODER or (weights == "hub" and network not in WITHOUT))
    measures = Measures(
        encoder=encoder,
        stride_first=stride_first,
        width=width,
        depth=depth,
        attend_skips=attend_skips,
        dropout=dropout,
        channels=channels,
        size=size,
    )
    mark = Stage(
        network,
        network=segmenter(network, learnt if multitask else learnt.select(questions=()), measures),
        loss=Weigh(**marking, **({"answers": (answers, cross_entropy)} if multitask else {})),
        start=partial(pretrain, weights=weights) if filled else None,
        keep=_kept(keep, targets, learnt),
    )
    ask = Stage(
        "presence",
        network=partial(Classifier, own, learnt, channels=channels, stride_first=stride_first, dropout=dropout),
        loss=Weigh(answers=(1.0, cross_entropy)),
        start=partial(pretrain, weights=weights) if weights != "none" else None,
        keep=best("auc"),
    )
    gates = tuple(Gate(name, labels) for name, labels in targets.items()) if two_step or gate else ()
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, grey=grey, crop_field=crop_field, clahe=clahe, graders=graders),
        augment=Augment((flip_horizontal(0.5), flip_vertical(0.5), rotate(rotation))),
        optimizer=partial(Adam, lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay),
        batch=batch,
        epochs=epochs,
        masks=masks,
        gates=gates,
        calibrated=calibrated,
        stages=(ask, mark) if two_step else (mark,),
    )


def _targets(schema: LabelSchema, question: str | Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Question -> its evidence, of those asked."""
    if question is None:
        return targets_of(schema)
    asked = [question] if isinstance(question, str) else question
    return targets_of(schema, {name: schema.question(name).evidence for name in asked})


def _beside(schema: LabelSchema, targets: Targets, neighbour: bool | str | Sequence[str]) -> tuple[str, ...]:
    """Labels that are learnt beside the targets; ValueError where one is no neighbour."""
    there = neighbours_of(schema, targets)
    if isinstance(neighbour, bool):
        return there if neighbour else ()
    chosen = (neighbour,) if isinstance(neighbour, str) else tuple(neighbour)
    if strange := set(chosen) - set(there):
        raise ValueError(f"neighbour={neighbour!r}: {sorted(strange)} are none of {there}")
    return chosen


def _kept(figure: str | None, targets: Targets, learnt: LabelSchema) -> Keep:
    """By the figure named, or by the Dice of all images, the mean over the labels of all targets."""
    if figure is None:
        labels = list(dict.fromkeys(chain(*targets.values())))
        every = 1 < len(labels) == len(learnt.labels)  # nothing beside them: the mean over all labels is theirs
        return best("dice_all") if every else best(*(f"dice_all/{label}" for label in labels))
    return better(figure)
