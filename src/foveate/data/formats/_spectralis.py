"""Reflectivity to grey, as all formats of one camera family need it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from foveate.data.formats._pixels import Pixels

NOTHING = 1.99
"""Values above mean that there is no measurement (the largest float of a .vol, the largest number of an .e2e)."""


def shown(reflectivity: Float[np.ndarray, "h w"]) -> Pixels:
    """Reflectivity r in [0, 1] as the camera's own viewer shows it: (log(r + 0.000244) + 8.3) / 8.285, black to white.

    What has no measurement is black. The formula is the one of the eyepy library, which fitted it to exported images.

    Raises:
        ValueError: a value is not a number.
    """
    if not (finite := np.isfinite(reflectivity)).all():
        raise ValueError(f"{int((~finite).sum())} of {finite.size} values are not numbers; export it again")
    lit = (np.log(np.clip(reflectivity, 0, 1).astype(np.float64) + 2.44e-4) + 8.3) / 8.285
    lit[reflectivity > NOTHING] = 0
    grey: UInt8[np.ndarray, "h w"] = np.rint(np.clip(lit, 0, 1) * 255).astype(np.uint8)
    return Pixels(grey)
