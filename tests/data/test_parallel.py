"""Gather: in order, in threads and in processes; errors come through, and little is under way at a time."""

import math
import os
from functools import partial

import pytest

from foveate.data import parallel
from foveate.data.parallel import run_parallel as go


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(go(math.sqrt, range(300), workers=workers)) == [math.sqrt(i) for i in range(300)]
    assert list(go(partial(pow, 2), range(9), workers=workers)) == [2**i for i in range(9)]
    assert list(go(math.sqrt, [], workers=workers)) == []


def test_processes_are_others() -> None:
    assert os.getpid() not in set(go(_own, range(200), workers=2))
    assert set(go(_own, range(20), workers=0)) == {os.getpid()}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_ends_it(workers: int) -> None:
    with pytest.raises(ValueError, match="math domain"):
        list(go(math.sqrt, [1, 2, -1], workers=workers))


def test_few_are_under_way() -> None:
    begun: list[int] = []
    some = go(begun.append, range(10_000), workers=0)
    next(some)
    some.close()
    assert len(begun) <= 8 * parallel.AHEAD * 2 + 16


def _own(_: int) -> int:
    return os.getpid()
