"""A browser at a project: who is logged in, what the pointer does at which pixel, what the pointer really did."""

from __future__ import annotations

import io
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select

from foveate.annotate.domain.roles import ROLES
from foveate.annotate.store.project import Project
from foveate.annotate.web.request_context import cookie_of
from foveate.annotate.web.server import make_app
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Layer, unpacked
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.web import accounts, sessions
from foveate.web.account_tables import User
from foveate.web.guards import LOOPBACK

CHROMIUM = shutil.which("chromium")
SWITCHES = ["--no-sandbox"]
"""Tests may run as root, where Chromium has no sandbox of its own."""

PICTURES = os.environ.get("FOVEATE_PICTURES")
"""Folder for the pictures of the documents; unset = they are not kept."""

LARGE = (1424, 2144)
"""Half as wide as a camera's, in a quarter of the time: it has three levels, and the page fetches two of them."""

expect.set_options(timeout=30_000)
"""A machine that does other work too may be slow; nothing is waited for longer than it takes."""

PROTOCOL = """
name = "every_mark"
title = "Lesions, regions and a grade"
about = "Mark every lesion, tick the regions that show drusen, then grade the image."
extends = true
annotators = 2

[[questions]]
name = "grade"
title = "Grade of diabetic retinopathy"
answers = ["0", "1", "2", "3", "4"]
titles = ["no retinopathy", "mild", "moderate", "severe", "proliferative"]
ordered = true
key = "g"

[[findings]]
name = "microaneurysm"
colour = "#35d0ff"
marks = ["ellipse", "point"]
key = "1"

[[findings]]
name = "haemorrhage"
colour = "#b6f24a"
title = "intraretinal haemorrhage"
marks = ["ellipse", "polygon"]
key = "2"

[[findings]]
name = "hard_exudate"
colour = "#ff5cd6"
marks = ["brush"]
key = "3"

[[findings]]
name = "drusen"
colour = "#fff04d"
question = "drusen"
marks = ["regions"]
key = "4"

[consensus]
at_least = 1
review = "all"
"""

RECORD = """() => {
  window.recorded = [];
  const canvas = document.querySelector('.view.main .overlay');
  const keep = (event) => {
    const box = canvas.getBoundingClientRect();
    const [scale, left, top] = ['scale', 'left', 'top'].map((name) => Number(canvas.dataset[name]));
    const between = event.type === 'pointermove' ? event.getCoalescedEvents() : [];
    const all = between.length ? between : [event];
    for (const one of all) {
      const at = [(one.clientY - box.y) / scale + top - 0.5, (one.clientX - box.x) / scale + left - 0.5];
      window.recorded.push([event.type, ...at]);
    }
  };
  for (const name of ['pointerdown', 'pointermove', 'pointerup']) canvas.addEventListener(name, keep, true);
}"""


def photographs(folder: Path, shape: tuple[int, int] = LARGE) -> Manifest:
    """A large photograph, its fellow eye and another: drawn, of nothing but disc, fovea and spacing known."""
    rows = [replace(row, answers={}, masks={}) for row in synthetic.write("fundus", folder, n=3, size=512)]
    drawn = cv2.imread(str(folder / rows[0].image))
    side, left = shape[0], (shape[1] - shape[0]) // 2
    large = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).integers(-6, 7, (side, side, 1)) * (large.max(2, keepdims=True) > 20)
    large = np.pad(np.clip(large + grain, 0, 255).astype(np.uint8), ((0, 0), (left, shape[1] - side - left), (0, 0)))
    cv2.imwrite(str(folder / "large.jpg"), large, [cv2.IMWRITE_JPEG_QUALITY, 88])
    scale = side / 512

    def moved(place: tuple[float, float] | None) -> tuple[float, float]:
        assert place is not None
        return place[0] * scale, place[1] * scale + left

    first = replace(
        rows[0], id="IM_0001_right", image="large.jpg", patient="p1", eye="p1_OD", laterality="OD",
        spacing=(0.0045, 0.0045), disc=moved(rows[0].disc), fovea=moved(rows[0].fovea),
    )  # fmt: skip
    second = replace(rows[1], id="IM_0001_left", patient="p1", eye="p1_OS", laterality="OS")
    third = replace(rows[2], id="IM_0002_right", patient="p2", eye="p2_OD", laterality="OD")
    return Manifest(LabelSchema(), (first, second, third), folder).write(folder / "M.jsonl")


