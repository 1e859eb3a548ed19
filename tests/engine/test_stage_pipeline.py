"""A run's stages as one reader: what a later stage has inside is not run beside it, and costs nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_toys import TinyNet, tiny_recipe, toy_manifest
from torch import Tensor, nn

from foveate.core.types import Batch, Outputs
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import StagePipeline
from foveate.engine.window import SlidingWindow
from foveate.losses.answer import cross_entropy
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh
from foveate.studies._costs import row_costs, stage_costs

CALLS: list[str] = []


class Marks(TinyNet):
    """Marks alone."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        CALLS.append("marks")
        return super().forward(image, prior)._replace(image=None)


class Grades(nn.Module):
    """Marks by a network inside, and answers; or answers alone."""

    def __init__(self, *, marks: bool = True) -> None:
        super().__init__()
        self.lesions, self.image, self.marks = Marks(), nn.Linear(1, 1), marks

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        CALLS.append("grades")
        pixel = self.lesions(image).pixel
        return Outputs(pixel=pixel if self.marks else None, image=self.image(pixel.amax((2, 3))))


class Marking(Grades):
    """Answers alone, by a network that marks."""

    def __init__(self) -> None:
        super().__init__(marks=False)


def stages(after: type[nn.Module], *, read: bool = False) -> Recipe:
    toy = tiny_recipe(epochs=1)
    first = Stage("marks", network=Marks, loss=Weigh(pixels=(1.0, bce)), writes={"map": marked} if read else {})
    then = Stage(
        "grades",
        network=after,
        loss=Weigh(answers=(1.0, cross_entropy)),
        starts_from={"lesions": "marks"},
        frozen=("lesions",),
        reads={"prior": "marks/map"} if read else {},
    )
    return toy.with_(stages=(first, then))


def marked(network: nn.Module, batch: Batch, outputs: Outputs) -> Tensor:
    assert outputs.pixel is not None
    return outputs.pixel.sigmoid()


def one(recipe: Recipe, rows: Manifest) -> Batch:
    data = Dataset(rows.rows[:4], rows.root, recipe.schema, recipe.prepare)
    return next(iter(batches(data, batch=4, shuffle=False)))


@pytest.mark.parametrize(
    ("after", "read", "calls"),
    [
        (Grades, False, ["grades", "marks"]),
        (Marking, False, ["grades", "marks", "marks"]),  # nobody else marks
        (Grades, True, ["marks", "grades", "marks"]),  # its map is read
    ],
)
def test_what_is_inside_is_not_run_beside(tmp_path: Path, after: type[nn.Module], read: bool, calls: list[str]) -> None:
    recipe = stages(after, read=read)
    torch.manual_seed(0)
    networks = {stage.name: stage.network().eval() for stage in recipe.stages}
    networks["grades"].lesions.load_state_dict(networks["marks"].state_dict())  # type: ignore[union-attr]
    batch = one(recipe, toy_manifest(tmp_path))
    reader = StagePipeline(recipe, networks)
    CALLS.clear()
    steps = reader.steps(batch)
    assert calls == CALLS
    assert [step.stage.name for step in steps] == [
        s.name for s in recipe.stages if read or after is Marking or s is recipe.stages[1]
    ]
    merged = reader(batch)
    assert merged.pixel is not None
    assert merged.image is not None
    torch.testing.assert_close(merged.pixel, networks["marks"](batch.image).pixel)


def test_costs_count_a_network_once(tmp_path: Path) -> None:
    rows = toy_manifest(tmp_path)
    run = fit(stages(Grades), rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "cache")
    costs = stage_costs(run, device="cpu")
    assert costs["marks"]["size"] == costs["marks"]["operations"] == 0
    assert costs["marks"]["training"] > 0
    whole = row_costs(costs, (None, None))
    assert whole["size"] == costs["grades"]["size"] > 0
    assert whole["training"] == pytest.approx(costs["marks"]["training"] + costs["grades"]["training"])


def test_windows_cost_what_all_of_them_cost(tmp_path: Path) -> None:
    rows = toy_manifest(tmp_path)
    toy = tiny_recipe(epochs=1)
    stage = Stage("marks", network=Marks, loss=Weigh(pixels=(1.0, bce)))
    side = toy.prepare.shape[0]
    found = {}
    for name, infer in (("whole", None), ("windows", SlidingWindow(side // 2, side // 4, batch=4))):
        recipe = toy.with_(stages=(stage,), infer=infer)
        run = fit(recipe, rows, out=tmp_path / name, device="cpu", quiet=True, cache=tmp_path / "cache")
        found[name] = stage_costs(run, device="cpu")["marks"]
    assert found["windows"]["operations"] == pytest.approx(9 / 4 * found["whole"]["operations"], rel=1e-3)
    assert found["windows"]["size"] == found["whole"]["size"]


def test_a_stage_whose_rows_have_no_answer_draws_them_alike(tmp_path: Path) -> None:
    """A set with marks only beside one with answers: the answers are balanced where there are some."""
    rows = toy_manifest(tmp_path)
    mixed = rows.with_rows(replace(row, answers={}) if i % 2 else replace(row, masks={}) for i, row in enumerate(rows))
    recipe = stages(Grades).with_(balance="blob_present")
    marks, grades = recipe.stages
    parts = (replace(marks, rows=has_masks), replace(grades, rows=has_answer))
    run = fit(recipe.with_(stages=parts), mixed, out=tmp_path / "run", device="cpu", quiet=True)
    assert run.log("marks")
    assert run.log("grades")
    bare = rows.with_rows(replace(row, answers={}) for row in rows)
    with pytest.raises(ValueError, match="none of the 12 training images"):
        fit(recipe, bare, out=tmp_path / "bare", device="cpu", quiet=True)


def has_masks(row: object) -> bool:
    return bool(row.masks)  # type: ignore[attr-defined]


def has_answer(row: object) -> bool:
    return bool(row.answers)  # type: ignore[attr-defined]
