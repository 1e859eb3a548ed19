"""A bundle reads as its run does, without PyTorch, and a changed one is refused by name."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundle_cases import Tiny, photograph, tiny_run
from PIL import Image

from foveate.core.decisions import Decisions
from foveate.core.files import write_json
from foveate.inference.bundles.check import verify
from foveate.inference.bundles.folder import BUNDLE, FORMAT, open_folder
from foveate.inference.bundles.write import digest_of_id, united, write_bundle
from foveate.inference.image_result import ImageResult
from foveate.inference.predictor import Predictor

pytest.importorskip("onnxruntime")

SOURCE = Path(__file__).parent.parent.parent / "src"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with a calibration, and its bundle."""
    folder = tmp_path_factory.mktemp("bundles")
    run = tiny_run(folder / "run")
    write_json(run.folder / "splits.json", {"anna": "train", "otto": "test"})
    calibrated = Decisions(temperatures={"size": 2.0}, thresholds={"spot_present": 0.3}, cuts={"spot": 0.4})
    write_json(run.folder / "calibration.json", calibrated.to_json())
    write_bundle([run], folder / "bundle")
    return folder / "run", folder / "bundle"


def alike(one: ImageResult, other: ImageResult, *, maps: float = 1e-3) -> None:
    """Probabilities within 1e-4, masks in 99.99 % of pixels, maps within 1e-3."""
    assert one.labels == other.labels
    assert one.answers == other.answers
    for question, answers in one.probabilities.items():
        assert answers == pytest.approx(dict(other.probabilities[question]), abs=1e-4)
    assert one.probability.shape == other.probability.shape
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-4)
    assert (one.masks != other.masks).mean() <= 1e-4
    assert {q: set(a) for q, a in one.cam.items()} == {q: set(a) for q, a in other.cam.items()}
    for question, answers in one.cam.items():
        for answer, full in answers.items():
            np.testing.assert_allclose(full, other.cam[question][answer], atol=maps)


@pytest.mark.parametrize("shape", [(90, 130), (64, 64), (40, 33)])
def test_a_bundle_reads_as_its_run(folders: tuple[Path, Path], shape: tuple[int, int]) -> None:
    from foveate.inference.run_backend import RunBackend

    run = tiny_run(folders[0])
    expected = Predictor(RunBackend(run, device="cpu"))(photograph(*shape), cam=True)
    found = Predictor.load(folders[1])(photograph(*shape), cam=True)
    alike(found, expected)
    assert (found.runtime, expected.runtime) == ("onnx fp32", "torch fp32")
    assert found.masks.any()
    assert not found.masks.all()
    assert max(full.max() for answers in found.cam.values() for full in answers.values()) > 0.5


def test_several_runs_become_the_mean_of_their_probabilities(tmp_path: Path) -> None:
    runs = [tiny_run(tmp_path / f"fold{seed}", seed=seed) for seed in range(2)]
    write_json(runs[1].folder / "calibration.json", Decisions(temperatures={"size": 4.0}).to_json())
    write_bundle(runs, tmp_path / "bundle")
    expected = Predictor(united(runs), device="cpu")(photograph(), cam=True)
    found = Predictor.load(tmp_path / "bundle")(photograph(), cam=True)
    alike(found, expected)
    alone = Predictor(runs[0], device="cpu")(photograph())
    assert np.abs(alone.probability - found.probability).max() > 0.01
    assert [run["folder"] for run in open_folder(tmp_path / "bundle").about["runs"]] == ["fold0", "fold1"]


def test_maps_without_a_closed_form_are_refused_by_reason(tmp_path: Path) -> None:
    write_bundle([tiny_run(tmp_path / "run", network=Tiny)], tmp_path / "bundle")
    predictor = Predictor.load(tmp_path / "bundle")
    alike(predictor(photograph()), Predictor(tiny_run(tmp_path / "run", network=Tiny), device="cpu")(photograph()))
    with pytest.raises(ValueError, match=r"no activation maps in this bundle \(an answer of the run is not linear"):
        predictor(photograph(), cam=True)


def test_verify_reads_the_drawn_images(folders: tuple[Path, Path]) -> None:
    found = verify(folders[1], Predictor.load(folders[1]))
    assert len(found) == 3
    assert all(one.close for one in found)
    off = Predictor.load(folders[1])
    off.decisions = Decisions(temperatures={"size": 9.0}, cuts={"spot": 0.05, "bright": 0.9})
    wrong = verify(folders[1], off)
    assert not any(one.close for one in wrong)


