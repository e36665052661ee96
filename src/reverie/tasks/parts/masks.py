"""Which entries of a picture are to be filled in: read from a picture, an array or words, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reverie.codecs.base import Field
from reverie.codecs.image import ImageCodec
from reverie.errors import ReverieError, nearest

_WORDS = ("left", "right", "top", "bottom", "centre", "border")
_MEANT = "white (or true) is what to fill, black (or false) what is known"


def read_mask(given: Any, field: Field, count: int) -> np.ndarray:
    """What to fill of `count` items of a field (C, H, W): bool, (1 or count, 1 or C, H, W).

    given: `right:0.5` and such words with a share of the width, height or area; a picture of two values, black and white;
    an array, or .npy, (H, W), (H, W, C) or (count, H, W, C), bool or of two values. Raises ReverieError for
    what cannot be read, has another size or grey values, and for an item of which nothing or everything is to be filled.
    """
    channels, height, width = field.shape
    name = "the mask" if isinstance(given, np.ndarray) else str(given)
    word = name.partition(":")[0]
    if isinstance(given, str) and (word in _WORDS or not Path(given).suffix):
        fill = _of_words(given, height, width)[..., None]
    else:
        fill = _two_valued(given if isinstance(given, np.ndarray) else _load(Path(given)), name)
        fill = fill[..., None] if fill.shape == (height, width) else fill
        expected = [(height, width, 1), (height, width, channels), *((count, height, width, c) for c in (1, channels))]
        if fill.shape not in expected:
            raise ReverieError(
                f"{name} is a mask of {'x'.join(map(str, fill.shape))}; the model's items are {height}x{width}. Make one of that "
                f"size ({_MEANT})."
            )
    fill = fill if fill.ndim == 4 else fill[None]
    each = fill.reshape(len(fill), -1)
    if not each.any(1).all():
        raise ReverieError(f"{name} leaves nothing to fill: {_MEANT}. Is it the other way round?")
    if each.all(1).any():
        raise ReverieError(f"{name} leaves nothing that is known: {_MEANT}. To draw new items, use `reverie sample`.")
    return np.moveaxis(fill, -1, 1)


def _load(path: Path) -> np.ndarray:
    """A mask file as an array."""
    if path.suffix.lower() != ".npy":
        pixels = ImageCodec.read(path)
        return pixels[..., : 3 if pixels.shape[2] == 4 else 1 if pixels.shape[2] == 2 else None]
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ReverieError(f"{path} cannot be read as a mask: {error}. Save a bool array with numpy.save.") from error


def _two_valued(mask: np.ndarray, name: str) -> np.ndarray:
    """Bool from bool, or from black and white."""
    if mask.dtype == bool:
        return mask
    white = np.iinfo(mask.dtype).max if mask.dtype.kind == "u" and mask.max(initial=0) > 1 else 1
    between = int(((mask != 0) & (mask != white)).sum())
    if between:
        raise ReverieError(
            f"{name}: {between} of {mask.size} values are neither 0 nor {white}: {_MEANT}, and there is no half. Paint without "
            "smoothing, and save as PNG."
        )
    fill = mask == white
    return fill[..., 0] if fill.ndim == 3 and (fill == fill[..., :1]).all() else fill


def _of_words(text: str, height: int, width: int) -> np.ndarray:
    """(H, W) bool of `side:share`."""
    word, _, rest = text.partition(":")
    if word not in _WORDS:
        raise ReverieError(
            f"--mask {text}: neither a picture, nor a .npy file, nor one of the words {', '.join(_WORDS)} with a share, as in "
            f"right:0.5. Did you mean {nearest(word, list(_WORDS), 1)}?"
        )
    try:
        share = float(rest or "0.5")
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ReverieError(f"--mask {text}: the share is a number between 0 and 1, as in {word}:0.5.")
    rows, columns = np.indices((height, width))
    if word in ("left", "right"):
        edge = round(share * width)
        return columns < edge if word == "left" else columns >= width - edge
    if word in ("top", "bottom"):
        edge = round(share * height)
        return rows < edge if word == "top" else rows >= height - edge
    inner = share if word == "centre" else 1 - share  # of the area
    tall, wide = round(height * inner**0.5), round(width * inner**0.5)
    top, left = (height - tall) // 2, (width - wide) // 2
    inside = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
    return inside if word == "centre" else ~inside
