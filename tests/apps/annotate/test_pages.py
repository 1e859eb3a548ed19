"""The pages in a real Chromium: what is drawn is what is saved, shown, kept from others, agreed on and exported."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

import annotate_people
from annotate_browser import (
    CHROMIUM,
    LARGE,
    PROTOCOL,
    SWITCHES,
    Screen,
    context,
    layer,
    painted,
    photographs,
    served,
)
from playwright.sync_api import Browser, expect, sync_playwright
from starlette.testclient import TestClient

from foveate.apps.annotate.export import export
from foveate.apps.annotate.marks import Marks
from foveate.apps.annotate.room import Room, init
from foveate.apps.annotate.server import make_app
from foveate.apps.annotate.tables import Draft
from foveate.core import regions
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Ellipse, Polygon, packed, rasterise
from foveate.data import synthetic
from foveate.data.manifest import Manifest

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; Debian: apt-get install chromium")

START = "import sys; from foveate.apps.cli import main; sys.argv = ['foveate', 'annotate', *sys.argv[1:]]; main()"
BASE = "http://127.0.0.1"
Open = Callable[..., Screen]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def hall(large: Manifest, tmp_path: Path) -> Iterator[Room]:
    """A room with a large photograph and every kind of mark."""
    (tmp_path / "p.toml").write_text(PROTOCOL)
    room, _ = init(large, protocol=tmp_path / "p.toml", out=tmp_path / "hall", name="Reading centre")
    yield room
    room.store.close()


@pytest.fixture
def enter(browser: Browser) -> Iterator[Open]:
    """Somebody's page; several of one name share a browser."""
    contexts: dict[tuple[str, str], Any] = {}
    screens: list[Screen] = []

    def make(room: Room, address: str, name: str, *roles: str) -> Screen:
        if (address, name) not in contexts:
            contexts[address, name] = context(browser, room, address, name, roles or ("reader",))
        screens.append(Screen(contexts[address, name], address))
        return screens[-1]

    yield make
    for screen in screens:
        screen.close()


def claimed(screen: Screen, item: int = 1) -> Screen:
    """The page of an image that the reader has started."""
    screen.page.goto(f"{screen.address}/read?item={item}")
    screen.page.get_by_role("button", name="Read it").click()
    screen.page.wait_for_selector("body[data-ready] .done:visible")
    return screen


def of(marks: Any, kind: str) -> list[Any]:
    return [shape for shape in marks["shapes"] if shape["kind"] == kind]


def drawn(marks: Any, label: str) -> np.ndarray:
    """Pixels of a label's ellipses and polygons."""
    made: list[Ellipse | Polygon] = []
    for shape in marks["shapes"]:
        if shape["label"] == label and shape["kind"] == "ellipse":
            made.append(Ellipse(tuple(shape["centre"]), tuple(shape["radii"]), shape["turn"]))
        elif shape["label"] == label and shape["kind"] == "polygon":
            made.append(Polygon(tuple(map(tuple, shape["corners"]))))
    return rasterise(LARGE, made)


