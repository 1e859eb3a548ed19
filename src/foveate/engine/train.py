"""One stage being trained: the loop, its state, and what it keeps.

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
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from foveate.core.files import read_json, write_json
from foveate.core.types import Batch
from foveate.data.cache import Cache
from foveate.data.loader import Dataset, balanced, batches
from foveate.data.manifest import Manifest
from foveate.data.sampling import answer_groups, drawn_share, label_presence, raised
from foveate.engine.annotation_fraction import cues_within_fraction, within_fraction
from foveate.engine.artifacts import check_maps, claim_maps, map_path, read_map, write_map
from foveate.engine.checkpoint import load_state, load_weights, part_weights, save_state, save_weights
from foveate.engine.distributed import Processes
from foveate.engine.evaluate import count_validation
from foveate.engine.finite import Finite
from foveate.engine.keep import Keep, Support
from foveate.engine.logs import Ledger, Watch
from foveate.engine.optimise import averaged, fused
from foveate.engine.outlook import outlook
from foveate.engine.recipe import Loss, Stage, at
from foveate.engine.run import Run, autocast_forward, cast_up, forward, place, write_out
from foveate.engine.schedule import History, stopped
from foveate.engine.stage_reuse import copy_stage
from foveate.metrics.never_given import never_given
from foveate.metrics.summary import summary


class Trainer:
    """Trains one stage of a run; made anew for each.

    Args:
        run: the folder and the recipe.
        stage: one of the recipe's.
        manifest: all rows, with splits.
        seed: of the run.
        key: from `stage_reuse.stage_key`; written in the stage's ``done.json``.
        processes: this one among its peers.
        cache: of prepared images.
        quiet: no progress on the terminal.

    Raises:
        ValueError: no row to train or to validate on.
    """

    def __init__(
        self,
        run: Run,
        stage: Stage,
        manifest: Manifest,
        *,
        seed: int,
        key: str,
        processes: Processes,
        cache: Cache,
        quiet: bool,
    ) -> None:
        recipe = run.recipe.seen_by(stage)
        self.run, self.stage, self.recipe, self.manifest = run, stage, recipe, manifest
        self.processes, self.cache, self.folder = processes, cache, run.stage_folder(stage.name)
        self.key = key
        self.seed = [seed, zlib.crc32(stage.name.encode())]
        mine = manifest.where(stage.rows) if stage.rows else manifest
        train, val = mine.where(split="train"), mine.where(split="val")
        for name, part in (("train", train), ("val", val)):
            if not len(part):
                raise ValueError(f"stage {stage.name!r}: no row has split {name!r}; run `foveate split` first")
        self.train = self.dataset(
            train.with_rows(within_fraction(row, recipe.annotation_fraction, seed) for row in train), augmented=True
        )
        self.val = self.dataset(val)
        if recipe.cues is not None:
            cues = partial(cues_within_fraction, recipe.cues, share=recipe.annotation_fraction, seed=seed)
            self.val = replace(self.val, cues=cues)
        self.weights: Float[np.ndarray, " n"] | None = None
        self.steps_an_epoch = max(len(train) // recipe.batch, 1)
        self.steps = self.steps_an_epoch * (stage.epochs or recipe.epochs)
        every = recipe.validate_every or self.steps_an_epoch
        self.every = min(every, max(self.steps // (recipe.validations or 1), 1))
        self.ledger = Ledger(self.folder, stage=stage.name, active=processes.first)
        self.watch = Watch(stage.name, self.steps, quiet=quiet or not processes.first)
        self.step = self.started = 0
        self.values: list[float] = []
        self.keep: Keep | None = stage.keep
        self.never: tuple[str, ...] = ()

    def _weights(self) -> Float[np.ndarray, " n"] | None:
        """How often each training image is drawn; None = alike.

        A set with lesions only is drawn as it comes by a stage that marks, whatever question the stages balance.
        """
        rows, schema, asked = self.train.rows, self.recipe.schema, self.recipe.balance
        every = self.manifest.where(split="train").rows
        if asked is not None and any(asked in r.answers for r in every) and not any(asked in r.answers for r in rows):
            asked = None
        even = None if asked is None else balanced(rows, schema, asked)
        if not self.recipe.rare_images or not schema.labels:
            return even
        presence = None
        if self.processes.first:
            bare = replace(self.train, priors=None, cues=None)
            presence = label_presence(bare, threads=self.processes.threads)
        presence = self.processes.share(presence)
        assert presence is not None
        before = np.ones(len(rows)) if even is None else even
        groups = None if asked is None else answer_groups([row.answers.get(asked) for row in rows], schema, asked)
        weights = raised(before, presence, share=self.recipe.rare_images, groups=groups)
        for label, column in zip(schema.labels, presence.T, strict=True):
            come, drawn = drawn_share(before, column), drawn_share(weights, column)
            if drawn > come:
                self.watch.note(f"{label} is in {come:.2f} of the images that know it, and in {drawn:.2f} as drawn")
        return weights

    def dataset(self, rows: Manifest, *, augmented: bool = False) -> Dataset:
        """Rows as this stage sees them, with the maps it reads."""
        priors = None
        if source := self.stage.reads.get("prior"):
            stage, name = source.split("/")
            folder = self.run.stage_folder(stage) / "maps" / name
            check_maps(folder, (row.id for row in rows), manifest=self.manifest.hash)
            priors = partial(read_map, folder)
        augment = self.recipe.augment if augmented else None
        schema = self.recipe.schema
        return Dataset(
            rows.rows,
            rows.root,
            schema,
            self.recipe.prepare,
            augment=augment,
            cache=self.cache,
            priors=priors,
            cues=self.recipe.cues,
        )

    # -- state -------------------------------------------------------------------------------------------------------

    def run_all(self, *, trained: Path | None = None) -> None:
        """Train, keep the best weights, write maps, write ``done.json``.

        Args:
            trained: folder of the same stage, trained in another run; it is taken over instead.
        """
        if trained is not None:
            self._take_over(trained)
        else:
            if self.processes.first:
                self._look_ahead()
            self.weights = self._weights()
            self._set_up(load_state(self.folder / "state.pt"))
            with self.watch, self.ledger:
                while self.step < self.steps and not stopped(self.values, self.recipe.patience):
                    self._period()
                if self.processes.first and max(self.values, default=0.0) == float("-inf"):
                    self.watch.unchosen(self.stage.keep.metric)
                for line in self.never if self.processes.first else ():
                    self.watch.note(f"warning: on the validation images, {line}")
        self._finish()

    def _look_ahead(self) -> None:
        """Count the validation images, decide what may choose the weights, and print what cannot take effect."""
        support = Support()
        for batch in batches(self.val, batch=self.recipe.batch, shuffle=False, threads=self.processes.threads):
            support.add(batch)
        self.keep = self.stage.keep.within(support)
        for line in outlook(
            self.recipe, self.stage, steps=self.steps, every=self.every, support=support, keep=self.keep
        ):
            self.watch.note(line)

    def _take_over(self, trained: Path) -> None:
        """Weights and log from another run, and where it ended."""
        if self.processes.first:
            copy_stage(trained, self.folder)
        done = read_json(trained / "done.json")
        self.step, self.values = done["steps"], [done["best"]] * done["validations"]
        self.network = place(self.stage.network(), self.processes.device)

    def _set_up(self, state: dict[str, Any] | None) -> None:
        """Network and optimizer, new or as the state has them."""
        torch.manual_seed(self._mix(0))
        self.network = self.stage.network()
        if state is None:
            self._fill(self.network)
        place(self.network, self.processes.device)
        for part in self.stage.frozen:
            self.network.get_submodule(part).requires_grad_(False)
        trained: list[Any] = [p for p in self.network.parameters() if p.requires_grad]
        if self.stage.groups is not None:
            trained = self.stage.groups(self.network)
        self.optimizer = fused(self.stage.optimizer or self.recipe.optimizer, trained)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.average = averaged(self.network, over=self.recipe.average * self.steps)
        if state is not None:
            self.network.load_state_dict(state["network"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.base_rates, self.step, self.values = state["rates"], state["step"], state["values"]
            self.never = tuple(state["never"])
        self.started = self.step
        self.ledger.open(bytes_done=0 if state is None else state["log_bytes"])
        self.model: nn.Module = self.network
        if self.processes.world > 1:
            self.model = DistributedDataParallel(self.network, find_unused_parameters=bool(self.stage.frozen))

    def _fill(self, network: nn.Module) -> None:
        """Weights from outside and from earlier stages."""
        if self.stage.start is not None:
            for line in self.stage.start(network) or ():
                self.watch.note(line)
        for part, stage in self.stage.starts_from.items():
            part_weights(self.run.stage_folder(stage) / "weights.safetensors", network, part)

    def _period(self) -> None:
        """Train up to the next validation, validate, log, keep, write the state."""
        train_terms = self._train(until=min(self.step + self.every - self.step % self.every, self.steps))
        metrics, never = self._validate()
        keep = self.keep or self.stage.keep
        try:
            value = keep.of(metrics)
        except ValueError as error:
            raise ValueError(f"stage {self.stage.name!r}: {error}") from None
        self.values.append(value if value == value else float("-inf"))  # a metric that is not defined on val never wins
        if self.processes.first:
            is_best = self.keep is None or keep.best(self.values)
            if is_best:
                self.never = never
                save_weights(self.folder / "weights.safetensors", self.kept)
            epoch, lr = -(-self.step // self.steps_an_epoch), self.optimizer.param_groups[0]["lr"]
            done = self.ledger.write(epoch=epoch, step=self.step, lr=lr, train=train_terms, val=metrics, best=is_best)
            save_state(
                self.folder / "state.pt",
                {
                    "network": self.network.state_dict(),
                    "average": None if self.average is None else self.average.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "rates": self.base_rates,
                    "step": self.step,
                    "values": self.values,
                    "never": list(self.never),
                    "log_bytes": done,
                },
            )
            self.watch.say(epoch, train_terms, keep=self.stage.keep.metric, value=keep.turned(value), best=is_best)

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights, or the network that is trained."""
        return self.network if self.average is None else self.average.module

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _train(self, *, until: int) -> dict[str, float]:
        """Steps up to ``until``; returns the mean of each term."""
        recipe, first = self.recipe, self.step
        self.model.train()
        for part in self.stage.frozen:
            self.network.get_submodule(part).eval()
        totals: dict[str, torch.Tensor] = {}
        finite = Finite(self.stage.name, self.processes.device)
        for pieces in self._batches(until):
            rate, loss = recipe.schedule.rate(self._history()), at(self._loss(), progress=self.step / self.steps)
            for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
                group["lr"] = base * rate
            torch.manual_seed(self._mix(1, self.step, self.processes.rank))
            self.optimizer.zero_grad(set_to_none=True)
            for piece in pieces:
                batch = piece.to(self.processes.device)
                if recipe.patches is not None:
                    batch = recipe.patches.split(batch)
                terms = loss(cast_up(autocast_forward(self.model, batch, precision=recipe.precision)), batch)
                finite.add(self.step, terms)
                torch.autograd.backward(torch.stack(list(terms.values())).sum() / len(pieces))
                for name, value in terms.items():
                    totals[name] = totals.get(name, 0) + value.detach() / len(pieces)
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            self.step += 1
            self.watch.advance(self.step)
        finite.finish()
        means = {name: float(value) / (until - first) for name, value in totals.items()}
        return self.processes.mean(means)

    def _history(self) -> History:
        return History(self.step, self.steps, self.values)

    def _loss(self) -> Loss:
        """The stage's loss at this time."""
        later = self.stage.after_drop
        return later if later is not None and self.recipe.schedule.drops(self._history()) > 0 else self.stage.loss

    def _batches(self, until: int) -> Iterator[list[Batch]]:
        """The batches of the steps up to ``until``, each as its pieces."""
        pieces, step = self.recipe.accumulate, self.step
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
                threads=self._threads,
                weights=self.weights,
            )
            for _ in range(take):
                group = list(islice(stream, pieces))
                if group:
                    yield group
            del stream  # ends its threads
            step += take

    @property
    def _threads(self) -> int:
        """Threads that load images: all in the first epoch, when files are decoded, then those to spare."""
        first = self.step - self.started < self.steps_an_epoch
        return self.processes.threads if first else self.processes.spare

    def _validate(self) -> tuple[dict[str, float], tuple[str, ...]]:
        """Validation metrics, and what the network never gives; the same on every process."""
        found: tuple[dict[str, float], tuple[str, ...]] = ({}, ())
        if self.processes.first:
            device, threads = (
                self.processes.device,
                self.processes.threads if len(self.values) == 0 else self.processes.spare,
            )
            loss, counts = count_validation(
                self.kept, self.val, loss=self._loss(), recipe=self.recipe, device=device, threads=threads
            )
            found = {"loss": loss, **summary(counts)}, never_given(counts)
        return self.processes.share(found)

    def _finish(self) -> None:
        """Reload the best weights, write the maps of every row, and write that the stage is done."""
        self.processes.wait()  # the first process may still be writing the last weights
        load_weights(self.folder / "weights.safetensors", self.network)
        self.network.eval()
        self._write_maps()
        self.processes.wait()  # done means that every process has written its maps
        if self.processes.first:
            done = {"steps": self.step, "validations": len(self.values), "best": max(self.values), "key": self.key}
            done["never given"] = list(self.never)
            write_json(self.folder / "done.json", done)
            (self.folder / "state.pt").unlink(missing_ok=True)

    def _write_maps(self) -> None:
        """Maps for all rows of all splits; images that have them all are passed over.

        What makes a map may look at the truth of training images, and of no others.
        """
        taught = {row.id for row in self.manifest.rows if row.split == "train"}
        folders = {name: self.folder / "maps" / name for name in self.stage.writes}
        if folders and self.processes.first:
            claim_maps(self.folder / "maps", manifest=self.manifest.hash)
        share = self.manifest.rows[self.processes.rank :: self.processes.world]
        todo = [row for row in share if not all(map_path(f, row.id).is_file() for f in folders.values())]
        if not todo:
            return
        data = self.dataset(self.manifest.with_rows(todo))
        for batch in batches(data, batch=self.recipe.batch, shuffle=False):
            batch = batch.to(self.processes.device).blind(but=taught)
            outputs = forward(self.network, batch, precision=self.recipe.precision, infer=self.recipe.infer)
            for name, maps in write_out(self.stage, self.network, batch, outputs).items():
                for image, one in zip(batch.ids, maps.float().cpu().numpy(), strict=True):
                    write_map(folders[name], image, one)

    def _mix(self, *parts: int) -> int:
        """A seed from the run's seed, the stage and these numbers."""
        words = ",".join(str(p) for p in (*self.seed, *parts))
        return zlib.crc32(words.encode())
