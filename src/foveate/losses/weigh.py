"""Named terms and their weights: the loss of a stage, and the same dict for its log."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from foveate.core.labels import LabelSchema
from foveate.core.types import Batch, Outputs
from foveate.losses._masked import Term
from foveate.losses.answer import answer_focal, cross_entropy, squared_emd

OF_ANSWERS = (cross_entropy, answer_focal, squared_emd)
"""Terms that learn from answers."""


@dataclass(frozen=True)
class Ramp:
    """Weight that changes linearly during the training, from ``first`` to ``last``.

    Args:
        first: weight at the start, >= 0.
        last: weight at the end, >= 0.
        start: share of the steps after which it begins to change, in [0, 1].
        end: share of the steps after which it no longer changes, in [start, 1].

    Raises:
        ValueError: a weight is negative or not finite, or the shares are out of range or in the wrong order.
    """

    first: float
    last: float
    start: float = 0.2
    end: float = 0.7

    def __post_init__(self) -> None:
        if not (0 <= self.first < float("inf") and 0 <= self.last < float("inf")):
            raise ValueError(f"{self}: first and last must be 0 or more")
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"{self}: give shares of the steps with 0 <= start <= end <= 1")

    def at(self, progress: float) -> float:
        """Return the weight at a time of the training.

        Args:
            progress: share of the steps, in [0, 1].
        """
        if progress >= self.end:
            return self.last
        gone = max(progress - self.start, 0.0) / max(self.end - self.start, 1e-9)
        return self.first + (self.last - self.first) * gone


class Weigh:
    """Named terms with weights: ``loss(outputs, batch)`` -> name -> weight * term, not yet added up.

    ``Weigh(grade=(1.0, cross_entropy), lesion=(0.5, partial(focal, alpha=0.8)))``. Its ``repr`` shows every number. A
    term of weight 0 is not computed and not in the dict.

    Args:
        terms: name=(weight, term); a weight is a number, or a `Ramp` over the training.

    Raises:
        ValueError: no term has a weight above 0, or a weight is negative or not finite.
    """

    def __init__(self, **terms: tuple[float | Ramp, Term]) -> None:
        for name, (weight, _) in terms.items():
            if not isinstance(weight, Ramp) and not 0 <= weight < float("inf"):
                raise ValueError(f"Weigh: {name}={weight} must be 0 (term off) or a positive number")
        if not any(weight for weight, _ in terms.values()):
            raise ValueError(f"Weigh: all weights of {list(terms)} are 0; give at least one term a weight above 0")
        self.terms = terms

    def __call__(self, outputs: Outputs, batch: Batch, *, progress: float = 1.0) -> dict[str, Float[Tensor, ""]]:
        """Compute the weighted terms, in the order given.

        Args:
            outputs: of the network.
            batch: its ground truth.
            progress: share of the training that is done. Validation uses 1, the weights at the end, so that its losses
                are comparable between epochs.
        """
        now = {name: w.at(progress) if isinstance(w, Ramp) else w for name, (w, _) in self.terms.items()}
        return {name: now[name] * term(outputs, batch) for name, (_, term) in self.terms.items() if now[name]}

    def asked(self, schema: LabelSchema) -> tuple[str, ...]:
        """List the questions of a schema whose answers a term of this loss learns from."""
        named: dict[str, None] = {}
        for weight, term in self.terms.values():
            given = term.keywords if isinstance(term, partial) else {}
            function = term.func if isinstance(term, partial) else term
            if not weight or function not in OF_ANSWERS:
                continue
            ordered = [q.name for q in schema.questions if q.ordered or function is not squared_emd]
            named |= dict.fromkeys(ordered if given.get("questions") is None else given["questions"])
        return tuple(named)

    def __repr__(self) -> str:
        terms = (f"{name}={weight!r} * {_describe(term)}" for name, (weight, term) in self.terms.items())
        return f"Weigh({', '.join(terms)})"


def _describe(value: Any) -> str:
    """Describe a function by its name and every setting, defaults included; anything else by its ``repr``."""
    function = value.func if isinstance(value, partial) else value
    if not inspect.isroutine(function):
        return repr(value)
    settings = [
        f"{p.name}={_describe(p.default)}"
        for p in inspect.signature(value).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and p.default is not None
    ]
    return f"{function.__name__}({', '.join(settings)})" if settings else function.__name__
