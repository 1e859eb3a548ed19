"""Learning-rate schedules and stopping rules as pure functions of what has happened, so that resume needs no state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class History:
    """The past of a training, from which a schedule decides.

    Args:
        step: optimizer steps done.
        steps: optimizer steps planned.
        values: the kept validation metric after each validation, turned so that more is better.
    """

    step: int
    steps: int
    values: Sequence[float] = ()


class Schedule(Protocol):
    """Learning rate as a multiple of the recipe's, and how often it has dropped."""

    def rate(self, history: History) -> float:
        """Factor for the next step."""
        ...

    def drops(self, history: History) -> int:
        """Number of drops so far; a stage's loss may change at the first."""
        ...


def flat(values: Sequence[float], patience: int) -> list[int]:
    """Validations (from 1) at which the metric had not risen for ``patience`` in a row; counting restarts at each."""
    found, best, waited = [], -math.inf, 0
    for number, value in enumerate(values, 1):
        if value > best:
            best, waited = value, 0
        else:
            waited += 1
        if waited == patience:
            found.append(number)
            waited = 0
    return found


def stopped(values: Sequence[float], patience: int | None) -> bool:
    """Whether the last ``patience`` validations brought no gain (None: never)."""
    if patience is None or len(values) <= patience:
        return False
    return max(values[-patience:]) <= max(values[:-patience])


@dataclass(frozen=True)
class constant:  # noqa: N801 - read as a word in recipes
    """The same rate throughout."""

    def rate(self, history: History) -> float:
        """Always 1."""
        return 1.0

    def drops(self, history: History) -> int:
        """Never drops."""
        return 0


@dataclass(frozen=True)
class cosine:  # noqa: N801
    """Half a cosine from 1 to ``low`` (Loshchilov and Hutter 2017), after a warm-up over a share of the steps."""

    warmup: float = 0.0
    low: float = 0.0

    def rate(self, history: History) -> float:
        """Factor by the share of steps done."""
        done, warm = history.step, self.warmup * history.steps
        if done < warm:
            return (done + 1) / (warm + 1)
        share = (done - warm) / max(history.steps - warm, 1)
        return self.low + (1 - self.low) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))

    def drops(self, history: History) -> int:
        """A smooth fall has no drops."""
        return 0


@dataclass(frozen=True)
class steps:  # noqa: N801
    """Multiplied by ``by`` at each of the given shares of the planned steps."""

    at: tuple[float, ...]
    by: float = 0.1

    def rate(self, history: History) -> float:
        """``by`` to the power of the marks passed."""
        return float(self.by ** self.drops(history))

    def drops(self, history: History) -> int:
        """Marks passed."""
        return sum(history.step >= share * history.steps for share in self.at)


@dataclass(frozen=True)
class divide_when_flat:  # noqa: N801
    """Divided by ``by`` whenever the kept metric has not risen for ``patience`` validations."""

    by: float = 10.0
    patience: int = 4

    def rate(self, history: History) -> float:
        """``by`` to the minus number of drops."""
        return float(self.by ** -self.drops(history))

    def drops(self, history: History) -> int:
        """Flat stretches so far."""
        return len(flat(history.values, self.patience))
