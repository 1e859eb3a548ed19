"""The reading page in a real Chromium: what is drawn is what is saved, kept from others, agreed on and exported."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from annotate_browser import LARGE, Screen, claimed, layer, of, painted, served
from playwright.sync_api import expect

from foveate.annotate.domain.marks import Marks
from foveate.annotate.exchange.export_marks import export
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Draft
from foveate.core import regions
from foveate.core.shapes import Ellipse, Polygon, packed, rasterise
from foveate.data.manifest import Manifest

Visit = Callable[..., Screen]


def drawn(marks: Any, label: str) -> np.ndarray:
    """Pixels of a label's ellipses and polygons."""
    made: list[Ellipse | Polygon] = []
    for shape in marks["shapes"]:
        if shape["label"] == label and shape["kind"] == "ellipse":
            made.append(Ellipse(tuple(shape["centre"]), tuple(shape["radii"]), shape["turn"]))
        elif shape["label"] == label and shape["kind"] == "polygon":
            made.append(Polygon(tuple(map(tuple, shape["corners"]))))
    return rasterise(LARGE, made)


def test_every_kind_of_mark_from_the_pointer_to_the_exported_pixel(hall: Project, visit: Visit, tmp_path: Path) -> None:
    with served(hall) as address:
        anna = visit(hall, address, "anna")
        anna.page.goto(address)
        expect(anna.page.get_by_text("0 of 3")).to_be_visible()
        anna.page.get_by_role("link", name="Start").click()
        anna.page.wait_for_selector("body[data-ready='1']")

        # ellipse, made a circle by Shift, turned and moved with keys; a point; undone and redone
        anna.press("1")
        anna.drag((400, 750), (500, 950))
        anna.press("v")
        anna.click((450, 850))
        anna.press(".", ".", "ArrowDown", "ArrowRight", "1", "o")
        anna.click((750, 1000))
        anna.press("Control+z", "Control+z", "Control+z", "Control+z", "Control+z", "Control+z")
        expect(anna.page.locator("[data-finding=microaneurysm] .count")).to_have_text("")
        for _ in range(6):
            anna.press("Control+y")
        expect(anna.page.locator("[data-finding=microaneurysm] .count")).to_have_text("2")
        # polygon: three corners, then one put in on an edge and pulled, one taken out and back
        anna.press("2", "p")
        anna.click((600, 650), (550, 800), (750, 900))
        anna.press("Enter", "v")
        anna.click((625, 775))
        anna.drag((575, 725), (525, 700))
        anna.press("Delete", "Control+z")
        # brush and eraser
        anna.press("3", "b", "]", "]")
        anna.record()
        anna.drag((1000, 750), (1050, 900), (950, 1100))
        anna.press("x")
        anna.drag((975, 950), (1075, 850))
        # regions: pressed on the image, ticked in the panel, by key
        anna.press("4")
        anna.click((350, 1100))
        anna.page.get_by_label("temporal").check()
        anna.press("Shift+3")
        anna.press("g", "2")
        anna.saved()
        anna.picture("reading")

        marks = anna.marks()["marks"]
        (ellipse,), (polygon,), (point,), (chosen,) = (of(marks, k) for k in ("ellipse", "polygon", "point", "regions"))
        assert ellipse["turn"] == pytest.approx(2 * np.pi / 36)
        assert np.allclose(ellipse["centre"], (450, 850), atol=3)
        assert np.allclose(ellipse["radii"], (50, 100), atol=4)
        assert np.allclose(point["at"], (750, 1000), atol=3)
        assert len(polygon["corners"]) == 4
        assert np.allclose(polygon["corners"][1], (525, 700), atol=5)
        spots = {"disc": hall.manifest.rows[0].disc, "fovea": hall.manifest.rows[0].fovea}
        assert spots["disc"] is not None
        assert spots["fovea"] is not None
        here = regions.Regions(spots["disc"], spots["fovea"], "OD").at((350, 1100))
        assert chosen["regions"] == [here, "temporal", "macula"]
        assert marks["answers"] == {"grade": "2"}
        paint, wipe = anna.strokes()[:2]
        size = round(LARGE[1] / 150)
        for _ in range(2):
            size = int(np.ceil(size * 1.25))
        expected = painted([paint], size / 2, LARGE) & ~painted([wipe], size / 2, LARGE)
        assert expected.sum() > 2_500
        assert (layer(marks, "hard_exudate", LARGE) == expected).all()

        # as it was after leaving and coming back; nothing of it for another annotator
        anna.open("/annotate?item=1")
        assert anna.marks()["marks"] == marks
        expect(anna.page.locator("[data-finding=drusen] .count")).to_have_text("3")
        ben = claimed(visit(hall, address, "ben"))
        counts = ben.page.locator(".finding-row .count")
        assert [counts.nth(k).inner_text() for k in range(4)] == [""] * 4
        assert ben.page.evaluate("fetch('/api/items/1/others').then((answer) => answer.status)") == 403
        ben.press("1")
        ben.drag((402, 755), (505, 945))
        ben.press("3", "b")
        ben.drag((1000, 760), (1045, 900))
        ben.press("g", "3")
        ben.page.get_by_label("New comment").locator("visible=true").or_(
            ben.page.locator("summary", has_text="Comments")
        ).first.click()
        ben.page.get_by_label("New comment").fill("faint, but there")
        ben.page.get_by_role("button", name="Add comment").click()
        for screen in (anna, ben):
            screen.press("Escape")
            screen.page.locator(".done").click()
            screen.page.wait_for_selector("body[data-ready='2']")
        expect(anna.page.locator(".progress")).to_contain_text("1 of 3")
        anna.page.goto(address)
        anna.page.wait_for_selector("table")
        anna.picture("images")

        # consensus: both annotators beside each other; ben's grade, anna's exudates; settled
        chief = visit(hall, address, "chief", "coordinator")
        chief.page.goto(f"{address}/consensus")
        expect(chief.page.locator("tr", has_text="IM_0001_right")).to_contain_text("Grade of diabetic retinopathy")
        chief.open("/consensus?item=1")
        expect(chief.page.locator(".strip figure")).to_have_count(2)
        expect(chief.page.get_by_text("faint, but there")).to_be_visible()
        chief.press("a", "3")
        chief.picture("consensus")
        chief.page.get_by_role("button", name="anna: 1").click()
        chief.page.get_by_role("button", name="ben: 3").click()
        chief.saved()
        chief.press("Control+Enter")
        expect(chief.page.locator("tr", has_text="IM_0001_right").locator(".chip")).to_have_text("settled")
        chief.page.goto(f"{address}/agreement")
        expect(chief.page.get_by_text("From 1 image")).to_be_visible()
        chief.page.goto(f"{address}/people")
        chief.page.get_by_role("button", name="Invite").click()
        expect(chief.page.get_by_label("Invitation link")).to_have_value(re.compile("/invite#."))

    export(hall, tmp_path / "M2.jsonl")

    def exported(who: str, label: str) -> np.ndarray:
        mask = cv2.imread(str(tmp_path / "M2_masks" / who / label / "IM_0001_right.png"), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        return np.asarray(mask)

    for who in ("anna", "consensus"):
        assert (exported(who, "hard_exudate") == np.where(expected, 255, 0)).all()
    assert (exported("anna", "haemorrhage") == np.where(drawn(marks, "haemorrhage"), 255, 0)).all()
    row = next(row for row in Manifest.read(tmp_path / "M2.jsonl") if row.id == "IM_0001_right")
    assert row.answers["grade"] == "3"
    assert row.answers["drusen"] == "yes"


def test_the_keyboard_alone_marks_answers_and_finishes(hall: Project, visit: Visit) -> None:
    with served(hall) as address:
        anna = claimed(visit(hall, address, "anna"), 2)
        anna.press("?")
        expect(anna.page.get_by_role("dialog")).to_contain_text("Keyboard pointer")
        anna.picture("keyboard")
        anna.press("Escape")
        anna.press("1", "e", "Shift+ArrowRight", "Enter", *["Shift+ArrowRight"] * 6, *["Shift+ArrowDown"] * 4, "Enter")
        anna.press("2", "p", "Enter", *["Shift+ArrowLeft"] * 9, "Enter", *["Shift+ArrowUp"] * 9, "Enter", "Shift+Enter")
        anna.press("4", "Shift+3", "1", "Alt+3")
        anna.press("l", "Shift+B", "Shift+C")
        anna.press("g", "1")
        anna.saved()
        marks = anna.marks(2)["marks"]
        assert [len(of(marks, kind)) for kind in ("ellipse", "polygon", "regions")] == [1, 1, 1]
        scale = float(anna.page.locator(".view.main .overlay").get_attribute("data-scale") or "nan")
        assert np.allclose(of(marks, "ellipse")[0]["radii"], (20 / scale, 30 / scale))
        assert len(of(marks, "polygon")[0]["corners"]) == 3
        assert marks["findings"] == {"microaneurysm": "unsure"}
        anna.press("Control+Enter")
        anna.page.wait_for_selector("body[data-ready='1']")


def test_a_pen_pressed_lightly_paints_thinly_and_fingers_then_only_move(hall: Project, visit: Visit) -> None:
    send = """([kind, type, x, y, pressure, id]) => {
      const canvas = document.querySelector('.view.main .overlay');
      canvas.setPointerCapture = () => {};
      canvas.dispatchEvent(new PointerEvent(kind, {pointerType: type, clientX: x, clientY: y, pressure, pointerId: id,
        bubbles: true, buttons: 1, button: kind === 'pointermove' ? -1 : 0}));
    }"""
    with served(hall) as address:
        anna = claimed(visit(hall, address, "anna"), 2)
        anna.press("3", "b")

        def stroke(kind: str, pressure: float, row: float, pointer: int) -> None:
            for name, col in (("pointerdown", 200), ("pointermove", 300), ("pointerup", 300)):
                anna.page.evaluate(send, [name, kind, *anna.place((row, col)), pressure, pointer])

        stroke("pen", 1.0, 100, 5)
        anna.saved()
        firm = layer(anna.marks(2)["marks"], "hard_exudate", (512, 512)).sum()
        stroke("pen", 0.1, 300, 5)
        anna.saved()
        light = layer(anna.marks(2)["marks"], "hard_exudate", (512, 512)).sum() - firm
        assert 0 < light < 0.8 * firm
        stroke("touch", 0.5, 400, 9)
        anna.saved()
        assert layer(anna.marks(2)["marks"], "hard_exudate", (512, 512)).sum() == firm + light


def test_a_draft_is_drawn_but_never_saved_by_itself(hall: Project, visit: Visit) -> None:
    shapes = [
        {"id": f"d{k}", "label": "haemorrhage", "kind": "ellipse", "centre": [150.0 + 80 * k, 250.0], "radii": [12, 18]}
        for k in range(3)
    ]
    mask = np.zeros((512, 512), bool)
    mask[200:220, 300:340] = True
    shapes.append({"id": "d3", "label": "hard_exudate", "kind": "brush", "runs": list(packed(mask).runs)})
    with hall.store.write() as db:
        marks = Marks.model_validate({"answers": {"grade": "2"}, "shapes": shapes})
        db.add(Draft(item_id=2, run="region_guided", at=time.time(), uncertainty=0.5, marks=marks.pack()))
    with served(hall) as address:
        anna = claimed(visit(hall, address, "anna"), 2)
        expect(anna.page.locator(".drafts")).to_contain_text("4 left")
        anna.picture("drafts")
        assert anna.marks(2)["version"] == 0
        anna.press("a", "q")
        expect(anna.page.locator(".drafts")).to_contain_text("2 left")
        anna.press("w", "ArrowRight", "a")
        anna.page.locator(".draft-answer").get_by_role("button", name="Accept").click()
        anna.saved()
        saved = anna.marks(2)["marks"]
        assert [(s["draft"], s["kind"]) for s in saved["shapes"]] == [
            ("d0", "ellipse"),
            ("d2", "ellipse"),
            ("d3", "brush"),
        ]
        assert saved["rejected"] == ["d1"]
        assert saved["shapes"][0]["centre"] == [150, 250]
        assert saved["shapes"][1]["centre"] == [310, 251]
        assert (layer(saved, "hard_exudate", (512, 512)) == mask).all()
        assert saved["answers"] == {"grade": "2"}
