"""Keywords that have an effect only in some combinations: the table of every recipe, and the messages."""

import re
from typing import Any

import pytest
from recipes_cases import COMPARISONS, NAMES, known, narrow, served

from foveate.data import synthetic
from foveate.recipes import load_recipe
from foveate.recipes._effect import AllBut, idle
from foveate.recipes._lookup import effect_of
from foveate.studies import load_study

EVERY = [name for name in (*NAMES, *COMPARISONS) if effect_of(name)]


@pytest.mark.parametrize("name", EVERY)
def test_a_table_names_keywords(name: str) -> None:
    """Each of the recipe's, and no condition that its default values exclude for good."""
    for keyword, alternatives in effect_of(name).items():
        assert alternatives
        for condition in alternatives:
            assert {keyword, *condition} <= set(known(name))


@pytest.mark.parametrize("name", EVERY)
def test_a_message_names_both_keywords_and_the_remedy(name: str) -> None:
    found = 0
    for keyword, alternatives in effect_of(name).items():
        for other, wanted in alternatives[0].items():
            for value in [*wanted] if isinstance(wanted, AllBut) else [None, False, "none"]:
                values: dict[str, Any] = {**known(name), other: value}
                if other == keyword or value in wanted or (reason := idle(keyword, values, effect_of(name))) is None:
                    continue
                message = rf"{keyword}={values[keyword]!r} has no effect with {reason[0]}="
                with pytest.raises(ValueError, match=re.escape(message)) as refused:
                    load_recipe(name, synthetic.SCHEMAS["fundus"], **{keyword: values[keyword], other: value})
                assert f"leave {keyword} out, or set {reason[0]} to " in str(refused.value)
                found += 1
    assert found


def test_a_chain_names_its_first_cause() -> None:
    effect = {"a": [{"b": [1]}], "b": [{"c": AllBut([None])}]}
    assert idle("a", {"a": 0, "b": 1, "c": 2}, effect) is None
    assert idle("a", {"a": 0, "b": 1, "c": None}, effect) == ("c", (None,))
    assert idle("a", {"a": 0, "b": 2, "c": 2}, effect) == ("b", [1])
    assert idle("z", {"a": 0}, effect) is None


def test_one_alternative_is_enough() -> None:
    effect = {"weights": [{"network": ["a"]}, {"network": ["b"], "weights": ["hub"]}]}
    assert idle("weights", {"network": "a", "weights": "x"}, effect) is None
    assert idle("weights", {"network": "b", "weights": "hub"}, effect) is None
    assert idle("weights", {"network": "b", "weights": "x"}, effect) == ("network", ["a"])


def test_recorded_keywords_are_those_with_an_effect() -> None:
    recipe = narrow("image_quality", served("image_quality")[0], classify=1.0)
    assert "encoder" in recipe.keywords
    assert "decoder" not in recipe.keywords


def test_a_study_gives_each_row_what_it_uses() -> None:
    study = load_study("lesion_net", synthetic.SCHEMAS["fundus"], shrink="mean", share=0.5)
    assert study["Table III"]["Multi-task, Lesion-Net-16s"].keywords["shrink"] == "mean"
    assert "shrink" not in study["Path"]["Lesion-Net-2s"].keywords
    assert study["Path"]["Lesion-Net-2s"].keywords["share"] == 0.5
    assert "share" not in study["Path"]["U-Net"].keywords
    with pytest.raises(ValueError, match=r"study 'image_quality': keyword \['normalise'\] has no effect on any row"):
        load_study("image_quality", synthetic.SCHEMAS["enface"], normalise="half")
