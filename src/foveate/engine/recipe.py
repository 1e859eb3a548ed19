"""The grammar of methods: a Recipe is preparation, schedule and stages; a Stage is a network and its loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foveate.core.decisions import Gate
from foveate.core.labels import LabelSchema
from foveate.core.notebook import summary
from foveate.core.types import Batch, Outputs, Row
from foveate.data.augment import Augment
from foveate.data.loader import MakeCues
from foveate.data.prepare import Prepare
from foveate.engine.crops import DrawnWindows
from foveate.engine.keep import Keep, lowest
from foveate.engine.schedule import Schedule, constant
from foveate.engine.views import check_views
from foveate.engine.window import SlidingWindow
from foveate.metrics.operating import judged

Loss = Callable[[Outputs, Batch], Mapping[str, Tensor]]
"""(outputs, batch) -> weighted scalars by name; the training loss is their sum."""

Maps = Callable[[nn.Module, Batch, Outputs], Tensor]
"""(network, batch, its outputs) -> maps ``(b, k, h, w)`` that a later stage reads; needs no second forward pass."""


def at(loss: Loss, *, progress: float) -> Loss:
    """The loss once a share of the training is done; a loss that does not change is returned as it is."""
    if "progress" not in inspect.signature(loss).parameters:
        return loss
    changing: Any = loss
    return partial(changing, progress=progress)


AUTO = "auto"
"""A precision that is chosen when a training starts (`engine.settle`); without a training it is fp32."""

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, AUTO: None}
"""Precision -> type of autocast; None = no autocast."""

TRAINING = {
    "precision": "fp32, bf16, or auto: the faster one, by measured steps",
    "clip": "largest norm of the gradient; null = no limit",
    "accumulate": "pieces in which each batch is taken, so that it fits into the memory",
    "average": "share of the steps over which weights are averaged; 0 = no average",
    "patience": "validations without gain after which a stage ends; null = never",
    "validations": "fewest validations in a run; null = as validate_every has it",
    "epochs": "passes over the training images",
    "batch": "images per step, over all processes",
    "rare_images": "smallest share of the drawn images that show each rare label; 0 = as they come",
}
"""Keywords of training that every recipe takes, also if its function does not name them: fields of `Recipe`."""


ADAM = partial(torch.optim.Adam, lr=1e-3)


@dataclass(frozen=True)
class Stage:
    """One network trained on its own loss.

    Args:
        name: folder of the stage in the run.
        network: makes the network with random weights; touches neither disk nor hub.
        loss: terms by name, see `losses.weigh`.
        keep: validation metric that chooses the weights.
        start: fills the new network from outside (pretrained weights); called once, never on resume or at prediction.
            The lines that it returns, if any, are printed.
        starts_from: part of the network -> earlier stage whose kept weights fill it.
        frozen: parts of the network that are not trained (and stay in evaluation mode).
        rows: which rows it trains and validates on; None = all.
        reads: Batch field -> "stage/map" written by an earlier stage; only "prior" is read today.
        writes: map name -> function of network, batch and outputs; kept by image id for every row of the manifest.
        after_drop: loss from the first drop of the learning rate on.
        epochs: instead of the recipe's.
        optimizer: instead of the recipe's.
        groups: network -> groups of its trained parameters with rates of their own, as optimizers of PyTorch take them,
            the full rate first (`models.parts.groups.by_depth`); None = one group.
        size: side of the stage's own, smaller square frame: it trains on images prepared at this size, and reads the
            recipe's frame averaged to it; its pixel logits are brought back to the recipe's frame.
        patches: windows of training images, instead of the recipe's.
        infer: windows in which images are read, instead of the recipe's.
    """

    name: str
    network: Callable[[], nn.Module]
    loss: Loss
    keep: Keep = field(default_factory=lambda: lowest("loss"))
    start: Callable[[nn.Module], Iterable[str] | None] | None = None
    starts_from: Mapping[str, str] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    rows: Callable[[Row], bool] | None = None
    reads: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, Maps] = field(default_factory=dict)
    after_drop: Loss | None = None
    epochs: int | None = None
    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer] | None = None
    groups: Callable[[nn.Module], list[dict[str, Any]]] | None = None
    size: int | None = None
    patches: SlidingWindow | DrawnWindows | None = None
    infer: SlidingWindow | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (self.reads or self.writes or self.patches or self.infer):
            raise ValueError(
                f"stage {self.name!r}: size={self.size} is of a stage that sees whole images and gives no maps to "
                "others; leave out reads, writes, patches and infer, or size"
            )


UNSAID = ("cues", "eval_cues", "gates", "calibrated", "postprocess", "patches", "infer", "views", "rare_images")
"""Fields of a recipe that its text leaves out where there are none."""


@dataclass(frozen=True)
class Recipe:
    """A whole method.

    Args:
        schema: what is learnt; may merge answers of the manifest's schema or leave questions and labels out.
        prepare: file to frame.
        stages: in order; a later one may read what an earlier one wrote.
        augment: steps for training images.
        optimizer: parameters -> optimizer.
        batch: images a step, over all processes.
        accumulate: each batch is taken in this many pieces.
        epochs: passes over the training rows.
        schedule: learning rate over time.
        validate_every: steps between validations; None = once an epoch.
        validations: at least so many in a run, whatever ``validate_every`` is; None = as it is.
        patience: stop after so many validations without gain; None = never.
        precision: "fp32", "bf16" (autocast; weights and losses stay float32), or "auto": bf16 if a measured step is
            clearly faster. `fit` replaces "auto" when a training starts.
        clip: largest norm of the gradient; None = as it is.
        average: share of the steps over which weights are averaged (exponentially); the averages are validated and
            kept. 0 = the weights themselves.
        balance: draw training images so that the answers of this question come equally often.
        cues: sample -> cues of where findings are, as `Batch.cues` (`data.cues.Cues`); None = there are none.
        eval_cues: cues that activation maps are evaluated on; None = ``cues``.
        rare_images: smallest share of the drawn training images that show each label, of those that know it; images
            with rarer labels are drawn more often (`data.sampling.raised`). 0 = as they come.
        annotation_fraction: share of the patients whose masks, and the cues that annotators gave or masks become, are
            shown in training (how much marking does a method need?). Validation images guide by the same share, so that
            the metric that chooses the weights knows no more; their masks stay.
        gates: answers that open or close masks when images are read; training and the choice of weights know nothing of
            them.
        calibrated: once trained, choose temperatures, thresholds and gates on the validation images (`calibrate`), by
            this rule of `metrics.operating`, or by "half" = thresholds stay at 0.5; None = nothing is chosen.
        postprocess: with ``calibrated``: also choose the threshold of each label's pixels, and its smallest lesion
            (`mask_choice`).
        patches: windows that training images are cut into, each an image of its own; None = whole images.
        infer: windows in which images are read, in validation, evaluation and prediction; None = whole images.
        views: flips in which each image is read when a run is evaluated or predicts, their probabilities averaged: "as
            is" and some of "horizontal", "vertical", "both" (`views.VIEWS`); () = as it is. Training and its validation
            know nothing of them. Name only flips after which an image is still one of its modality, and its answers
            hold.
        name, keywords, asked: filled in by `load_recipe`: what was asked for, and the manifest's schema.
    """

    schema: LabelSchema
    prepare: Prepare
    stages: tuple[Stage, ...]
    augment: Augment = field(default_factory=lambda: Augment(()))
    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer] = ADAM
    batch: int = 8
    accumulate: int = 1
    epochs: int = 50
    schedule: Schedule = field(default_factory=constant)
    validate_every: int | None = None
    validations: int | None = None
    patience: int | None = None
    precision: str = AUTO
    clip: float | None = None
    average: float = 0.05
    balance: str | None = None
    rare_images: float = 0.0
    annotation_fraction: float = 1.0
    cues: MakeCues | None = None
    eval_cues: MakeCues | None = None
    gates: tuple[Gate, ...] = ()
    calibrated: str | None = None
    postprocess: bool = False
    patches: SlidingWindow | DrawnWindows | None = None
    infer: SlidingWindow | None = None
    views: tuple[str, ...] = ()
    name: str = ""
    keywords: Mapping[str, Any] = field(default_factory=dict)
    asked: LabelSchema | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "accumulate", "epochs"):
            if not isinstance(value := getattr(self, name), int) or value < 1:
                raise ValueError(f"recipe {self.name!r}: {name} must be a whole number from 1 on, got {value!r}")
        if self.batch % self.accumulate:
            raise ValueError(f"recipe {self.name!r}: accumulate={self.accumulate} does not divide batch={self.batch}")
        if not 0 <= self.annotation_fraction <= 1:
            raise ValueError(
                f"recipe {self.name!r}: annotation_fraction must be a share from 0 to 1, got {self.annotation_fraction}"
            )
        if not 0 <= self.rare_images < 1:
            raise ValueError(f"recipe {self.name!r}: rare_images={self.rare_images}; give a share from 0 to below 1")
        if not 0 <= self.average < 1:
            raise ValueError(
                f"recipe {self.name!r}: average={self.average}; give a share of the steps from 0 to below 1"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"recipe {self.name!r}: precision must be one of {list(PRECISIONS)}, got {self.precision!r}"
            )
        self._check_limits()
        if self.balance is not None:
            self.schema.question(self.balance)
        for gate in self.gates:
            gate.check(self.schema)
        if self.calibrated not in (None, "half"):
            judged(self.calibrated)
        if self.postprocess and self.calibrated is None:
            raise ValueError(
                f"recipe {self.name!r}: postprocess=True is part of calibration, and calibrated=None leaves that out; "
                "set calibrated='half' or a rule"
            )
        check_views(self.views)
        _check_order(self.stages)

    def _check_limits(self) -> None:
        """Numbers that may be absent."""
        for name in ("patience", "validations", "validate_every"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(
                    f"recipe {self.name!r}: {name} must be a whole number from 1 on or None, got {value!r}"
                )
        if self.clip is not None and not (isinstance(self.clip, int | float) and self.clip > 0):
            raise ValueError(f"recipe {self.name!r}: clip must be a number above 0 or None, got {self.clip!r}")

    def stage(self, name: str) -> Stage:
        """The stage of that name; ValueError lists the stages if there is not one."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ValueError(f"recipe {self.name!r}: stage must be one of {[s.name for s in self.stages]}, got {name!r}")

    def seen_by(self, stage: Stage) -> Recipe:
        """The recipe of one stage: a stage's own frame and windows replace those of the recipe."""
        if stage.size is not None:
            return replace(self, prepare=replace(self.prepare, size=stage.size), patches=None, infer=None)
        return replace(self, patches=stage.patches or self.patches, infer=stage.infer or self.infer)

    def with_(self, **changes: Any) -> Recipe:
        """The recipe with fields replaced."""
        return replace(self, **changes)

    def in_precision(self, precision: str) -> Recipe:
        """The recipe with its precision decided, in the field and in the keywords that the run records."""
        recorded = {"precision": precision} if "precision" in self.keywords else {}
        return replace(self, precision=precision, keywords={**self.keywords, **recorded})

    def _repr_html_(self) -> str:
        """In a notebook: keywords, stages, labels and questions; ``print`` shows every number."""
        pairs = [
            ("keywords", ", ".join(f"{k}={v!r}" for k, v in self.keywords.items()) or "as they are by default"),
            ("stages", ", ".join(stage.name for stage in self.stages)),
            ("questions", ", ".join(q.name for q in self.schema.questions) or "none"),
            ("labels", ", ".join(self.schema.labels) or "none"),
            ("frame, batch, epochs", f"{self.prepare.size} px, {self.batch}, {self.epochs}"),
        ]
        return summary(f"Recipe {self.name}", pairs)

    def __str__(self) -> str:
        own = {k: v for k, v in self.keywords.items() if k not in TRAINING}  # those are fields, which follow
        lines = [f"recipe {self.name}" + "".join(f"\n  {k} = {v!r}" for k, v in own.items())]
        for part in fields(self):
            unsaid = part.name in UNSAID and not getattr(self, part.name)
            if not unsaid and part.name not in ("name", "keywords", "asked", "stages", "schema"):
                lines.append(f"{part.name}: {say(getattr(self, part.name))}")
        questions = ", ".join(f"{q.name} ({' / '.join(q.answers)})" for q in self.schema.questions)
        kind = "exclusive" if self.schema.exclusive else "overlapping"
        labels = ", ".join(
            label if (members := self.schema.members(label)) == (label,) else f"{label} = {' + '.join(members)}"
            for label in self.schema.labels
        )
        lines.append(f"questions: {questions or 'none'}; labels: {labels or 'none'} ({kind})")
        for stage in self.stages:
            lines.append(f"stage {stage.name}")
            lines += [
                f"  {part.name}: {say(value)}"
                for part in fields(stage)
                if part.name != "name" and (value := getattr(stage, part.name)) not in (None, (), {})
            ]
        return "\n".join(lines)


