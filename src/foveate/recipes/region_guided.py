"""Regionally guided CNN (Son et al. 2018): classify findings, and see them where annotators roughly pointed.

A network with one activation map per finding; cross entropy of the answers plus lambda times the activation outside the
cue. Cues are marked regions, boxes, ellipses or polygons of annotators, or are made of masks; rows of all kinds train
together, and one without a cue trains by its answer. ``guide=0`` turns the guidance off.

Where the paper is silent
  score: the mean of the maps is taken before the sigmoid; after it scores would be confined to 0.5 to 0.73.
  eq. 2 is negative and least where a <= eps outside the cue; it is shifted by -log eps so that the log starts at 0.
  cue at the map's resolution: its maximum over each cell.
  absent: the cue is empty, activation is suppressed everywhere.
  present: marked by at least 2 of 3 annotators ("more than 2 out of 3"), see data.consensus.settle.
  maps: at 1/16 of the image, after the fourth reduction; 16 channels first; pyramid branches of 64, side by side.
  small lesions: maxima of 2 x 2 cells before the mean.
  rate: 0.01, divided by 10 when the validation loss has not fallen for 5 epochs; weights of the lowest one are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

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
from foveate.models.region_cnn import RegionCNN, check_region_cnn
from foveate.recipes._checks import one_of
from foveate.recipes._effect import AllBut

LOSSES: dict[str, Callable[..., Term]] = {
    "paper": lambda eps: partial(guidance, eps=eps),
    "printed": lambda eps: partial(guidance_printed, eps=eps),
    "entropy": lambda eps: guidance_entropy,
}
"""Guidance losses: eq. 2 shifted to start at 0, eq. 2 as printed, and -(1 - m) log(1 - a)."""

GUIDED = [{"guide": AllBut([0])}]

EFFECT = {
    "guidance_loss": GUIDED,
    "eps": [{"guidance_loss": ["paper", "printed"]}],
    "cue": GUIDED,
    "annotation_fraction": GUIDED,
}
"""Keywords of the guidance."""

AUGMENT = Augment(
    (
        flip_horizontal(0.5),
        flip_vertical(0.5),
        rotate(15),
        zoom(0.9, 1.1),
        shift(0.05),
        shear(5),
        brightness(0.15),
        contrast(0.15),
    )
)


def recipe(
    schema: LabelSchema,
    *,
    lesion_size: str = "small",
    guide: float = 1.0,
    guidance_loss: str = "paper",
    eps: float = 1e-3,
    cue: str = "regions",
    eval_cue: str = "regions",
    at_least: int | str = 1,
    findings: Sequence[str] | None = None,
    width: int = 16,
    levels: int = 4,
    blocks: int = 1,
    pyramid: int = 64,
    peak: int = 2,
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
    """The paper's method; ``comparisons/region_guided`` guides other networks in the same way.

    Args:
        schema: the manifest's; needs a finding, a yes/no question whose evidence is a label.
        lesion_size: a name of `models.region_cnn.RATES`.
        guide: lambda of eq. 3; 0 = no guidance.
        guidance_loss: a name of `LOSSES`.
        eps: of eq. 2, in (0, 1).
        cue: the form that masks become before they guide, a name of `data.cues.FORMS`.
        eval_cue: the form that masks become before activation maps are evaluated on them (AIR).
        at_least: annotators who must have marked a place, or a name of `core.consensus.RULES`.
        findings: yes/no questions to learn; None = all that have evidence. The paper trains one network each.
        width, levels, blocks, pyramid, peak: of `models.region_cnn.RegionCNN`.
        size, stretch, crop_field, `annotators`: of the preparation.
            The papers resize to a square, stretch=True; False keeps the aspect and pads.
        epochs, batch, lr: of the training.
        patience: stop after so many epochs without a lower validation loss; None = never.
        vary: flip, scale, turn, shift, shear and re-scale brightness in training.
        balance: draw the first finding's answers equally often.
        annotation_fraction: share of the training patients whose masks are shown, that is, have cues made of them.

    Raises:
        ValueError: the schema has no such finding, a name is not one of those there are, or a number is out of range.
    """
    check_guidance(guidance_loss, cue=cue, eval_cue=eval_cue, guide=guide, eps=eps)
    check_region_cnn(lesion_size=lesion_size, width=width, levels=levels, blocks=blocks, pyramid=pyramid, peak=peak)
    learnt = findings_asked(schema, findings)
    network = partial(
        RegionCNN,
        learnt,
        lesion_size=lesion_size,
        width=width,
        levels=levels,
        blocks=blocks,
        pyramid=pyramid,
        peak=peak,
    )
    return Recipe(
        schema=learnt,
        prepare=Prepare(size=size, stretch=stretch, crop_field=crop_field, annotators=annotators),
        augment=AUGMENT if vary else Augment(()),
        optimizer=partial(SGD, lr=lr, momentum=0.9, nesterov=True),
        schedule=divide_when_flat(by=10, patience=5),
        batch=batch,
        epochs=epochs,
        patience=patience,
        balance=learnt.questions[0].name if balance else None,
        annotation_fraction=annotation_fraction,
        cues=Cues(learnt, form=cue, at_least=at_least) if guide > 0 else None,
        eval_cues=Cues(learnt, form=eval_cue, at_least=at_least),
        stages=(findings_stage(network, guide=guide, loss=LOSSES[guidance_loss](eps)),),
    )


def findings_stage(network: Callable[[], nn.Module], *, guide: float, loss: Term) -> Stage:
    """The one stage: cross entropy of the answers and, if guided, the guidance of the activation maps."""
    terms: dict[str, tuple[float, Term]] = {"answers": (1.0, cross_entropy)}
    if guide > 0:
        terms["guidance"] = (guide, loss)
    return Stage("findings", network=network, loss=Weigh(**terms), keep=lowest("loss"))


def findings_asked(schema: LabelSchema, findings: Sequence[str] | None) -> LabelSchema:
    """The schema with the findings that are learnt as its only questions; ValueError if there is no such finding."""
    there = [q.name for q in schema.findings]
    asked = there if findings is None else list(findings)
    if not asked or set(asked) - set(there):
        raise ValueError(
            f"region_guided: findings={asked} of {there}; give the schema a yes/no question with a label as evidence"
        )
    return schema.select(questions=asked)


def check_guidance(guidance_loss: str, *, cue: str, eval_cue: str, guide: float, eps: float) -> None:
    """ValueError if a name is not one of those there are, or a number is out of range."""
    one_of("guidance_loss", guidance_loss, LOSSES)
    one_of("cue", cue, FORMS)
    one_of("eval_cue", eval_cue, FORMS)
    if not 0 <= guide < float("inf"):
        raise ValueError(f"guide must be 0 (no guidance) or a positive weight, got {guide}; the paper's is 1")
    if not 0 < eps < 1:
        raise ValueError(f"eps must be between 0 and 1, such as 1e-3, got {eps}")
