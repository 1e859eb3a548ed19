"""Networks and ablations that joint Dice is compared with (Wei et al., Tables 1 to 3), and two steps.

Where the paper is silent
  baselines' loss: cross entropy and Dice in equal parts, two classes.
  two steps: the segmenter trains on all images, as the same row in one step does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from foveate.core.labels import LabelSchema
from foveate.data.prepare import Prepare
from foveate.engine.keep import best
from foveate.engine.recipe import Recipe, Stage
from foveate.losses.answer import cross_entropy
from foveate.losses.joint_dice import joint_dice
from foveate.losses.overlap import dice
from foveate.losses.pixel import deep
from foveate.losses.weigh import Weigh
from foveate.models.baselines.classifier import Classifier
from foveate.models.parts.encoders import pretrain
from foveate.recipes import joint_dice as paper
from foveate.recipes._effect import AllBut
from foveate.studies.comparisons._segmenters import (
    AUXILIARY,
    ENCODED,
    OF_TRANSFORMERS,
    ON_ENCODER,
    WITHOUT,
    Measures,
    segmenter,
)

TWO_STEPS = {"two_step": [True]}
ANSWERS = {"multitask": AllBut([False]), "two_step": [False]}

EFFECT = {
    "depth": [{"network": OF_TRANSFORMERS}],
    "attend_skips": [{"network": ["hba_unet"]}],
    "encoder": [{"network": ENCODED}, TWO_STEPS],
    "stride_first": [{"network": ON_ENCODER}, TWO_STEPS],
    "weights": [{"network": ON_ENCODER}, {"network": AllBut(WITHOUT), "weights": ["hub"]}, TWO_STEPS],
    "dropout": [
        {"network": ["hba_unet", "swin_unet"]},
        {"network": ["r50_unet", "unet", "attention_unet"], **ANSWERS},
        TWO_STEPS,
    ],
    "answers": [ANSWERS],
    "gate": [{"two_step": [False]}],  # two steps have a gate
}


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
    """A row of the paper's tables.

    Args:
        schema: the manifest's; needs a yes/no question with evidence.
        network: a name of `_segmenters.NETWORKS`.
        multitask: the network that marks answers the question, too; None = unless there are two steps.
        joint: joint Dice instead of Dice, which needs that answer; None = if there is one.
        detach: the answer learns nothing from joint Dice.
        two_step: a classifier of its own answers, and opens or closes the masks of a segmenter that does not.
        encoder: a timm network; None = the network's own (ResNet-50; TransFuse ResNet-34).
        weights: of networks that are built on a timm encoder "none", "hub" or a file; of others "none" or "hub".
        depth: transformer blocks; None = as published.
        neighbour, gate, calibrated, question, exclusive, pixels, overlap, answers, eps, stride_first, width,
            attend_skips, dropout, size, stretch, grey, crop_field, clahe, `annotators`, rotation, epochs, batch, lr,
            weight_decay, annotation_fraction, keep: as of `recipes.joint_dice`.

    Raises:
        ValueError: no target, no such network, neighbour or encoder, a size or width that the network cannot have,
            eps <= 0, or settings that contradict each other.
    """
    multitask = not two_step if multitask is None else multitask
    joint = multitask if joint is None else joint
    _check(multitask=multitask, joint=joint, detach=detach, two_step=two_step, gate=gate)
    paper.check_eps(eps)
    targets = paper.targets_asked(schema, question)
    learnt = paper.what_is_learnt(
        schema, targets, neighbour=neighbour, exclusive=exclusive, answered=multitask or two_step
    )
    weighed = partial(joint_dice, targets=targets, detach=detach, eps=eps) if joint else partial(dice, eps=eps)
    marking = _with_auxiliary(network, paper.marking(learnt, weighed, pixels=pixels, overlap=overlap))
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
        keep=paper.kept_by(keep, targets, learnt),
    )
    ask = Stage(
        "presence",
        network=partial(Classifier, own, learnt, channels=channels, stride_first=stride_first, dropout=dropout),
        loss=Weigh(answers=(1.0, cross_entropy)),
        start=partial(pretrain, weights=weights) if weights != "none" else None,
        keep=best("auc"),
    )
    return Recipe(
        schema=learnt,
        prepare=Prepare(
            size=size, stretch=stretch, grey=grey, crop_field=crop_field, clahe=clahe, annotators=annotators
        ),
        augment=paper.flips_and_turns(rotation),
        optimizer=paper.adam(lr, weight_decay=weight_decay),
        batch=batch,
        epochs=epochs,
        annotation_fraction=annotation_fraction,
        gates=paper.gates_of(targets) if two_step or gate else (),
        calibrated=calibrated,
        stages=(ask, mark) if two_step else (mark,),
    )


def method(keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keywords of `recipes.joint_dice` that do the same; None if it cannot."""
    own: dict[str, Sequence[Any]] = {
        "network": ["hba_unet"],
        "multitask": [None, True],
        "joint": [None, True],
        "detach": [False],
        "two_step": [False],
    }
    if any(k in keywords and keywords[k] not in values for k, values in own.items()):
        return None
    return {k: v for k, v in keywords.items() if k not in own}


def _with_auxiliary(network: str, marking: paper.Terms) -> paper.Terms:
    """Terms of a network with further outputs, whose weights sum to those of a network with one."""
    if (beside_main := AUXILIARY.get(network)) is None:
        return marking
    share = 1 / (1 + sum(beside_main))
    return {n: (w * share, partial(deep, term=t, weights=beside_main)) for n, (w, t) in marking.items()}


def _check(*, multitask: bool, joint: bool, detach: bool, two_step: bool, gate: bool) -> None:
    """ValueError if settings contradict each other."""
    if joint and not multitask:
        raise ValueError("joint=True weighs by the answer of the same network: set multitask=True")
    if two_step and multitask:
        raise ValueError("two_step=True: the first step answers, the second does not; leave multitask out")
    if detach and not joint:
        raise ValueError("detach=True cuts what the answer learns from joint Dice: set joint=True, or leave detach out")
    if gate and not multitask:
        raise ValueError("gate=True needs an answer; set multitask=True or two_step=True")