def test_every_kind_of_mark_from_the_pointer_to_the_exported_pixel(hall: Room, enter: Open, tmp_path: Path) -> None:
    with served(hall) as address:
        anna = enter(hall, address, "anna")
        anna.page.goto(address)
        expect(anna.page.get_by_text("0 of 3")).to_be_visible()
        anna.page.get_by_role("link", name="Start reading").click()
        anna.page.wait_for_selector("body[data-ready='1']")

        # ellipse, made a circle by Shift, turned and moved with keys; a point; undone and redone
        anna.press("1")
        anna.drag((800, 1500), (1000, 1900))
        anna.press("v")
        anna.click((900, 1700))
        anna.press(".", ".", "ArrowDown", "ArrowRight", "1", "o")
        anna.click((1500, 2000))
        anna.press("Control+z", "Control+z", "Control+z", "Control+z", "Control+z", "Control+z")
        expect(anna.page.locator("[data-finding=microaneurysm] .count")).to_have_text("")
        for _ in range(6):
            anna.press("Control+y")
        expect(anna.page.locator("[data-finding=microaneurysm] .count")).to_have_text("2")
        # polygon: three corners, then one put in on an edge and pulled, one taken out and back
        anna.press("2", "p")
        anna.click((1200, 1300), (1100, 1600), (1500, 1800))
        anna.press("Enter", "v")
        anna.click((1250, 1550))
        anna.drag((1150, 1450), (1050, 1400))
        anna.press("Delete", "Control+z")
        # brush and eraser
        anna.press("3", "b", "]", "]")
        anna.record()
        anna.drag((2000, 1500), (2100, 1800), (1900, 2200))
        anna.press("x")
        anna.drag((1950, 1900), (2150, 1700))
        # regions: pressed on the image, ticked in the panel, by key
        anna.press("4")
        anna.click((700, 2200))
        anna.page.get_by_label("temporal").check()
        anna.press("Shift+3")
        anna.press("g", "2")
        anna.saved()
        anna.picture("reading")

        marks = anna.marks()["marks"]
        (ellipse,), (polygon,), (point,), (chosen,) = (of(marks, k) for k in ("ellipse", "polygon", "point", "regions"))
        assert ellipse["turn"] == pytest.approx(2 * np.pi / 36)
        assert np.allclose(ellipse["centre"], (901, 1701), atol=3)
        assert np.allclose(ellipse["radii"], (100, 200), atol=4)
        assert np.allclose(point["at"], (1500, 2000), atol=3)
        assert len(polygon["corners"]) == 4
        assert np.allclose(polygon["corners"][1], (1050, 1400), atol=5)
        spots = {"disc": hall.manifest.rows[0].disc, "fovea": hall.manifest.rows[0].fovea}
        assert spots["disc"] is not None
        assert spots["fovea"] is not None
        here = regions.Regions(spots["disc"], spots["fovea"], "OD").at((700, 2200))
        assert chosen["regions"] == [here, "temporal", "macula"]
        assert marks["answers"] == {"grade": "2"}
        paint, wipe = anna.strokes()[:2]
        size = round(LARGE[1] / 150)
        for _ in range(2):
            size = int(np.ceil(size * 1.25))
        expected = painted([paint], size / 2, LARGE) & ~painted([wipe], size / 2, LARGE)
        assert expected.sum() > 10_000
        assert (layer(marks, "hard_exudate", LARGE) == expected).all()

        # as it was after leaving and coming back; nothing of it for another reader
        anna.open("/read?item=1")
        assert anna.marks()["marks"] == marks
        expect(anna.page.locator("[data-finding=drusen] .count")).to_have_text("3")
        ben = claimed(enter(hall, address, "ben"))
        counts = ben.page.locator(".finding-row .count")
        assert [counts.nth(k).inner_text() for k in range(4)] == [""] * 4
        assert ben.page.evaluate("fetch('/api/items/1/others').then((answer) => answer.status)") == 403
        ben.press("1")
        ben.drag((805, 1510), (1010, 1890))
        ben.press("3", "b")
        ben.drag((2000, 1520), (2090, 1800))
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

        # consensus: both readers beside each other; ben's grade, anna's exudates; settled
        chief = enter(hall, address, "chief", "coordinator")
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
        expect(chief.page.get_by_label("Invitation link")).to_have_value(
            lambda_url := chief.page.get_by_label("Invitation link").input_value()
        )
        assert "/invite#" in lambda_url
        chief.picture("people")

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


