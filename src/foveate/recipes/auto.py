"""Auto: a joint network whose every setting follows from the data, the memory and the time; no paper's method.

``plan`` measures the manifest and the machine and decides each keyword of ``recipe`` with a reason
(`foveate fit auto M.jsonl -o RUN --dry` prints them); ``recipe`` alone is an ordinary recipe with plain defaults.

One stage, ``joint``, if a frame of moderate size shows the smallest lesions. Otherwise two: ``answer`` sees the whole
image in a small frame and answers (and marks, from which its encoder learns where to look); ``mark`` learns in windows
of a fine frame, a third of them about something marked, and reads by sliding windows. Masks come from ``mark`` then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn
from torch.optim import AdamW

from foveate.core.labels import LabelSchema
from foveate.data.augment import Augment, brightness, contrast, flip_horizontal, flip_vertical, rotate, zoom
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.engine.crops import DrawnWindows
from foveate.engine.keep import Keep, better, trusted
from foveate.engine.plan import Asked, Plan
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.schedule import cosine
from foveate.engine.window import SlidingWindow
from foveate.models.joint import Joint
from foveate.models.parts.encoders import pretrain
from foveate.recipes._auto.planning import make_plan
from foveate.recipes._marking import RARE
from foveate.recipes._terms import terms_of
from foveate.recipes._tuning import check_encoder, rates, tuned
from foveate.recipes.image_quality import DECODERS

MARKED = 1 / 3
"""Share of windows about something marked (nnU-Net's)."""


def recipe(
    schema: LabelSchema,
    *,
    leave_out: Sequence[str] | None = None,
    encoder: str = "resnet18",
    weights: str = "none",
    normalise: str | None = None,
    lora: int | None = None,
    layer_decay: float | None = None,
    encoder_lr: float | None = None,
    decoder: str = "unet",
    width: int = 16,
    dropout: float = 0.2,
    classify: float = 0.5,
    rare: float = RARE,
    size: int = 384,
    stretch: bool = False,
    window: int | None = None,
    each: int | None = None,
    marked: float | None = None,
    answer_size: int | None = None,
    answer_epochs: int | None = None,
    grey: bool = False,
    crop_field: bool = False,
    fill_white: bool = False,
    annotators: str = "union",
    mirror: bool = True,
    turn_over: bool = True,
    rotation: float = 15.0,
    balance: str | None = None,
    epochs: int = 100,
    batch: int = 8,
    lr: float = 1e-3,
    weight_decay: float = 1e-2,
    validate_every: int | None = None,
    keep: str | None = None,
    flips: bool = False,
    postprocess: bool = False,
) -> Recipe:
    """See the text above; `plan` decides each keyword, and ``--set`` overrides it.

    Args:
        schema: the manifest's.
        leave_out: labels and questions that are not learnt; None = all are.
        encoder: any timm network with feature maps.
        weights: of the encoder: "none", "hub", a file or "auto" (as `plan` finds them).
        normalise, lora, layer_decay, encoder_lr: how pretrained weights are used and trained, as of `image_quality`.
        decoder: "unet" or "fpn".
        width: channels of a U-Net's finest map.
        dropout: before the answer head.
        classify: share of the answers in the loss, in (0, 1); without labels or questions there is nothing to share.
        rare: how much the pixels of rare labels weigh at the start, 0 (not) to 1 (`recipes._marking`).
        size: frame in pixels; with windows the fine one.
        stretch: resize rows and columns each by its own factor; False = keep the aspect and pad.
        window: side of a window; None = whole frames.
        each: windows per training image; None = 2.
        marked: share of the windows about something marked; None = a third.
        answer_size: frame of the stage that answers beside windows; None = 384, or ``size`` if that is less.
        answer_epochs: of that stage; None = as ``epochs``.
        grey, crop_field, fill_white, `annotators`: of the preparation.
        mirror: flip left and right in half of the images.
        turn_over: flip up and down in half of the images.
        rotation: largest turn in degrees.
        balance: question whose answers are drawn equally often; None = as they come.
        epochs, batch, lr, weight_decay: of the training.
        validate_every: steps between validations; None = once an epoch.
        keep: validation metric that chooses the weights (with windows: of what marks); None = the mean of the tasks'
            own metrics as far as the validation images can decide (`engine.keep.trusted`).
        flips: read each image as it is and in every flip that ``mirror`` and ``turn_over`` allow (`Recipe.views`).
        postprocess: once trained, choose the temperature of each answer, the threshold of each label's pixels and its
            smallest lesion on the validation images (`engine.calibrate`).

    Raises:
        ValueError: nothing is left to learn, a name is not in the schema, or a keyword has no use here.
    """
    learnt = without(schema, leave_out or ())
    if not 0 < classify < 1:
        raise ValueError(f"classify={classify}; give a share between 0 and 1, or leave labels or questions out")
    if decoder not in DECODERS:
        raise ValueError(f"decoder={decoder!r} must be one of {list(DECODERS)}")
    check_encoder(encoder, weights=weights, normalise=normalise, lora=lora)
    _no_idle(learnt, window=window, each=each, marked=marked, answer_size=answer_size, answer_epochs=answer_epochs)
    make = partial(Joint, encoder, decoder=DECODERS[decoder](width), channels=1 if grey else 3, dropout=dropout)
    start = partial(pretrain, weights=weights, normalise=normalise) if weights != "none" else None
    groups = rates(lr, layer_decay=layer_decay, encoder_lr=encoder_lr)
    build = partial(_stage, make=make, start=start, lora=lora, groups=groups, classify=classify, rare=rare)
    if window is None:
        stages: tuple[Stage, ...] = (build("joint", learnt, keep=trusted(learnt) if keep is None else better(keep)),)
    else:
        drawn = DrawnWindows(window, each=each or 2, marked=MARKED if marked is None else marked)
        read = SlidingWindow(window, window * 3 // 4)
        marked_alone, asked_alone = learnt.select(questions=()), learnt.select(labels=())
        chosen = trusted(marked_alone) if keep is None else better(keep)
        mark = build("mark", marked_alone, keep=chosen, patches=drawn, infer=read)
        small = min(answer_size or 384, size)
        whole = build("answer", learnt, keep=trusted(asked_alone), size=small, epochs=answer_epochs)
        stages = (whole, mark) if learnt.questions else (mark,)
    moves = (*((flip_horizontal(0.5),) * mirror), *((flip_vertical(0.5),) * turn_over))
    return Recipe(
        schema=learnt,
        prepare=Prepare(
            size=size, stretch=stretch, grey=grey, crop_field=crop_field, fill_white=fill_white, annotators=annotators
        ),
        augment=Augment((*moves, rotate(rotation), zoom(0.9, 1.1), brightness(0.15), contrast(0.15))),
        optimizer=partial(AdamW, lr=lr, weight_decay=weight_decay),
        schedule=cosine(warmup=0.05),
        batch=batch,
        epochs=epochs,
        validate_every=validate_every,
        balance=balance,
        views=_views(mirror=mirror, turn_over=turn_over) if flips else (),
        calibrated="half" if postprocess else None,
        postprocess=postprocess and bool(learnt.labels),
        stages=stages,
    )


def plan(rows: Manifest, *, asked: Asked) -> Plan:
    """Measure the data and the machine, and decide every keyword of `recipe`.

    Args:
        rows: a manifest with splits.
        asked: keywords that the user has set, time, memory and device.

    Raises:
        ValueError: the data or the budget does not allow a training; the message names the remedy.
    """
    return make_plan(recipe, rows, asked=asked)


def without(schema: LabelSchema, names: Sequence[str]) -> LabelSchema:
    """The schema without these labels and questions.

    Raises:
        ValueError: the schema has no such name, or nothing is left.
    """
    questions = [q.name for q in schema.questions]
    if strange := set(names) - set(questions) - set(schema.labels):
        raise ValueError(f"leave_out={sorted(strange)}: must be labels or questions, {[*schema.labels, *questions]}")
    kept = schema.select(
        labels=[label for label in schema.labels if label not in names],
        questions=[name for name in questions if name not in names],
    )
    if not kept.labels and not kept.questions:
        raise ValueError(f"leave_out={list(names)}: no label and no question is left to learn")
    return kept


def _views(*, mirror: bool, turn_over: bool) -> tuple[str, ...]:
    """The flips in which an image is read: those that training makes; ValueError if it makes none."""
    if not mirror and not turn_over:
        raise ValueError("flips=True, but mirror and turn_over are False, so there is no flip; leave it out")
    both = mirror and turn_over
    return ("as is", *(("horizontal",) * mirror), *(("vertical",) * turn_over), *(("both",) * both))


def _no_idle(schema: LabelSchema, *, window: int | None, **only: float | None) -> None:
    """ValueError for keywords of windows that have no use."""
    given = [name for name, value in only.items() if value is not None]
    if window is None and given:
        raise ValueError(f"{given} are of windows: set window too, or leave them out")
    if window is not None and not schema.labels:
        raise ValueError(f"window={window}: windows are for marking, and no label is learnt; leave it out")
    idle = [name for name in ("answer_size", "answer_epochs") if name in given and not schema.questions]
    if idle:
        raise ValueError(f"{idle} are of the stage that answers, and no question is learnt; leave them out")


def _stage(
    name: str,
    schema: LabelSchema,
    *,
    make: Callable[..., nn.Module],
    lora: int | None,
    classify: float,
    rare: float,
    keep: Keep,
    **more: Any,
) -> Stage:
    return Stage(
        name,
        network=tuned(partial(make, schema), lora=lora),
        loss=terms_of(schema, classify=classify, rare=rare),
        keep=keep,
        **more,
    )
