"""List the metrics, found in the files of `metrics/entries`, and find them by their names.

A name is "LEVEL/METRIC", "LEVEL/METRIC/PART" (a label or question) or "LEVEL/METRIC/QUESTION/ANSWER"; ``_std`` behind
the metric is the spread over images. The level may be left out where that leaves one metric: "dice/cup".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from foveate.core import plugins
from foveate.metrics.metric import LEVELS, Metric

V = TypeVar("V")
STD = "_std"


@cache
def _files() -> tuple[ModuleType, ...]:
    return tuple(import_module(f"foveate.metrics.entries.{name}") for name in plugins.names("metrics/entries"))


@cache
def every() -> Mapping[str, Metric]:
    """Name -> metric, of all files, in the order of `LEVELS`.

    >>> every()["pixel/dice"].title
    'Dice'
    """
    order = list(LEVELS)
    found = [metric for file in _files() for metric in file.METRICS]
    return MappingProxyType({metric.name: metric for metric in sorted(found, key=lambda one: order.index(one.level))})


def entry(name: str) -> Metric | None:
    """The metric of a name with its level, whatever part of the counts it is of; None if there is none.

    >>> entry("pixel/dice_std/cup").title
    'Dice'
    """
    found = every().get(_head(name))
    return every().get(_head(name).removesuffix(STD)) if found is None else found


def full(name: str, *, labels: Collection[str] = (), questions: Collection[str] = ()) -> str:
    """A name with its level.

    Args:
        name: with or without a level.
        labels: of the counts; they decide between a metric of labels and one of questions.
        questions: likewise.

    Raises:
        ValueError: there is no such metric, or several without a level.

    >>> full("dice/cup"), full("sensitivity/dr", questions=["dr"])
    ('pixel/dice/cup', 'image/sensitivity/dr')
    >>> full("sensitivity")
    Traceback (most recent call last):
    ValueError: metric 'sensitivity' must be one of ['pixel/sensitivity', 'image/sensitivity']: state its level
    """
    if entry(name) is not None:
        return name
    base, slash, rest = name.partition("/")
    tail = STD if base.endswith(STD) else ""
    found = [m for m in every().values() if m.short == base.removesuffix(tail)]
    if len(found) > 1:
        part = rest.partition("/")[0]
        there = {"label": [part] if part in labels else [], "question": [part] if part in questions else []}
        if not part:
            there = {"label": list(labels), "question": list(questions)}
        found = [m for m in found if there.get(m.of)] or found
    if not found:
        raise ValueError(f"metric must be one of {list(every())}, got {name!r}")
    if len(found) > 1:
        raise ValueError(f"metric {name!r} must be one of {[m.name for m in found]}: state its level")
    return f"{found[0].name}{tail}{slash}{rest}"


def short(name: str) -> str:
    """A name without its level, as earlier versions wrote it.

    >>> short("pixel/accuracy/cup"), short("image/auc/dr"), short("loss")
    ('pixel_accuracy/cup', 'auc/dr', 'loss')
    """
    found = entry(name)
    if found is None:
        return name
    head = _head(name)
    return found.short + head.removeprefix(found.name) + name[len(head) :]


class Named(dict[str, V]):
    """Values by the names of metrics; a name without a level finds its value too, where it is the only one.

    >>> Named({"pixel/dice/cup": 0.9})["dice/cup"]
    0.9
    """

    def __missing__(self, name: str) -> V:
        found = [key for key in self if short(key) == name]
        if not found:
            raise ValueError(f"metric must be one of {list(self)}, got {name!r}")
        if len(found) > 1:
            raise ValueError(f"metric {name!r} must be one of {found}: state its level")
        return self[found[0]]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name as ``[]`` finds it ; the default if there is none. ``dict.get`` asks no `__missing__`.

        >>> Named({"pixel/dice/cup": 0.9}).get("dice/cup"), Named().get("dice")
        (0.9, None)
        """
        return self[name] if name in self else default  # noqa: SIM401 - this is get

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or sum(short(key) == name for key in self) == 1


def upgraded(values: Mapping[str, V]) -> Named[V]:
    """Values under names of this version: files of earlier versions had no levels.

    There a name that labels and answers share was of a label, unless it named an answer.

    >>> upgraded({"sensitivity/cup": 0.8, "sensitivity/dr/yes": 0.7, "loss": 0.3})
    {'pixel/sensitivity/cup': 0.8, 'image/sensitivity/dr/yes': 0.7, 'loss': 0.3}
    """
    names = renamed(values)
    return Named({names[name]: value for name, value in values.items()})


def renamed(names: Iterable[str]) -> dict[str, str]:
    """Name of any version -> name of this version; what is not a metric keeps its name."""
    bases = {m.short for m in every().values()}
    out = {}
    for name in dict.fromkeys(names):
        base, *parts = name.split("/")
        if base in LEVELS or base.removesuffix(STD) not in bases:
            out[name] = name
        elif len(parts) > 1:
            out[name] = full(name, questions=parts[:1])
        else:
            out[name] = full(name, labels=[*parts, base])
    return out


def lines() -> dict[str, str]:
    """Name -> one line of each metric, for a list."""
    return {name: metric.line for name, metric in every().items()}


def _head(name: str) -> str:
    return "/".join(name.split("/")[:2])


def of(kind: str, metrics: Iterable[Metric] | None = None) -> list[Metric]:
    """The metrics of one part of the counts (`metric.OF`)."""
    return [metric for metric in (every().values() if metrics is None else metrics) if metric.of == kind]
