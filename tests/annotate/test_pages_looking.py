"""What the pages show in a real Chromium: agreement, regions, volumes, the fellow eye, colours."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import annotate_people
import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from annotate_browser import PROTOCOL, Screen, claimed, served
from playwright.sync_api import expect
from starlette.testclient import TestClient

from foveate.annotate.domain.protocol import COLOURS
from foveate.annotate.store.new_project import new_project
from foveate.annotate.store.project import Project
from foveate.annotate.web.server import make_app
from foveate.core.labels import LabelSchema
from foveate.data import synthetic
from foveate.data.manifest import Manifest

Visit = Callable[..., Screen]
BASE = "http://127.0.0.1"


def test_agreement_stands_in_tables_and_plots(
    visit: Visit, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("many")
    rows = [replace(row, answers={}, masks={}) for row in synthetic.write("enface", folder, n=24, size=64)]
    (tmp_path / "p.toml").write_text(PROTOCOL.replace("annotators = 2", "annotators = 3"))
    manifest = Manifest(LabelSchema(), tuple(rows), folder).write(folder / "M.jsonl")
    project, _ = new_project(manifest, protocol=tmp_path / "p.toml", out=tmp_path / "many", name="Reading centre")
    random = np.random.default_rng(0)
    app = make_app(project)
    people = [annotate_people.enter(TestClient(app, base_url=BASE), project, name, ["annotator"]) for name in "abc"]
    for item in range(1, 25):
        grade, centre = int(random.integers(0, 5)), random.uniform(16, 48, 2)
        for annotator in people:
            far = random.normal(0, 3 - item / 12, 2)
            said = str(np.clip(grade + round(float(far[0] / 2)), 0, 4))
            place = (centre + far).tolist()
            shape = {"id": "e", "label": "haemorrhage", "kind": "ellipse", "centre": place, "radii": [5, 5]}
            seen = bool(item % 4)
            annotator.claim(item)
            marks = {"answers": {"grade": said}, "shapes": [shape] if seen else []}
            annotator.save(marks, item=item, state="done", seconds=float(random.normal(41 if seen else 12, 3)))
    with served(project) as address:
        chief = visit(project, address, "chief", "coordinator")
        chief.page.goto(f"{address}/agreement")
        expect(chief.page.locator("svg.plot")).to_have_count(2)
        table = chief.page.locator("section", has=chief.page.get_by_role("heading", name="Answers", exact=True))
        told = chief.page.evaluate("fetch('/api/agreement').then((answer) => answer.json())")
        kappa = next(one["kappa"] for one in told["questions"] if one["all"])
        expect(table.locator("tr", has_text="all annotators").locator(".bar")).to_have_text(f"{kappa:.2f}")
        chief.picture("agreement")
        chief.page.goto(f"{address}/people")
        costs = chief.page.evaluate("fetch('/api/progress').then((answer) => answer.json())")["costs"]
        assert 20 < costs["ellipses"] < 40
        said = f"answers of an image {costs['image']:.0f} s, ellipses {costs['ellipses']:.0f} s"
        expect(chief.page.locator("section", has_text="Time by what was drawn")).to_contain_text(said)
        chief.picture("people")
    for annotator in people:
        annotator.client.close()
    project.store.close()


def test_the_scans_of_a_volume_and_the_fellow_eye_beside(
    hall: Project, visit: Visit, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("volume")
    rows = [
        replace(row, answers={}, masks={}, volume="V1", position=k, patient="p", eye="p_OD")
        for k, row in enumerate(synthetic.write("oct", folder, n=4, size=160))
    ]
    manifest = Manifest(LabelSchema(), tuple(rows), folder).write(folder / "M.jsonl")
    (tmp_path / "v.toml").write_text(
        'name = "fluid"\nextends = true\nannotators = 1\n[[findings]]\nname = "fluid"\nmarks = ["brush", "polygon"]\n'
        "[consensus]\nat_least = 1\n"
    )
    project, _ = new_project(manifest, protocol=tmp_path / "v.toml", out=tmp_path / "volume")
    with served(project) as address:
        anna = claimed(visit(project, address, "anna"), 1)
        expect(anna.page.locator(".volume")).to_contain_text("B-scan 1 of 4")
        lines = [anna.page.locator(".enface .line").evaluate("(line) => line.style.top")]
        anna.press("PageDown")
        anna.page.wait_for_selector("body[data-ready='2']")
        expect(anna.page.locator(".volume")).to_contain_text("B-scan 2 of 4")
        lines.append(anna.page.locator(".enface .line").evaluate("(line) => line.style.top"))
        assert lines == ["12.5%", "37.5%"]
        anna.press("Control+Enter")
        anna.page.wait_for_selector("body[data-ready='2'] .done:visible")
        anna.press("p")
        anna.click((79, 104), (76, 111), (80, 119), (88, 122), (89, 102))
        anna.press("Enter")
        anna.saved()
        anna.picture("volume")
    project.store.close()
    with served(hall) as address:
        ben = claimed(visit(hall, address, "ben"), 2)
        ben.press("Tab")
        expect(ben.page.locator(".view-comparison .title")).to_have_text("fellow eye: IM_0001_right")
        expect(ben.page.locator(".view-comparison .overlay")).not_to_have_attribute("data-level", "none")
        plain = ben.pixels()[100:700, 44:950].astype(int)
        ben.press("k")
        for _ in range(100):  # until both images are shown with their contrast evened out
            change = np.abs(ben.pixels()[100:700, 44:950].astype(int) - plain)
            if min(change[:, :450].mean(), change[:, 460:].mean()) > 1:
                break
        assert min(change[:, :450].mean(), change[:, 460:].mean()) > 1
        ben.picture("beside")
        ben.press("Tab")
        expect(ben.page.locator(".view-comparison")).to_be_hidden()


@pytest.mark.parametrize("kind", ["fundus", "oct"])
def test_every_colour_is_seen_on_the_image(
    kind: str, visit: Visit, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(kind)
    rows = [replace(row, answers={}, masks={}) for row in synthetic.write(kind, folder, n=1, size=512)]
    manifest = Manifest(LabelSchema(), tuple(rows), folder).write(folder / "M.jsonl")
    names = [f"finding {k}" for k in range(len(COLOURS))]
    text = "".join(f'[[findings]]\nname = "{name}"\nmarks = ["ellipse", "brush"]\n' for name in names)
    (tmp_path / "c.toml").write_text(f'name = "c"\nextends = true\nannotators = 1\n{text}[consensus]\nat_least = 1\n')
    project, _ = new_project(manifest, protocol=tmp_path / "c.toml", out=tmp_path / "colours")
    shapes: list[dict[str, object]] = []
    middles = []
    for k, name in enumerate(names):
        row, col = 130 + 125 * (k // 4), 110 + 95 * (k % 4)
        middles.append((row, col))
        shapes.append({"id": f"e{k}", "label": name, "kind": "ellipse", "centre": [row, col], "radii": [24, 34]})
        runs = [v for r in range(row - 8, row + 8) for v in (r * 512 + col - 12, 24)]
        shapes.append({"id": f"b{k}", "label": name, "kind": "brush", "runs": runs})
    with served(project) as address:
        anna = claimed(visit(project, address, "anna"), 1)
        before = anna.pixels()
        anna.page.evaluate(
            """([shapes, token]) => fetch('/api/items/1/marks', {method: 'PUT',
              headers: {'content-type': 'application/json', 'x-csrf-token': token},
              body: JSON.stringify({version: 0, save: 'all', state: 'open', seconds: 1, marks: {shapes}})})""",
            [shapes, anna.page.evaluate("fetch('/api/session').then((answer) => answer.json())")["csrf"]],
        )
        anna.open("/annotate?item=1")
        after = anna.pixels()
        for k, (row, col) in enumerate(middles):
            x, y = (round(v) for v in anna.place((row, col)))
            change = np.abs(after[y, x].astype(int) - before[y, x]).max()
            assert change > 35, (names[k], after[y, x], before[y, x])
            x, y = (round(v) for v in anna.place((row - 24, col)))
            edge = after[y - 4 : y + 5, x].astype(int)
            wanted = [int(COLOURS[k][i : i + 2], 16) for i in (1, 3, 5)]
            assert np.abs(edge - wanted).max(1).min() < 60, "the outline has its colour, and a dark line beside it"
            assert edge.max(1).min() < before[y, x].max(), "which is darker than the image"
        anna.picture(f"colours_{kind}")
    project.store.close()
