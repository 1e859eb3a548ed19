"""Runs of one recipe, each trained on other folds of a manifest, that read images as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foveate.core.decisions import Decisions, combined
from foveate.core.files import read_json, write_json
from foveate.core.mean import mean_outputs
from foveate.core.types import Batch, Outputs, Row
from foveate.data.manifest import Manifest
from foveate.engine.run import CALIBRATION, SEEN, Pass, Pipeline, Run

ENSEMBLE = "ensemble.json"
"""In the folder of an ensemble: its members' folders and the groups of the images that they were trained on."""

FORMAT = 1


@dataclass(frozen=True)
class Ensemble(Run):
    """Several runs as one: probabilities and activation maps are averaged (`EnsemblePipeline`).

    Each member calibrates its answers by itself. Thresholds, gates and smallest lesions are the ensemble's own
    (``calibration.json`` in its folder, see `calibrate`), else the means of the members'.

    Args:
        folder: of the ensemble; holds the members' folders.
        recipe: of all members.
        runs: the members.
        groups: image -> patient (`Row.group`) of every image that the members were trained with.
        whole: all members of the folder, not some of them: those have no decisions of their own.

    Raises:
        ValueError: there is no member, or members read other frames or answer other questions.
    """

    runs: tuple[Run, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict, repr=False)
    whole: bool = True

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError(f"{self.folder}: an ensemble without members; name one run or more")
        for run in self.runs[1:]:
            same = run.recipe.schema == self.recipe.schema and run.recipe.prepare == self.recipe.prepare
            if not same:
                raise ValueError(
                    f"{run.folder}: another schema or preparation than {self.runs[0].folder}; members of an ensemble "
                    "read the same frames: train them all with one recipe"
                )

    @property
    def members(self) -> tuple[Run, ...]:
        """The runs that read as one."""
        return self.runs

    @property
    def record(self) -> dict[str, Any]:
        """The record of the first member, with the manifest and the members of all."""
        about = _about(self.folder)
        return {**self.runs[0].record, "manifest": about["manifest"], "members": about["members"]}

    @cached_property
    def splits(self) -> dict[str, str | None]:
        """Image -> the member that tests it ("test of fold0"); "test" if all do, "train" if none does."""
        out: dict[str, str | None] = {}
        each = [run.splits for run in self.runs]
        for image in {image: None for splits in each for image in splits}:
            found = [splits.get(image) for splits in each]
            testing = [run.folder.name for run, split in zip(self.runs, found, strict=True) if split == "test"]
            if any(found):
                every = len(testing) == len(self.runs)
                out[image] = "test" if every else f"test of {', '.join(testing)}" if testing else "train"
            else:
                out[image] = None
        return out

    def log(self, stage: str) -> list[dict[str, Any]]:
        """Each member's log of a stage, which is named after the member, too."""
        return [{**line, "stage": f"{run.folder.name}, {stage}"} for run in self.runs for line in run.log(stage)]

    @property
    def decisions(self) -> Decisions:
        """Those of the ensemble's own calibration, else the means of its members'; no temperatures in either."""
        if self.whole and (self.folder / CALIBRATION).is_file():
            return replace(super().decisions, temperatures={})
        return combined([run.decisions for run in self.runs])

    def network(self, stage: str, *, device: torch.device | str = "cpu") -> nn.Module:
        """ValueError: each member has its own network."""
        raise ValueError(f"{self.folder}: an ensemble has one network per member; take one of .members")

    def pipeline(self, *, device: torch.device | str = "cpu") -> Pipeline:
        """All members as one, each quickened for reading."""
        return EnsemblePipeline([(run.pipeline(device=device), run) for run in self.runs])

    # -- who may read what -------------------------------------------------------------------------------------------

    @cached_property
    def _seen(self) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
        """For each member the images, and the groups, that it was trained or validated on."""
        out = []
        for run in self.runs:
            images = frozenset(image for image, split in run.splits.items() if split in SEEN)
            out.append((images, frozenset(self.groups.get(image, image) for image in images)))
        return tuple(out)

    def free_of(self, row: Row) -> tuple[int, ...]:
        """Positions of the members that have neither trained nor validated on this image, nor on any of its patient."""
        return tuple(i for i, (ids, groups) in enumerate(self._seen) if row.id not in ids and row.group not in groups)

    def saw(self, row: Row) -> bool:
        """Whether any member was trained or validated on the image, or on another one of its patient."""
        return len(self.free_of(row)) < len(self.runs)

    def held_out(self, rows: Manifest, *, seen: bool = False) -> list[tuple[Run, Manifest]]:
        """The rows in parts, each with the members, as one run, that have not seen its images.

        Args:
            rows: to read.
            seen: let all members read every image, seen or not.

        Raises:
            ValueError: every member has seen one of the images, or its patient.
        """
        if seen or not len(rows):
            return [(self, rows)]
        parts: dict[tuple[int, ...], list[Row]] = {}
        for row in rows:
            free = self.free_of(row)
            if not free:
                raise ValueError(
                    f"image {row.id!r}: every member of {self.folder} was trained or validated on it, or on another "
                    f"image of {row.group!r}; leave it out, or let all members read it nevertheless (seen=True, --seen)"
                )
            parts.setdefault(free, []).append(row)
        return [(self.only(free), rows.with_rows(some)) for free, some in sorted(parts.items())]

    def only(self, positions: Sequence[int]) -> Run:
        """Some of the members as one; one alone is a plain run."""
        if len(positions) == len(self.runs):
            return self
        some = tuple(self.runs[i] for i in positions)
        return some[0] if len(some) == 1 else replace(self, runs=some, whole=False)


