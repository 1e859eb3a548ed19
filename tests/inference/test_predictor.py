"""One image in, what is there and where out: in the image's own pixels, whatever its size, or a reason why not."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from foveate.core.labels import LabelSchema, Question
from foveate.core.shapes import ellipse
from foveate.core.types import Outputs
from foveate.data import read
from foveate.data.loader import collate
from foveate.data.prepare import Prepare
from foveate.engine.checkpoint import save_weights
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run, StagePipeline
from foveate.inference.predictor import ImageResult, Predictor, UnreadImage
from foveate.inference.write_results import list_images, write_reading
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh
from foveate.models.cam import grad_cam, normalise, of_answer, on_image
from foveate.models.joint import Joint

SCHEMA = LabelSchema(
    (Question("spot_present", evidence=("spot",)), Question("size", ("none", "small", "large"), ordered=True)),
    ("spot", "bright"),
)


class Bright(nn.Module):
    """Marks what is bright; its answers grow with how much of the image is. Nothing to learn, so truth is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Parameter(torch.tensor([0.75, 0.25]))

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        grey = image.mean(1, keepdim=True)
        pixel = 40 * (grey - self.cut[None, :, None, None])
        coarse = torch.nn.functional.avg_pool2d(grey, 8) * 1.0
        share = coarse.mean((2, 3))
        answers = torch.cat([40 * (share - 0.4), -10 * share, share, 10 * share], 1)
        return Outputs(pixel=pixel, image=answers, features=(coarse,))


def bright(folder: Path, **prepare: object) -> Run:
    """A run of the network above."""
    settings: dict[str, object] = {"size": 96, **prepare}
    stage = Stage("bright", network=Bright, loss=Weigh(pixels=(1.0, bce)))
    run = Run(folder, Recipe(SCHEMA, Prepare(**settings), (stage,), precision="fp32"))  # type: ignore[arg-type]
    save_weights(run.stage_folder("bright") / "weights.safetensors", Bright())
    return run


