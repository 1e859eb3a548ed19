"""The one loop: train each stage of a recipe, keep its best weights, hand its maps on; resumable to the bit on a CPU.

Every step is a pure function of the state before it: order, augmentation and dropout are seeded by (seed, stage, epoch,
image) and (seed, stage, step), never by what ran earlier. The state is written whole after each validation, so a run
that was killed and resumed replays from there and ends with the same weights and the same log.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from foveate.data.cache import Cache, cache_at
from foveate.data.loader import Dataset, balanced, batches
from foveate.data.manifest import Manifest
from foveate.engine.artifacts import map_path, read_map, write_map
from foveate.engine.checkpoint import load_state, load_weights, part_weights, save_state, save_weights, write_json
from foveate.engine.distributed import Processes
from foveate.engine.evaluate import validate
from foveate.engine.logs import Ledger, Watch
from foveate.engine.recipe import Loss, Recipe, Stage
from foveate.engine.run import Run, autocast_forward, cast_up, describe, place
from foveate.engine.schedule import History, stopped


def fit(
    recipe: Recipe,
    rows: Manifest,
    *,
    out: str | Path,
    device: str | torch.device = "auto",
    seed: int = 0,
    resume: bool = False,
    cache: str | Path | None = None,
    quiet: bool = False,
) -> Run:
    """Train a recipe on the rows whose split is "train", choosing weights on those whose split is "val".

    Args:
        recipe: the method.
        rows: a manifest with splits.
        out: folder of the run.
        device: "auto", "cpu", "cuda", ...; under ``torchrun`` each process takes its own.
        seed: of weights, order, augmentation and dropout.
        resume: go on with a run that was interrupted; a finished one is returned as it is.
        cache: folder for prepared images; None = ``$FOVEATE_CACHE`` or the user's cache folder.
        quiet: no progress on the terminal.

    Raises:
        ValueError: the folder holds another run, a split is empty, or a patient straddles splits.
        RuntimeError: a loss is not finite.
    """
    run = Run(Path(out), recipe)
    with Processes(device) as processes:
        record = describe(recipe, rows, seed=seed)
        _claim(run, record, {row.id: row.split for row in rows}, resume=resume, first=processes.first)
        processes.wait()
        files = cache_at(cache)
        for stage in recipe.stages:
            done = run.stage_folder(stage.name) / "done.json"
            if not done.is_file():
                _Trainer(run, stage, rows, seed=seed, processes=processes, cache=files, quiet=quiet).run_all()
            processes.wait()
    return run


def _claim(run: Run, record: dict[str, object], splits: dict[str, str | None], *, resume: bool, first: bool) -> None:
    """Make the folder this run's own, or see that it already is."""
    path = run.folder / "recipe.json"
    if path.is_file():
        if not resume:
            raise ValueError(
                f"out={str(run.folder)!r} holds a run already; resume it (--resume) or name another folder"
            )
        before = run.record
        for key in ("text", "seed"):
            if before[key] != record[key]:
                raise ValueError(
                    f"out={str(run.folder)!r} holds a run with another {key}; it cannot be resumed with this one"
                )
        if before["manifest"]["hash"] != record["manifest"]["hash"]:  # type: ignore[index]
            raise ValueError(f"out={str(run.folder)!r}: the manifest has changed since the run began; start a new run")
    elif first:
        write_json(run.folder / "splits.json", splits)
        write_json(path, record)


