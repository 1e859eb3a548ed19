"""Schedules are pure functions of what has happened."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.engine.schedule import History, constant, cosine, divide_when_flat, flat, steps, stopped


def test_flat_counts_from_the_last_gain() -> None:
    assert flat([1, 2, 2, 2, 3, 3, 3], patience=2) == [4, 7]
    assert flat([1, 1, 1, 1, 1], patience=2) == [3, 5]
    assert flat([], patience=4) == []


def test_divide_when_flat_divides_by_ten_after_four() -> None:
    schedule = divide_when_flat(by=10, patience=4)
    values = [0.5, 0.6, 0.6, 0.5, 0.59]
    assert schedule.rate(History(0, 1, values)) == 1
    assert schedule.rate(History(0, 1, [*values, 0.6])) == pytest.approx(0.1)
    assert schedule.drops(History(0, 1, [*values, 0.6, 0.7, 0.1, 0.1, 0.1, 0.1])) == 2


def test_stopped_after_patience_without_gain() -> None:
    assert not stopped([1, 0, 0], patience=3)
    assert stopped([1, 0, 0, 1], patience=3)
    assert not stopped([1, 0, 0, 1.1], patience=3)
    assert not stopped([1] * 50, patience=None)


@given(st.integers(1, 500), st.floats(0, 0.5))
def test_cosine_warms_up_then_falls(total: int, warmup: float) -> None:
    schedule = cosine(warmup=warmup, low=0.01)
    rates = [schedule.rate(History(s, total)) for s in range(total + 1)]
    assert all(0 < r <= 1 + 1e-9 for r in rates)
    peak = rates.index(max(rates))
    assert all(a >= b - 1e-12 for a, b in zip(rates[peak:], rates[peak + 1 :], strict=False))
    assert math.isclose(rates[-1], 0.01, abs_tol=1e-9) or warmup * total >= total - 1


def test_steps_at_shares() -> None:
    schedule = steps(at=(0.5, 0.75), by=0.1)
    assert [round(schedule.rate(History(s, 100)), 4) for s in (0, 49, 50, 75)] == [1, 1, 0.1, 0.01]
    assert schedule.drops(History(80, 100)) == 2
    assert constant().drops(History(80, 100)) == 0