def photograph(shape: tuple[int, int], *, border: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A grey field with a white spot off its centre, black around; and the spot."""
    rows, cols = shape
    image = np.zeros((rows, cols, 3), np.uint8)
    image[border : rows - border, border : cols - border] = 110
    spot = ellipse(shape, (rows * 0.4, cols * 0.6), (rows * 0.18, cols * 0.12), 0.3)
    image[spot] = 255
    return image, spot


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return Predictor(bright(tmp_path / "run"), device="cpu")


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("shape", [(96, 96), (97, 211), (333, 120), (61, 60)])
@pytest.mark.parametrize(("crop", "border"), [(False, 0), (True, 13)])
def test_masks_lie_where_things_are_in_the_original(
    shape: tuple[int, int], crop: bool, border: int, tmp_path: Path
) -> None:
    """Also with odd sizes, padding on either side, and a field that was cropped before."""
    predictor = Predictor(bright(tmp_path, crop_field=crop, grey=crop), device="cpu")
    pixels, spot = photograph(shape, border=border)
    before = pixels.copy()
    reading = predictor(pixels)
    assert reading.masks.shape == reading.probability.shape == (2, *shape)
    assert overlap(reading.masks[0], spot) > 0.85
    assert overlap(reading.masks[1], pixels[:, :, 0] > 64) > 0.9
    assert 0 <= reading.probability.min() <= reading.probability.max() <= 1
    if border:
        outside = np.ones(shape, bool)
        outside[border - 4 : 4 - border, border - 4 : 4 - border] = False
        assert not reading.masks[:, outside].any()
    np.testing.assert_array_equal(pixels, before)


def test_stretched_frames_come_back_too(tmp_path: Path) -> None:
    pixels, spot = photograph((75, 200))
    reading = Predictor(bright(tmp_path, size=(64, 128), stretch=True), device="cpu")(pixels)
    assert overlap(reading.masks[0], spot) > 0.85


def test_a_file_and_its_array_read_alike(predictor: Predictor, tmp_path: Path) -> None:
    pixels, _ = photograph((80, 101))
    Image.fromarray(pixels).save(tmp_path / "eye 1.png")
    array, file = predictor(pixels), predictor(tmp_path / "eye 1.png")
    assert (array.id, file.id, predictor(pixels, name="mine").id) == ("image", "eye 1", "mine")
    np.testing.assert_array_equal(array.probability, file.probability)
    assert array.answers == file.answers
    np.testing.assert_array_equal(file.image, pixels)
    with pytest.raises(ValueError, match=r"image is uint8 of shape \(80, 101\); give RGB"):
        predictor(pixels[:, :, 0])
    with pytest.raises(ValueError, match="image is float64"):
        predictor(pixels / 255)


def test_json_holds_what_was_read(predictor: Predictor) -> None:
    pixels, spot = photograph((80, 101))
    reading = predictor(pixels, spacing=(0.02, 0.01))
    data = json.loads(json.dumps(reading.to_json()))
    assert set(data) == {"id", "size", "answers", "probabilities", "areas", "presence", "runtime", "spacing_mm"}
    assert data["size"] == [80, 101]
    assert data["spacing_mm"] == [0.02, 0.01]
    assert set(data["probabilities"]["size"]) == {"none", "small", "large"}
    for question, given in data["answers"].items():
        probabilities = data["probabilities"][question]
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert given == max(probabilities, key=probabilities.__getitem__)
    count = int(reading.masks[0].sum())
    assert data["areas"]["spot"]["pixels"] == count
    assert data["areas"]["spot"]["mm2"] == pytest.approx(count * 0.02 * 0.01)
    assert count == pytest.approx(spot.sum(), rel=0.1)
    assert data["presence"]["spot"] == pytest.approx(float(reading.probability[0].max()), abs=1e-6)
    without = predictor(pixels).to_json()
    assert "spacing_mm" not in without
    assert set(without["areas"]["spot"]) == {"pixels"}


def test_cams_lie_on_the_original_pixels(predictor: Predictor) -> None:
    pixels, spot = photograph((90, 133))
    reading = predictor(pixels, cam=True)
    assert set(reading.cam) == {"spot_present", "size"}
    assert list(reading.cam["size"]) == ["none", "small", "large"]
    for answers in reading.cam.values():
        for cam in answers.values():
            assert cam.shape == (90, 133)
            assert cam.dtype == np.float32
            assert 0 <= cam.min() <= cam.max() <= 1 + 1e-6
    yes, no = reading.cam["spot_present"]["yes"], reading.cam["spot_present"]["no"]
    assert yes[spot].mean() > 1.5 * yes[~spot].mean()
    assert not no.any()  # brightness speaks for "yes" alone
    assert predictor(pixels).cam == {}


def test_maps_cost_no_second_pass_if_the_head_is_linear(tmp_path: Path) -> None:
    stage = Stage("joint", network=partial(Joint, "resnet10t", SCHEMA), loss=Weigh(pixels=(1.0, bce)))
    run = Run(tmp_path, Recipe(SCHEMA, Prepare(size=64), (stage,), precision="fp32"))
    save_weights(run.stage_folder("joint") / "weights.safetensors", stage.network())
    predict, calls = Predictor(run, device="cpu"), []
    pixels, _ = photograph((80, 70))
    predict(pixels)  # folds the normalisation
    assert isinstance(predict.backend.pipeline, StagePipeline)
    predict.backend.pipeline.networks["joint"].register_forward_pre_hook(lambda *_: calls.append(1))
    found = predict(pixels, cam=True)
    assert calls == [1]
    sample = predict.recipe.prepare.image_only(pixels, schema=SCHEMA, id="eye")
    batch = collate([sample], SCHEMA)
    with_gradients = grad_cam(predict.backend.pipeline.networks["joint"], batch.image, target=of_answer(2))
    full = sample.geometry.undo(on_image(normalise(with_gradients), size=(64, 64)))[0]
    np.testing.assert_allclose(found.cam["size"]["small"], full, atol=1e-4)


def test_thresholds_decide_yes_and_no(tmp_path: Path) -> None:
    run = bright(tmp_path)
    pixels, _ = photograph((96, 96))
    probability = Predictor(run, device="cpu")(pixels).probabilities["spot_present"]["yes"]
    for cut, answer in ((probability - 1e-3, "yes"), (probability + 1e-3, "no")):
        reading = Predictor(run, device="cpu", thresholds={"spot_present": cut})(pixels)
        assert reading.answers["spot_present"] == answer
        assert reading.probabilities["spot_present"]["yes"] == pytest.approx(probability)


def test_the_overlay_is_a_picture(predictor: Predictor, tmp_path: Path) -> None:
    pixels, spot = photograph((100, 140))
    picture = predictor(pixels).overlay()
    picture.save(tmp_path / "overlay.png")
    opened = read.image(tmp_path / "overlay.png")
    assert opened.shape[0] >= 100
    assert opened.shape[1] == 140
    drawn = opened[:100]
    assert (drawn != pixels).any(2)[spot].any()
    assert predictor(pixels).overlay(width=70).size[0] == 70
    seen = predictor(pixels)
    everywhere = np.ones_like(seen.probability)  # present, and nowhere in particular: nothing to draw
    whole = replace(seen, probability=everywhere, masks=everywhere > 0)
    bare = replace(seen, probability=everywhere[:0], masks=everywhere[:0] > 0, labels=())
    np.testing.assert_array_equal(np.asarray(whole.overlay()), np.asarray(bare.overlay()))


def test_what_cannot_be_read_does_not_stop_the_rest(predictor: Predictor, tmp_path: Path) -> None:
    pixels, _ = photograph((70, 81))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    (tmp_path / "c.jpg").write_text("no image")
    Image.fromarray(pixels[::2]).save(tmp_path / "d.png")
    files = [tmp_path / name for name in ("a.png", "b.png", "c.jpg", "gone.png", "d.png")]
    found = list(predictor.many(files))
    assert [type(reading) for reading in found] == [ImageResult, UnreadImage, UnreadImage, UnreadImage, ImageResult]
    assert [r.id for r in found if isinstance(r, ImageResult)] == ["a", "d"]
    unread = {r.path.name: r.reason for r in found if isinstance(r, UnreadImage)}
    assert "cannot be decoded" in unread["b.png"]
    assert "cannot be decoded" in unread["c.jpg"]
    assert unread["gone.png"] == "there is no such file"


def test_readings_are_written(predictor: Predictor, tmp_path: Path) -> None:
    pixels, _ = photograph((70, 81))
    reading = predictor(pixels, cam=True, name="eye")
    path = write_reading(reading, tmp_path / "out", name="eye_2")
    data = json.loads(path.read_text())
    assert path == tmp_path / "out" / "eye_2.json"
    assert data["files"]["masks"] == {"spot": "eye_2_spot.png", "bright": "eye_2_bright.png"}
    for label, mask in zip(reading.labels, reading.masks, strict=True):
        stored = np.array(Image.open(path.parent / data["files"]["masks"][label]))
        np.testing.assert_array_equal(stored, mask * np.uint8(255))
    cams = [file for answers in data["files"]["cam"].values() for file in answers.values()]
    assert len(cams) == 5
    written = {*data["files"]["masks"].values(), data["files"]["overlay"], *cams, path.name}
    assert {p.name for p in path.parent.iterdir()} == written
    assert all(read.size(path.parent / name)[1] == 81 for name in cams)
    assert "cam" not in json.loads(write_reading(replace(reading, cam={}), tmp_path / "plain").read_text())["files"]


def test_folders_are_listed(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.tiff", "notes.txt", "deep/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = list_images([tmp_path, tmp_path / "notes.txt"])
    assert [p.name for p in listed] == ["a.JPG", "b.png", "c.tiff", "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no image there; see the formats with"):
        list_images([tmp_path / "empty"])


def test_a_network_that_does_not_answer_or_mark(tmp_path: Path) -> None:
    """No masks and no CAM are made up."""

    class Half(Bright):
        def __init__(self, part: str) -> None:
            super().__init__()
            self.part = part

        def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
            whole = super().forward(image, prior)
            return whole._replace(**{self.part: None})

    pixels, _ = photograph((70, 81))
    for part in ("pixel", "image"):
        run = bright(tmp_path / part)
        stage = replace(run.recipe.stages[0], network=lambda part=part: Half(part))
        reading = Predictor(Run(run.folder, replace(run.recipe, stages=(stage,))), device="cpu")(pixels, cam=True)
        assert (reading.labels == ()) == (part == "pixel")
        assert reading.masks.shape == (0 if part == "pixel" else 2, 70, 81)
        assert (reading.answers == {}) == (part == "image")
        assert (reading.cam == {}) == (part == "image")
        assert reading.to_json()["areas"].keys() == set(reading.labels)


def test_no_run_is_no_predictor(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no run there \(recipe\.json is missing\)"):
        Predictor.load(tmp_path)


def test_a_volume_is_read_scan_by_scan(predictor: Predictor, tmp_path: Path) -> None:
    pixels, _ = photograph((70, 81))
    pages = [Image.fromarray(np.roll(pixels, shift, 1)) for shift in (0, 8, 16)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    found = [r for r in predictor.many([tmp_path / "stack.tif"]) if isinstance(r, ImageResult)]
    assert [reading.id for reading in found] == ["stack_b000", "stack_b001", "stack_b002"]
    for reading, page in zip(found, pages, strict=True):
        np.testing.assert_array_equal(reading.image, np.asarray(page))
    alone = predictor(tmp_path / "stack.tif", frame=1)
    np.testing.assert_array_equal(alone.masks, found[1].masks)


def test_the_next_images_are_decoded_meanwhile_and_no_more(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results keep their order, a broken image costs only itself, and few images wait in memory."""
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for i, path in enumerate(paths):
        Image.fromarray(photograph((60 + i, 70))[0]).save(path)
    paths[4].write_bytes(b"no image")
    decoded: list[str] = []
    file = Prepare.file

    def counted(prepare: Prepare, path: Path, *, frame: int | None = None) -> object:
        decoded.append(path.stem)
        return file(prepare, path, frame=frame)

    monkeypatch.setattr(Prepare, "file", counted)
    found = predictor.many(paths)
    for i in range(3):
        result = next(found)
        assert isinstance(result, ImageResult)
        assert (result.id, result.image.shape[0]) == (str(i), 60 + i)
    assert len(decoded) <= 3 + 2
    rest = list(found)
    assert isinstance(rest[1], UnreadImage)
    assert [one.id for one in rest if isinstance(one, ImageResult)] == ["3", *map(str, range(5, 12))]
    stopped = predictor.many(paths)
    next(stopped)
    stopped.close()
    assert len(decoded) <= 11 + 3
