"""The plan of a comparison: a TOML file to data sets, methods and an ordered list of trainings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

KINDS = ("foveate", "smp", "nnunet", "timm")
"""What runs a method: this package, or a peer in its own environment."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class DataSet:
    """One data set of a plan.

    Args:
        name: of its folder and its table.
        scan: adapter or ``dataset.toml`` (relative to the repository) by which `foveate scan` reads it.
        data: its folder in ``$FOVEATE_DATA``; None = ``name``.
        size: side of the square frame in pixels, or (rows, cols), that every method reads unless its settings differ.
        labels: labels that are learnt and judged; None = all.
        questions: questions that are learnt and judged; None = all.
        truths: rules or annotators whose masks the test images are judged by, each by itself.
        minutes: wall-clock budget of one training; None = the plan's.
    """

    name: str
    scan: str
    data: str | None = None
    size: int | tuple[int, int] = 256
    labels: tuple[str, ...] | None = None
    questions: tuple[str, ...] | None = None
    truths: tuple[str, ...] = ("union",)
    minutes: float | None = None


@dataclass(frozen=True)
class Method:
    """One row of the tables.

    Args:
        name: of its folder and its row.
        run: one of `KINDS`.
        recipe: a foveate recipe; None for peers.
        settings: keywords of the recipe, or settings of the peer's loop.
        sets: data set -> settings that differ there.
    """

    name: str
    run: str
    recipe: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One training: a method on a fold of a data set, with a seed."""

    data: DataSet
    method: Method
    fold: int
    seed: int
    minutes: float
    threads: int

    @property
    def folder(self) -> str:
        """Its folder, relative to the folder of the comparison."""
        return f"cells/{self.data.name}/{self.method.name}/fold{self.fold}-seed{self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the method on this data set."""
        return {**self.method.settings, **self.method.sets.get(self.data.name, {})}

    def described(self) -> dict[str, Any]:
        """All that the result depends on, as plain JSON values."""
        size = self.data.size
        return {
            "set": self.data.name, "method": self.method.name, "fold": self.fold, "seed": self.seed,
            "minutes": self.minutes, "threads": self.threads,
            "run": self.method.run, "recipe": self.method.recipe, "settings": self.settings,
            "size": size if isinstance(size, int) else list(size),
            "labels": None if self.data.labels is None else list(self.data.labels),
            "questions": None if self.data.questions is None else list(self.data.questions),
        }  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A comparison: its cells in the order in which they run.

    Args:
        sets: data sets by name, in the order of the page.
        methods: methods by name, in the order of the tables' rows.
        cells: trainings, each once.
        folds: folds of every data set.
        compare: method of which the differences are taken.
        peers: methods of which the best is subtracted.
    """

    sets: Mapping[str, DataSet]
    methods: Mapping[str, Method]
    cells: tuple[Cell, ...]
    folds: int
    compare: str
    peers: tuple[str, ...]

    def only(
        self, *, which: Collection[str] = (), folds: Collection[int] = (), seeds: Collection[int] = ()
    ) -> tuple[Cell, ...]:
        """The cells of these rows (``set/method``, ``set/*``, ``*/method``), folds and seeds; empty = all.

        Raises:
            ValueError: one of ``which`` names no cell of the plan.
        """
        for wanted in which:
            if not any(_named(cell, wanted) for cell in self.cells):
                rows = sorted({f"{c.data.name}/{c.method.name}" for c in self.cells})
                raise ValueError(f"--only {wanted!r} must be one of {rows}, or set/*, or */method")
        return tuple(
            cell
            for cell in self.cells
            if (not which or any(_named(cell, wanted) for wanted in which))
            and (not folds or cell.fold in folds)
            and (not seeds or cell.seed in seeds)
        )


def read_plan(path: Path, *, minutes: float | None = None) -> Plan:
    """The plan in a TOML file.

    Args:
        path: of the file; ``benchmarks/peers/plan.toml`` explains each entry.
        minutes: wall-clock budget of every training instead of the plan's.

    Raises:
        ValueError: an entry is missing, unknown or of a wrong kind; the message names it and the remedy.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    _known(data, ("minutes", "threads", "folds", "compare", "peers", "sets", "methods", "rows"), f"{path}")
    sets = {name: _data_set(name, part) for name, part in data.get("sets", {}).items()}
    methods = {name: _method(name, part, sets) for name, part in data.get("methods", {}).items()}
    folds, threads = int(data.get("folds", 5)), int(data.get("threads", 2))
    usual = float(data.get("minutes", 12))
    if minutes is not None:
        usual, sets = minutes, {name: replace(part, minutes=None) for name, part in sets.items()}
    cells: dict[str, Cell] = {}
    for number, row in enumerate(data.get("rows", ()), 1):
        where = f"{path}, rows, entry {number}"
        _known(row, ("sets", "methods", "runs"), where)
        for fold, seed in row.get("runs", [[0, 0]]):
            if not 0 <= fold < folds:
                raise ValueError(f"{where}: fold={fold} must lie in 0 to {folds - 1}; runs are [fold, seed]")
            for one in row.get("sets", list(sets)):
                for name in row["methods"]:
                    part, method = _of(sets, one, f"{where}: sets"), _of(methods, name, f"{where}: methods")
                    cell = Cell(part, method, fold, seed, part.minutes or usual, threads)
                    cells.setdefault(cell.folder, cell)
    if not cells:
        raise ValueError(f"{path}: no rows; give [[rows]] with methods, and sets and runs where they are not all")
    compare, peers = data.get("compare", "auto"), tuple(data.get("peers", ()))
    for name in (compare, *peers):
        _of(methods, name, f"{path}: compare and peers")
    return Plan(sets, methods, tuple(cells.values()), folds, compare, peers)


def _data_set(name: str, data: Mapping[str, Any]) -> DataSet:
    where = f"sets.{name}"
    _safe(name, where)
    _known(data, ("scan", "data", "size", "labels", "questions", "truths", "minutes"), where)
    if "scan" not in data:
        raise ValueError(f"{where}: scan is missing; give an adapter or a dataset.toml")
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return DataSet(
        name,
        scan=given["scan"],
        data=given.get("data"),
        size=given.get("size", 256),
        labels=given.get("labels"),
        questions=given.get("questions"),
        truths=given.get("truths", ("union",)),
        minutes=given.get("minutes"),
    )


def _method(name: str, data: Mapping[str, Any], sets: Mapping[str, DataSet]) -> Method:
    where = f"methods.{name}"
    _safe(name, where)
    _known(data, ("run", "recipe", "settings", "sets"), where)
    run = data.get("run")
    if run not in KINDS:
        raise ValueError(f"{where}: run must be one of {list(KINDS)}, got {run!r}")
    if (run == "foveate") != ("recipe" in data):
        raise ValueError(f"{where}: recipe={data.get('recipe')!r}; give one with run = 'foveate' and with no other")
    for one in data.get("sets", {}):
        _of(sets, one, f"{where}.sets")
    return Method(name, run, data.get("recipe"), data.get("settings", {}), data.get("sets", {}))


def _known(data: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    if strange := sorted(set(data) - set(names)):
        raise ValueError(f"{where}: {strange[0]!r} must be one of {list(names)}")


def _safe(name: str, where: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{where}: {name!r} becomes a folder; use letters, digits, '_', '-' and '.'")


def _of(parts: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in parts:
        raise ValueError(f"{where}: {name!r} must be one of {list(parts)}")
    return parts[name]


def _named(cell: Cell, wanted: str) -> bool:
    data, _, method = wanted.partition("/")
    return data in ("*", cell.data.name) and method in ("", "*", cell.method.name)
