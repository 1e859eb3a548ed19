"""Every recipe on a set with masks alone, and on one with answers alone: refused when it is made, or it learns."""

import pytest
from recipes_cases import NAMES, NARROW, four_retinas, known, stages_with_batches

from foveate.data.manifest import Manifest
from foveate.recipes import load_recipe

REFUSED = {
    ("dual_guidance", "masks"),
    ("dual_guidance", "answers"),
    ("joint_dice", "masks"),
    ("joint_dice", "answers"),
    ("lesion_net", "masks"),
    ("lesion_net", "answers"),
    ("region_guided", "masks"),
    ("region_guided", "answers"),
}
"""Methods that need both by their nature; all others learn from what there is."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return four_retinas("fundus", tmp_path_factory.mktemp("terms"))


@pytest.mark.parametrize("part", ["masks", "answers"])
@pytest.mark.parametrize("name", NAMES)
def test_refused_before_training_or_learns(name: str, part: str, drawn: Manifest) -> None:
    rows = drawn.select(questions=()) if part == "masks" else drawn.select(labels=())
    small = {k: v for k, v in NARROW.items() if k in known(name)}
    if (name, part) in REFUSED:
        with pytest.raises(ValueError, match=r"question|labels|evidence"):
            load_recipe(name, rows.schema, **small)
        return
    recipe = load_recipe(name, rows.schema, **small)
    for stage, network, batch in stages_with_batches(recipe, rows):
        terms = stage.loss(network(batch.image, batch.prior), batch)
        assert sum(terms.values()).isfinite()