def test_the_bundle_names_no_path_and_no_image(folders: tuple[Path, Path]) -> None:
    text = (folders[1] / BUNDLE).read_text()
    assert str(folders[0].parent) not in text
    assert "anna" not in text
    assert open_folder(folders[1]).about["seen"] == [digest_of_id("anna")]
    meta = json.loads((folders[1] / "configs" / "metadata.json").read_text())
    assert meta["network_data_format"]["inputs"]["image"]["spatial_shape"] == [64, 64]
    assert meta["network_data_format"]["outputs"]["pixel_logits"]["channel_def"] == {"0": "spot", "1": "bright"}
    assert not [path for path in folders[1].rglob("*") if path.suffix in (".pkl", ".pt", ".pth", ".pt2")]


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / BUNDLE).read_text())
        (folder / BUNDLE).write_text(json.dumps({**content, **changes}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_byte, r"model\.onnx: changed since the bundle was written"),
        (lambda folder: (folder / "model.onnx").unlink(), r"model\.onnx: missing; the bundle is incomplete"),
        (edit(format=FORMAT + 1), r"bundle\.json: format 2; this version reads up to 1: update foveate"),
        (edit(outputs=["pixel_logits"]), r"bundle\.json: changed since the bundle was written"),
        (edit(format="x"), r"bundle\.json: not a bundle of foveate"),
        (lambda folder: (folder / BUNDLE).write_text("{"), r"bundle\.json: not JSON"),
        (lambda folder: (folder / BUNDLE).unlink(), "no run there"),
    ],
)
def test_a_damaged_bundle_is_refused_by_name(
    folders: tuple[Path, Path], tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(folders[1], tmp_path / "copy")
    change(tmp_path / "copy")
    with pytest.raises(ValueError, match=message):
        Predictor.load(tmp_path / "copy")


def test_what_cannot_be_read_is_refused_by_name(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.load(folders[1])
    with pytest.raises(ValueError, match=r"image is uint8 of shape \(5, 90, 130\); give RGB"):
        predictor(np.zeros((5, 90, 130), np.uint8))
    with pytest.raises(ValueError, match="runtime must be one of"):
        Predictor.load(folders[1], runtime="torch")
    with pytest.raises(ValueError, match="precision of runtime 'onnx' must be one of"):
        Predictor.load(folders[1], precision="bf16")
    with pytest.raises(ValueError, match="threads must be 1 or more, got 0"):
        Predictor.load(folders[1], threads=0)
    with pytest.raises(ValueError, match="are of a bundle; this is a run folder"):
        Predictor.load(folders[0], runtime="onnx")
    with pytest.raises(ValueError, match="reads with a bundle, which has no run folder"):
        predictor.run  # noqa: B018
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"runtime 'onnx' is not installed; install it: pip install 'foveate\[onnx\]'"):
        Predictor.load(folders[1])


def test_an_operator_that_the_runtime_lacks_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    shutil.copytree(folders[1], tmp_path / "copy")
    graph = onnx.load(tmp_path / "copy" / "model.onnx")
    graph.graph.node[0].op_type = "NeverMade"
    onnx.save(graph, tmp_path / "copy" / "model.onnx")
    open_folder(folders[1]).__class__(**{**vars(open_folder(folders[1])), "folder": tmp_path / "copy"}).write()
    with pytest.raises(ValueError, match=r"model\.onnx: onnxruntime .* cannot run this graph \(.*NeverMade"):
        Predictor.load(tmp_path / "copy")


def test_images_are_read_without_pytorch(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """In a process where torch and the like cannot be imported; the command, and the class from the package's root."""
    Image.fromarray(photograph()).save(tmp_path / "eye.png")
    heavy = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "scipy", "sklearn", "matplotlib", "onnx")
    code = (
        f"import sys\nfor name in {heavy}:\n    sys.modules[name] = None\n"
        "from foveate import Predictor\nfrom foveate.cli.main import main\n"
        "bundle, image, out = sys.argv[1:]\n"
        "print(Predictor.load(bundle, threads=1)(image, cam=True).probabilities['spot_present']['yes'])\n"
        "sys.argv = ['foveate', 'predict', bundle, image, '-o', out, '--cam', '--threads', '1']\nmain()"
    )
    words = [sys.executable, "-c", code, str(folders[1]), str(tmp_path / "eye.png"), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=SOURCE)
    assert done.returncode == 0, done.stderr
    expected = Predictor(tiny_run(folders[0]), device="cpu")(photograph())
    assert float(done.stdout.split()[0]) == pytest.approx(expected.probabilities["spot_present"]["yes"], abs=1e-4)
    assert "1 of 1 images read" in done.stdout
    data = json.loads((tmp_path / "out" / "eye.json").read_text())
    assert data["runtime"] == "onnx fp32"
    mask = np.asarray(Image.open(tmp_path / "out" / "eye_spot.png")) > 0
    assert (mask != expected.masks[0]).mean() <= 1e-4
    assert (tmp_path / "out" / "eye_cam_size_none.png").is_file()


def test_the_commands_write_and_verify(folders: tuple[Path, Path]) -> None:
    from typer.testing import CliRunner

    from foveate.cli.main import app

    done = CliRunner().invoke(app, ["bundle", "verify", str(folders[1])])
    assert done.exit_code == 0, done.output
    assert "verified with onnx fp32" in done.output
    wrong = CliRunner().invoke(app, ["bundle", str(folders[0].parent / "nothing"), "-o", str(folders[0].parent / "b")])
    assert "no run there" in str(wrong.exception)


def test_openvino_reads_in_the_precision_that_is_asked_for(folders: tuple[Path, Path]) -> None:
    pytest.importorskip("openvino")
    expected = Predictor(tiny_run(folders[0]), device="cpu")(photograph(), cam=True)
    found = Predictor.load(folders[1], runtime="openvino", threads=1)(photograph(), cam=True)
    alike(found, expected)
    assert found.runtime == "openvino fp32"
    coarse = Predictor.load(folders[1], runtime="openvino", precision="bf16")
    assert coarse(photograph()).runtime == "openvino bf16"
    assert np.abs(coarse(photograph()).probability - expected.probability).max() < 0.05


def test_the_graph_takes_any_number_of_images(folders: tuple[Path, Path]) -> None:
    predictor = Predictor.load(folders[1])
    samples = [
        predictor.prepare.image_only(photograph(*shape), schema=predictor.schema, id=f"{shape}")
        for shape in ((90, 130), (64, 64), (70, 50))
    ]
    together = predictor.backend.read(samples, predictor.decisions, cam=True)
    for sample, one in zip(samples, together, strict=True):
        alone = predictor.backend.read([sample], predictor.decisions, cam=True)[0]
        np.testing.assert_allclose(one.prediction.probability, alone.prediction.probability, atol=1e-5)
        assert one.prediction.id == alone.prediction.id
        for key, full in alone.maps.items():
            np.testing.assert_allclose(one.maps[key], full, atol=1e-4)
