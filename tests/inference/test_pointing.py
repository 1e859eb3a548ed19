"""A finding's own activation map is what is shown, and the regions of the eye that it points to are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.regions import NAMES, Regions
from foveate.core.types import Outputs, Prediction, Row
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.engine.checkpoint import save_weights
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run
from foveate.inference.pointing import Eye, pointed
from foveate.inference.predictor import ImageResult, Predictor
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh

SCHEMA = LabelSchema(
    (Question("spot_present", evidence=("spot",)), Question("grade", ("0", "1", "2"), ordered=True)), ("spot", "disc")
)
DISC, FOVEA = (48.0, 100.0), (48.0, 50.0)


class Pointing(nn.Module):
    """A map of what is bright, whose mean is the logit; the other question has features alone."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(20.0))

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        grey = torch.nn.functional.avg_pool2d(image.mean(1, keepdim=True), 8) * 1.0
        maps, share = (grey - 0.6) * self.gain, grey.mean((2, 3))
        answers = torch.cat([maps.mean((2, 3)), -share, share, share], 1)
        return Outputs(image=answers, activation=maps.expand(-1, 4, -1, -1), features=(grey,))


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    stage = Stage("point", network=Pointing, loss=Weigh(pixels=(1.0, bce)))
    run = Run(tmp_path / "run", Recipe(SCHEMA, Prepare(size=96), (stage,), precision="fp32"))
    save_weights(run.stage_folder("point") / "weights.safetensors", Pointing())
    return Predictor(run, device="cpu")


def photograph() -> np.ndarray:
    """Dark, with a bright spot about the fovea."""
    image = np.full((96, 144, 3), 20, np.uint8)
    image[30:66, 32:68] = 255
    return image


def test_the_map_is_the_networks_own(predictor: Predictor) -> None:
    """As it is, not divided by its maximum, and of the finding alone; other questions have Grad-CAM."""
    reading = predictor(photograph(), cam=True)
    assert list(reading.cam["spot_present"]) == ["yes"]
    assert list(reading.cam["grade"]) == ["0", "1", "2"]
    cam = reading.cam["spot_present"]["yes"]
    assert cam.shape == (96, 144)
    assert cam[43:53, 45:55].min() > 0.9
    assert cam[:12].max() < 0.01
    assert reading.answers["spot_present"] == "no"  # the mean over the image is low: its map is told all the same
    answer, shown = reading.map_of("spot_present")
    assert answer == "yes"
    np.testing.assert_array_equal(shown, cam)
    given, _ = reading.map_of("grade")
    assert given == reading.answers["grade"]
    with pytest.raises(ValueError, match="read the image with cam=True"):
        predictor(photograph()).map_of("spot_present")


def test_regions_are_named_where_the_disc_is_known(predictor: Predictor) -> None:
    reading = predictor(photograph(), cam=True, eye=Eye(DISC, FOVEA, "OD"))
    told = json.loads(json.dumps(reading.to_json()))["points_to"]
    assert list(told) == ["spot_present"]
    assert told["spot_present"]["highest"] == "macula"
    assert told["spot_present"]["regions"] == ["macula"]
    assert told["spot_present"]["shares"]["macula"] > 0.9
    assert sum(told["spot_present"]["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert "assumed" not in told["spot_present"]
    guessed = predictor(photograph(), cam=True, eye=Eye(DISC)).to_json()["points_to"]["spot_present"]
    assert guessed["assumed"][0] == "fovea"
    for reading in (predictor(photograph(), cam=True), predictor(photograph(), eye=Eye(DISC, FOVEA))):
        assert "points_to" not in reading.to_json()


def test_shares_are_those_of_the_regions() -> None:
    """Against sums over the regions' masks; strong places count from half on."""
    rng = np.random.default_rng(0)
    cam, regions = rng.random((60, 80)) * 0.4, Regions((30.0, 55.0), (32.0, 30.0), "OD")
    cam[0, 0] = 0.9
    found = pointed(cam, regions)
    assert found is not None
    masks = dict(zip(NAMES, regions.masks((60, 80)), strict=True))
    for name, share in found.shares.items():
        assert share == pytest.approx(cam[masks[name]].sum() / cam.sum())
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    assert found.highest == regions.at((0, 0))
    assert found.strong == (found.highest,)
    assert pointed(np.zeros((60, 80)), regions) is None


def test_a_marked_disc_tells_where_the_eye_is() -> None:
    masks = np.zeros((2, 96, 144), bool)
    masks[1, 43:54, 95:106] = True
    seen = Prediction("a", {}, {}, masks.astype(np.float32), masks, SCHEMA.labels)
    regions = Eye(laterality="OD").regions(seen)
    assert regions is not None
    assert regions.disc == (48.0, 100.0)
    assert regions.fovea[1] < 100 - 2.4 * 11
    assert regions.assumed == ("fovea",)
    known = Eye(DISC, FOVEA).regions(seen)
    assert known is not None
    assert (known.disc, known.fovea, known.assumed) == (DISC, FOVEA, ())
    assert Eye().regions(Prediction("a", {}, {}, masks[:0].astype(np.float32), masks[:0], ())) is None
    everywhere = np.ones((2, 96, 144), np.float32)  # present, and nowhere in particular
    assert Eye().regions(Prediction("a", {}, {}, everywhere, everywhere > 0, SCHEMA.labels)) is None


def test_a_manifest_tells_of_its_images(predictor: Predictor, tmp_path: Path) -> None:
    """By their path; a file elsewhere by its name; others are read without."""
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(photograph()).save(tmp_path / name)
    rows = (
        Row("x", "a.png", disc=DISC, fovea=FOVEA, laterality="OD", spacing=(0.01, 0.02)),
        Row("b", "elsewhere/b.png", disc=DISC, fovea=FOVEA),
    )
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    found = list(predictor.many(files, cam=True, rows=Manifest(SCHEMA, rows, tmp_path)))
    first, second, third = (one for one in found if isinstance(one, ImageResult))
    assert (first.id, first.spacing, first.eye) == ("a", (0.01, 0.02), Eye(DISC, FOVEA, "OD"))
    assert first.pointed["spot_present"].highest == second.pointed["spot_present"].highest == "macula"
    assert (third.eye, third.pointed) == (Eye(), {})
