"""A run folder: its recipe, its weights, and the stages put together to read images."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.core.decisions import Decisions
from foveate.core.files import read_json
from foveate.core.mean import mean_outputs
from foveate.core.types import Batch, Outputs, Row
from foveate.data.manifest import Manifest
from foveate.engine.batchnorm_folding import fold_when_called
from foveate.engine.checkpoint import load_weights
from foveate.engine.recipe import PRECISIONS, Recipe, Stage
from foveate.engine.views import VIEWS, turned, turned_back
from foveate.engine.window import SlidingWindow
from foveate.metrics.listing import Named, renamed

LIBRARIES = (
    "foveate",
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "opencv-python-headless",
    "numpy",
)


CALIBRATION = "calibration.json"
OWN = "recipe.py"
"""Copy of a user's own recipe file in the run that it made."""
"""What `calibrate` chose, in a run's folder."""

SEEN = ("train", "val")
"""Splits whose images a run has learnt from: one trains the weights, the other chooses them."""

CALMER = "start a new run with a lower learning rate, or clip the gradient (clip=1.0)"
"""What to do about a loss that is not finite."""


class DivergedError(RuntimeError):
    """A loss that is not finite."""


@dataclass(frozen=True)
class Run:
    """A folder and the recipe that made it (`fit` returns one, `load_run` opens one)."""

    folder: Path
    recipe: Recipe

    def stage_folder(self, stage: str) -> Path:
        """Folder of a stage."""
        return self.folder / stage

    @property
    def record(self) -> dict[str, Any]:
        """The content of ``recipe.json``."""
        data: dict[str, Any] = read_json(self.folder / "recipe.json")
        return data

    @cached_property
    def splits(self) -> dict[str, str | None]:
        """Image -> its split when the run was trained."""
        data: dict[str, str | None] = read_json(self.folder / "splits.json")
        return data

    def log(self, stage: str) -> list[dict[str, Any]]:
        """One dict a validation: stage, epoch, step, lr, train terms, validation metrics, best.

        A validation has its metrics by their names with levels; without a level they are found too.
        """
        path = self.stage_folder(stage) / "log.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        names = renamed(name for entry in entries for name in entry["val"])
        return [entry | {"val": Named({names[k]: v for k, v in entry["val"].items()})} for entry in entries]

    @property
    def decisions(self) -> Decisions:
        """The decisions of the calibration (``calibration.json``, see `calibrate`), else the gates of its recipe."""
        path = self.folder / CALIBRATION
        if not path.is_file():
            return Decisions(gates=self.recipe.gates)
        return Decisions.from_json(read_json(path))

    @property
    def members(self) -> tuple[Run, ...]:
        """The runs whose readings are averaged: this one alone (an `ensemble.Ensemble` has several)."""
        return (self,)

    def saw(self, row: Row) -> bool:
        """Whether the run was trained or validated on an image."""
        return self.splits.get(row.id) in SEEN

    def held_out(self, rows: Manifest, *, seen: bool = False) -> list[tuple[Run, Manifest]]:
        """The rows in parts, each with the run that reads it: all of them with this one, whether it saw them or not."""
        return [(self, rows)]

    def network(self, stage: str, *, device: torch.device | str = "cpu") -> nn.Module:
        """The kept network of a stage, in evaluation mode.

        Raises:
            ValueError: the stage has no weights yet.
        """
        network = self.recipe.stage(stage).network()
        load_weights(self.stage_folder(stage) / "weights.safetensors", network)
        return place(network, device).eval()

    def pipeline(self, *, device: torch.device | str = "cpu") -> Pipeline:
        """All stages as one, quickened for reading: normalisation is folded into convolutions (`fold.folded`)."""
        networks = {s.name: fold_when_called(self.network(s.name, device=device)) for s in self.recipe.stages}
        return StagePipeline(self.recipe, networks)


def place(network: nn.Module, device: torch.device | str) -> nn.Module:
    """The network on a device, channels last: 10 to 35 % quicker on CPUs, and what tensor cores want."""
    return network.to(device).to(memory_format=torch.channels_last)