class EnsemblePipeline:
    """Read batches with several runs and average what they find, each with its own temperatures.

    Args:
        members: the `StagePipeline` of each run, and the run.
    """

    def __init__(self, members: Sequence[tuple[Pipeline, Run]]) -> None:
        self.pipelines = [reader for reader, _ in members]
        self.decisions = [run.decisions for _, run in members]
        self.schema = members[0][1].recipe.schema

    def __call__(self, batch: Batch) -> Outputs:
        """Logits of the mean probabilities (`core.mean`)."""
        return self.combined(self.passes(batch), batch)

    def passes(self, batch: Batch) -> Iterator[Pass]:
        """The passes of every member, in turn."""
        for member, pipeline in enumerate(self.pipelines):
            for one in pipeline.passes(batch):
                yield one._replace(member=member)

    def combined(self, passes: Iterable[Pass], batch: Batch) -> Outputs:
        """The mean over the members of their own means; no network is called."""
        read = [self._tempered(i, self.pipelines[i].combined(own, batch)) for i, own in groupby(passes, _member)]
        return mean_outputs(read, self.schema)

    def _tempered(self, member: int, found: Outputs) -> Outputs:
        """The member's own temperatures on its answers."""
        if found.image is None:
            return found
        return found._replace(image=self.decisions[member].tempered(found.image, self.schema))


def _member(one: Pass) -> int:
    return one.member


def write_ensemble(folder: Path, runs: Sequence[Run], rows: Manifest) -> Ensemble:
    """Make the runs of a folder an ensemble: `Ensemble` and its ``ensemble.json``.

    Args:
        folder: holds the runs' folders.
        runs: members, of one recipe.
        rows: the manifest that they were trained with.
    """
    made = Ensemble(folder, runs[0].recipe, tuple(runs), {row.id: row.group for row in rows})
    about = {
        "format": FORMAT,
        "members": [run.folder.name for run in runs],
        "manifest": {
            "path": str(rows.path.resolve()) if rows.path else None,
            "hash": rows.hash,
            "info": dict(rows.info),
        },
        "groups": dict(made.groups),
    }
    write_json(folder / ENSEMBLE, about)
    return made


def open_ensemble(folder: Path, load: Callable[[Path], Run]) -> Ensemble:
    """The ensemble of a folder with ``ensemble.json``.

    Args:
        folder: its own.
        load: opens a member's folder.

    Raises:
        ValueError: a newer version wrote it, or a member is not a folder in it.
    """
    about = _about(folder)
    for name in about["members"]:
        if Path(name).name != name or name in (".", ".."):
            raise ValueError(f"{folder / ENSEMBLE}: member {name!r}; give names of folders beside this file")
    runs = tuple(load(folder / name) for name in about["members"])
    if not runs:
        raise ValueError(f"{folder / ENSEMBLE}: names no members")
    return Ensemble(folder, runs[0].recipe, runs, about["groups"])


def _about(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = read_json(folder / ENSEMBLE)
    if about.get("format", 0) > FORMAT:
        raise ValueError(f"{folder / ENSEMBLE}: format {about['format']}; this version reads {FORMAT}: update foveate")
    return about
