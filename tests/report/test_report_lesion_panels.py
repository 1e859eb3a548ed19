"""All lesions of each method at once: its marks in their colours, and the names of what it found, missed, made up."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from foveate.core.types import Case, Prediction
from foveate.report import colours, verdicts
from foveate.report import lesion_panels as lesions
from foveate.report.grid import Grid, Tile
from foveate.report.lesion_panels import lesion_panel
from foveate.report.panels import Marked
from foveate.report.verdicts import FALSE, FOUND, MISSED, TRUE, UNSURE, Name, card, fitting, judged, key_of
from foveate.report.zoom import FRAME

SHAPE = (120, 150)
LABELS = ("haemorrhage", "hard_exudate", "drusen")
PLACES = {"haemorrhage": (20, 30), "hard_exudate": (60, 80), "drusen": (90, 120)}


def drawn(*labels: str) -> np.ndarray:
    """Squares of 10 x 10 pixels, one a label."""
    masks = np.zeros((len(LABELS), *SHAPE), bool)
    for label in labels:
        row, col = PLACES[label]
        masks[LABELS.index(label), row : row + 10, col : col + 10] = True
    return masks


def a_case(
    truth: tuple[str, ...], given: tuple[str, ...], *, unknown: tuple[str, ...] = (), whole: bool = False
) -> Case:
    """A method's case; ``whole``: it tells presence alone, all over the image."""
    masks, known = drawn(*truth), np.ones((len(LABELS), *SHAPE), np.uint8)
    known[[LABELS.index(label) for label in unknown]] = 0
    probability = drawn(*given).astype(np.float32)
    if whole:
        probability = np.where(probability.any((1, 2))[:, None, None], 0.8, 0.2) + np.zeros_like(probability)
    seen = Prediction(
        "eye_7",
        {"grade": {"0": 0.3, "2": 0.7}},
        {"grade": "2"},
        probability.astype(np.float32),
        probability >= 0.5,
        LABELS,
    )
    image = np.full((*SHAPE, 3), 90, np.uint8)
    return Case(image, masks.astype(np.uint8), known, {"grade": "2"}, seen)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What the cards say, one after the other, and the tiles of every sheet drawn."""
    seen: dict[str, list] = {"cards": [], "empty": [], "sheets": [], "heads": []}
    draw, write = Grid.sheet, card

    def keep(self: Grid, rows: list[list[Tile]], *, heads: list[str], key: Image.Image) -> Image.Image:
        assert all(len(row) == len(heads) for row in rows)
        seen["sheets"].append(rows)
        seen["heads"].append(heads)
        return draw(self, rows, heads=heads, key=key)

    def note(picture: Image.Image, names: list[Name], *, size: int, empty: str) -> Image.Image:
        seen["cards"].append({name.label: name for name in names})
        seen["empty"].append(empty)
        return write(picture, names, size=size, empty=empty)

    monkeypatch.setattr(Grid, "sheet", keep)
    monkeypatch.setattr(lesions, "card", note)
    return seen


def verdicts_of(names: dict[str, Name]) -> dict[str, verdicts.Verdict | None]:
    return {label: name.verdict for label, name in names.items()}


def coloured(picture: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(picture) == colour).all(-1).any())


def test_names_are_found_missed_or_false(told: dict[str, list]) -> None:
    truth = ("haemorrhage", "hard_exudate")
    rows = [{"good": a_case(truth, truth), "bad": a_case(truth, ("haemorrhage", "drusen"))}]
    picture = lesion_panel(rows)
    assert told["heads"] == [["image", "truth", "good", "bad"]]
    facts, good, bad = map(verdicts_of, told["cards"])
    assert facts == {"haemorrhage": TRUE, "hard_exudate": TRUE, "drusen": None}
    assert good == {"haemorrhage": FOUND, "hard_exudate": FOUND, "drusen": None}
    assert bad == {"haemorrhage": FOUND, "hard_exudate": MISSED, "drusen": FALSE}
    assert coloured(picture, FALSE.colour)
    assert coloured(picture, MISSED.colour)
    assert not coloured(lesion_panel([{"good": a_case(truth, truth)}]), FALSE.colour)


def test_marks_have_the_colour_of_their_name(told: dict[str, list]) -> None:
    lesion_panel([{"bad": a_case(("haemorrhage",), ("hard_exudate",))}])
    (image, truth, bad) = told["sheets"][0][0]
    hue = colours.marks(LABELS)
    for tile, label, other in ((truth, "haemorrhage", "hard_exudate"), (bad, "hard_exudate", "haemorrhage")):
        assert coloured(tile.picture, hue[label])
        assert not coloured(tile.picture, hue[other])
    facts, mine = told["cards"]
    assert facts["haemorrhage"].colour == hue["haemorrhage"]
    assert (mine["haemorrhage"].colour, mine["hard_exudate"].colour) == (None, hue["hard_exudate"])  # missed: no mark
    assert "drusen" not in facts  # nobody sees any
    assert image.words == ("eye_7", "grade: 2")
    assert bad.words == ("grade: 2 0.70 ✓",)
    assert coloured(image.picture, FRAME)


def test_presence_alone_has_a_name_and_no_mark(told: dict[str, list]) -> None:
    """Nor does it widen the part that is shown."""
    truth = ("haemorrhage",)
    rows = [{"net": a_case(truth, truth), "says": a_case(truth, ("haemorrhage", "drusen"), whole=True)}]
    lesion_panel(rows)
    says = told["cards"][2]
    assert verdicts_of(says) == {"haemorrhage": FOUND, "drusen": FALSE}
    assert [name.colour for name in says.values()] == [None, None]
    picture = told["sheets"][0][0][3].picture
    assert not coloured(picture, colours.marks(LABELS)["haemorrhage"])
    lesion_panel([{"net": a_case(truth, truth)}])
    assert (np.asarray(told["sheets"][1][0][0].picture) == np.asarray(told["sheets"][0][0][0].picture)).all()


def test_what_is_not_known_is_no_false_alarm(told: dict[str, list]) -> None:
    blind = a_case((), ("drusen",), unknown=("drusen", "hard_exudate"))
    lesion_panel([{"net": blind}])
    facts, net = map(verdicts_of, told["cards"])
    assert facts == net == {"drusen": UNSURE}
    lesion_panel([{"net": a_case((), (), unknown=LABELS)}, {"net": a_case((), ())}])
    assert told["empty"][2:] == ["truth unknown", "none", "none", "none"]


def test_lines_are_alike_in_every_column(told: dict[str, list]) -> None:
    lesion_panel([{"a": a_case(("haemorrhage",), ()), "b": a_case(("haemorrhage",), ("drusen",)), "c": a_case((), ())}])
    assert len({tile.picture.size for tile in told["sheets"][0][0][1:]}) == 1


def test_methods_may_lack_labels_and_images(told: dict[str, list]) -> None:
    one = a_case(("haemorrhage",), ("haemorrhage",))
    few = replace(
        one,
        masks=one.masks[1:],
        known=one.known[1:],
        prediction=replace(
            one.prediction,
            labels=LABELS[1:],
            masks=one.prediction.masks[1:],
            probability=one.prediction.probability[1:],
        ),
    )
    bare = replace(few, prediction=replace(few.prediction, labels=()))
    lesion_panel([{"all": one, "few": few, "none": bare}, {"all": one}], questions=())
    assert told["heads"] == [["image", "truth", "all", "few"]]
    assert verdicts_of(told["cards"][2]) == {"haemorrhage": None}  # it was not asked
    assert told["sheets"][0][1][3].words == ()
    lesion_panel([{"all": one, "few": few}], labels=["haemorrhage"])
    assert told["heads"][-1] == ["image", "truth", "all"]
    with pytest.raises(ValueError, match=r"labels=\['fluid'\]: no method has any of them; known are \['haemorrhage'"):
        lesion_panel([{"all": one}], labels=["fluid"])
    with pytest.raises(ValueError, match="images: there is no case"):
        lesion_panel([])


def test_verdicts_go_by_the_known_pixels() -> None:
    case = a_case((), ("drusen",))
    assert judged(Marked.of(case, "drusen")) is FALSE
    known = case.known.copy()
    known[2, 80:] = 0
    assert judged(Marked.of(replace(case, known=known), "drusen")) is None
    assert judged(Marked.of(replace(case, known=known * 0), "haemorrhage")) is None


def test_words_are_not_parted_and_long_names_have_lines() -> None:
    names = [Name("neovascularisation", None, FOUND), Name("preretinal_haemorrhage", None, MISSED)]
    size = fitting(names, width=216, size=24)
    assert 12 < size < 24
    picture = Image.new("RGB", (216, 40))
    assert card(picture, names, size=size).height == 40 + 3 * round(1.3 * size) + size // 2
    assert fitting(names, width=600, size=24) == 24
    assert fitting(names, width=20, size=24) == 8


def test_the_key_tells_what_occurs() -> None:
    def height(*names: Name) -> int:
        return key_of(names, width=160, size=14).height

    one = Name("drusen", (1, 2, 3), FOUND)
    every = [one, *(Name("cnv", (1, 2, 3), kind) for kind in (MISSED, FALSE, UNSURE))]
    assert height(one) < height(*every) < height(*every, Name("fluid", None, FALSE))
    wide = key_of([*every, Name("fluid", None, None)], width=900, size=14)
    assert wide.size == (900, round(1.7 * 14))
    assert coloured(wide, FALSE.colour)
    assert not coloured(key_of([one], width=900, size=14), FALSE.colour)