@contextmanager
def served(project: Project, *, hosts: Sequence[str] = LOOPBACK) -> Iterator[str]:
    """The address of a project that is served in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(make_app(project, hosts=hosts), log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


def claimed(screen: Screen, item: int = 1) -> Screen:
    """The page of an image that the annotator has started."""
    screen.page.goto(f"{screen.address}/annotate?item={item}")
    screen.page.get_by_role("button", name="Start", exact=False).click()
    screen.page.wait_for_selector("body[data-ready] .done:visible")
    return screen


def of(marks: Any, kind: str) -> list[Any]:
    """The shapes of one kind in marks as the server has them."""
    return [shape for shape in marks["shapes"] if shape["kind"] == kind]


def context(browser: Browser, project: Project, address: str, name: str, roles: Sequence[str]) -> BrowserContext:
    """A browser of somebody who is logged in: an account by its name, made where there is none."""
    with project.store.write() as db:
        user = db.scalar(select(User).where(User.name == name))
        user = user or accounts.create(db, name, roles=roles, known=ROLES, password=None)
        token, _ = sessions.log_in(db, user)
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(60_000)
    made.add_cookies([{"name": cookie_of(project), "value": token, "url": address}])
    return made


class Screen:
    """One page of the project."""

    def __init__(self, within: BrowserContext, address: str) -> None:
        self.within, self.address = within, address
        self.page: Page = within.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def open(self, path: str) -> Screen:
        """Go to an image's page and wait until it can be worked on."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector("body[data-ready]")
        return self

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def place(self, at: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel (row, col) lies on the screen."""
        canvas = self.page.locator(".view.main .overlay")
        box = canvas.bounding_box()
        assert box is not None
        scale, left, top = (float(canvas.get_attribute(f"data-{name}") or "nan") for name in ("scale", "left", "top"))
        return box["x"] + (at[1] + 0.5 - left) * scale, box["y"] + (at[0] + 0.5 - top) * scale

    def click(self, *places: tuple[float, float]) -> None:
        for at in places:
            self.page.mouse.click(*self.place(at))

    def drag(self, *places: tuple[float, float], steps: int = 4, lift: bool = True) -> None:
        self.page.mouse.move(*self.place(places[0]))
        self.page.mouse.down()
        for at in places[1:]:
            self.page.mouse.move(*self.place(at), steps=steps)
        if lift:
            self.page.mouse.up()

    def record(self) -> None:
        """From now on keep what the pointer did, in image pixels."""
        self.page.evaluate(RECORD)

    def strokes(self) -> list[list[tuple[float, float]]]:
        """What was kept: the places of each press."""
        out: list[list[tuple[float, float]]] = []
        down = False
        for kind, row, col in self.page.evaluate("window.recorded"):
            if kind == "pointerdown":
                out.append([])
            down = kind != "pointerup" and (down or kind == "pointerdown")
            if down:
                out[-1].append((row, col))
        return out

    def saved(self) -> None:
        """Wait until the page says that everything is saved."""
        expect(self.page.locator(".saves")).to_have_text("All saved")

    def marks(self, item: int = 1, path: str = "marks") -> Any:
        """This annotator's marks as the server has them."""
        return self.page.evaluate("(path) => fetch(path).then((answer) => answer.json())", f"/api/items/{item}")[
            "marks"
        ]

    def pixels(self) -> np.ndarray:
        """What is on the screen: (row, col, RGB)."""
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))

    def picture(self, name: str) -> None:
        """Keep a picture for the documents, where they are wanted."""
        if PICTURES:
            self.page.wait_for_timeout(400)
            seen = Image.open(io.BytesIO(self.page.screenshot()))
            few = seen.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            few.save(Path(PICTURES) / f"{name}.png", optimize=True)

    def close(self) -> None:
        assert not self.wrong, self.wrong
        self.within.close()


def painted(strokes: Sequence[Sequence[tuple[float, float]]], radius: float, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie within radius of the lines of strokes: straight from that sentence."""
    mask = np.zeros(shape, bool)
    for stroke in strokes:
        for (r0, c0), (r1, c1) in zip([stroke[0], *stroke], stroke, strict=False):
            top, left = (max(0, int(min(a, b) - radius) - 1) for a, b in ((r0, r1), (c0, c1)))
            bottom, right = (int(max(a, b) + radius) + 2 for a, b in ((r0, r1), (c0, c1)))
            rows, cols = np.mgrid[top : min(bottom, shape[0]), left : min(right, shape[1])]
            long = (r1 - r0) ** 2 + (c1 - c0) ** 2
            share = ((rows - r0) * (r1 - r0) + (cols - c0) * (c1 - c0)) / long if long else np.zeros(rows.shape)
            share = np.clip(share, 0, 1)
            near = np.hypot(rows - r0 - share * (r1 - r0), cols - c0 - share * (c1 - c0)) <= radius
            mask[top : top + rows.shape[0], left : left + rows.shape[1]] |= near
    return mask


def layer(marks: Any, label: str, shape: tuple[int, int]) -> np.ndarray:
    """The painted pixels of a label in marks as the server has them."""
    runs = [shape["runs"] for shape in marks["shapes"] if shape["kind"] == "brush" and shape["label"] == label]
    return unpacked(Layer(tuple(runs[0])), shape) if runs else np.zeros(shape, bool)
