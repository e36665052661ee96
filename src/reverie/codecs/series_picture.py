"""A series drawn as lines over time, the way a person looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reverie.codecs.series_items import Series

if TYPE_CHECKING:
    from reverie.codecs.series import SeriesCodec

_WIDTH, _HEIGHT, _EDGE, _FINER = 220, 110, 6, 2  # of a picture; drawn twice as large and reduced, for smooth lines
_REACH = 3.2  # standard deviations from the middle to the edge
_MOST = 8  # channels that are drawn
_COLOURS = (
    (31, 119, 180), (214, 95, 14), (44, 140, 60), (180, 40, 60), (120, 90, 170), (120, 85, 75), (200, 90, 170), (110, 110, 110),
)  # fmt: skip


def drawn(codec: SeriesCodec, item: Series) -> np.ndarray:
    """Each channel as a line, in the spread that training had, uint8 (H, W, 3); what was not observed is left out."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (_WIDTH * _FINER, _HEIGHT * _FINER), "white")
    pen = ImageDraw.Draw(page)
    wide, high, edge = page.width, page.height, _EDGE * _FINER
    pen.line([(edge, high // 2), (wide - edge, high // 2)], fill=(225, 225, 225), width=_FINER)
    z = codec.encoded(item)[-len([c for c in codec.channels if c["kind"] == "number"]) :][:_MOST]
    across = edge + (wide - 2 * edge) * np.arange(z.shape[1]) / max(codec.length - 1, z.shape[1] - 1, 1)
    up = high / 2 - (high / 2 - edge) * np.clip(z / _REACH, -1, 1)
    for k in reversed(range(len(z))):
        for part in np.split(np.arange(z.shape[1]), np.flatnonzero(np.diff(np.isnan(z[k]))) + 1):
            points = [(float(across[t]), float(up[k, t])) for t in part if not np.isnan(z[k, t])]
            if len(points) == 1:
                (x, y), r = points[0], 2 * _FINER
                pen.ellipse([x - r, y - r, x + r, y + r], fill=_COLOURS[k])
            elif points:
                pen.line(points, fill=_COLOURS[k], width=2 * _FINER, joint="curve")
    return np.asarray(page.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS))
