"""Small pictures inside the page: an encoded item becomes a data URI with words for those who cannot see it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from reverie.codecs import Codec
from reverie.codecs.sheets import on_paper
from reverie.errors import ReverieError

EXACT = 64  # pixels a side, up to which a picture is kept bit for bit and enlarged without smoothing
LARGEST = 192  # pixels a side that a larger picture is reduced to
QUALITY = 90  # of the WebP that a larger picture is kept as: a tenth of the bytes of a PNG


class Tile(NamedTuple):
    """One picture of the page: its data URI, alternative text, caption, and whether its pixels are shown as squares."""

    src: str
    alt: str
    note: str = ""
    pixelated: bool = True


def tile(codec: Codec, x: np.ndarray, alt: str, note: str = "") -> Tile:
    """Picture one encoded item (C, *), as its codec shows it; what is out of range is clipped, as in a saved sample."""
    picture = Image.fromarray(on_paper(codec.picture(codec.decode(x))))
    small = max(picture.size) <= EXACT
    return Tile(_embedded(picture, LARGEST), alt, note, small)


def of_sheet(codec: Codec, items: Sequence[Any], alt: str, side: int = 900) -> Tile:
    """Picture several items as one, for kinds that are looked at together."""
    return Tile(_embedded(Image.fromarray(codec.sheet(items)), side, exact=side), alt, pixelated=False)


def from_file(path: Path, alt: str, note: str, side: int = 600) -> Tile:
    """Picture an image file, reduced to at most `side` pixels; raises ReverieError where it cannot be read."""
    try:
        with Image.open(path) as found:
            picture = found.convert("RGB")
    except OSError as error:
        raise ReverieError(f"{path} cannot be shown in the report: {error}.") from error
    return Tile(_embedded(picture, side, exact=side), alt, note, pixelated=False)


def width(codec: Codec) -> int:
    """Width in CSS pixels at which items are shown, so that pictures of any shape cover about the same area."""
    high, wide = codec.picture(codec.decode(np.zeros(codec.field.shape, np.float32))).shape[:2]
    side = 80 if max(high, wide) <= EXACT else 104
    return round(min(max(side * math.sqrt(wide / high), 28), 280))


def _embedded(picture: Image.Image, side: int, exact: int = EXACT) -> str:
    """Data URI of a picture of at most `side` pixels: PNG where it is no larger than `exact`, else WebP."""
    kind, options = ("png", {"optimize": True}) if max(picture.size) <= exact else ("webp", {"quality": QUALITY})
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
