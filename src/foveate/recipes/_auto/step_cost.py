"""Cost of a step of a stage: seconds by real steps on drawn tensors, memory by a step on no device at all."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from foveate.core.types import Batch
from foveate.engine.precision import training_steps
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import forward, pick_device, place
from foveate.engine.window import SlidingWindow
from foveate.models.parts.size import parameters, peak_of

STATES = 4  # times the parameters' size: gradient, Adam's two means, the average of the weights
KERNELS = 1.5
"""Memory of a process over that of its tensors: what kernels need inside an operation, and what the allocator keeps."""

PROCESS = 600  # MiB of Python and torch's libraries
SLOW = 5.0  # seconds of a step from which one more is timed, and no two
SHARE = 0.5  # of the free memory that a plan may take


class Cost(NamedTuple):
    """Of one stage, at the recipe's batch.

    Args:
        step: seconds of a training step.
        read: seconds to read one image.
    """

    step: float
    read: float


def steps_of(recipe: Recipe, stage: Stage, device: torch.device) -> Callable[[str], Callable[[], None]]:
    """Precision -> one training step of a new network on a drawn batch (forward, loss, backward, optimizer)."""
    seen = recipe.seen_by(stage)
    return training_steps(seen, stage, learnt_from(seen, device), device)


def measure(recipe: Recipe, stage: Stage, *, device: torch.device, repeats: int = 2) -> Cost:
    """Seconds of a step and of reading one image; the first step, which builds kernels, does not count."""
    step = steps_of(recipe, stage, device)(recipe.precision)
    first = _seconds(step)
    times = [_seconds(step) for _ in range(repeats if first < SLOW else 1)]
    seen = recipe.seen_by(stage)
    network, images = place(stage.network(), device).eval(), min(4, seen.batch)
    infer, windows = seen.infer, 1
    rows, cols = seen.prepare.shape
    if infer is not None:  # one window of each image is read, and counted as often as there are
        windows, rows, cols = len(infer.places((rows, cols))), min(rows, infer.size), min(cols, infer.size)
    batch = drawn(seen, images, device, shape=(rows, cols))
    reading = [_seconds(lambda: _read(network, batch, recipe.precision)) for _ in range(2)]
    return Cost(median(times), min(reading) / images * windows)


def _read(network: torch.nn.Module, batch: Batch, precision: str) -> None:
    outputs = forward(network, batch, precision=precision)
    if batch.image.device.type != "cpu":
        torch.accelerator.synchronize(batch.image.device)
    del outputs


def step_mib(recipe: Recipe, stage: Stage) -> float:
    """Memory of a training process in MiB, estimated from the tensors of one step; takes no time."""
    seen = recipe.seen_by(stage)
    meta = torch.device("meta")
    with meta:
        network = stage.network().train()
        batch = learnt_from(seen, meta)

        def step() -> None:
            outputs = network(batch.image, None)
            (sum(o.sum() for o in (outputs.pixel, outputs.image, *outputs.aux) if o is not None)).backward()
            if outputs.pixel is not None:  # losses hold some maps of the logits' size
                _ = [torch.empty_like(outputs.pixel) for _ in range(6)]

        tensors = peak_of(step, list(network.parameters()), list(network.buffers()), batch.image)
    states = STATES * parameters(network) * 4 / 2**20
    frames = 0.0
    if seen.patches is not None:  # whole frames wait while their windows are learnt from
        rows, cols = seen.prepare.shape
        frames = 3 * seen.batch * rows * cols * (3 + 2 * len(recipe.schema.labels)) / 2**20
    gc.collect()
    return PROCESS + KERNELS * (tensors + states) + frames


def learnt_from(recipe: Recipe, device: torch.device) -> Batch:
    """Random images as a network sees a piece of a step: whole frames, or windows of them."""
    images, cut = recipe.batch // recipe.accumulate, recipe.patches
    if cut is None:
        return drawn(recipe, images, device)
    each = len(cut.places(recipe.prepare.shape)) if isinstance(cut, SlidingWindow) else cut.each
    return drawn(recipe, images * each, device, shape=(cut.size, cut.size))


def drawn(recipe: Recipe, images: int, device: torch.device, *, shape: tuple[int, int] | None = None) -> Batch:
    """Random images with random truth, as the recipe prepares them: a tenth of the pixels has each label."""
    rows, cols = shape or recipe.prepare.shape
    schema = recipe.schema
    masks = torch.rand(images, len(schema.labels), rows, cols, device=device) < 0.1
    answers = [torch.randint(len(q.answers), (images,), device=device) for q in schema.questions]
    return Batch(
        schema=schema,
        ids=tuple(f"drawn{i}" for i in range(images)),
        image=torch.rand(images, 1 if recipe.prepare.grey else 3, rows, cols, device=device),
        answers=torch.stack(answers, 1) if answers else torch.zeros(images, 0, dtype=torch.long, device=device),
        masks=masks,
        known=torch.ones_like(masks),
    )


def free_mib(device: str) -> tuple[float, str]:
    """Memory that a training may take, MiB, and how it was found: half of what is free."""
    place_ = pick_device(device)
    if place_.type == "cuda":
        free = torch.cuda.mem_get_info(place_)[0] / 2**20
        return SHARE * free, f"half of {free:,.0f} MiB free on {torch.cuda.get_device_name(place_)}"
    free = _available() / 2**20
    return SHARE * free, f"half of {free:,.0f} MiB free memory"


def _available() -> float:
    """Bytes that the machine, or the control group of the process, still has."""
    found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found = float(line.split()[1]) * 1024
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        found = min(found, float(text) - float(used.read_text(encoding="ascii")))
    return max(found, 0.0)


def _seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
