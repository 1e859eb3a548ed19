"""A share of the patients' marks: neither masks nor cues of the others guide, in training or in validation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_toys import CLASSES, tiny_recipe, toy_manifest

from foveate.core.types import Cue, Row, Sample
from foveate.data.cache import cache_at
from foveate.data.cues import Cues
from foveate.data.manifest import Manifest
from foveate.engine.annotation_fraction import learnt_rows, within_fraction
from foveate.engine.distributed import Processes
from foveate.engine.fit import fit
from foveate.engine.run import Run
from foveate.engine.train import Trainer

HALF = tiny_recipe(epochs=1).with_(annotation_fraction=0.5, cues=Cues(CLASSES, form="masks"), precision="fp32")


@pytest.fixture
def rows(tmp_path: Path) -> Manifest:
    """Every second image has a blob and a mask of it, every fourth a reader's cue as well."""
    drawn = toy_manifest(tmp_path)
    cue = {"blob": (Cue(box=(0, 0, 9, 9), annotator="a"),)}
    return drawn.with_rows(replace(row, cues=cue if i % 4 == 1 else {}) for i, row in enumerate(drawn))


def trainer(rows: Manifest, folder: Path, *, share: float, seed: int = 0) -> Trainer:
    run = Run(folder / "run", HALF.with_(annotation_fraction=share))
    return Trainer(
        run,
        HALF.stages[0],
        rows,
        seed=seed,
        key="",
        processes=Processes("cpu"),
        cache=cache_at(folder / "c"),
        quiet=True,
    )


def hidden(row: Row) -> bool:
    return within_fraction(row, 0.5, 0) is not row


def test_patients_are_shown_whole_and_stay_at_larger_shares(rows: Manifest) -> None:
    seen = [{row.id for row in rows if within_fraction(row, share, 3) is row} for share in (0.0, 0.3, 0.6, 1.0)]
    assert [len(one) for one in (seen[0], seen[3])] == [0, len(rows)]
    assert seen[1] < seen[2] < seen[3]
    pairs = [{row.id for row in rows if row.patient == f"p{k}"} for k in range(len(rows) // 2)]
    assert all(pair <= seen[2] or not pair & seen[2] for pair in pairs)


def test_cues_of_readers_are_hidden_with_the_masks(rows: Manifest) -> None:
    lost = [within_fraction(row, 0.5, 0) for row in rows if hidden(row)]
    assert 0 < len(lost) < len(rows)
    assert not any(row.masks or row.cues for row in lost)
    assert all(row.answers for row in lost)


def test_validation_is_guided_by_the_same_share_and_judged_by_all_masks(rows: Manifest, tmp_path: Path) -> None:
    made = trainer(rows, tmp_path, share=0.5)
    whole = trainer(rows, tmp_path, share=1.0)
    guides: list[bool] = []
    for data, full in ((made.train, whole.train), (made.val, whole.val)):
        for at, row in enumerate(full.rows):
            sample, all_of_it = data.sample(at), full.sample(at)
            assert all_of_it.cues_known is not None
            assert all_of_it.cues_known.all()
            unknown = hidden(row) and row.answers["blob_present"] == "yes"
            assert sample.cues_known is not None
            assert bool(sample.cues_known[0]) != unknown
            guides.append(unknown)
            if data is made.val:
                np.testing.assert_array_equal(sample.masks, all_of_it.masks)
                assert sample.known.any()
    assert any(guides[: len(made.train.rows)])
    assert any(guides[len(made.train.rows) :])
    assert not all(guides)


def test_a_recipe_without_cues_validates_as_before(rows: Manifest, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", HALF.with_(cues=None))
    made = Trainer(
        run,
        HALF.stages[0],
        rows,
        seed=0,
        key="",
        processes=Processes("cpu"),
        cache=cache_at(tmp_path / "c"),
        quiet=True,
    )
    found: Sample = made.val.sample(1)
    assert found.cues is None
    assert found.known.any()


def test_what_a_run_was_taught(rows: Manifest, tmp_path: Path) -> None:
    run = fit(HALF.with_(cues=None), rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    split_anew = rows.with_rows(replace(row, split="test") for row in rows)
    seen = learnt_rows(run, split_anew)
    assert [row.id for row in seen] == [row.id for row in rows if row.split != "test"]
    assert [not row.masks and not row.cues for row in seen] == [hidden(row) for row in seen]
