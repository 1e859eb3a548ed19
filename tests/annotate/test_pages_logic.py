"""Logic of the pages that needs no browser, in node's own test runner."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from foveate.core import regions

SOURCE = Path(__file__).parent.parent.parent / "src" / "foveate"
TESTS = Path(__file__).parent / "pages"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed; Debian: apt-get install nodejs")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """The pages and their tests side by side, declared as modules (which the browser learns from their script tag)."""
    for name in ("annotate", "web"):
        shutil.copytree(SOURCE / name / "pages", tmp_path / name / "pages")
    shutil.copytree(TESTS, tmp_path / "tests")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.name for path in TESTS.glob("*.test.mjs")))
def test_logic_of_the_pages(name: str, modules: Path) -> None:
    found = subprocess.run([str(NODE), "--test", f"tests/{name}"], cwd=modules, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "# pass 0" not in found.stdout, "at least one test ran"


def test_every_module_is_found_and_parsed(modules: Path) -> None:
    pages = sorted(path for name in ("annotate", "web") for path in (modules / name).rglob("*.js"))
    for path in pages:
        assert subprocess.run([str(NODE), "--check", path], capture_output=True).returncode == 0, path
    script = "await Promise.all(process.argv.slice(1).map((path) => import(path)));"
    loaded = [str(path) for path in pages if path.name != "app.js"]  # app.js starts at once and needs a document
    found = subprocess.run([str(NODE), "--input-type=module", "-e", script, *loaded], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_the_pages_have_the_regions_of_the_server(modules: Path) -> None:
    script = """
      const { assumedFovea, outlines, region } = await import("./annotate/pages/regions.js");
      const { places, cases } = JSON.parse(process.argv[1]);
      const out = cases.map(([disc, fovea, laterality]) => ({
        outlines: outlines({ rows: 800, cols: 1000, laterality }, disc, fovea),
        names: places.map((at) => region(disc, fovea, laterality, at)) }));
      console.log(JSON.stringify([out, assumedFovea({ cols: 1000, laterality: null }, [300, 200])]));
    """
    cases = [
        ((300.5, 600.0), (330.0, 280.25), "OD"),
        ((900.0, 200.0), (400.0, 700.0), None),
        ((10.0, 10.0), (80.0, 400.0), "OS"),
    ]
    places = np.random.default_rng(1).uniform(0, 800, (200, 2)).tolist()
    command = [str(NODE), "--input-type=module", "-e", script, json.dumps({"places": places, "cases": cases})]
    found = subprocess.run(command, cwd=modules, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    shown, assumed = json.loads(found.stdout)
    for (disc, fovea, laterality), one in zip(cases, shown, strict=True):
        ours = regions.Regions(disc, fovea, laterality)
        expected = ours.outlines((800, 1000))
        assert set(one["outlines"]) == set(expected)
        for name, corners in expected.items():
            assert np.allclose(one["outlines"][name], corners, atol=1e-6)
        assert one["names"] == [ours.at((row, col)) for row, col in places]
    located = regions.located(shape=(800, 1000), disc=(300.0, 200.0))
    assert located is not None
    assert np.allclose(assumed, located.fovea)
