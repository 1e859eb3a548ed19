"""Saving from a real Chromium: servers that die, windows that disagree, marks that the server refuses."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from annotate_browser import LARGE, Screen, claimed, layer, of, painted, served
from playwright.sync_api import expect

from foveate.annotate.store.new_project import new_project
from foveate.annotate.store.project import Project
from foveate.core.labels import LabelSchema
from foveate.data import synthetic
from foveate.data.manifest import Manifest

Visit = Callable[..., Screen]
START = "import sys; from foveate.cli.main import main; sys.argv = ['foveate', 'annotate', *sys.argv[1:]]; main()"


def test_nothing_is_lost_when_the_server_is_killed_in_the_middle_of_a_stroke(hall: Project, visit: Visit) -> None:
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
        anna = claimed(visit(hall, address, "anna"))
        anna.press("3", "b")
        anna.record()
        anna.drag((450, 750), (500, 950))
        anna.saved()
        before = layer(anna.marks()["marks"], "hard_exudate", LARGE)
        anna.drag((900, 750), (950, 950), lift=False)
        server.kill()
        server.wait()
        anna.page.mouse.move(*anna.place((850, 1150)), steps=4)
        anna.page.mouse.up()
        expect(anna.page.locator(".saves")).to_contain_text("no connection to the server")
        anna.picture("away")
        anna.drag((1100, 800), (1100, 1000))
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


def test_what_the_server_did_not_get_waits_in_the_browser(hall: Project, visit: Visit) -> None:
    with served(hall) as address:
        anna = claimed(visit(hall, address, "anna"), 2)
        anna.page.route("**/marks", lambda route: route.abort())
        anna.press("1")
        anna.drag((100, 200), (140, 260))
        expect(anna.page.locator(".saves")).to_contain_text("no connection to the server")
        assert anna.marks(2)["version"] == 0
        # the page is left before anything could be sent; the next one has it and sends it
        again = visit(hall, address, "anna")
        anna.page.close()
        again.open("/annotate?item=2")
        expect(again.page.locator("[data-finding=microaneurysm] .count")).to_have_text("1")
        again.saved()
        assert len(of(again.marks(2)["marks"], "ellipse")) == 1


def test_a_stale_save_is_shown_and_never_overwrites(hall: Project, visit: Visit) -> None:
    with served(hall) as address:
        here = claimed(visit(hall, address, "anna"), 2)
        there = visit(hall, address, "anna").open("/annotate?item=2")
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
        dialog.get_by_role("button", name="Keep my version").click()
        there.saved()
        assert [s["label"] for s in there.marks(2)["marks"]["shapes"]] == ["haemorrhage"]
        here.page.bring_to_front()
        here.drag((400, 200), (440, 260))
        here.page.get_by_role("button", name="Use the server's version").click()
        expect(here.page.locator("[data-finding=haemorrhage] .count")).to_have_text("1")
        expect(here.page.locator("[data-finding=microaneurysm] .count")).to_have_text("")


def test_what_is_marked_twice_is_shown_when_it_is_done(
    visit: Visit, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scans")
    rows = [replace(row, answers={}, masks={}) for row in synthetic.write("oct", folder, n=2, size=160)]
    schema = LabelSchema(labels=("irf", "srf"), exclusive=True)
    manifest = Manifest(schema, tuple(rows), folder).write(folder / "M.jsonl")
    text = "".join(
        f'[[findings]]\nname = "{name}"\nmarks = ["ellipse"]\nkey = "{k}"\n' for k, name in ((1, "irf"), (2, "srf"))
    )
    (tmp_path / "o.toml").write_text(f'name = "fluid"\nannotators = 1\n{text}[consensus]\nat_least = 1\n')
    project, _ = new_project(manifest, protocol=tmp_path / "o.toml", out=tmp_path / "fluid")
    with served(project) as address:
        anna = claimed(visit(project, address, "anna"), 1)
        anna.press("1", "e")
        anna.drag((60, 40), (100, 90))
        anna.press("2", "e")
        anna.drag((80, 70), (120, 140))
        anna.press("Control+Enter")
        banner = anna.page.locator(".banner", has_text="Not finished")
        expect(banner).to_contain_text("irf and srf cover")
        anna.saved()
        expect(banner).to_be_visible()
        anna.picture("overlap")
        assert anna.marks(1)["state"] == "open"
        anna.press("v", "Delete")
        expect(banner).to_be_hidden()
        anna.press("Control+Enter")
        anna.page.wait_for_selector("body[data-ready='2']")
    project.store.close()
