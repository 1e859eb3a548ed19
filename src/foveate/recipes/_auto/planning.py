"""The plan of `recipes.auto`: the data, the network, the memory and the time, each rule in its turn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from math import sqrt

import torch

from foveate.core.labels import LabelSchema
from foveate.data.manifest import Manifest
from foveate.data.survey import Survey, survey
from foveate.engine.plan import Asked, Deciding, Plan, check_asked
from foveate.engine.precision import NO_UNITS, Measured, has_bf16_units, measured_precision
from foveate.engine.recipe import AUTO, TRAINING, Recipe
from foveate.engine.run import pick_device
from foveate.models.parts.sources import resolve_weights
from foveate.recipes._auto.learnt import (
    decide_balance,
    decide_keep,
    decide_learnt,
    decide_postprocess,
    decide_rare_images,
)
from foveate.recipes._auto.lengths import FEWEST, Length, length, planned_epochs, spoken
from foveate.recipes._auto.seeing import decide_colour, decide_frame, decide_variations, smallest_lesion, up
from foveate.recipes._auto.step_cost import Cost, free_mib, measure, step_mib, steps_of
from foveate.recipes._marking import RARE
from foveate.recipes._terms import terms_of

Make = Callable[..., Recipe]

ENCODERS = ("tf_efficientnet_lite0", "resnet18")
"""Compact ones, the first whose pretrained weights are found; the last from nothing."""

BATCH, PIECE = 8, 2
"""Images per step; fewest per piece of an accumulated step, as batch normalisation needs two."""

SMALLEST = 96
"""Frame in pixels below which a plan does not go."""

LEFT_TO_THE_PLAN = (("precision", AUTO), ("weights", AUTO))
"""Keywords that leave the choice to the plan, although the user has set them."""

FACTS = ("modality",)
"""Decisions that a user may set, although they are not keywords of the recipe."""


def make_plan(make: Make, rows: Manifest, *, asked: Asked) -> Plan:
    """Decide every keyword of a recipe.

    Args:
        make: the recipe, ``make(schema, **keywords)``.
        rows: a manifest with splits.
        asked: keywords that the user has set, and the budget.

    Raises:
        ValueError: the data or the budget does not allow a training; the message names the remedy.
    """
    own = [k for k, p in inspect.signature(make).parameters.items() if p.kind is p.KEYWORD_ONLY]
    known = tuple(dict.fromkeys([*own, *TRAINING]))
    check_asked(asked.keywords, (*known, *FACTS), recipe=asked.recipe)
    found = survey(rows, progress=asked.progress)
    keywords = {k: v for k, v in asked.keywords.items() if (k, v) not in LEFT_TO_THE_PLAN}
    deciding = Deciding(keywords)
    _images(deciding, found)
    learnt = decide_learnt(deciding, rows.schema, found)
    decide_colour(deciding, found)
    decide_variations(deciding, found)
    _network(deciding)
    decide_frame(deciding, learnt, found)
    decide_balance(deciding, learnt, found)
    decide_rare_images(deciding, learnt, found)
    _loss(deciding, learnt)
    draft = _Draft(make, rows.schema, own, deciding)
    _batch(draft, found, asked)
    device = pick_device(asked.device)
    _precision(draft, device)
    _length(draft, learnt, found, asked, device)
    decide_keep(deciding, learnt, found)
    decide_postprocess(deciding, learnt)
    for name in keywords:
        if name not in deciding:
            deciding.set(name, None, "")
    draft.recipe()  # a combination that the recipe refuses is found here, before anything is written
    return Plan(asked.recipe, tuple(deciding.decisions.values()), known, tuple(deciding.notes), survey=found.to_json())


class _Draft:
    """The recipe as far as it is decided."""

    def __init__(self, make: Make, schema: LabelSchema, own: Sequence[str], deciding: Deciding) -> None:
        self.make, self.schema, self.own, self.deciding = make, schema, own, deciding

    def recipe(self) -> Recipe:
        """With what is decided, and what the user has set."""
        given = {d.name: d.value for d in self.deciding.decisions.values()} | dict(self.deciding.asked)
        made = self.make(self.schema, **{name: value for name, value in given.items() if name in self.own})
        return made.with_(**{k: v for k, v in given.items() if k in TRAINING and k not in self.own})


def _images(deciding: Deciding, found: Survey) -> None:
    """The fact that all else rests on."""
    deciding.set(
        "images",
        f"{found.images['train']} train, {found.images['val']} val",
        f"of {found.patients['train']} and {found.patients['val']} patients; {found.several} have several images, "
        f"{found.both_eyes} images of both eyes",
        f"pixels of {found.sampled} were read, {found.seconds:.2g} s each",
    )


def _network(deciding: Deciding) -> None:
    """Encoder, its weights, decoder."""
    candidates = [deciding.asked["encoder"]] if "encoder" in deciding.asked else list(ENCODERS)
    for encoder in candidates:
        source, note = resolve_weights(encoder)
        if source != "none":
            break
    deciding.set(
        "encoder",
        encoder,
        "the first compact encoder whose pretrained weights are found"
        if source != "none"
        else "compact; no pretrained weights were found",
    )
    taken = deciding.set("weights", source, note)
    if taken == "none" and "weights" not in deciding.asked:
        deciding.note(f"{note}. Random weights cost accuracy on small sets")
    deciding.set("decoder", "unet", "has a skip at every scale, which small targets need")
    deciding.set("width", 16, "channels of the finest map, as usual for a U-Net")
    deciding.set("lr", 1e-3, "Adam's usual rate, with a warm-up and half a cosine")


def _loss(deciding: Deciding, learnt: LabelSchema) -> None:
    classify = deciding.asked.get("classify", 0.5)
    if learnt.labels and learnt.questions:
        deciding.set("classify", classify, "answers and masks have equal shares in the loss")
    rare = RARE
    if learnt.labels:
        rare = deciding.set("rare", RARE, "pixels of rare labels weigh more at the start, or some are never marked")
    deciding.set("loss", str(terms_of(learnt, classify=classify, rare=rare)), "terms that the schema has truth for")


def _batch(draft: _Draft, found: Survey, asked: Asked) -> None:
    """Batch, accumulation, and a smaller frame if memory asks for it.

    Raises:
        ValueError: not even the smallest frame fits.
    """
    deciding = draft.deciding
    allowed, how = (asked.memory, "as you set it") if asked.memory is not None else free_mib(asked.device)
    rows = found.images["train"]
    batch = deciding.set("batch", max(1, min(BATCH, rows)), f"of {rows} training images")
    pieces = [n for n in range(1, batch + 1) if batch % n == 0 and (batch // n >= PIECE or n == 1)]
    while True:
        for number in pieces:
            deciding.set("accumulate", number, "all at once" if number == 1 else "pieces of a step, so that it fits")
            recipe = draft.recipe()
            need = max(step_mib(recipe, stage) for stage in recipe.stages)
            if need <= allowed or "accumulate" in asked.keywords:
                break
        if need <= allowed:
            break
        smaller = up(deciding["size"] * 0.8 - 16)
        if "size" in asked.keywords or deciding["size"] <= SMALLEST or smaller >= deciding["size"]:
            raise ValueError(
                f"memory: a step at size={deciding['size']} needs about {need:,.0f} MiB, and the plan may take "
                f"{allowed:,.0f} ({how}); set a smaller size or batch, or give more (--memory)"
            )
        _shrink(draft, found, max(smaller, SMALLEST), "the largest frame that the memory holds")
    deciding.set("memory", f"{need:,.0f} MiB", f"estimate for training; {allowed:,.0f} MiB may be taken, {how}")


def _shrink(draft: _Draft, found: Survey, size: int, reason: str) -> None:
    """Another frame, smaller; windows end where one would be the whole frame."""
    deciding = draft.deciding
    smallest = smallest_lesion(draft.recipe().schema, found)
    if smallest is not None:
        reason += f"; the smallest label's median lesion is {smallest[0] * size:.1f} px across"
    deciding.set("size", size, reason, deciding.decisions["size"].measured)
    window = deciding.get("window")
    if window is not None and size < 2 * window:
        for name in ("window", "each", "marked", "answer_size"):
            deciding.decisions.pop(name, None)
        deciding.set("window", None, "the frame is small enough to be seen whole")


def _precision(draft: _Draft, device: torch.device) -> None:
    deciding = draft.deciding
    if "precision" in deciding.asked:
        deciding.set("precision", "fp32", "")
        return
    found = Measured("fp32", why_not=NO_UNITS)
    if has_bf16_units(device):
        recipe = draft.recipe()
        small = recipe.with_(batch=min(2, recipe.batch), accumulate=1)
        found = measured_precision(steps_of(small, small.stages[-1], device), repeats=2)
    deciding.set("precision", found.precision, found.reason, found.times)


def _length(draft: _Draft, learnt: LabelSchema, found: Survey, asked: Asked, device: torch.device) -> None:
    """Epochs and validations; with a time limit also a smaller frame if too few steps fit.

    Raises:
        ValueError: not one epoch fits.
    """
    deciding = draft.deciding
    costs, plan = _measured(draft, found, asked, device)
    half = up(deciding["size"] / 2)
    for _ in range(3):
        if asked.seconds is None or plan.steps >= FEWEST or "size" in asked.keywords or "epochs" in asked.keywords:
            break
        floor = max(SMALLEST, half) if plan.epochs else SMALLEST  # nothing is learnt from lesions that cannot be seen
        if deciding["size"] <= floor:
            break
        if deciding.get("window") is not None and "window" not in asked.keywords:
            decide_frame(deciding, learnt, found, windows=False)
            for name in ("each", "marked", "answer_size"):
                deciding.decisions.pop(name, None)
        else:
            factor = sqrt(max(plan.steps, 1) / FEWEST)
            size = min(up(deciding["size"] * factor), deciding["size"] - 32)
            _shrink(draft, found, max(size, floor), f"smaller, so that some {FEWEST} steps fit into the time")
        costs, plan = _measured(draft, found, asked, device)
    if plan.epochs < 1 and "epochs" not in asked.keywords:
        raise ValueError(
            f"--time {spoken(asked.seconds or 0)} is too short for one epoch: at size={deciding['size']} an epoch of "
            f"{found.images['train']} images and its validation take about {spoken(plan.one_epoch)} here; "
            "give more time, a smaller size, or fewer images"
        )
    if asked.seconds is not None and plan.steps < FEWEST:
        deciding.note(
            f"{plan.steps} steps fit into {spoken(asked.seconds)}, and fewer than {FEWEST} are seldom enough for a "
            "small set: give more time (--time)"
        )
    _say_length(draft, plan, costs, asked)


def _measured(draft: _Draft, found: Survey, asked: Asked, device: torch.device) -> tuple[dict[str, Cost], Length]:
    recipe = draft.recipe()
    costs = {stage.name: measure(recipe, stage, device=device) for stage in recipe.stages}
    return costs, length(
        costs,
        train=found.images["train"],
        val=found.images["val"],
        batch=recipe.batch,
        prepare=found.seconds * (found.images["train"] + found.images["val"]),
        seconds=asked.seconds,
        epochs=asked.keywords.get("epochs"),
    )


def _say_length(draft: _Draft, plan: Length, costs: dict[str, Cost], asked: Asked) -> None:
    deciding = draft.deciding
    taken = "; ".join(f"{name}: a step {c.step:.3g} s, an image read {c.read:.3g} s" for name, c in costs.items())
    rule = planned_epochs(plan) if asked.seconds is None else f"what fits into {spoken(asked.seconds)}"
    deciding.set("epochs", plan.epochs, rule, taken)
    if len(costs) > 1:
        deciding.set("answer_epochs", plan.answer_epochs, "a third of the time, or as many as what marks")
    deciding.set(
        "validate_every",
        plan.every,
        f"steps between validations: {plan.validations} of them in {plan.steps} steps",
        f"a validation takes about {spoken(plan.validation)}",
    )
    deciding.set("time", spoken(plan.total), "expected, the first reading of the images included")
