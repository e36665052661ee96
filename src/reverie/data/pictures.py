"""Pictures that a person holds in Python, of any layout, brought to arrays (H, W, C)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from reverie.codecs import raster
from reverie.codecs.pixels import colour_of
from reverie.errors import ReverieError


def stacked(
    items: Sequence[Any] | np.ndarray, notes: list[str], name: str, finite: bool = True
) -> tuple[np.ndarray | list[np.ndarray], str | None]:
    """Bring pictures to one array (N, H, W, C) where they are alike, else to a list; and say what their channels mean.

    items: an array as `Data.from_arrays` takes, or arrays, tensors or Pillow images one by one; what was changed goes to notes.
    Raises ReverieError for shapes that could be read two ways, values that are no numbers, and, where all must be finite, NaN or
    infinite ones.
    """
    pixels: np.ndarray | list[np.ndarray]
    if isinstance(items, np.ndarray):
        pixels, colour = _channels_last(_numbers(items, name), notes, name), None
    else:
        pixels, colour = _each(list(items), notes, name)
    if len(pixels) == 0:
        raise ReverieError(f"{name} is empty. Give at least one image.")
    if finite and (odd := unusable(pixels)):
        others = f", and {len(odd) - 1:,} more of {len(pixels):,} do" if len(odd) > 1 else ""
        raise ReverieError(
            f"{name}: item {next(iter(odd))} holds NaN or infinite values{others}. Remove it, or fill them in; of a file, "
            "`reverie info` counts them and `reverie prepare` sets such items aside."
        )
    return pixels, colour


def unusable(pixels: Sequence[np.ndarray] | np.ndarray) -> dict[int, int]:
    """Places of the items that hold NaN or infinite values, in order, and how many of each one's values are."""
    count = {k: int((~np.isfinite(item)).sum()) for k, item in enumerate(pixels) if item.dtype.kind == "f"}
    return {k: n for k, n in count.items() if n}


def _each(items: list[Any], notes: list[str], name: str) -> tuple[np.ndarray | list[np.ndarray], str | None]:
    """Turn separate pictures into one array where they are alike, or a list."""
    pixels, said, colours = [], Counter[str](), set()
    for k, item in enumerate(items):
        where: list[str] = []
        if isinstance(item, Image.Image):
            picture = raster.of_pillow(item)
            pixels.append(picture.pixels)
            colours.add(picture.header.colour)
            where.extend(picture.header.changes)
        else:
            array = _numbers(np.asarray(item), f"{name}[{k}]")
            pixels.append(_channels_last(array[None], where, f"{name}[{k}]")[0])
            colours.add(colour_of(pixels[-1].shape[2], str(pixels[-1].dtype)))
        said.update(where)
    notes.extend(f"{n:,} items: {words}" for words, n in said.items())
    alike = len({(p.shape, p.dtype) for p in pixels}) == 1
    return (np.stack(pixels) if alike else pixels), (colours.pop() if len(colours) == 1 else None)


def _numbers(pixels: np.ndarray, name: str) -> np.ndarray:
    """Refuse what is no real number; booleans become 0 and 255."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind not in "uif":
        raise ReverieError(f"{name} holds {pixels.dtype} values; pixels must be whole numbers or floats.")
    return pixels


def _channels_last(array: np.ndarray, notes: list[str], name: str) -> np.ndarray:
    """Bring (N, H, W), (N, H, W, C) or (N, C, H, W) to (N, H, W, C); what could be two of them is refused.

    An axis can be the channels if it counts 1 to 4, or fewer than both others.
    """
    shape = array.shape
    if array.ndim == 3:
        if shape[2] <= 4 < min(shape[:2]):
            raise ReverieError(
                f"{name} of shape {shape} looks like one image, channels last, not {shape[0]} grey ones. "
                "A set of images is (N, height, width, channels): add the axis with array[None]."
            )
        return array[..., None]
    if array.ndim != 4:
        raise ReverieError(
            f"{name} of shape {shape} is no set of images. Give (N, height, width) or (N, height, width, channels)."
        )
    first = 1 <= shape[1] <= 4 or shape[1] < min(shape[2:])
    last = 1 <= shape[3] <= 4 or shape[3] < min(shape[1:3])
    if first == last:
        raise ReverieError(
            f"{name} of shape {shape}: cannot tell whether axis 1 or axis 3 are the channels. Give "
            "(N, height, width, channels), and, if these are channels, at most 4 or fewer than height and width."
        )
    if first:
        notes.append(f"read as channels first, {shape[1]} channels of {shape[2]}x{shape[3]}, and turned round")
        return np.ascontiguousarray(np.moveaxis(array, 1, -1))
    return array
