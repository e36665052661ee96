"""What each picture looks like, in few numbers: a thumbnail to compare by, and the statistics of its values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from reverie.codecs.pixels import GREY_ALPHA, RGBA, Header
from reverie.data.dataset import Data

SIDE = 16  # of a thumbnail, in cells
_BLOCK = 256  # pictures worked on at a time


class Looks(NamedTuple):
    """N pictures in few numbers.

    thumbnails: (N, D) float32, each of mean 0 and length 1, so that the product of two is their correlation; 0 where a
    picture is all of one value. D = 256 for one channel, 768 for colour.
    low, high, mean, contrast: (N,) float64, the smallest and largest value of each, their mean and standard deviation.
    """

    thumbnails: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    contrast: np.ndarray


def looks(data: Data) -> Looks:
    """Look at every item once, in blocks.

    Thumbnail: means over a grid of 16 x 16 cells, of three channels where there are three, else of their mean; then its
    own mean is taken away and its length made 1, so that brightness and contrast do not count but colour does. What is
    transparent is seen over mid-grey.
    """
    planes = 3 if any(item.shape[2] - _alpha(item, data.colour) == 3 for item in data.items) else 1
    parts = [_look(block, data.colour, planes) for block in _blocks(data)]
    return Looks(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _blocks(data: Data) -> Iterator[np.ndarray]:
    """Items as arrays (B, H, W, C): many together where all have one shape, else one by one."""
    if isinstance(data.items, np.ndarray):
        yield from (data.items[k : k + _BLOCK] for k in range(0, len(data.items), _BLOCK))
    else:
        yield from (item[None] for item in data.items)


def _alpha(item: np.ndarray, colour: str | None) -> bool:
    return Header.of(item, colour).colour in (GREY_ALPHA, RGBA)


def _look(block: np.ndarray, colour: str | None, planes: int) -> Looks:
    small = block.dtype.kind in "iu" and block.dtype.itemsize <= 2
    x: np.ndarray = np.ascontiguousarray(np.moveaxis(block, -1, 1), np.float32 if small else np.float64)
    if _alpha(block[0], colour):
        full = float(np.iinfo(block.dtype).max) if block.dtype.kind in "iu" else 1.0
        veil = x[:, -1:] / full
        x = x[:, :-1] * veil + (1 - veil) * (full / 2)
    flat = x.reshape(len(x), -1)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # values near the end of float64: infinite contrast is a fair answer
        low, high, mean, contrast = (getattr(flat, f)(axis=1) for f in ("min", "max", "mean", "std"))
        seen = x if x.shape[1] == planes else np.repeat(x.mean(axis=1, keepdims=True), planes, axis=1)
        cells = areas(x.shape[2], SIDE).astype(x.dtype) @ seen @ areas(x.shape[3], SIDE).astype(x.dtype).T
        cells = cells.reshape(len(x), -1)
        cells = cells - cells.mean(axis=1, keepdims=True)
        length = np.linalg.norm(cells, axis=1, keepdims=True)
        # of one value but for rounding: there is nothing to compare
        plain = length <= 1e-5 * np.sqrt(cells.shape[1]) * np.maximum(np.abs(high), np.abs(low))[:, None]
        cells = np.nan_to_num(np.where(plain, 0, cells / np.where(plain, 1, length)))
    return Looks(cells.astype(np.float32), *(v.astype(np.float64) for v in (low, high, mean, contrast)))


@lru_cache(maxsize=64)
def areas(given: int, wanted: int) -> np.ndarray:
    """Weights (wanted, given) that average `given` pixels over `wanted` cells of equal width: by overlap, rows sum to 1."""
    edge = np.arange(wanted + 1)[:, None] * given / wanted
    pixel = np.arange(given)[None]
    overlap = np.minimum(edge[1:], pixel + 1) - np.maximum(edge[:-1], pixel)
    return np.clip(overlap, 0, None) * (wanted / given)
