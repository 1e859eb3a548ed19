from collections.abc import Callable

import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.metrics.counts import Counts

SCHEMA = LabelSchema(
    (Question("grade", ("0", "1", "2", "3"), ordered=True), Question("dme"), Question("kind", ("a", "b", "c"))),
    ("disc", "cup"),
)


def arrays(n: int, *, seed: int = 0, schema: LabelSchema = SCHEMA, size: int = 6) -> dict[str, object]:
    """What `Counts.of` takes: some labels absent, some unknown, some answers unknown, scores with ties."""
    draw = np.random.default_rng(seed)
    shape = (n, len(schema.labels), size, size)
    masks = (draw.random(shape) < 0.3) & (draw.random(shape[:2]) < 0.7)[..., None, None]
    known = (draw.random(shape) < 0.8) & (draw.random(shape[:2]) < 0.9)[..., None, None]
    maps = np.where(draw.random(shape) < 0.7, masks, draw.random(shape) < 0.2) * draw.random(shape)
    truth = np.stack([draw.integers(-1 if n > 3 else 0, len(q.answers), n) for q in schema.questions], 1)
    scores = {}
    for k, q in enumerate(schema.questions):
        leaning = np.eye(len(q.answers))[truth[:, k].clip(0)] * 2 + draw.random((n, len(q.answers))) * 3
        scores[q.name] = np.round(leaning / leaning.sum(1, keepdims=True), 2)
    return {
        "images": [f"image{k:03d}" for k in range(n)],
        "groups": [f"patient{k // 2:03d}" for k in range(n)],
        "probability": maps.astype(np.float32),
        "predicted": maps >= 0.4,
        "masks": masks,
        "known": known,
        "answer_probability": scores,
        "given": {name: score.argmax(1) for name, score in scores.items()},
        "answers": truth,
    }


@pytest.fixture(scope="session")
def schema() -> LabelSchema:
    return SCHEMA


@pytest.fixture(scope="session")
def make_arrays() -> Callable[..., dict[str, object]]:
    return arrays


@pytest.fixture(scope="session")
def make_counts() -> Callable[..., Counts]:
    def make(n: int, *, seed: int = 0, schema: LabelSchema = SCHEMA, **changed: object) -> Counts:
        return Counts.of(schema, **(arrays(n, seed=seed, schema=schema) | changed))  # type: ignore[arg-type]

    return make
