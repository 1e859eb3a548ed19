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


METRIC = """
import numpy as np
from foveate.core.labels import LabelSchema
from foveate.engine.keep import best
from foveate.metrics import table
from foveate.metrics.counts import Counts
from foveate.metrics.summary import summary
from foveate.metrics.tally import ANSWERS, PIXELS
from foveate.report import segmentation

pixels = {"image": ["a", "b"], "group": ["a", "b"], "label": ["disc"] * 2, "tp": [3, 2], "fp": [3, 0], "fn": [1, 2],
          "tn": [9, 9], "probability": [0.9, 0.9], "truth": [1, 1]}
schema = LabelSchema((), ("disc",))
counts = Counts(schema, table.build(PIXELS, pixels), table.build(ANSWERS, dict.fromkeys(ANSWERS, ())))
found = summary(counts)
print(found["pixel/area_ratio/disc"], best("area_ratio/disc").of(found), "area ratio" in str(segmentation(counts)))
"""


def test_a_metric(copy: Path) -> None:
    """It is in the list, in the summary of counts, in the choice of weights and in the report's table."""
    assert re.search(r"pixel/area_ratio +area ratio: Marked pixels / true pixels", foveate(copy, "list", "metrics"))
    assert python(copy, METRIC).split() == ["1.0", "1.0", "True"]  # (1.5 + 0.5) / 2


def test_a_file_format(copy: Path, tmp_path: Path) -> None:
    """`scan` and `check` read it, and `predict` finds it in a folder, whatever its ending."""
    assert re.search(r"my_format +Camera of our clinic \(\.eye\)", foveate(copy, "list", "formats"))
    (tmp_path / "set").mkdir()
    for name, grey in (("one.eye", 40), ("two.bin", 200)):
        (tmp_path / "set" / name).write_bytes(b"EYE" + bytes([4, 6]) + bytes(range(grey, grey + 24)))
    foveate(copy, "scan", "volumes", str(tmp_path / "set"), "-o", str(tmp_path / "m.jsonl"), "--quiet")
    assert [row.id for row in Manifest.read(tmp_path / "m.jsonl")] == ["one", "two"]
    foveate(copy, "check", str(tmp_path / "m.jsonl"), "--workers", "0", "--quiet")
    script = "from pathlib import Path; from foveate.data import read; from foveate.inference.write_results import *\n"
    script += f"found = list_images([Path({str(tmp_path / 'set')!r})])\n"
    script += "print([path.name for path in found], read.image(found[1])[0, 0].tolist())"
    assert python(copy, script) == "['one.eye', 'two.bin'] [200, 200, 200]\n"


def python(copy: Path, script: str) -> str:
    """Output of a script that imports the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout
