"""Resizing that neither aliases nor rounds: any dtype, any number of channels."""

from __future__ import annotations

import numpy as np
from PIL import Image


def cover(pixels: np.ndarray, height: int, width: int, alpha: bool = False) -> np.ndarray:
    """Scale a picture (H, W, C) until it covers height x width, keeping its ratio, and cut the centre out.

    Each output pixel is a bicubic average over all the source pixels beneath it (support 2 max(1, scale)), computed in
    float32, then clipped to the range the channel had and rounded to its dtype: exact to half a level for integers of
    up to 24 bits. With `alpha`, the last channel weighs the others, so that the colour that hides under transparent
    pixels does not bleed into the edges; where nothing is left of alpha, colour is 0. A picture that has the size
    already is returned as it is.
    Source: Parmar, Zhang & Zhu 2022, section 3 (why: aliased resizing); Porter & Duff 1984 (premultiplied alpha).
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    channels = np.moveaxis(pixels, -1, 0)  # one at a time: a photograph is large, and its channels lie interleaved
    if not alpha:
        return rounded(np.stack([_bounded(c, _cover(c, height, width)) for c in channels], axis=-1), pixels.dtype)
    veil = channels[-1].astype(np.float32)
    weight = _bounded(veil, _cover(veil, height, width))
    colours = []
    for channel in channels[:-1]:
        sums = _cover(channel * veil, height, width)
        colours.append(_bounded(channel, np.divide(sums, weight, out=np.zeros_like(sums), where=weight > 0)))
    return rounded(np.stack([*colours, weight], axis=-1) * (weight > 0)[..., None], pixels.dtype)


def rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Cast floats to a dtype: to the nearest level for integers, within the dtype's range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    # the largest 64-bit integers are no floats: the last float below them keeps the cast from wrapping round
    top = info.max if dtype.itemsize < 8 else np.nextafter(float(info.max), 0)
    return np.clip(np.rint(values), info.min, top).astype(dtype)


def _bounded(channel: np.ndarray, resized: np.ndarray) -> np.ndarray:
    """Take back what bicubic weights, some of them negative, have put beyond the channel's own range."""
    return np.clip(resized, np.float32(channel.min()), np.float32(channel.max()))


def _cover(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale and cut one channel (H, W), in float32: Pillow scales a box of the source, here the centred one."""
    source_height, source_width = plane.shape
    scale = max(height / source_height, width / source_width)
    cut_height, cut_width = min(height / scale, source_height), min(width / scale, source_width)
    left, upper = (source_width - cut_width) / 2, (source_height - cut_height) / 2
    box = (left, upper, left + cut_width, upper + cut_height)
    return np.asarray(
        Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC, box=box)
    )
