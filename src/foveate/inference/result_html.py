"""An ImageResult as a notebook shows it: the overlay beside answers, probabilities and areas."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from foveate.core.notebook import summary

if TYPE_CHECKING:
    from foveate.inference.image_result import ImageResult

WIDTH = 480  # pixels of the picture; a photograph of 4000 pixels would make a notebook of 20 MB


def result_html(result: ImageResult) -> str:
    """Return the overlay (at most 480 pixels wide) and the answers as HTML without scripts or links."""
    picture = result.overlay(width=min(WIDTH, result.image.shape[1]))
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    pairs: list[tuple[str, object]] = []
    for question, answer in result.answers.items():
        probability = result.probabilities.get(question, {}).get(answer)
        pairs.append((question, answer if probability is None else f"{answer} (probability {probability:.2f})"))
    for label, area in result.areas(result.spacing).items():
        pairs.append((f"area of {label}", ", ".join(f"{value:.4g} {unit}" for unit, value in area.items())))
    name = escape(result.id, quote=True)
    return f'<img alt="{name}" src="data:image/png;base64,{data}">{summary(result.id, pairs)}'
