"""In a notebook a table, a prediction, a recipe and a manifest show themselves, with every text escaped."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.notebook import summary
from foveate.core.types import Row
from foveate.data.manifest import Manifest
from foveate.inference.predictor import ImageResult
from foveate.inference.result_html import WIDTH
from foveate.recipes import load_recipe
from foveate.report import Column, Table

SCHEMA = LabelSchema((Question("fluid", evidence=("fluid",)), Question("quality", ("bad", "good"))), ("fluid",))


def test_summary_escapes() -> None:
    assert summary("a<b", [("<i>", "&")]).startswith("<div><strong>a&lt;b</strong>")
    assert "<th>&lt;i&gt;</th><td>&amp;</td>" in summary("a<b", [("<i>", "&")])


def test_table() -> None:
    shown = Table("Dice <1>", (Column("method"),), (("a & b",),))._repr_html_()
    assert type(shown) is str
    assert "Dice &lt;1&gt;" in shown
    assert '<td class="word">a &amp; b</td>' in shown


def test_manifest() -> None:
    rows = (
        Row("1", "1.png", patient="p", split="train", answers={"fluid": "yes"}, masks={"fluid": ()}),
        Row("2", "2.png", patient="p", split="train", answers={"fluid": "no"}),
        Row("3", "3.png", patient="q", answers={"fluid": "yes"}),
    )
    shown = Manifest(SCHEMA, rows, Path(), info={"name": "<mine>"})._repr_html_()
    assert "Manifest &lt;mine&gt;" in shown
    pairs = dict(re.findall("<th>(.*?)</th><td>(.*?)</td>", shown))
    assert pairs == {
        "images": "3",
        "patients or groups": "2",
        "splits": "none 1, train 2",
        "answers of fluid": "no 1, yes 2",
        "answers of quality": "none known",
        "images in which fluid is known": "1",
    }


def test_recipe() -> None:
    shown = load_recipe("image_quality", SCHEMA, size=64, epochs=3, batch=4)._repr_html_()
    pairs = dict(re.findall("<th>(.*?)</th><td>(.*?)</td>", shown))
    assert "Recipe image_quality" in shown
    assert pairs["questions"] == "fluid, quality"
    assert pairs["labels"] == "fluid"
    assert pairs["frame, batch, epochs"] == "64 px, 4, 3"
    assert "size=64" in pairs["keywords"]


def test_image_result() -> None:
    masks = np.zeros((1, 300, 900), bool)
    masks[0, :10, :20] = True
    result = ImageResult(
        id='<eye">.png',
        probabilities={"fluid": {"no": 0.25, "yes": 0.75}},
        answers={"fluid": "yes"},
        probability=masks.astype(np.float32),
        masks=masks,
        labels=("fluid",),
        image=np.full((300, 900, 3), 90, np.uint8),
        spacing=(0.5, 0.01),
    )
    shown = result._repr_html_()
    assert "<th>fluid</th><td>yes (probability 0.75)</td>" in shown
    assert "<th>area of fluid</th><td>200 pixels, 1 mm2</td>" in shown
    assert "<eye" not in shown
    picture = re.search('src="data:image/png;base64,([^"]+)"', shown)
    assert picture is not None
    assert Image.open(io.BytesIO(base64.b64decode(picture[1]))).width == WIDTH