def test_nothing_is_lost_when_the_server_is_killed_in_the_middle_of_a_stroke(hall: Room, enter: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-u", "-c", START, "serve", str(hall.folder), "--port", str(port)]

    def start() -> subprocess.Popen[str]:
        begun = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        assert begun.stdout is not None
        assert address in begun.stdout.readline()
        for _ in range(100):
            try:
                httpx.get(f"{address}/api/session")
                return begun
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    server = start()
    try:
        anna = claimed(enter(hall, address, "anna"))
        anna.press("3", "b")
        anna.record()
        anna.drag((900, 1500), (1000, 1900))
        anna.saved()
        before = layer(anna.marks()["marks"], "hard_exudate", LARGE)
        anna.drag((1800, 1500), (1900, 1900), lift=False)
        server.kill()
        server.wait()
        anna.page.mouse.move(*anna.place((1700, 2300)), steps=4)
        anna.page.mouse.up()
        expect(anna.page.locator(".saves")).to_contain_text("the server is away")
        anna.picture("away")
        anna.drag((2200, 1600), (2200, 2000))
        assert server.stdout is not None
        server.stdout.close()
        server = start()
        anna.saved()
        after = layer(anna.marks()["marks"], "hard_exudate", LARGE)
        size = round(LARGE[1] / 150)
        assert (after == painted(anna.strokes(), size / 2, LARGE)).all()
        assert before.sum() < after.sum()
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def test_what_the_server_did_not_get_waits_in_the_browser(hall: Room, enter: Open) -> None:
    with served(hall) as address:
        anna = claimed(enter(hall, address, "anna"), 2)
        anna.page.route("**/marks", lambda route: route.abort())
        anna.press("1")
        anna.drag((100, 200), (140, 260))
        expect(anna.page.locator(".saves")).to_contain_text("the server is away")
        assert anna.marks(2)["version"] == 0
        # the page is left before anything could be sent; the next one has it and sends it
        again = enter(hall, address, "anna")
        anna.page.close()
        again.open("/read?item=2")
        expect(again.page.locator("[data-finding=microaneurysm] .count")).to_have_text("1")
        again.saved()
        assert len(of(again.marks(2)["marks"], "ellipse")) == 1


def test_a_stale_save_is_shown_and_never_overwrites(hall: Room, enter: Open) -> None:
    with served(hall) as address:
        here = claimed(enter(hall, address, "anna"), 2)
        there = enter(hall, address, "anna").open("/read?item=2")
        here.press("1")
        here.drag((100, 200), (140, 260))
        here.saved()
        there.page.bring_to_front()
        there.press("2", "e")
        there.drag((300, 200), (340, 260))
        dialog = there.page.get_by_role("dialog")
        expect(dialog).to_contain_text("changed elsewhere")
        expect(there.page.locator(".saves")).to_have_text("Not saved")
        assert [s["label"] for s in there.marks(2)["marks"]["shapes"]] == ["microaneurysm"]
        there.picture("stale")
        dialog.get_by_role("button", name="Keep mine").click()
        there.saved()
        assert [s["label"] for s in there.marks(2)["marks"]["shapes"]] == ["haemorrhage"]
        here.page.bring_to_front()
        here.drag((400, 200), (440, 260))
        here.page.get_by_role("button", name="Take the server's").click()
        expect(here.page.locator("[data-finding=haemorrhage] .count")).to_have_text("1")
        expect(here.page.locator("[data-finding=microaneurysm] .count")).to_have_text("")


def test_the_keyboard_alone_marks_answers_and_finishes(hall: Room, enter: Open) -> None:
    with served(hall) as address:
        anna = claimed(enter(hall, address, "anna"), 2)
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


def test_a_pen_pressed_lightly_paints_thinly_and_fingers_then_only_move(hall: Room, enter: Open) -> None:
    send = """([kind, type, x, y, pressure, id]) => {
      const canvas = document.querySelector('.view.main .overlay');
      canvas.setPointerCapture = () => {};
      canvas.dispatchEvent(new PointerEvent(kind, {pointerType: type, clientX: x, clientY: y, pressure, pointerId: id,
        bubbles: true, buttons: 1, button: kind === 'pointermove' ? -1 : 0}));
    }"""
    with served(hall) as address:
        anna = claimed(enter(hall, address, "anna"), 2)
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


def test_a_draft_is_drawn_but_never_saved_by_itself(hall: Room, enter: Open) -> None:
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
        anna = claimed(enter(hall, address, "anna"), 2)
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


def test_agreement_stands_in_tables_and_plots(
    enter: Open, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("many")
    rows = [replace(row, answers={}, masks={}) for row in synthetic.write("enface", folder, n=24, size=64)]
    (tmp_path / "p.toml").write_text(PROTOCOL.replace("readers = 2", "readers = 3"))
    manifest = Manifest(LabelSchema(), tuple(rows), folder).write(folder / "M.jsonl")
    room, _ = init(manifest, protocol=tmp_path / "p.toml", out=tmp_path / "many", name="Reading centre")
    random = np.random.default_rng(0)
    app = make_app(room)
    readers = [annotate_people.enter(TestClient(app, base_url=BASE), room, name, ["reader"]) for name in "abc"]
    for item in range(1, 25):
        grade, centre = int(random.integers(0, 5)), random.uniform(16, 48, 2)
        for reader in readers:
            far = random.normal(0, 3 - item / 12, 2)
            said = str(np.clip(grade + round(float(far[0] / 2)), 0, 4))
            place = (centre + far).tolist()
            shape = {"id": "e", "label": "haemorrhage", "kind": "ellipse", "centre": place, "radii": [5, 5]}
            reader.read({"answers": {"grade": said}, "shapes": [shape]}, item=item)
    with served(room) as address:
        chief = enter(room, address, "chief", "coordinator")
        chief.page.goto(f"{address}/agreement")
        expect(chief.page.locator("svg.plot")).to_have_count(2)
        table = chief.page.locator("section", has=chief.page.get_by_role("heading", name="Answers", exact=True))
        told = chief.page.evaluate("fetch('/api/agreement').then((answer) => answer.json())")
        kappa = next(one["kappa"] for one in told["questions"] if one["all"])
        expect(table.locator("tr", has_text="all readers").locator(".bar")).to_have_text(f"{kappa:.2f}")
        chief.picture("agreement")
    for reader in readers:
        reader.client.close()
    room.store.close()


def test_the_pages_draw_the_regions_that_the_server_has(hall: Room, enter: Open) -> None:
    where = [
        ((300.5, 600.0), (330.0, 280.25), "OD"),
        ((900.0, 200.0), (400.0, 700.0), None),
        ((10.0, 10.0), (80.0, 400.0), "OS"),
    ]
    with served(hall) as address:
        anna = enter(hall, address, "anna")
        anna.page.goto(address)
        script = """async ([disc, fovea, laterality, places]) => {
          const {outlines, region} = await import('/pages/regions.js');
          const image = {rows: 800, cols: 1000, laterality};
          return [outlines(image, disc, fovea), places.map((at) => region(disc, fovea, laterality, at))];
        }"""
        places = np.random.default_rng(1).uniform(0, 800, (200, 2)).tolist()
        for disc, fovea, laterality in where:
            shown, names = anna.page.evaluate(script, [disc, fovea, laterality, places])
            ours = regions.Regions(disc, fovea, laterality)
            expected = ours.outlines((800, 1000))
            assert set(shown) == set(expected)
            for name, corners in expected.items():
                assert np.allclose(shown[name], corners, atol=1e-6)
            assert names == [ours.at((row, col)) for row, col in places]
        assumed = anna.page.evaluate(
            "import('/pages/regions.js').then(({sought}) => sought({cols: 1000, laterality: null}, [300, 200]))"
        )
        located = regions.located(shape=(800, 1000), disc=(300.0, 200.0))
        assert located is not None
        assert np.allclose(assumed, located.fovea)


def test_the_scans_of_a_volume_and_the_fellow_eye_beside(
    hall: Room, enter: Open, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("volume")
    rows = [
        replace(row, answers={}, masks={}, volume="V1", position=k, patient="p", eye="p_OD")
        for k, row in enumerate(synthetic.write("oct", folder, n=4, size=160))
    ]
    manifest = Manifest(LabelSchema(), tuple(rows), folder).write(folder / "M.jsonl")
    (tmp_path / "v.toml").write_text(
        'name = "fluid"\nextends = true\nreaders = 1\n[[findings]]\nname = "fluid"\nmarks = ["brush", "polygon"]\n'
        "[consensus]\nat_least = 1\n"
    )
    room, _ = init(manifest, protocol=tmp_path / "v.toml", out=tmp_path / "volume")
    with served(room) as address:
        anna = claimed(enter(room, address, "anna"), 1)
        expect(anna.page.locator(".volume")).to_contain_text("B-scan 1 of 4")
        lines = [anna.page.locator(".enface .line").evaluate("(line) => line.style.top")]
        anna.press("PageDown")
        anna.page.wait_for_selector("body[data-ready='2']")
        expect(anna.page.locator(".volume")).to_contain_text("B-scan 2 of 4")
        lines.append(anna.page.locator(".enface .line").evaluate("(line) => line.style.top"))
        assert lines == ["12.5%", "37.5%"]
        anna.picture("volume")
    room.store.close()
    with served(hall) as address:
        ben = claimed(enter(hall, address, "ben"), 2)
        ben.press("Tab")
        expect(ben.page.locator(".view-beside .title")).to_have_text("fellow eye: IM_0001_right")
        expect(ben.page.locator(".view-beside .overlay")).not_to_have_attribute("data-level", "none")
        ben.press("k")
        ben.picture("beside")
        ben.press("Tab")
        expect(ben.page.locator(".view-beside")).to_be_hidden()
