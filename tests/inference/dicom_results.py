"""Images and results for the tests of DICOM objects: a photograph, a volume and a picture, with drawn masks."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.inference.dicom.identity import Algorithm, StepResults
from foveate.inference.predictor import ImageResult

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from dicom_files import dicom, tomography

ALGORITHM = Algorithm("lesions", "1.2", "ab" * 32)
SHAPE = (24, 37)


def result(seed: int, *, spacing: tuple[float, float] | None = (0.004, 0.012)) -> ImageResult:
    """One frame with an answer and three labels; the last marks nothing."""
    rng = np.random.default_rng(seed)
    probability = rng.random((3, *SHAPE)).astype(np.float32)
    masks = probability > 0.5
    masks[2] = False
    return ImageResult(
        id=f"image{seed}",
        probabilities={"grade": {"none": 0.25, "severe": 0.75}},
        answers={"grade": "severe"},
        probability=probability,
        masks=masks,
        labels=("disc", "hard exudates of the macula", "haemorrhages"),
        image=rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8),
        spacing=spacing,
    )


def image_file(folder: Path, kind: str) -> tuple[Path, list[StepResults]]:
    """A file of a kind (photograph, volume, picture), and the results of its frames."""
    rng = np.random.default_rng(5)
    frames = 4 if kind == "volume" else 1
    results = [result(i) for i in range(frames)]
    path = folder / ("eye.png" if kind == "picture" else "eye.dcm")
    if kind == "picture":
        Image.fromarray(results[0].image).save(path)
    elif kind == "volume":
        tomography(path, rng.integers(0, 255, (frames, *SHAPE)).astype(np.uint8)).save_as(path)
    else:
        dicom(path, rng.integers(0, 255, (1, *SHAPE, 3)).astype(np.uint8), colours="RGB").save_as(path)
    return path, [StepResults(ALGORITHM, results)]
