"""A training that has nothing to learn from is refused before its first step."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.manifest import Manifest
from foveate.engine.known_rows import check_rows, questions_of
from foveate.losses.answer import cross_entropy, squared_emd
from foveate.losses.overlap import dice_squared
from foveate.losses.weigh import Weigh
from foveate.recipes import load_recipe

GRADE = Question("grade", ("0", "1", "2"), ordered=True)
SCHEMA = LabelSchema((GRADE, Question("fluid", evidence=("lesion",))), ("lesion",))


def rows(folder: Path, *answers: dict[str, str], schema: LabelSchema = SCHEMA) -> Manifest:
    parts = ("train", "train", "val", "test")
    made = (Row(str(i), f"{i}.png", one, split=part) for i, (part, one) in enumerate(zip(parts, answers, strict=False)))
    return Manifest(schema, tuple(made), folder)


@pytest.mark.parametrize(
    ("loss", "asked"),
    [
        (Weigh(a=(1.0, cross_entropy)), ("grade", "fluid")),
        (Weigh(a=(1.0, squared_emd)), ("grade",)),
        (Weigh(a=(1.0, partial(cross_entropy, questions=("fluid",))), b=(1.0, dice_squared)), ("fluid",)),
        (Weigh(a=(0.0, cross_entropy), b=(1.0, dice_squared)), ()),
        (lambda outputs, batch: {}, ()),
    ],
)
def test_a_loss_states_its_questions(loss: object, asked: tuple[str, ...]) -> None:
    assert questions_of(loss, SCHEMA) == asked  # type: ignore[arg-type]


def test_a_question_that_nobody_answered_is_an_error(tmp_path: Path) -> None:
    recipe = load_recipe("image_quality", SCHEMA, size=32)
    given = {"grade": "1"}
    known = {"grade": "1", "fluid": "no"}
    check_rows(recipe, rows(tmp_path, known, given, given))
    with pytest.raises(
        ValueError, match=r"question 'fluid': none of the 2 training images of stage 'joint' has an ans"
    ):
        check_rows(recipe, rows(tmp_path, given, given, known))
    check_rows(load_recipe("image_quality", SCHEMA, classify=0), rows(tmp_path, {}, {}, {}))


def test_a_later_stage_without_rows_is_known_at_once(tmp_path: Path) -> None:
    schema = replace(SCHEMA, questions=(replace(GRADE, healthy="0"),))
    recipe = load_recipe("dual_guidance", schema, size=32)
    healthy = {"grade": "0"}
    with pytest.raises(ValueError, match=r"stage 'cam_unet': no row has split 'train' that stage 'cam_unet' trains on"):
        check_rows(recipe, rows(tmp_path, healthy, healthy, healthy, schema=schema))
    check_rows(recipe, rows(tmp_path, healthy, {"grade": "1"}, {"grade": "2"}, schema=schema))


def test_an_unknown_healthy_answer_is_refused_if_it_matters(tmp_path: Path) -> None:
    schema = replace(SCHEMA, questions=(GRADE,))
    grades = [{"grade": "0"}, {"grade": "1"}, {"grade": "2"}]
    manifest = rows(tmp_path, *grades, schema=schema)
    with pytest.raises(ValueError, match="healthy answer of question 'grade' is not known; state it"):
        check_rows(load_recipe("dual_guidance", schema, size=32), manifest)
    check_rows(load_recipe("dual_guidance", schema, size=32, segment_on="answered"), manifest)
    alone = load_recipe("comparisons/dual_guidance", schema, size=32, segmenter=None)
    check_rows(alone, manifest)
