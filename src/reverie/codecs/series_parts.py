"""Series that are longer than what a model sees: cut into parts side by side, and put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reverie.codecs.series_items import Layout, Windows
from reverie.codecs.series_times import times_read
from reverie.errors import ReverieError


def tiles(windows: Windows, long: int) -> tuple[Windows, np.ndarray]:
    """Windows of `long` steps side by side, the last one up to the end, and of which series each is; such windows stay."""
    if windows.length == long:
        return windows, np.arange(len(windows))
    if short := [one.name for one in windows.series if len(one) < long]:
        named = ", ".join(short[:5]) + ", ..." * (len(short) > 5)
        raise ReverieError(
            f"{windows.source}: {len(short):,} of {len(windows.series):,} series ({named}) are shorter than the {long:,} "
            "steps that the model sees at once. Leave them out, or lengthen them."
        )
    places = [
        (k, at) for k, one in enumerate(windows.series) for at in [*range(0, len(one) - long, long), len(one) - long]
    ]
    return replace(windows, places=np.array(places), length=long), np.array(places)[:, 0]


def words(windows: Windows, long: int) -> list[str]:
    """First and last time of each window."""
    index = windows.axis.kind == "index"
    written = [range(len(one)) if index else times_read(one.times, windows.axis) for one in windows.series]
    last = (windows.length or long) - 1
    return [f"{written[k][at]} to {written[k][at + last]}" for k, at in windows.places.tolist()]


def rejoined(windows: Windows, made: Sequence[Any], long: int) -> Windows:
    """Series of which each window has the values that were made of it; what was not observed stays so."""
    values = [one.values.copy() for one in windows.series]
    for (number, at), one in zip(windows.places.tolist(), made, strict=True):
        part = values[number][at : at + (windows.length or long)]
        part[:] = np.where(np.isnan(part), np.nan, one.values[: len(part)])
    return windows.with_series([replace(one, values=v) for one, v in zip(windows.series, values, strict=True)])


def annotated(windows: Windows, values: Mapping[str, np.ndarray], long: int) -> Windows:
    """Series with further channels, written a row an observation, beside the file's own where it is so; values: (N, L) by name.

    One that is called as a column of the file is called otherwise.
    """
    more = [np.full((len(one), len(values)), np.nan) for one in windows.series]
    for k, each in enumerate(values.values()):
        for (number, at), row in zip(windows.places.tolist(), each, strict=True):
            part = more[number][at : at + (windows.length or long), k]
            part[:] = row[: len(part)]
    series = [replace(one, values=np.hstack([one.values, m])) for one, m in zip(windows.series, more, strict=True)]
    beside = windows.frame is not None and windows.layout.kind == "long" and not windows.layout.melted
    taken = {*windows.channels, *(windows.frame.columns if windows.frame is not None and beside else ())}
    names = [name if name not in taken else f"{name}_found" for name in values]
    made = windows.with_series(
        series, channels=(*windows.channels, *names), dtypes=(*windows.dtypes, *["float64"] * len(names))
    )
    return made if beside else replace(made, frame=None, layout=Layout("long", windows.layout.identity or "series"))
