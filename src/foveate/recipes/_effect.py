"""Keywords that have an effect only in some combinations; any other use of them is an error.

A recipe's file lists them in ``EFFECT``: keyword -> alternatives, each a mapping from another keyword to the values
that it must have. The keyword has an effect if all conditions of one alternative are met, by keywords that have an
effect themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Condition = Mapping[str, Collection[Any]]
Effect = Mapping[str, Sequence[Condition]]


class AllBut(tuple[Any, ...]):
    """Every value but these.

    >>> "unet" in AllBut(["cam_unet"]), "cam_unet" in AllBut(["cam_unet"])
    (True, False)
    """

    __slots__ = ()

    def __contains__(self, value: object) -> bool:
        return not super().__contains__(value)

    def __str__(self) -> str:
        return f"another value than {' or '.join(repr(value) for value in self)}"


def idle(keyword: str, values: Mapping[str, Any], effect: Effect) -> tuple[str, Collection[Any]] | None:
    """The other keyword that leaves a keyword without effect, and the values that it must have; None = it has one.

    >>> effect = {"loss": [{"network": AllBut(["abn"])}], "late": [{"loss": ["dual"]}]}
    >>> idle("late", {"network": "unet", "loss": "dice"}, effect)
    ('loss', ['dual'])
    >>> idle("late", {"network": "abn", "loss": "dual"}, effect)
    ('network', ('abn',))

    Args:
        keyword: of a recipe.
        values: of all its keywords.
        effect: the recipe's table.
    """
    if keyword not in effect:
        return None
    unmet = [_unmet(keyword, condition, values, effect) for condition in effect[keyword]]
    return None if None in unmet else unmet[0]


def refuse_idle(recipe: str, given: Mapping[str, Any], values: Mapping[str, Any], effect: Effect) -> None:
    """Refuse keywords that change nothing.

    Args:
        recipe: its name.
        given: keywords that the user gave.
        values: of all keywords.
        effect: the recipe's table.

    Raises:
        ValueError: a keyword has no effect; the message names the other keyword and the remedy.
    """
    for keyword, value in given.items():
        if (reason := idle(keyword, values, effect)) is not None:
            other, wanted = reason
            remedy = str(wanted) if isinstance(wanted, AllBut) else f"one of {list(wanted)}"
            raise ValueError(
                f"recipe {recipe!r}: {keyword}={value!r} has no effect with {other}={values[other]!r}; "
                f"leave {keyword} out, or set {other} to {remedy}"
            )


def _unmet(
    keyword: str, condition: Condition, values: Mapping[str, Any], effect: Effect
) -> tuple[str, Collection[Any]] | None:
    """The first part of an alternative that is not met."""
    for other, wanted in condition.items():
        if other != keyword and (deeper := idle(other, values, effect)) is not None:
            return deeper
        if values[other] not in wanted:
            return other, wanted
    return None