class StagePipeline:
    """The stages of a recipe as one: a later stage reads the maps of an earlier one, and its answer counts.

    A stage that a later one has inside (`Stage.starts_from`) is not run a second time beside it, unless its maps are
    read or it alone marks or answers.

    If the recipe names several views (`Recipe.views`), all stages read each of them, maps and all, and the
    probabilities are averaged.
    """

    def __init__(self, recipe: Recipe, networks: Mapping[str, nn.Module]) -> None:
        self.recipe, self.networks = recipe, networks

    def __call__(self, batch: Batch) -> Outputs:
        """Pixel and image logits, each from the last stage that gives them, in float32; of several views their mean."""
        return self.combined(self.passes(batch), batch)

    def combined(self, passes: Iterable[Pass], batch: Batch) -> Outputs:
        """The logits of passes that `passes` made of this batch; no network is called."""
        read = [turned_back(merged(one.steps), batch, one.axes) for one in passes]
        return mean_outputs(read, self.recipe.schema)

    def passes(self, batch: Batch) -> Iterator[Pass]:
        """All stages on each view of the batch, in turn."""
        for axes in (VIEWS[view] for view in self.recipe.views or ("as is",)):
            yield Pass(axes, self.steps(turned(batch, axes)))

    def steps(self, batch: Batch) -> tuple[Step, ...]:
        """Input and output of each stage, in order; every network is called once, and none sees the truth."""
        batch = batch.blind()
        done: dict[str, Step] = {}
        maps: dict[str, Tensor] = {}

        def run(stage: Stage) -> None:
            for source in stage.reads.values():
                earlier = self.recipe.stage(source.split("/")[0])
                if earlier.name not in done:
                    run(earlier)
            network, seen = self.networks[stage.name], shrunk(with_maps(batch, stage, maps), stage.size)
            infer = self.recipe.seen_by(stage).infer
            outputs = enlarged(forward(network, seen, precision=self.recipe.precision, infer=infer), batch)
            maps.update({f"{stage.name}/{name}": m for name, m in write_out(stage, network, seen, outputs).items()})
            done[stage.name] = Step(stage, network, seen, outputs)

        for stage in reversed(self.recipe.stages):
            if stage.name not in done and not self._inside(stage, done):
                run(stage)
        return tuple(done[stage.name] for stage in self.recipe.stages if stage.name in done)

    def _inside(self, stage: Stage, done: Mapping[str, Step]) -> bool:
        """Whether a later stage has this one inside, and gives all that is asked."""
        schema, given = self.recipe.schema, merged(done.values())
        whole = (given.pixel is not None or not schema.labels) and (given.image is not None or not schema.questions)
        return whole and any(stage.name in step.stage.starts_from.values() for step in done.values())


def merged(steps: Iterable[Step]) -> Outputs:
    """Of several stages in order, each part from the last that gives it."""
    found = Outputs()
    for out in (step.outputs for step in steps):
        found = Outputs(
            pixel=found.pixel if out.pixel is None else out.pixel,
            image=found.image if out.image is None else out.image,
            activation=found.activation if out.activation is None else out.activation,
            features=out.features or found.features,
            aux=out.aux or found.aux,
        )
    return found


class Step(NamedTuple):
    """A stage at work: its network, the batch as it saw it, and its logits."""

    stage: Stage
    network: nn.Module
    batch: Batch
    outputs: Outputs


class Pass(NamedTuple):
    """All stages of one run on one view of a batch.

    Args:
        axes: along which the view is flipped.
        steps: each stage with what it saw and its logits.
        member: position of the run in an ensemble.
    """

    axes: tuple[int, ...]
    steps: tuple[Step, ...]
    member: int = 0


class Pipeline(Protocol):
    """Reads batches: the stages of one run (`StagePipeline`), or several runs (`ensemble.EnsemblePipeline`)."""

    def __call__(self, batch: Batch) -> Outputs:
        """Return the logits of its probabilities."""

    def passes(self, batch: Batch) -> Iterator[Pass]:
        """Call the networks: yield each forward pass, before they are averaged."""

    def combined(self, passes: Iterable[Pass], batch: Batch) -> Outputs:
        """Average passes of this batch, without another call of a network."""


