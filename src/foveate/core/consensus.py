"""Consensus of several annotators: whether a finding is present, which answer, which regions, which pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from jaxtyping import Bool

from foveate.core.questions import YES_NO


def union(_annotators: int) -> int:
    """Marked by anyone."""
    return 1


def intersection(annotators: int) -> int:
    """Marked by everyone."""
    return max(annotators, 1)


def half(annotators: int) -> int:
    """Marked by more than half."""
    return annotators // 2 + 1


RULES = {"union": union, "intersection": intersection, "majority": half}
"""Number of annotators -> how many of them must have marked it."""


def needed(at_least: int | str, *, annotators: int) -> int:
    """Number of annotators who must have marked something, so that the consensus contains it.

    Args:
        at_least: this number itself, or a name of `RULES`.
        annotators: number of annotators of the image.

    Raises:
        ValueError: at_least is below 1, or not a name of `RULES`.
    """
    if isinstance(at_least, str):
        if at_least not in RULES:
            raise ValueError(f"at_least must be one of {list(RULES)} or a number of annotators, got {at_least!r}")
        return RULES[at_least](annotators)
    if at_least < 1:
        raise ValueError(f"at_least={at_least}: give 1 or more annotators, or one of {list(RULES)}")
    return at_least


def presence(seen: Iterable[bool | None], *, at_least: int | str = 2) -> bool | None:
    """Present if at least so many annotators saw it, absent if nobody did, None (left out) otherwise.

    Son et al. 2018, section 3.1, with three annotators. We read "more than 2 out of 3" in the paper as ">= 2 of 3".

    Args:
        seen: one value per annotator; None = did not annotate the image.
        at_least: number of annotators, 1 or more, or a name of `RULES`, applied to those who annotated the image.

    Raises:
        ValueError: at_least is below 1, or not a name of `RULES`.
    """
    votes = [one for one in seen if one is not None]
    least = needed(at_least, annotators=len(votes))
    if not votes:
        return None
    return True if sum(votes) >= least else None if any(votes) else False


def majority(given: Iterable[str | None]) -> str | None:
    """The answer that more than half of the annotators gave; None if there is not one (the image is left out)."""
    votes = Counter(answer for answer in given if answer is not None)
    best = votes.most_common(1)
    return best[0][0] if best and 2 * best[0][1] > votes.total() else None


def answer(given: Iterable[str | None], *, answers: Sequence[str], at_least: int | str = 2) -> str | None:
    """The answer to one question: of a yes/no question by `presence`, of any other by `majority`.

    Args:
        given: one answer per annotator; None = did not answer.
        answers: of the question, in its order.
        at_least: annotators who must have answered "yes", as for `presence`; other questions do not use it.

    Returns:
        None if they do not agree.

    Raises:
        ValueError: at_least is below 1, or not a name of `RULES`.

    >>> answer(["yes", "yes", "no"], answers=("no", "yes")), answer(["0", "1", "2"], answers=("0", "1", "2"))
    ('yes', None)
    """
    if tuple(answers) != YES_NO:
        return majority(given)
    found = presence([None if one is None else one == YES_NO[1] for one in given], at_least=at_least)
    return None if found is None else YES_NO[found]


def agreed(marked: Sequence[Collection[str]], *, at_least: int | str = 1) -> tuple[str, ...]:
    """Names that at least so many annotators marked, in the order of their first mention.

    Args:
        marked: names that each annotator marked, for example regions; empty = nothing.
        at_least: a number, or a name of `RULES`.

    Raises:
        ValueError: at_least is below 1, or not a name of `RULES`.
    """
    least = needed(at_least, annotators=len(marked))
    votes = Counter(name for one in marked for name in dict.fromkeys(one))
    return tuple(name for name, count in votes.items() if count >= least)


def agreed_pixels(marked: Bool[np.ndarray, "n h w"], *, at_least: int | str = 1) -> Bool[np.ndarray, "h w"]:
    """Pixels that at least so many of n annotators marked; errors as `agreed`."""
    found: Bool[np.ndarray, "h w"] = marked.sum(0) >= needed(at_least, annotators=len(marked))
    return found


Point = tuple[float, float]


def agreed_points(marked: Sequence[Sequence[Point]], *, at_least: int | str = 1, reach: float) -> tuple[Point, ...]:
    """Positions that at least so many annotators marked, each the median of their points.

    Points of different annotators that are at most ``reach`` apart are the same: the closest two first, one point per
    annotator. Errors as `agreed`.

    Args:
        marked: points of each annotator, (row, col) in pixels; empty = nothing.
        at_least: a number, or a name of `RULES`.
        reach: pixels.

    >>> agreed_points([[(10.0, 10.0), (50.0, 50.0)], [(12.0, 10.0)], []], at_least=2, reach=5.0)
    ((11.0, 10.0),)
    """
    least = needed(at_least, annotators=len(marked))
    owner = np.array([k for k, some in enumerate(marked) for _ in some])
    places = np.array([p for some in marked for p in some], float).reshape(-1, 2)
    groups = [{k} for k in range(len(places))]
    group_of = list(range(len(places)))
    for _, first, second in sorted(_near(places, owner, reach)):
        a, b = group_of[first], group_of[second]
        if a == b or {owner[k] for k in groups[a]} & {owner[k] for k in groups[b]}:
            continue
        groups[a] |= groups[b]
        for k in groups[b]:
            group_of[k] = a
        groups[b] = set()
    out = [np.median(places[sorted(group)], axis=0) for group in groups if len(group) >= least]
    return tuple((float(row), float(col)) for row, col in out)


def _near(places: np.ndarray, owner: np.ndarray, reach: float) -> list[tuple[float, int, int]]:
    """Pairs of points of different annotators within reach: distance and the two. Row by row: not all pairs at once."""
    order = np.argsort(places[:, 0], kind="stable")
    rows = places[order, 0]
    out = []
    for start, first in enumerate(order):
        others = order[start + 1 : int(np.searchsorted(rows, rows[start] + reach, side="right"))]
        apart = np.hypot(*(places[others] - places[first]).T)
        for k in np.flatnonzero((apart <= reach) & (owner[others] != owner[first])):
            out.append((float(apart[k]), int(first), int(others[k])))
    return out
