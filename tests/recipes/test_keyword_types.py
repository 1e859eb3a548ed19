"""A keyword of a wrong type is refused before training, with the type that it must have."""

from pathlib import Path
from typing import Any

import pytest
from recipes_cases import COMPARISONS, NAMES, known

from foveate.data import synthetic
from foveate.recipes import load_recipe
from foveate.recipes._lookup import recipe_file
from foveate.recipes._types import refuse_types


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"size": "abc"}, "size must be a whole number, got 'abc'"),
        ({"size": 64.5}, "size must be a whole number, got 64.5"),
        ({"size": [64]}, "size must be a whole number, got .64."),
        ({"size": True}, "size must be a whole number, got True"),
        ({"size": 0}, "size must be above 0, got 0"),
        ({"epochs": "two"}, "epochs must be a whole number, got 'two'"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"batch": -1}, "batch must be above 0, got -1"),
        ({"clahe": "yes"}, "clahe must be a number or null, got 'yes'"),
        ({"rotation": "abc"}, "rotation must be a number, got 'abc'"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"lr": "0,001"}, "lr must be a number, got '0,001'; write lr=0.001"),
        ({"lr": float("nan")}, "lr must be finite, got nan"),
        ({"lr": -1e-3}, "lr must be above 0, got -0.001"),
        ({"grey": 1}, "grey must be true or false, got 1"),
        ({"encoder": 18}, "encoder must be text, got 18"),
        ({"clip": "hard"}, "clip must be a number or null, got 'hard'"),
        ({"accumulate": 1.5}, "accumulate must be a whole number, got 1.5"),
    ],
)
def test_a_wrong_type_is_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"recipe 'image_quality': {message}"):
        load_recipe("image_quality", synthetic.SCHEMAS["enface"], **keywords)


def test_the_remedy_works() -> None:
    assert load_recipe("image_quality", synthetic.SCHEMAS["enface"], lr=0.001, rotation=10, clip=1).clip == 1


@pytest.mark.parametrize("name", [*NAMES, *COMPARISONS])
def test_defaults_have_the_types_that_are_written_beside_them(name: str) -> None:
    refuse_types(name, recipe_file(name).recipe, known(name))


def test_a_file_of_ones_own_without_types_is_not_checked(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from foveate.recipes.image_quality import recipe as paper\n\n\n"
        "def recipe(schema, *, size=64, fast: 'Nothing' = False):\n    return paper(schema, size=int(size))\n"
    )
    assert load_recipe(str(file), synthetic.SCHEMAS["enface"], size="64").prepare.size == 64
