"""Named terms and their weights: the loss of a stage, and the dict that its log is made of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses.known import Term


class Weigh:
    """A weighted sum of named terms, kept apart: ``loss(outputs, batch)`` -> name -> weight * term.

    ``Weigh(grade=(1.0, cross_entropy), lesion=(0.5, partial(focal, alpha=0.8)))``; printed, it shows every number. A
    term of weight 0 is not computed and not in the dict.

    Args:
        terms: name=(weight, term).

    Raises:
        ValueError: no term, or none with a weight; a weight that is negative or not finite.
    """

    def __init__(self, **terms: tuple[float, Term]) -> None:
        for name, (weight, _) in terms.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"Weigh: {name}={weight} is no weight; give 0 (term off) or a positive number")
        if not any(weight for weight, _ in terms.values()):
            raise ValueError(
                f"Weigh: nothing to learn from {list(terms)}; give at least one term with a weight above 0"
            )
        self.terms = terms

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms, in the order given."""
        return {name: weight * term(outputs, batch) for name, (weight, term) in self.terms.items() if weight}

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
