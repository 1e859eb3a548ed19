"""What several readers say together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.core.consensus import RULES, agreed, agreed_pixels, answer, majority, needed, presence


def test_presence_is_that_of_the_paper() -> None:
    """Three readers: absent when none saw it, present from two on, left out when one did."""
    assert presence([False, False, False]) is False
    assert presence([True, False, False]) is None
    assert presence([True, True, False]) is True
    assert presence([True, False, False], at_least=1) is True
    assert presence([True, None, None]) is None
    assert presence([None, None]) is None
    assert presence([]) is None
    with pytest.raises(ValueError, match="at_least=0"):
        presence([True], at_least=0)


def test_a_rule_is_of_those_who_looked() -> None:
    said = [True, True, False, None]
    assert presence(said, at_least="majority") is True
    assert presence([*said, False], at_least="majority") is None
    assert presence(said, at_least="intersection") is None
    assert presence([True, None], at_least="intersection") is True
    assert presence([True, False, False, False], at_least="union") is True
    assert presence([False, None], at_least="intersection") is False
    assert presence([], at_least="union") is None
    assert [needed(rule, annotators=4) for rule in (2, *RULES)] == [2, 1, 4, 3]
    with pytest.raises(ValueError, match=r"at_least must be one of .* got 'most'"):
        presence([], at_least="most")


def test_majority_needs_more_than_half() -> None:
    assert majority(["2", "2", "3"]) == "2"
    assert majority(["2", "3"]) is None
    assert majority(["1", "2", "3"]) is None
    assert majority(["1", None, None]) == "1"
    assert majority([]) is None


@given(st.lists(st.sets(st.sampled_from("abcd")), min_size=1, max_size=5))
def test_rules_are_set_operations(marked: list[set[str]]) -> None:
    assert set(agreed(marked, at_least="union")) == set.union(*marked)
    assert set(agreed(marked, at_least="intersection")) == set.intersection(*marked)
    half = agreed(marked, at_least="majority")
    assert set(half) == {name for name in "abcd" if 2 * sum(name in one for one in marked) > len(marked)}
    pixels = np.array([[[name in one for name in "abcd"]] for one in marked])
    for at_least in (*range(1, 6), *RULES):
        found = agreed_pixels(pixels, at_least=at_least)[0]
        assert {name for name, there in zip("abcd", found, strict=True) if there} == set(
            agreed(marked, at_least=at_least)
        )


def test_an_answer_is_by_presence_or_by_majority() -> None:
    assert answer(["yes", "yes", "no"], answers=("no", "yes")) == "yes"
    assert answer(["yes", "no", "no"], answers=("no", "yes")) is None  # one saw it: left out
    assert answer(["yes", "no", "no"], answers=("no", "yes"), at_least=1) == "yes"
    assert answer(["no", None], answers=("no", "yes")) == "no"
    assert answer(["1", "1", "2"], answers=("0", "1", "2")) == "1"
    assert answer(["1", "2", None], answers=("0", "1", "2")) is None
    assert answer([], answers=("no", "yes")) is None
    with pytest.raises(ValueError, match="at_least=0"):
        answer(["yes"], answers=("no", "yes"), at_least=0)
