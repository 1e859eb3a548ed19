from dataclasses import replace

import numpy as np
import pytest

from foveate.report.case_sheets import cam_sheet, cams, caption, case_sheet, chosen, contact_sheet, panels, sheet


def test_chosen_are_best_median_worst_and_none_twice(cases, unscored):
    picked = chosen([*cases, unscored, replace(unscored, score=float("nan"))], each=2)
    assert {kind: [c.prediction.id for c in some] for kind, some in picked.items()} == {
        "best": ["eye10", "eye09"],
        "median": ["eye05", "eye04"],
        "worst": ["eye00", "eye01"],
    }


@pytest.mark.parametrize("count", range(8))
def test_few_cases_fill_the_worst_first(cases, count):
    picked = chosen(cases[:count], each=3)
    ids = [c.prediction.id for some in picked.values() for c in some]
    assert len(ids) == len(set(ids)) == min(count, 9)
    assert len(picked.get("worst", ())) == min(count, 3)


def test_panels_leave_out_what_is_not_known(case):
    assert [p.title for p in panels(case)] == ["image", "truth", "prediction", "errors"]
    dark = replace(case, known=np.zeros_like(case.known))
    assert [p.title for p in panels(dark)] == ["image", "prediction"]
    none = replace(
        case.prediction, labels=(), masks=case.prediction.masks[:0], probability=case.prediction.probability[:0]
    )
    assert [p.title for p in panels(replace(case, prediction=none, masks=case.masks[:0], known=case.known[:0]))] == [
        "image"
    ]


def test_truth_that_is_unknown_is_not_painted(case):
    masks = case.masks.copy()
    masks[0, :, :8] = 1
    lied = replace(case, masks=masks)
    a, b = (np.asarray(panels(c, width=32, legend=False)[1].picture) for c in (case, lied))
    assert (a == b).all()


def test_caption_says_answers_truth_and_score(case, unscored):
    assert caption(case) == "eye1   score 0.500   glaucoma: yes 0.70 (truth: no)   grade: 2 0.70 (truth: unknown)"
    assert "score" not in caption(unscored)


def test_maps_come_an_answer_each(case):
    assert [p.title for p in cams(case)["grade"]] == ["0 0.10", "1 0.20", "2 0.70"]


def test_sheets_grow_with_their_rows(case, cases):
    one, three = case_sheet([case], width=100), case_sheet(cases[:3], width=100)
    assert three.width == one.width
    assert three.height > 2.5 * one.height
    assert contact_sheet(cases, columns=4, width=60).width < contact_sheet(cases, columns=5, width=60).width
    grades, yes = cam_sheet(cases[:2], question="grade", width=60), cam_sheet(cases[:2], question="glaucoma", width=60)
    assert grades.height > yes.height


def test_nothing_to_show_is_refused(case):
    with pytest.raises(ValueError, match="no panel"):
        sheet({})
    with pytest.raises(ValueError, match="question='x'"):
        cam_sheet([case], question="x")
