"""What several readers say together: is it there, which answer, which regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from jaxtyping import Bool

from foveate.core.questions import YES_NO


def union(_readers: int) -> int:
    """Marked by anyone."""
    return 1


def intersection(readers: int) -> int:
    """Marked by everyone."""
    return max(readers, 1)


def half(readers: int) -> int:
    """Marked by more than half."""
    return readers // 2 + 1


RULES = {"union": union, "intersection": intersection, "majority": half}
"""Number of readers -> how many of them must have marked it."""


def needed(at_least: int | str, *, readers: int) -> int:
    """How many of so many readers must have marked it.

    Args:
        at_least: the number itself, whoever looked, or a name of `RULES`.
        readers: who looked.

    Raises:
        ValueError: at_least is below 1, or no rule.
    """
    if isinstance(at_least, str):
        if at_least not in RULES:
            raise ValueError(f"at_least={at_least!r} is none of {list(RULES)}; name one, or give a number of readers")
        return RULES[at_least](readers)
    if at_least < 1:
        raise ValueError(f"at_least={at_least}: give 1 or more readers, or one of {list(RULES)}")
    return at_least


def presence(said: Iterable[bool | None], *, at_least: int | str = 2) -> bool | None:
    """Present when at least so many readers saw it, absent when none did, None (left out) otherwise.

    Son et al. 2018, section 3.1, with three readers; ">= 2 of 3" is our reading of "more than 2 out of 3".

    Args:
        said: one a reader; None = did not read the image.
        at_least: readers, 1 or more, or a name of `RULES` for those who read it.

    Raises:
        ValueError: at_least is below 1, or no rule.
    """
    votes = [one for one in said if one is not None]
    least = needed(at_least, readers=len(votes))
    if not votes:
        return None
    return True if sum(votes) >= least else None if any(votes) else False


def majority(given: Iterable[str | None]) -> str | None:
    """The answer that more than half of the readers gave; None where there is none (the image is left out)."""
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
        ValueError: at_least is below 1, or not a rule.

    >>> answer(["yes", "yes", "no"], answers=("no", "yes")), answer(["0", "1", "2"], answers=("0", "1", "2"))
    ('yes', None)
    """
    if tuple(answers) != YES_NO:
        return majority(given)
    found = presence([None if one is None else one == YES_NO[1] for one in given], at_least=at_least)
    return None if found is None else YES_NO[found]


def agreed(marked: Sequence[Collection[str]], *, at_least: int | str = 1) -> tuple[str, ...]:
    """Names that at least so many readers marked, in the order of their first mention.

    Args:
        marked: what each reader marked (regions, say); empty = nothing.
        at_least: a number, or a name of `RULES`.

    Raises:
        ValueError: at_least is below 1, or no rule.
    """
    least = needed(at_least, readers=len(marked))
    votes = Counter(name for one in marked for name in dict.fromkeys(one))
    return tuple(name for name, count in votes.items() if count >= least)


def agreed_pixels(marked: Bool[np.ndarray, "n h w"], *, at_least: int | str = 1) -> Bool[np.ndarray, "h w"]:
    """Pixels that at least so many of n readers marked; errors as `agreed`."""
    found: Bool[np.ndarray, "h w"] = marked.sum(0) >= needed(at_least, readers=len(marked))
    return found
