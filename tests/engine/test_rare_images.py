"""A training draws images with a rare label as often as asked, also resumed, balanced and in several processes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import tiny_recipe, toy_manifest

from foveate.core.types import Row
from foveate.data.cache import cache_at
from foveate.data.loader import batches
from foveate.data.manifest import Manifest
from foveate.data.sampling import drawn_share, label_presence
from foveate.engine.distributed import Processes
from foveate.engine.fit import fit
from foveate.engine.recipe import Recipe
from foveate.engine.run import Run
from foveate.engine.train import Trainer


def scarce(rows: Manifest) -> Manifest:
    """Of 12 training images one keeps its blob and seven are free of it; four masks are unknown."""
    kept, free = 0, next(row.masks for row in rows if row.answers["blob_present"] == "no")

    def change(row: Row) -> Row:
        nonlocal kept
        if row.split == "train" and row.answers["blob_present"] == "yes":
            kept += 1
            return row if kept == 1 else replace(row, masks={} if kept > 2 else free)
        return row

    return rows.with_rows([change(row) for row in rows])


@pytest.fixture
def rows(tmp_path: Path) -> Manifest:
    return scarce(toy_manifest(tmp_path))


def trainer(recipe: Recipe, rows: Manifest, out: Path, *, quiet: bool = True) -> Trainer:
    return Trainer(
        Run(out, recipe),
        recipe.stages[0],
        rows,
        seed=0,
        key="",
        processes=Processes("cpu"),
        cache=cache_at(out / "c"),
        quiet=quiet,
    )


def test_presence_is_read_from_the_masks(rows: Manifest, tmp_path: Path) -> None:
    made = trainer(tiny_recipe(), rows, tmp_path)
    presence = label_presence(made.train)
    assert sorted(presence[:, 0].tolist()) == [-1] * 4 + [0] * 7 + [1]


def test_an_epoch_shows_the_label_as_often_as_asked(
    rows: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe().with_(rare_images=0.4)
    made = trainer(recipe, rows, tmp_path, quiet=False)
    weights = made._weights()
    assert weights is not None
    presence = label_presence(made.train)[:, 0]
    assert drawn_share(weights, presence) == pytest.approx(0.4)
    assert "blob is in 0.12 of the images that know it, and in 0.40 as drawn" in capsys.readouterr().err
    named = {row.id: shown for row, shown in zip(made.train.rows, presence, strict=True)}
    for epoch in range(5):
        ids = [i for b in batches(made.train, batch=4, epoch=epoch, weights=weights, threads=0) for i in b.ids]
        assert len(ids) == 12
        known = [named[i] for i in ids if named[i] >= 0]
        assert sum(known) / len(known) >= 0.4 - 1 / len(known)
        halves = [
            [i for b in batches(made.train, batch=4, epoch=epoch, weights=weights, rank=r, world=2) for i in b.ids]
            for r in (0, 1)
        ]
        assert sorted(halves[0] + halves[1]) == sorted(ids)
    assert trainer(tiny_recipe(), rows, tmp_path)._weights() is None


def test_balance_and_rare_images_hold_together(rows: Manifest, tmp_path: Path) -> None:
    """The blob is in images that answer yes: they get half of the weight, and the blob its share inside of it."""
    made = trainer(tiny_recipe().with_(rare_images=0.3, balance="blob_present"), rows, tmp_path)
    weights = made._weights()
    assert weights is not None
    yes = np.array([row.answers["blob_present"] == "yes" for row in made.train.rows])
    assert weights[yes].sum() == pytest.approx(0.5)
    assert drawn_share(weights, label_presence(made.train)[:, 0]) == pytest.approx(0.3)


def test_resumed_training_ends_with_the_same_weights(rows: Manifest, tmp_path: Path) -> None:
    recipe, settings = tiny_recipe(epochs=3).with_(rare_images=0.4), {"device": "cpu", "quiet": True}
    whole = fit(recipe, rows, out=tmp_path / "whole", cache=tmp_path / "c", **settings)

    kept, calls = Trainer._period, []

    def once(self: Trainer) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        kept(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_period", once)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, rows, out=tmp_path / "cut", cache=tmp_path / "c", **settings)
    cut = fit(recipe, rows, out=tmp_path / "cut", cache=tmp_path / "c", resume=True, **settings)
    ours, theirs = (run.network("tiny").state_dict() for run in (whole, cut))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
