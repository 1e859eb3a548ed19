"""Counts, cases and a log small enough to reason about."""

from dataclasses import replace

import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.core.shapes import ellipse
from foveate.core.types import Case, Prediction
from foveate.metrics.counts import Counts

SIZE = 32
LABELS = ("disc", "cup", "drusen")
SCHEMA = LabelSchema((Question("glaucoma"), Question("grade", ("0", "1", "2"), ordered=True)), LABELS)


def make_counts(noise: float = 0.15, images: int = 24, seed: int = 0) -> Counts:
    """Two images a patient; drusen unknown in every fifth image and absent in every third; some grades unknown."""
    shape, noises = (images, 3, SIZE, SIZE), np.random.default_rng(seed + round(100 * noise))
    masks = np.zeros(shape, bool)
    masks[:, 0], masks[:, 1] = ellipse((SIZE, SIZE), (16, 16), (8, 7)), ellipse((SIZE, SIZE), (16, 16), (4, 4))
    masks[np.arange(images) % 3 > 0, 2] = ellipse((SIZE, SIZE), (6, 6), (3, 3))
    known = np.ones(shape, bool)
    known[::5, 2] = False
    truth = np.random.default_rng(99)
    answers = np.stack([truth.integers(0, 2, images), truth.integers(0, 3, images)], 1)
    answers[::7, 1] = -1
    probability = np.clip(0.2 + 0.6 * masks + noise * noises.standard_normal(shape), 0, 1)
    yes = np.clip(0.35 + 0.3 * answers[:, 0] + noise * noises.standard_normal(images), 0.01, 0.99)
    grade = np.eye(3)[answers[:, 1]] + 0.1 + noise * noises.random((images, 3))
    grade /= grade.sum(1, keepdims=True)
    return Counts.of(
        SCHEMA,
        images=[f"i{k}" for k in range(images)],
        groups=[f"p{k // 2}" for k in range(images)],
        probability=probability,
        predicted=probability >= 0.5,
        masks=masks,
        known=known,
        answer_probability={"glaucoma": np.stack([1 - yes, yes], 1), "grade": grade},
        given={"glaucoma": (yes >= 0.5).astype(int), "grade": grade.argmax(1)},
        answers=answers,
    )


def make_case(name: str = "eye1", score: float | None = 0.5) -> Case:
    """Disc found half, cup found, drusen a false alarm; the left quarter is unknown; one map an answer."""
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    masks, predicted, known = np.zeros((3, 3, SIZE, SIZE), np.uint8)
    masks[0, 8:16, 8:16], masks[1, 20:24, 20:24] = 1, 1
    predicted[0, 8:16, 12:20], predicted[1], predicted[2, 28:31, 28:31] = 1, masks[1], 1
    known[:, :, 8:] = 1
    cam = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    prediction = Prediction(
        name,
        {"glaucoma": {"no": 0.3, "yes": 0.7}, "grade": {"0": 0.1, "1": 0.2, "2": 0.7}},
        {"glaucoma": "yes", "grade": "2"},
        predicted.astype(np.float32),
        predicted.astype(bool),
        LABELS,
        {"glaucoma": {"yes": cam}, "grade": {"0": cam, "1": 1 - cam, "2": cam}},
    )
    return Case(image, masks, known, {"glaucoma": "no"}, prediction, score)


@pytest.fixture(scope="session")
def counts() -> Counts:
    return make_counts()


@pytest.fixture(scope="session")
def clean() -> Counts:
    """Without a false pixel."""
    return make_counts(0.02)


@pytest.fixture(scope="session")
def noisy() -> Counts:
    return make_counts(0.5)


@pytest.fixture
def case() -> Case:
    return make_case()


@pytest.fixture
def unscored(case: Case) -> Case:
    return replace(case, score=None)


@pytest.fixture
def cases() -> list[Case]:
    return [make_case(f"eye{k:02d}", k / 20) for k in range(11)]


@pytest.fixture
def log() -> list[dict]:
    return [
        {
            "stage": stage,
            "epoch": epoch,
            "step": 10 * epoch,
            "lr": 1e-3,
            "train": {"grade": 1 / (epoch + 1), "overlap": 0.5},
            "val": {
                "loss": 2.0 / (epoch + 1),
                "dice": 1 - 0.5 / (epoch + 1),
                "auc": float("nan") if epoch == 0 else 0.9,
            },
            "best": epoch == 3,
        }
        for stage in ("cm_cnn", "cam_unet")
        for epoch in range(5)
    ]
