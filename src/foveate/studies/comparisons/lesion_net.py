"""Networks and losses that Lesion-Net and side attention are compared with (Wei et al. 2021, Tables II to IV).

Where the paper is silent
  FCN on Inception-v3 has no layers of VGG's classifier to turn into convolutions: its maps are scored as they are.
  presence of the classifiers (Inception-v3, ABN): one logit per lesion, on eq. 4; validated by the F1 of presence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from foveate.core.labels import LabelSchema
from foveate.data.prepare import Prepare
from foveate.engine.keep import best
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import divide_when_flat
from foveate.engine.window import SlidingWindow
from foveate.models.side_attention import ATTENTIONS, SHRINK, SideAttention
from foveate.recipes import lesion_net as paper
from foveate.recipes._checks import one_of
from foveate.recipes._effect import AllBut
from foveate.studies.comparisons._lesion_networks import (
    CUT,
    LOSSES,
    NETWORKS,
    PRESENCE,
    filled_abn,
    lesion_losses,
    lesion_network,
    with_branch,
)

GRADERS = ("side_attention", *PRESENCE)
SIDE = [{"grader": ["side_attention"]}]
DICE = [{"network": list(PRESENCE)}, {"loss": ["dual", "dice"]}]

EFFECT = {
    "stride": [{"network": list(CUT)}],
    "parts": [{"network": AllBut([None])}],
    "loss": [{"network": AllBut([None, *PRESENCE])}],
    "share": [{"loss": ["dual"]}],
    "late": [{"loss": ["dual"]}],
    "per_lesion": DICE,
    "labels": [{"network": AllBut([None])}],
    "anatomy": [{"network": AllBut([None]), "labels": [None]}],
    "attention": SIDE,
    "shrink": SIDE,
    "finetune": SIDE,
    "ordinal": [{"grader": AllBut([None])}],
    "grade_lr": [{"grader": AllBut([None])}],
    "grade_epochs": [{"grader": AllBut([None])}],
}


def recipe(
    schema: LabelSchema,
    *,
    network: str | None = "lesion_net",
    stride: int = 16,
    parts: int | None = None,
    loss: str = "dual",
    share: float = 0.8,
    late: bool = True,
    per_lesion: bool = False,
    grader: str | None = "side_attention",
    attention: str = "conv",
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
    """A row of the paper's tables: a network of lesions, a network of the grade, or both.

    Args:
        schema: the manifest's; needs labels if a network marks, a question if a network grades.
        network: of stage 1, one of `NETWORKS`; None = no lesions, the grade alone.
        stride: of the map at which the path of Lesion-Net and FCN is cut, one of `recipes.lesion_net.STRIDES`.
        parts: stage 1 trains on this many patches per side and reads windows of their size at half steps, whose
            overlaps are averaged; None = whole images. 4 in the paper's patch FCN-32s. Needs ``grader=None``.
        loss: of stage 1: "dual" (Dice until the first drop of the rate), "dice", "wce" or "focal".
        `grader`: the network of stage 2, one of `GRADERS`; None = stage 1 alone. "classifier" and "abn" do without
            stage 1.
        attention: "conv", "cw_maxpool" or "concat".
        share, late, per_lesion, shrink, ordinal, finetune, question, labels, anatomy, encoder, weights, size, stretch,
            crop_field, `annotators`, epochs, batch, lr, grade_lr, grade_epochs, momentum, weight_decay, validate_every,
            validations, flat, patience, balance: as of `recipes.lesion_net`.

    Raises:
        ValueError: a name or number out of its range, nothing to learn, or a schema without what is to be learnt.
    """
    _check(network, grader, stride=stride, loss=loss, attention=attention, shrink=shrink, parts=parts, size=size)
    rate = partial(paper.sgd, momentum=momentum, weight_decay=weight_decay)
    learnt, asked = paper.what_is_learnt(
        schema, question=question, labels=labels, anatomy=anatomy, grade=grader is not None
    )
    learnt = learnt.select(labels=()) if network is None else learnt
    stages: list[Stage] = []
    if network is not None:
        made = lesion_network(network, learnt.select(questions=()), encoder=encoder, stride=stride)
        before, after = lesion_losses(network, loss, share=share, late=late, per_lesion=per_lesion)
        keep = best("presence_f1") if network in PRESENCE else paper.PIXEL_F1
        mark = paper.mark_stage(network, made, learnt, before=before, after=after, weights=weights, keep=keep)
        stages.append(_filled(mark, weights=weights))
    if grader is not None:
        assert asked is not None
        look: dict[str, paper.Make] = {k: partial(make, encoder, learnt) for k, make in PRESENCE.items()}
        if network is not None:
            look["side_attention"] = partial(
                SideAttention, encoder, learnt, lesions=made, attention=attention, shrink=shrink
            )
        term = paper.grade_loss(asked, ordinal=ordinal)
        answer = paper.grade_stage(
            grader,
            look[grader],
            asked,
            loss=with_branch(term) if grader == "abn" else term,
            weights=weights,
            optimizer=None if grade_lr is None else rate(grade_lr),
            epochs=grade_epochs,
        )
        answer = paper.guided_by(stages[0], answer, finetune=finetune) if stages else answer
        stages.append(_filled(answer, weights=weights))
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, stretch=stretch, crop_field=crop_field, annotators=annotators),
        augment=paper.AUGMENT,
        optimizer=rate(lr),
        schedule=divide_when_flat(by=10.0, patience=flat),
        batch=batch,
        epochs=epochs,
        validate_every=validate_every,
        validations=validations,
        patience=patience,
        balance=asked.name if balance and asked is not None else None,
        patches=SlidingWindow(size // parts, size // parts) if parts else None,
        infer=SlidingWindow(size // parts, size // parts // 2) if parts else None,
        stages=tuple(stages),
    )


def method(keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keywords of `recipes.lesion_net` that do the same; None if it cannot."""
    own = {"network": "lesion_net", "loss": "dual", "parts": None, "attention": "conv"}
    grader = keywords.get("grader", "side_attention")
    alone = grader is None
    if alone:  # no stage that grades: the attention has no effect
        del own["attention"]
    if any(keywords.get(k, value) != value for k, value in own.items()) or grader not in ("side_attention", None):
        return None
    rest = {k: v for k, v in keywords.items() if k not in (*own, "grader", "attention")}
    return rest | {"grade": False} if alone else rest


