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
        ({"size": "abc"}, "size='abc' must be a whole number"),
        ({"size": 64.5}, "size=64.5 must be a whole number"),
        ({"size": [64]}, "size=.64. must be a whole number"),
        ({"size": True}, "size=True must be a whole number"),
        ({"size": 0}, "size=0 must be above 0"),
        ({"epochs": "two"}, "epochs='two' must be a whole number"),
        ({"epochs": 1.5}, "epochs=1.5 must be a whole number"),
        ({"batch": -1}, "batch=-1 must be above 0"),
        ({"clahe": "yes"}, "clahe='yes' must be a number or null"),
        ({"rotation": "abc"}, "rotation='abc' must be a number$"),
        ({"lr": "fast"}, "lr='fast' must be a number$"),
        ({"lr": "0,001"}, "lr='0,001' must be a number; write lr=0.001"),
        ({"lr": float("nan")}, "lr=nan must be finite"),
        ({"lr": -1e-3}, "lr=-0.001 must be above 0"),
        ({"grey": 1}, "grey=1 must be true or false"),
        ({"encoder": 18}, "encoder=18 must be text"),
        ({"clip": "hard"}, "clip='hard' must be a number or null"),
        ({"accumulate": 1.5}, "accumulate=1.5 must be a whole number"),
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