class _Trainer:
    """One stage being trained."""

    def __init__(
        self, run: Run, stage: Stage, manifest: Manifest, *, seed: int, processes: Processes, cache: Cache, quiet: bool
    ) -> None:
        recipe = run.recipe
        self.run, self.stage, self.recipe, self.manifest = run, stage, recipe, manifest
        self.processes, self.cache, self.folder = processes, cache, run.stage_folder(stage.name)
        self.seed = [seed, zlib.crc32(stage.name.encode())]
        mine = manifest.where(stage.rows) if stage.rows else manifest
        train, val = mine.where(split="train"), mine.where(split="val")
        for name, part in (("train", train), ("val", val)):
            if not len(part):
                raise ValueError(f"stage {stage.name!r}: no row has split {name!r}; say `foveate split` first")
        _no_leak(train, val)
        self.train = self.dataset(train, augmented=True)
        self.val = self.dataset(val)
        self.weights = balanced(train.rows, recipe.schema, recipe.balance) if recipe.balance else None
        self.steps_an_epoch = max(len(train) // recipe.batch, 1)
        self.steps = self.steps_an_epoch * (stage.epochs or recipe.epochs)
        self.every = recipe.validate_every or self.steps_an_epoch
        self.ledger = Ledger(self.folder, stage=stage.name, active=processes.first)
        self.watch = Watch(stage.name, self.steps, quiet=quiet or not processes.first)
        self.base_rates: list[float] = []

    def dataset(self, rows: Manifest, *, augmented: bool = False) -> Dataset:
        """Rows as this stage sees them, with the maps it reads."""
        priors = None
        if source := self.stage.reads.get("prior"):
            stage, name = source.split("/")
            priors = partial(read_map, self.run.stage_folder(stage) / "maps" / name)
        augment = self.recipe.augment if augmented else None
        schema = self.recipe.schema
        return Dataset(
            rows.rows, rows.root, schema, self.recipe.prepare, augment=augment, cache=self.cache, priors=priors
        )

    # -- state -------------------------------------------------------------------------------------------------------

    def run_all(self) -> None:
        """Train, keep, write maps, say done."""
        torch.manual_seed(self._mix(0))
        network = self.stage.network()
        state = load_state(self.folder / "state.pt")
        if state is None:
            self._fill(network)
        place(network, self.processes.device)
        for part in self.stage.frozen:
            network.get_submodule(part).requires_grad_(False)
        optimizer = self.recipe.optimizer([p for p in network.parameters() if p.requires_grad])
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        step, values = 0, []
        if state is not None:
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            self.base_rates, step, values = state["rates"], state["step"], state["values"]
        self.ledger.open(bytes_done=0 if state is None else state["log_bytes"])
        model = self._wrap(network)
        if self.processes.first:
            (self.folder / "done.json").unlink(missing_ok=True)
        with self.watch, self.ledger:
            while step < self.steps and not stopped(values, self.recipe.patience):
                step = self._period(model, network, optimizer, step, values)
        self._finish(network, step, values)

    def _fill(self, network: nn.Module) -> None:
        """Weights from outside and from earlier stages."""
        if self.stage.start is not None:
            self.stage.start(network)
        for part, stage in self.stage.starts_from.items():
            part_weights(self.run.stage_folder(stage) / "weights.safetensors", network, part)

    def _period(
        self, model: nn.Module, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, values: list[float]
    ) -> int:
        """Train up to the next validation, validate, log, keep, write the state; returns the step reached."""
        until = min(step + self.every - step % self.every, self.steps)
        train_terms = self._train(model, network, optimizer, step, until, values)
        lr = optimizer.param_groups[0]["lr"]
        figures = self._validate(network, until, values)
        keep = self.stage.keep
        if keep.figure not in figures:
            raise ValueError(f"stage {self.stage.name!r}: keep={keep.figure!r} is none of {sorted(figures)}")
        value = keep.turned(figures[keep.figure])
        value = value if value == value else float("-inf")  # a figure that is not defined on val never wins
        is_best = not values or value > max(values)
        values.append(value)
        if self.processes.first:
            if is_best:
                save_weights(self.folder / "weights.safetensors", network)
            epoch = -(-until // self.steps_an_epoch)
            done = self.ledger.write(epoch=epoch, step=until, lr=lr, train=train_terms, val=figures, best=is_best)
            save_state(
                self.folder / "state.pt",
                {
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "rates": self.base_rates,
                    "step": until,
                    "values": values,
                    "log_bytes": done,
                },
            )
            self.watch.say(epoch, train_terms, figures, keep=keep.figure, best=is_best)
        return until

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _train(
        self,
        model: nn.Module,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        step: int,
        until: int,
        values: list[float],
    ) -> dict[str, float]:
        """Steps from ``step`` to ``until``; returns the mean of each term."""
        device, recipe, schedule = self.processes.device, self.recipe, self.recipe.schedule
        model.train()
        for part in self.stage.frozen:
            network.get_submodule(part).eval()
        totals: dict[str, torch.Tensor] = {}
        first = step
        for pieces in self._batches(step, until):
            history = History(step, self.steps, values)
            rate = schedule.rate(history)
            loss = self._loss(history)
            for group, base in zip(optimizer.param_groups, self.base_rates, strict=True):
                group["lr"] = base * rate
            torch.manual_seed(self._mix(1, step, self.processes.rank))
            optimizer.zero_grad(set_to_none=True)
            for piece in pieces:
                batch = piece.to(device)
                terms = loss(cast_up(autocast_forward(model, batch, precision=recipe.precision)), batch)
                (sum(terms.values()) / len(pieces)).backward()  # type: ignore[union-attr]
                for name, value in terms.items():
                    totals[name] = totals.get(name, 0) + value.detach() / len(pieces)
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            step += 1
            self.watch.advance(step)
        means = {name: float(value) / (until - first) for name, value in totals.items()}
        if bad := [name for name, value in means.items() if value != value or abs(value) == float("inf")]:
            raise RuntimeError(
                f"stage {self.stage.name!r}: loss {bad} is not finite between steps {first} and {until}; "
                "lower the learning rate or set clip=1.0, then resume: the state before it is kept"
            )
        return self.processes.mean(means)

    def _loss(self, history: History) -> Loss:
        """The stage's loss at this time."""
        dropped = self.stage.after_drop is not None and self.recipe.schedule.drops(history) > 0
        return self.stage.after_drop if dropped and self.stage.after_drop else self.stage.loss

    def _wrap(self, network: nn.Module) -> nn.Module:
        if self.processes.world == 1:
            return network
        return DistributedDataParallel(network, find_unused_parameters=bool(self.stage.frozen))

    def _batches(self, step: int, until: int) -> Iterator[list]:  # type: ignore[type-arg]
        """The batches of these steps, each as its pieces."""
        pieces = self.recipe.accumulate
        while step < until:
            epoch, start = divmod(step, self.steps_an_epoch)
            take = min(until - step, self.steps_an_epoch - start)
            stream = batches(
                self.train,
                batch=self.recipe.batch // pieces,
                seed=self._mix(2),
                epoch=epoch,
                drop_last=len(self.train) >= self.recipe.batch,
                start=start * pieces,
                rank=self.processes.rank,
                world=self.processes.world,
                threads=self.processes.threads,
                weights=self.weights,
            )
            for _ in range(take):
                group = list(islice(stream, pieces))
                if group:
                    yield group
            del stream  # ends its threads
            step += take

    def _validate(self, network: nn.Module, step: int, values: list[float]) -> dict[str, float]:
        """Validation figures, the same on every process."""
        figures: dict[str, float] = {}
        if self.processes.first:
            loss = self._loss(History(step, self.steps, values))
            figures = validate(network, self.val, loss=loss, recipe=self.recipe, device=self.processes.device)
        return self.processes.share(figures)

    def _finish(self, network: nn.Module, step: int, values: list[float]) -> None:
        """Reload the best weights, write the maps of every row, and say that the stage is done."""
        load_weights(self.folder / "weights.safetensors", network)
        place(network, self.processes.device).eval()
        if self.stage.writes:
            self._write_maps(network)
        if self.processes.first:
            write_json(self.folder / "done.json", {"steps": step, "validations": len(values), "best": max(values)})
            (self.folder / "state.pt").unlink(missing_ok=True)

    def _write_maps(self, network: nn.Module) -> None:
        """Maps for all rows of all splits; those already there are kept."""
        for name, make in self.stage.writes.items():
            folder = self.folder / "maps" / name
            todo = tuple(row for row in self.manifest.rows if not map_path(folder, row.id).is_file())
            mine = replace(self.manifest, rows=todo[self.processes.rank :: self.processes.world])
            for batch in batches(self.dataset(mine), batch=self.recipe.batch, seed=0, epoch=0, shuffle=False):
                maps = make(network, batch.to(self.processes.device)).detach().float().cpu().numpy()
                for image, one in zip(batch.ids, maps, strict=True):
                    write_map(folder, image, one)

    def _mix(self, *parts: int) -> int:
        """A seed from the run's seed, the stage and these numbers."""
        words = ",".join(str(p) for p in (*self.seed, *parts))
        return zlib.crc32(words.encode())


def _no_leak(train: Manifest, val: Manifest) -> None:
    """No patient is on both sides."""
    if both := {row.group for row in train.rows} & {row.group for row in val.rows}:
        raise ValueError(
            f"{len(both)} patients (or eyes) are in train and val, e.g. {sorted(both)[:3]}; split by patient first"
        )
