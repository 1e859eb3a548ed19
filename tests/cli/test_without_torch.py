"""Data sets are scanned, checked, split, merged and exported without torch, which takes seconds to import."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question

SOURCE = Path(__file__).parent.parent.parent / "src"
HEAVY = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "matplotlib", "sklearn", "tensorboard")
BLOCK = f"import sys\nfor name in {HEAVY}:\n    sys.modules[name] = None\n"
TENSORS = ("foveate.data.loader",)
"""What makes tensors, and so needs torch."""


def run(code: str, *words: object) -> str:
    """Run Python code in a process of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, cwd=SOURCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*words: object) -> str:
    """Run a foveate command with torch and the like blocked."""
    return run(BLOCK + "from foveate.cli.main import main\nsys.argv[0] = 'foveate'\nmain()", *words)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of twelve drawn images of six patients."""
    from foveate.data import synthetic
    from foveate.data.manifest import Manifest

    folder = tmp_path_factory.mktemp("drawn")
    rows = synthetic.write("enface", folder / "data", n=12, seed=1, size=64)
    path = folder / "m.jsonl"
    Manifest(synthetic.SCHEMAS["enface"], tuple(rows), folder / "data").write(path)
    return path


def test_core_and_data_import_without_torch() -> None:
    names = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for room in ("core", "data", "cli/commands")
        for path in sorted((SOURCE / "foveate" / room).rglob("*.py"))
    ]
    light = [name for name in names if name not in TENSORS]
    assert len(light) > 90
    assert set(TENSORS) < set(names)
    run(BLOCK + "from importlib import import_module\nfor name in sys.argv[1:]:\n    import_module(name)", *light)


def test_data_commands_work_without_torch(drawn: Path, tmp_path: Path) -> None:
    parts, folder = tmp_path / "split.jsonl", tmp_path / "folder"
    assert "test" in command("split", drawn, "--out", parts)
    assert "12 of 12 images" in command("export", parts, "--to", "folder", "--out", folder)
    again = tmp_path / "again.jsonl"
    assert "12 images" in command("scan", folder / "dataset.toml", folder, "--out", again)
    assert "24 images" in command("merge", parts, again, "--out", tmp_path / "merged.jsonl")
    assert "12" in command("check", again, "--workers", "0")
    assert "12 images" in command("consensus", again, "--out", tmp_path / "settled.jsonl")
    assert "images" in command("cache")
    assert "idrid" in command("list", "adapters")


def test_a_crop_about_a_mask_needs_no_torch(drawn: Path, tmp_path: Path) -> None:
    assert "12 images" in command("crop", drawn, "--around", "nerve_head", "--out", tmp_path / "cut")


def test_split_starts_quickly(drawn: Path, tmp_path: Path) -> None:
    """1 s of processor time on two slow cores, 2 s if they are busy, mostly numpy, typer, pydantic; torch took 4 to 6.

    The bound is a multiple of the time that these three take, as the load of a machine changes from minute to minute.
    """
    spent = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_utime)"
    least = float(run("import numpy, pydantic, typer\n" + spent))
    code = (
        "import atexit, resource, sys\nfrom foveate.cli.main import main\nsys.argv[0] = 'foveate'\n"
        "atexit.register(lambda: print(len(sys.modules), 'torch' in sys.modules, 'scipy' in sys.modules, "
        "resource.getrusage(resource.RUSAGE_SELF).ru_utime))\nmain()"
    )
    printed = run(code, "split", drawn, "--out", tmp_path / "split.jsonl").splitlines()[-1].split()
    assert printed[1:3] == ["False", "False"]
    assert int(printed[0]) < 1100
    assert float(printed[3]) < 3 * least + 1


def test_the_package_itself_is_light() -> None:
    code = "import sys, foveate\nprint(sorted({'numpy', 'typer', 'torch'} & {*sys.modules}), len(dir(foveate)))"
    assert run(code).startswith("[] ")


def test_numpy_and_torch_decide_alike() -> None:
    """The schema gives the same probabilities, logits and masks of numpy arrays as of tensors."""
    import torch

    rng = np.random.default_rng(0)
    questions = (Question("bleeding"), Question("grade", ("0", "1", "2")))
    for exclusive in (False, True):
        schema = LabelSchema(questions, ("a", "b"), exclusive=exclusive)
        logits = rng.normal(size=(3, schema.image_channels)) * 8
        pixels = rng.normal(size=(3, schema.pixel_channels, 5, 7)) * 8
        ours, theirs = schema.image_probability(logits), schema.image_probability(torch.from_numpy(logits))
        for name, p in ours.items():
            np.testing.assert_allclose(p, theirs[name].numpy(), rtol=1e-9)
        np.testing.assert_allclose(schema.image_logits_of(ours), schema.image_logits_of(theirs).numpy(), rtol=1e-6)
        for step in (schema.pixel_probability, schema.channel_probability, schema.activation_probability):
            np.testing.assert_allclose(step(pixels), step(torch.from_numpy(pixels)).numpy(), rtol=1e-9)
        np.testing.assert_allclose(
            schema.pixel_log_probability(pixels), schema.pixel_log_probability(torch.from_numpy(pixels)).numpy()
        )
        whole = schema.channel_probability(pixels)
        np.testing.assert_allclose(schema.logits_of(whole), schema.logits_of(torch.from_numpy(whole)).numpy())
        p = schema.pixel_probability(pixels)
        t = torch.from_numpy(p)
        for cuts in (None, {"a": 0.3}):
            mask = schema.masks(p, thresholds=cuts)
            assert mask.dtype == bool
            assert 0 < mask.mean() < 1
            np.testing.assert_array_equal(mask, schema.masks(t, thresholds=cuts).numpy())
        np.testing.assert_array_equal(schema.contenders(p), schema.contenders(t).numpy())
        np.testing.assert_allclose(schema.without(p, ["a"]), schema.without(t, ["a"]).numpy(), rtol=1e-9)
