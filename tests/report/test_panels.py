"""Methods side by side: what a panel shows of each, where it is cut, and that words, colours and sizes are right."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foveate.core.types import Case, Prediction
from foveate.metrics.localisation import air
from foveate.report import colours, panels
from foveate.report.grid import GAP, Grid, Tile, wrapped
from foveate.report.legend import font_of, key
from foveate.report.panels import Marked, cam_panel, mask_panel
from foveate.report.zoom import FRAME, framed, region

SHAPE = (200, 240)
TRUTH = (slice(90, 120), slice(100, 160))


def a_case(
    shift: int = 0, *, labels: tuple[str, ...] = ("drusen", "cnv"), given: str = "cnv", truth: str | None = "cnv"
) -> Case:
    """Drusen in one place, marked so many columns beside it; cnv nowhere; a map that lies on the left half."""
    masks, marked = np.zeros((2, len(labels), *SHAPE), bool)
    if "drusen" in labels:
        masks[labels.index("drusen")][TRUTH] = True
        marked = np.roll(masks, shift, 2)
    cam = np.zeros((50, 60), np.float32)
    cam[:, :30] = 1
    found = Prediction(
        "eye_7",
        {"class": {"normal": 0.2, "cnv": 0.8}},
        {"class": given},
        marked.astype(np.float32),
        marked,
        labels,
        {"class": {"normal": 1 - cam, "cnv": cam}},
    )
    answers = {} if truth is None else {"class": truth}
    image = np.full((*SHAPE, 3), 90, np.uint8)
    return Case(image, masks.astype(np.uint8), np.ones_like(masks, np.uint8), answers, found)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[list[Tile]]]:
    """The tiles of every sheet drawn."""
    seen: list[list[list[Tile]]] = []
    draw = Grid.sheet

    def keep(self: Grid, rows: list[list[Tile]], *, heads: list[str], key: Image.Image) -> Image.Image:
        assert all(len(row) == len(heads) for row in rows)
        seen.append(rows)
        return draw(self, rows, heads=heads, key=key)

    monkeypatch.setattr(Grid, "sheet", keep)
    return seen


def share(picture: Image.Image, colour: tuple[int, int, int]) -> float:
    """Share of a tile that is tinted so (three quarters of the colour over grey 90)."""
    tint = np.round(np.full(3, 90) * 0.25 + np.array(colour) * 0.75)
    return float((np.abs(np.asarray(picture, int) - tint).max(-1) <= 2).mean())


def test_errors_are_coloured_and_their_dice_told(told):
    half, none = a_case(30), a_case(60)
    mask_panel([{"right": a_case(), "half": half, "beside": none}], label="drusen")
    ((image, truth, right, beside_half, beside),) = told[0]
    assert image.words == ("eye_7", "class: cnv")
    assert truth.words == ("1,800 px",)
    assert [t.words[0] for t in (right, beside_half, beside)] == ["Dice 1.000", "Dice 0.500", "Dice 0.000"]
    assert right.words[1] == "cnv 0.80 ✓"
    found, missed, false = ([share(t.picture, c) for t in (right, beside_half, beside)] for c in (
        colours.FOUND, colours.MISSED, colours.FALSE
    ))  # fmt: skip
    assert found[0] == pytest.approx(2 * found[1], rel=0.1)
    assert found[2] == missed[0] == false[0] == 0
    assert missed[2] == pytest.approx(found[0], rel=0.05)
    assert missed[1] == pytest.approx(false[1], rel=0.1)
    assert share(truth.picture, colours.FOUND) == 0


def test_a_row_is_cut_alike_around_truth_and_every_mark(told):
    """The lesion of 30 x 60 pixels fills a good part of a tile, and a far mark of one method widens all."""
    mask_panel([{"a": a_case(), "b": a_case()}], label="drusen")
    mask_panel([{"a": a_case(), "b": a_case(-80)}], label="drusen")
    near, far = (rows[0] for rows in told)
    assert len({t.picture.size for t in near[1:]}) == 1
    assert share(near[2].picture, colours.FOUND) > 0.2
    assert 0 < share(far[2].picture, colours.FOUND) < 0.5 * share(near[2].picture, colours.FOUND)
    whole = np.asarray(near[0].picture)
    assert (whole == FRAME).all(-1).any()
    assert np.asarray(told[0][0][0].picture).shape[0] == round(near[0].picture.width * SHAPE[0] / SHAPE[1])


def test_what_cannot_be_scored_is_said():
    case = a_case()
    assert Marked.of(case, "cnv").words == "rightly none"
    marks = case.prediction.masks.copy()
    marks[1, :3, :4] = True
    loud = replace(case, prediction=replace(case.prediction, masks=marks))
    assert Marked.of(loud, "cnv").words == "false alarm, 12 px"
    assert Marked.of(replace(case, known=case.known * 0), "drusen").words == "truth unknown"


def test_unknown_pixels_do_not_count():
    case = a_case(30)
    known = case.known.copy()
    known[:, :, :130] = 0  # the missed half is unknown: what is left is found, and the false alarm
    assert Marked.of(replace(case, known=known), "drusen").words == f"Dice {2 * 900 / (900 + 1800):.3f}"


def test_answers_stand_right_or_wrong_as_far_as_known(told):
    rows = [{"a": a_case(given="normal"), "b": a_case(truth=None)}]
    mask_panel(rows, label="drusen")
    mask_panel(rows, label="drusen", questions=())
    assert [t.words[1:] for t in told[0][0][2:]] == [("normal 0.20 ✗",), ("cnv 0.80",)]
    assert [t.words[1:] for t in told[1][0][2:]] == [(), ()]
    assert told[1][0][0].words == ("eye_7",)


def test_methods_without_the_label_are_left_out_and_missing_images_left_empty(told):
    rows = [{"a": a_case(), "blind": a_case(labels=())}, {"a": a_case(), "b": a_case()}]
    mask_panel(rows, label="drusen")
    assert [len(row) for row in told[0]] == [4, 4]
    assert told[0][0][3].words == ()
    assert told[0][1][3].words[0] == "Dice 1.000"
    mask_panel([{"a": a_case(labels=("drusen",))}])
    assert told[1][0][2].words[0] == "Dice 1.000"


def test_methods_that_tell_presence_alone_have_no_place(told):
    """Neither a column nor a say in what part is shown."""
    case = a_case()
    whole = np.full_like(case.prediction.probability, 0.9)
    whole[:, :9] = 0  # the network saw a part of the image
    says = replace(case, prediction=replace(case.prediction, probability=whole, masks=whole >= 0.5))
    mask_panel([{"net": case, "says": says}], label="drusen")
    mask_panel([{"net": case}], label="drusen")
    both, alone = told[0][0], told[1][0]
    assert len(both) == len(alone) == 3
    assert (np.asarray(both[0].picture) == np.asarray(alone[0].picture)).all()
    with pytest.raises(ValueError, match=r"label must be one of \[\], got 'drusen'"):
        mask_panel([{"says": says}], label="drusen")


def test_grades_stand_with_their_question():
    case = a_case(given="2")
    told = replace(case.prediction, probabilities={"class": {"2": 0.7}})
    assert panels.answer_words(replace(case, prediction=told), "class", "2") == "class: 2 0.70 ✗"


def test_wrong_panels_are_refused():
    with pytest.raises(ValueError, match=r"mark \['drusen', 'cnv'\]; name the one"):
        mask_panel([{"a": a_case()}])
    with pytest.raises(ValueError, match=r"label must be one of \['drusen', 'cnv'\], got 'fluid'"):
        mask_panel([{"a": a_case()}], label="fluid")
    with pytest.raises(ValueError, match="images: there is no case"):
        mask_panel([])
    with pytest.raises(ValueError, match="question='age': no case has an activation map"):
        cam_panel([{"a": a_case()}], question="age")


def test_maps_are_of_the_answer_given_with_the_share_on_the_truth(told):
    rows = [{"a": a_case(), "b": a_case(given="normal"), "none": a_case(labels=())}]
    rows[0]["none"] = replace(rows[0]["none"], prediction=replace(rows[0]["none"].prediction, cam={}))
    cam_panel(rows, question="class")
    image, a, b = told[0][0]
    cue = rows[0]["a"].masks.any(0)
    on = np.zeros(SHAPE, np.float32)
    on[:, :120] = 1
    assert a.words == ("cnv 0.80 ✓", f"AIR {air(on, cue):.2f}")
    assert b.words == ("normal 0.20 ✗", f"AIR {air(1 - on, cue):.2f}")
    assert image.words == ("eye_7", "class: cnv", f"truth: {1800 / (200 * 240):.1%} of area")
    left, right = np.split(np.asarray(a.picture, int), 2, axis=1)
    assert (left - 90).mean() > 30 > abs(right[:, 40:] - 90).max()
    edge = np.asarray(image.picture)
    assert (edge == panels.TRUTH).all(-1).any()


def test_maps_of_the_true_answer_say_what_was_given(told):
    cam_panel([{"a": a_case(given="normal"), "b": a_case(given="normal", truth=None)}], question="class", of_truth=True)
    _, a, b = told[0][0]
    assert a.words[:2] == ("cnv 0.80", "given: normal")
    assert b.words[0] == "normal 0.20"


def test_maps_of_images_without_true_pixels_have_no_share(told):
    empty = a_case(labels=())
    dark = replace(empty.prediction, cam={"class": {"cnv": np.zeros((4, 4), np.float32)}})
    cam_panel([{"a": empty, "dark": replace(empty, prediction=dark)}], question="class")
    image, a, b = told[0][0]
    assert image.words == ("eye_7", "class: cnv")
    assert a.words == ("cnv 0.80 ✓",)
    assert b.words == ("cnv 0.80 ✓", "nothing spoke for it")


@pytest.mark.parametrize("methods", [1, 2, 8, 20])
def test_sheets_stay_within_their_width(methods, told):
    rows = [{f"method {k}, guided by class activation": a_case() for k in range(methods)}]
    for sheet in (mask_panel(rows, label="drusen"), cam_panel(rows, question="class")):
        assert sheet.width <= panels.WIDTH
        assert sheet.height < 4000
    narrow = mask_panel(rows, label="drusen", width=900)
    assert narrow.width <= 900
    assert all(tile.picture.width >= 150 for tile in told[-1][0])


@given(
    st.tuples(*[st.integers(30, 400)] * 2),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_the_part_shown_holds_all_that_is_marked(shape, at):
    rows, cols = (sorted(round(a * (n - 1)) for a in pair) for n, pair in zip(shape, (at[:2], at[2:]), strict=True))
    mask = np.zeros(shape, bool)
    mask[rows, cols] = True
    top, left, height, width = region(mask)
    assert 0 <= top <= rows[0] <= rows[1] < top + height <= shape[0]
    assert 0 <= left <= cols[0] <= cols[1] < left + width <= shape[1]
    assert height >= min(48, shape[0])
    assert width >= min(48, shape[1])
    if height < shape[0] and width < shape[1]:
        assert 0.55 <= height / width <= 1.05


def test_nothing_marked_shows_the_whole_without_a_frame():
    image = np.full((50, 80, 3), 90, np.uint8)
    box = region(np.zeros((50, 80), bool))
    assert box == (0, 0, 50, 80)
    assert (np.asarray(framed(image, box=box, width=160)) == 90).all()
    assert (np.asarray(framed(image, box=(10, 10, 20, 20), width=160)) == FRAME).all(-1).any()


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z")), max_size=60), st.integers(40, 300))
def test_words_fit_their_line_and_none_is_lost(text, width):
    letters = font_of(14)
    lines = wrapped(text, letters=letters, width=width)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(letters.getlength(line) <= width or len(line) == 1 for line in lines)


def test_the_key_takes_the_lines_it_needs():
    entries = [(f"colour {k}", (10 * k, 0, 0)) for k in range(6)]
    wide, narrow = (key(entries, width=w, size=14, scale="inferno", ends=("low", "high")) for w in (1200, 200))
    assert (wide.width, narrow.width) == (1200, 200)
    assert narrow.height > 3 * wide.height
    for k in range(6):
        assert (np.asarray(narrow) == (10 * k, 0, 0)).all(-1).any()
    assert not (np.asarray(narrow)[:, -1] != 255).any()


def test_a_grid_shares_its_columns_evenly():
    grid = Grid.of(20, lead=2, limit=2400)
    assert (grid.across, grid.lines) == (7, 3)
    assert grid.width == 9 * (grid.tile + GAP) + GAP <= 2400
    assert Grid.of(1, lead=1, limit=2400).tile == 320
