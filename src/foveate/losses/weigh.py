"""Named terms and their weights: the loss of a stage, and the dict that its log is made of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import Term


@dataclass(frozen=True)
class Ramp:
    """A weight that changes over the training, from ``first`` to ``last``, in a straight line between two times.

    Args:
        first: weight at the start, >= 0.
        last: weight at the end, >= 0.
        start: share of the steps at which it begins to change, in [0, 1].
        end: share of the steps from which it stays, in [start, 1].

    Raises:
        ValueError: a weight is negative or not finite, or the shares are out of range or order.
    """

    first: float
    last: float
    start: float = 0.2
    end: float = 0.7

    def __post_init__(self) -> None:
        if not (0 <= self.first < float("inf") and 0 <= self.last < float("inf")):
            raise ValueError(f"{self}: give weights of 0 or more")
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"{self}: give shares of the steps with 0 <= start <= end <= 1")

    def at(self, progress: float) -> float:
        """The weight once so much of the training is done.

        Args:
            progress: share of the steps, in [0, 1].
        """
        if progress >= self.end:
            return self.last
        gone = max(progress - self.start, 0.0) / max(self.end - self.start, 1e-9)
        return self.first + (self.last - self.first) * gone


class Weigh:
    """A weighted sum of named terms, kept apart: ``loss(outputs, batch)`` -> name -> weight * term.

    ``Weigh(grade=(1.0, cross_entropy), lesion=(0.5, partial(focal, alpha=0.8)))``; printed, it shows every number. A
    term of weight 0 is not computed and not in the dict.

    Args:
        terms: name=(weight, term); a weight is a number, or a `Ramp` over the training.

    Raises:
        ValueError: no term, or none with a weight; a weight that is negative or not finite.
    """

    def __init__(self, **terms: tuple[float | Ramp, Term]) -> None:
        for name, (weight, _) in terms.items():
            if not isinstance(weight, Ramp) and not 0 <= weight < float("inf"):
                raise ValueError(f"Weigh: {name}={weight} is no weight; give 0 (term off) or a positive number")
        if not any(weight for weight, _ in terms.values()):
            raise ValueError(
                f"Weigh: nothing to learn from {list(terms)}; give at least one term with a weight above 0"
            )
        self.terms = terms

    def __call__(self, outputs: Outputs, batch: Batch, *, progress: float = 1.0) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms, in the order given.

        Args:
            outputs: what the network answered.
            batch: its truth.
            progress: share of the training that is done; 1 = as it ends, which is what validation compares.
        """
        now = {name: w.at(progress) if isinstance(w, Ramp) else w for name, (w, _) in self.terms.items()}
        return {name: now[name] * term(outputs, batch) for name, (_, term) in self.terms.items() if now[name]}

    def __repr__(self) -> str:
        terms = (f"{name}={weight!r} * {_describe(term)}" for name, (weight, term) in self.terms.items())
        return f"Weigh({', '.join(terms)})"


def total(terms: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """Sum of the terms: what is differentiated.

    Raises:
        ValueError: there are none.
    """
    if not terms:
        raise ValueError("terms={} has no sum; a loss gives at least one term")
    return torch.stack(list(terms.values())).sum()


def _describe(value: Any) -> str:
    """A function by its name and every setting it will run with, defaults included; anything else as it prints."""
    function = value.func if isinstance(value, partial) else value
    if not inspect.isroutine(function):
        return repr(value)
    settings = [
        f"{p.name}={_describe(p.default)}"
        for p in inspect.signature(value).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and p.default is not None
    ]
    return f"{function.__name__}({', '.join(settings)})" if settings else function.__name__
