"""Pictures inside a page: a PIL image or a chart as a data URI with its size and its words."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from foveate.report import canvas


@dataclass(frozen=True)
class Shot:
    """One picture as the page's template takes it."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""

    @property
    def grow(self) -> str:
        """Share of a line that it takes beside others: its width over its height."""
        return f"{self.width / self.height:.2f}"


def photo(picture: Image.Image, *, alt: str, caption: str = "") -> Shot:
    """A JPEG of full colour resolution: halved chroma would blur outlines one pixel wide."""
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, format="JPEG", quality=86, subsampling=0, optimize=True)
    return Shot(_uri("image/jpeg", stream.getvalue()), *picture.size, alt, caption)


def chart(figure: Figure, *, alt: str, caption: str = "", dpi: int = 150) -> Shot:
    """A PNG of a chart, shown at its size in inches (96 CSS pixels each)."""
    width, height = (round(96 * side) for side in figure.get_size_inches())
    return Shot(_uri("image/png", canvas.png(figure, dpi=dpi)), width, height, alt, caption)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