def _filled(stage: Stage, *, weights: str) -> Stage:
    """The stage whose ABN, if it is one, fills its attention branch too."""
    return replace(stage, start=partial(filled_abn, weights=weights)) if stage.name == "abn" and stage.start else stage


def _check(
    network: str | None,
    grader: str | None,
    *,
    stride: int,
    loss: str,
    attention: str,
    shrink: str,
    parts: int | None,
    size: int,
) -> None:
    """ValueError if a name is not one of those there are, or names do not go together."""
    one_of("network", network, (*NETWORKS, None))
    one_of("grader", grader, (*GRADERS, None))
    one_of("loss", loss, ("dual", "dice", *LOSSES))
    one_of("attention", attention, tuple(ATTENTIONS))
    one_of("shrink", shrink, tuple(SHRINK))
    one_of("stride", stride, paper.STRIDES)
    if (network is not None) != (grader in ("side_attention", None)):
        raise ValueError(
            f"network={network!r}, grader={grader!r}: side_attention needs a network, `classifier` and `abn` none; "
            "`grader=None` trains a network alone"
        )
    if parts is not None and (parts < 1 or size % parts or grader is not None):
        raise ValueError(
            f"parts={parts}, size={size}, grader={grader!r}: give a number that divides the size; patches need "
            "`grader=None`, because a grade is about the whole image"
        )