def say(value: Any) -> str:
    """A setting as text that names every number: partials by their function and keywords, functions by their name."""
    if isinstance(value, partial):
        given = [say(a) for a in value.args] + [f"{k}={say(v)}" for k, v in value.keywords.items()]
        return f"{getattr(value.func, '__name__', value.func)}({', '.join(given)})"
    if isinstance(value, LabelSchema):
        return "schema"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {say(v)}" for k, v in value.items()) + "}"
    return getattr(value, "__name__", None) or repr(value)


def _check_order(stages: Sequence[Stage]) -> None:
    """Every map that is read and every stage started from comes earlier."""
    written: set[str] = set()
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise ValueError(f"stages: the name {stage.name!r} is used twice; rename one")
        for batch_field, source in stage.reads.items():
            if batch_field != "prior" or source not in written:
                raise ValueError(
                    f"stage {stage.name!r} reads {batch_field}={source!r}; earlier stages write {sorted(written)}"
                )
        for part, source in stage.starts_from.items():
            if source not in seen:
                raise ValueError(
                    f"stage {stage.name!r} starts {part!r} from {source!r}; "
                    f"the source must be one of the earlier stages {sorted(seen)}"
                )
        seen.add(stage.name)
        written |= {f"{stage.name}/{name}" for name in stage.writes}
