"""A loss that is not finite is noticed at its step, and the remedy that the error names works."""

from pathlib import Path

import pytest
import torch
from engine_toys import tiny_recipe, toy_manifest
from torch import Tensor

from foveate.data.manifest import Manifest
from foveate.engine.finite import Finite
from foveate.engine.fit import fit
from foveate.engine.run import DivergedError
from foveate.recipes import load_recipe, load_run

OWN = '''"""Three layers without normalisation, whose gradients explode at this weight of the loss."""

from functools import partial

from torch import nn
from torch.optim import SGD

from foveate.core.types import Outputs
from foveate.data.prepare import Prepare
from foveate.engine.keep import lowest
from foveate.engine.recipe import Recipe, Stage
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh


class Steep(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1))

    def forward(self, image, prior=None):
        return Outputs(pixel=super().forward(image))


def recipe(schema):
    """Steep."""
    stage = Stage("steep", network=Steep, loss=Weigh(pixels=(1e4, bce)), keep=lowest("loss"))
    learnt = schema.select(questions=())
    return Recipe(learnt, Prepare(size=32, grey=True), (stage,), optimizer=partial(SGD, lr=0.01), batch=4, epochs=6)
'''


@pytest.fixture
def rows(tmp_path: Path) -> Manifest:
    return toy_manifest(tmp_path)


def test_the_remedy_that_the_error_names_works(rows: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "steep.py"
    path.write_text(OWN)
    settings = {"device": "cpu", "quiet": True, "cache": tmp_path / "c"}
    with pytest.raises(DivergedError, match=r"'steep': loss pixels is not finite at step \d+; .*clip=1\.0"):
        fit(load_recipe(str(path), rows.schema), rows, out=tmp_path / "wild", **settings)
    run = fit(load_recipe(str(path), rows.schema, clip=1.0), rows, out=tmp_path / "calm", **settings)
    losses = [entry["train"]["pixels"] for entry in run.log("steep")]
    assert losses[-1] < losses[0]
    assert load_run(run.folder).recipe.clip == run.record["keywords"]["clip"] == 1.0


def test_training_stops_at_the_step_on_a_cpu(rows: Manifest, tmp_path: Path) -> None:
    """Step 4 of an epoch of 12 images is the first of the second epoch."""
    seen = []

    def loss(outputs: object, batch: object) -> dict[str, Tensor]:
        seen.append(1)
        good = torch.ones((), requires_grad=True)
        return {"fine": good, "broken": good * (float("nan") if len(seen) == 5 else 1.0)}

    recipe = tiny_recipe(epochs=4).with_(validate_every=12)
    stage = recipe.stages[0]
    recipe = recipe.with_(stages=(type(stage)(**{**vars(stage), "loss": loss}),))
    with pytest.raises(DivergedError, match=r"'tiny': loss broken is not finite at step 5;"):
        fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    assert len(seen) == 5


class Later:
    """An event that has not happened until it is waited for, or made to."""

    def __init__(self) -> None:
        self.there = False

    def record(self) -> None:
        pass

    def query(self) -> bool:
        return self.there

    def synchronize(self) -> None:
        self.there = True


def test_an_accelerator_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags are looked at once they are there, and all at the end; the error names the step and the term."""
    made: list[Later] = []

    def event(device: torch.device) -> Later:
        made.append(Later())
        return made[-1]

    monkeypatch.setattr(torch, "Event", event)
    finite = Finite("mark", torch.device("meta"))
    bad, good = torch.tensor(float("inf")), torch.tensor(1.0)
    finite.add(0, {"pixels": good, "overlap": good})
    finite.add(1, {"pixels": good, "overlap": bad})
    finite.add(2, {"pixels": bad, "overlap": bad})
    assert len(finite.waiting) == 3
    made[0].there = made[1].there = True
    with pytest.raises(DivergedError, match="loss overlap is not finite at step 2"):
        finite.add(3, {"pixels": bad, "overlap": bad})
    with pytest.raises(DivergedError, match="loss pixels, overlap is not finite at step 3"):
        finite.finish()
