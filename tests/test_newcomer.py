"""An addition is one new file: the files of docs/guides/adding.md are added to a copy of the package, and work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.fit import fit
from foveate.recipes import load_recipe

TOP = Path(__file__).parent.parent
BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall((TOP / "docs/guides/adding.md").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package to which the page's files of the package were added, and nothing else."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(TOP / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        if name.startswith("src/"):
            assert not (folder / name).exists()
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def foveate(copy: Path, *words: str) -> str:
    """Output of the command line of the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    command = [sys.executable, "-m", "foveate", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_adapter(copy: Path, tmp_path: Path) -> None:
    for grade in "01":
        (tmp_path / "set" / grade).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), 90 * int(grade), np.uint8)).save(tmp_path / "set" / grade / f"eye{grade}.png")
    assert re.search(r"my_set +My set: fundus photographs with one grade each", foveate(copy, "list", "adapters"))
    foveate(copy, "scan", "my_set", str(tmp_path / "set"), "-o", str(tmp_path / "m.jsonl"), "--quiet")
    rows = Manifest.read(tmp_path / "m.jsonl")
    assert [(row.id, row.answers, row.modality) for row in rows] == [
        ("eye0", {"grade": "0"}, "fundus"),
        ("eye1", {"grade": "1"}, "fundus"),
    ]


def test_a_command(copy: Path, tmp_path: Path) -> None:
    rows = synthetic.write("fundus", tmp_path, n=6, size=64)
    Manifest(synthetic.SCHEMAS["fundus"], tuple(rows), tmp_path).write(tmp_path / "m.jsonl")
    assert foveate(copy, "patients", str(tmp_path / "m.jsonl")) == "3\n"
    assert "Print the number of patients." in foveate(copy, "--help")


def test_a_loss_and_a_recipe_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "my_method.py"
    path.write_text(FILES["my_method.py"], encoding="utf-8")
    drawn = synthetic.write("fundus", tmp_path / "data", n=8, size=64)
    rows = split(Manifest(synthetic.SCHEMAS["fundus"], tuple(drawn), tmp_path / "data"), ratios=(0.5, 0.25, 0.25))
    recipe = load_recipe(str(path), rows.schema, encoder="resnet10t", size=64, epochs=1, share=0.25)
    run = fit(recipe, rows, out=tmp_path / "run", cache=tmp_path / "cache", quiet=True)
    log = (run.folder / "joint" / "log.jsonl").read_text(encoding="utf-8")
    assert "pixels" in log
    assert "answers" in log