def shrunk(batch: Batch, size: int | None) -> Batch:
    """A blind batch in a stage's own frame, each pixel the mean of those it covers; None = as it is."""
    if size is None or (size, size) == tuple(batch.image.shape[-2:]):
        return batch
    nothing = batch.masks.new_zeros(*batch.masks.shape[:2], size, size)
    return replace(batch, image=F.interpolate(batch.image, (size, size), mode="area"), masks=nothing, known=nothing)


def enlarged(outputs: Outputs, batch: Batch) -> Outputs:
    """Pixel logits, and those of deep supervision, at the size of the batch."""
    size = batch.image.shape[-2:]

    def up(logits: Tensor) -> Tensor:
        same = logits.shape[-2:] == size
        return logits if same else F.interpolate(logits, size, mode="bilinear", align_corners=False)

    pixel = None if outputs.pixel is None else up(outputs.pixel)
    return outputs._replace(pixel=pixel, aux=tuple(map(up, outputs.aux)))


def write_out(stage: Stage, network: nn.Module, batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
    """The maps that a stage hands on, by name."""
    with torch.inference_mode():
        return {name: make(network, batch, outputs) for name, make in stage.writes.items()}


def with_maps(batch: Batch, stage: Stage, maps: Mapping[str, Tensor]) -> Batch:
    """The batch with the maps that a stage reads, brought to the size of the image."""
    for source in stage.reads.values():
        full = F.interpolate(maps[source].float(), batch.image.shape[-2:], mode="bilinear", align_corners=False)
        batch = replace(batch, prior=full)
    return batch


def forward(
    network: nn.Module, batch: Batch, *, precision: str = "fp32", infer: SlidingWindow | None = None
) -> Outputs:
    """One pass without gradient, of whole images or window by window; logits come back as float32."""

    def look(image: Tensor, prior: Tensor | None) -> Outputs:
        return cast_up(autocast(network, image, prior=prior, precision=precision))

    with torch.inference_mode():
        return look(batch.image, batch.prior) if infer is None else infer.read(batch, look)


def autocast_forward(network: nn.Module, batch: Batch, *, precision: str) -> Outputs:
    """Forward pass under the recipe's precision."""
    try:
        return autocast(network, batch.image, prior=batch.prior, precision=precision)
    except ValueError as error:  # of PyTorch: a map of one pixel (a pyramid's pool) of one image has no spread
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            f"batch={len(batch)}: this network normalises one value per channel over the batch; use batch=2 or more, "
            "and accumulate that leaves 2 images or more in each piece"
        ) from None


def autocast(network: nn.Module, image: Tensor, *, prior: Tensor | None, precision: str) -> Outputs:
    """`autocast_forward` of an image and its prior alone."""
    dtype = PRECISIONS[precision]
    with torch.autocast(image.device.type, dtype=dtype, enabled=dtype is not None):
        out: Outputs = network(image.contiguous(memory_format=torch.channels_last), prior)
    return out


def cast_up(outputs: Outputs) -> Outputs:
    """Logits as float32, for losses and decisions (features stay as they are)."""

    def up(value: Tensor | None) -> Tensor | None:
        return value if value is None else value.float()

    return Outputs(
        up(outputs.pixel),
        up(outputs.image),
        up(outputs.activation),
        outputs.features,
        tuple(a.float() for a in outputs.aux),
    )


def pick_device(name: str | torch.device) -> torch.device:
    """``"auto"`` is the first accelerator, else the CPU.

    Raises:
        ValueError: the device asked for is not there.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={str(name)!r}: no CUDA device is there; set device='cpu' or 'auto'")
    return device


def describe(recipe: Recipe, manifest: Manifest, *, seed: int) -> dict[str, Any]:
    """The record of a run: everything that is needed to make it again."""
    asked = recipe.asked or recipe.schema
    return {
        "name": recipe.name,
        "keywords": dict(recipe.keywords),
        "schema": asked.to_json(),
        "prepare": asdict(recipe.prepare),
        "precision": recipe.precision,
        "text": str(recipe),
        "seed": seed,
        "manifest": {
            "path": str(manifest.path.resolve()) if manifest.path else None,
            "hash": manifest.hash,
            "info": dict(manifest.info),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "git": git_state(),
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the working folder and whether it is clean; None outside git."""

    def ask(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "clean": not ask("status", "--porcelain", "--untracked-files=no")}
    except (OSError, subprocess.SubprocessError):
        return None
