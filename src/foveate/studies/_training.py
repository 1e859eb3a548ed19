"""Training the rows of a study: one after another, or several at a time in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from foveate.data.cache import Cache, cache_at
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.recipe import AUTO, Recipe
from foveate.engine.run import DivergedError, pick_device
from foveate.engine.settle import settled
from foveate.engine.stage_reuse import find_trained, stage_key


@dataclass(frozen=True)
class Job:
    """A row on one part of the data."""

    said: str
    recipe: Recipe
    rows: Manifest
    place: Path
    shared: Path
    cache: Cache | None = None

    def run(self, device: str, seed: int, annotators: str | None, quiet: bool) -> None:
        """Train and evaluate it."""
        run = fit(
            self.recipe,
            self.rows,
            out=self.place,
            device=device,
            seed=seed,
            resume=True,
            quiet=quiet,
            shared=self.shared,
            cache=self.cache,
        )
        held = self.place / annotators if annotators else self.place
        test = self.rows.where(split="test")
        evaluate(run, test, device=device, annotators=annotators, out=held, intervals=False, cache=self.cache)

    def untrained(self, seed: int) -> set[str]:
        """Keys of its stages that no run has trained yet."""
        keys = {stage_key(self.recipe, stage, seed=seed, manifest=self.rows.hash) for stage in self.recipe.stages}
        return {key for key in keys if find_trained(self.shared, key) is None}


def in_one_precision(jobs: Sequence[Job], *, device: str, say: Callable[[str], None]) -> list[Job]:
    """The jobs with precision "auto" decided for all of them: methods that are compared train in one format.

    A study that goes on keeps the precision of its runs; else the first job's training step is measured.
    """
    auto = [job for job in jobs if job.recipe.precision == AUTO]
    if not auto:
        return list(jobs)
    before = next(iter(sorted(auto[0].shared.glob("*/*/recipe.json"))), None)
    first = auto[0]
    found, line = settled(
        first.recipe,
        first.rows,
        folder=first.place if before is None else before.parent,
        device=pick_device(device),
        cache=cache_at(first.cache),
    )
    if line:
        say(line)
    return [
        replace(job, recipe=job.recipe.in_precision(found.precision)) if job.recipe.precision == AUTO else job
        for job in jobs
    ]


def run_jobs(
    jobs: Iterable[Job],
    *,
    workers: int,
    device: str,
    seed: int,
    annotators: str | None,
    quiet: bool,
    say: Callable[[str], None],
) -> dict[Path, str]:
    """Do all jobs; those that share a stage wait for each other, so that it is trained once.

    Returns the places of those whose loss did not stay finite, and the message of each; the others go on.

    Args:
        jobs: in the order wanted.
        workers: processes; each takes its part of the CPU's cores. 1 = no other process.
        device, seed, `annotators`, quiet: of each job.
        `say`: called with a line per job as it begins.

    Raises:
        ValueError: workers is below 1.
        Exception: what a job raised, when those that were running have ended.
    """
    if workers < 1:
        raise ValueError(f"workers={workers}; give 1 or more")
    settings = (device, seed, annotators, quiet or workers > 1)
    waiting = list(jobs)
    lost: dict[Path, str] = {}

    def end(job: Job, outcome: Callable[[], None]) -> None:
        try:
            outcome()
        except DivergedError as error:
            lost[job.place] = str(error)
            say(f"{job.said}: {error}")

    if workers == 1:
        for job in waiting:
            say(job.said)
            end(job, partial(job.run, *settings))
        return lost
    threads = max(1, (os.cpu_count() or 1) // workers)
    running: dict[Future[None], tuple[Job, set[str]]] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), partial(torch.set_num_threads, threads)) as pool:
        try:
            while waiting or running:
                if len(running) < workers:
                    busy = {key for _, keys in running.values() for key in keys}
                    ready = next((job for job in waiting if not job.untrained(seed) & busy), None)
                    if ready is not None:
                        waiting.remove(ready)
                        say(ready.said)
                        running[pool.submit(ready.run, *settings)] = ready, ready.untrained(seed)
                        continue
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job, _ = running.pop(future)
                    end(job, future.result)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return lost
