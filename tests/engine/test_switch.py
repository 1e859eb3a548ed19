"""The loss that changes when the rate drops first: what the drop is found by survives an interrupted training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_toys import Ended, Ending
from engine_toys import tiny_recipe, toy_manifest

from foveate.data.manifest import Manifest
from foveate.engine.fit import fit
from foveate.engine.keep import Keep
from foveate.engine.recipe import Recipe
from foveate.engine.schedule import divide_when_flat
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh

STEPS = 3
"""Of an epoch of the toys, at whose end they are validated."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return toy_manifest(tmp_path_factory.mktemp("toys"))


class Level(Keep):
    """A figure that never rises: only the number of validations before tells when the rate drops."""

    def of(self, figures: Mapping[str, float]) -> float:
        return 0.0


def switching(*, end_at: int | None = None) -> Recipe:
    """Six epochs; the rate drops behind the third and the fifth validation, for two in a row bring no gain."""

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        return Ending(parameters, at=end_at)

    recipe = tiny_recipe(epochs=6)
    stage = replace(recipe.stages[0], keep=Level("dice"), after_drop=Weigh(later=(1.0, bce)))
    return replace(recipe, stages=(stage,), optimizer=optimizer, schedule=divide_when_flat(patience=2))


@pytest.mark.parametrize("epoch", [2, 3, 4, 6], ids=["waiting", "about to drop", "just dropped", "dropped twice"])
def test_the_validations_before_an_interruption_count(epoch: int, rows: Manifest, tmp_path: Path) -> None:
    """Ended within an epoch and resumed, the rate drops when it would have, and the loss is the one of that time.

    A history that began anew would wait for two more validations, and train on the first loss at the full rate.
    """
    settings: dict[str, Any] = {"device": "cpu", "quiet": True, "cache": tmp_path / "cache"}
    whole = fit(switching(), rows, out=tmp_path / "whole", **settings).log("tiny")
    assert [tuple(entry["train"]) for entry in whole] == [("answers", "pixels")] * 3 + [("later",)] * 3
    assert [entry["lr"] for entry in whole] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.001])
    with pytest.raises(Ended):
        fit(switching(end_at=STEPS * (epoch - 1) + 2), rows, out=tmp_path / "ended", **settings)
    resumed = fit(switching(), rows, out=tmp_path / "ended", resume=True, **settings).log("tiny")
    assert resumed == whole
