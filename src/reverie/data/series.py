"""Time series as data: whole, or cut into windows, with what each series is told of itself."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from reverie.codecs import series_files
from reverie.codecs.series import LENGTH, START
from reverie.codecs.series_items import Windows
from reverie.data.columns import Column, Labels, Numbers, Starts
from reverie.data.dataset import Data
from reverie.data.kinds import Guess
from reverie.data.labels import NO_LABEL
from reverie.data.wishes import Untold, Wish, parse
from reverie.errors import ReverieError, nearest

LONGEST = 128  # steps up to which series are learned whole
WINDOW = 96  # steps of a window, unless a person says how many
MOST = 20_000  # windows
_FEW_ITEMS = 50  # windows, below which a person is told of a smaller one
_LEAST = 8  # steps of a window that is advised
_FEW = 20  # distinct whole numbers, up to which they are classes


def read_series(
    found: Guess, label_from: str = "folder", condition: str | None = None, window: str | None = None
) -> Data:
    """The series of a file, whole or as windows. condition: columns that the model is told, "none" for none, default all.

    What can be told is the same all through each series; which series it is, too, if a person asks for that column.
    label_from: "csv:COLUMN" takes such a column as the labels. window: into how many steps series are cut, "all" for whole
    series; without it those of at most 128 steps stay whole, and longer ones are cut into windows of 96. Raises ReverieError
    for what cannot be read, a column that is not there or changes in time, and a window that is longer than all series.
    """
    read, notes = series_files.found(found.place)
    _check_observed(read)
    windows, cut = _cut(read, window)
    cut += [] if window else _hint(windows)
    told, places, said = _told(windows, label_from, condition)
    windows = replace(windows, told=places)
    return Data(
        windows,
        _names(windows),
        kind="series",
        source=str(found.place),
        notes=[f"read as time series: {found.why}", *notes, *cut, *said],
        spans=spans(windows),
        conditions=told | _own(windows),
    )


def _check_observed(read: Windows) -> None:
    """Refuse series of which nothing was observed."""
    if all(np.isnan(one.values).all() for one in read.series):
        rows, names = sum(map(len, read.series)), ", ".join(f"'{name}'" for name in read.channels)
        raise ReverieError(
            f"{read.source}: nothing was observed in any of {rows:,} steps: {names} are empty, row 2 to the last. "
            "Fill in what was measured; --kind table reads the file as a table."
        )


def spans(windows: Windows) -> np.ndarray | None:
    """Where each window begins and ends, (N, 2), as shares of its series; None for whole series."""
    if windows.length is None:
        return None
    long = np.array([len(one) for one in windows.series])[windows.places[:, 0]]
    return np.stack([windows.places[:, 1], windows.places[:, 1] + windows.length], 1) / long[:, None]


def _cut(windows: Windows, wish: str | None) -> tuple[Windows, list[str]]:
    """Series whole, or as windows no more than 20,000, and what was left out."""
    lengths = [len(one) for one in windows.series]
    longest = windows.series[int(np.argmax(lengths))]
    if wish == "all" or (wish is None and len(longest) <= LONGEST):
        return windows, []
    length = WINDOW if wish is None else _steps(wish)
    if length > len(longest):
        raise ReverieError(
            f"{windows.source}: no series has {length:,} steps; the longest ({longest.name}) has {len(longest):,}. "
            f"Give a shorter --window, such as {max(len(longest) // 2, 2)}, or --window all."
        )
    counts = np.maximum(np.array(lengths) - length + 1, 0)
    stride = max(1, -(-int(counts.sum()) // MOST))
    while int((-(-counts // stride)).sum()) > MOST:
        stride += 1
    every = windows.cut(length, stride)
    made = every.take(np.array([k for k, one in enumerate(every) if not np.isnan(one.values).all()]))
    notes = [f"cut into {len(made):,} windows of {length:,} steps, {stride:,} step{'s' * (stride > 1)} apart"]
    if len(made) < len(every):
        notes.append(f"{len(every) - len(made):,} windows without any value left out")
    if short := [one.name for one in windows.series if len(one) < length]:
        named = ", ".join(short[:5]) + ", ..." * (len(short) > 5)
        notes.append(f"{len(short):,} of {len(lengths):,} series are shorter than the window and left out ({named})")
    return made, notes


def _hint(windows: Windows) -> list[str]:
    """A smaller window, where there are few items and it would make more."""
    lengths = np.array([len(one) for one in windows.series])
    smaller = max(min(int(lengths.max()), windows.length or MOST) // 4, _LEAST)
    more = int(np.maximum(lengths - smaller + 1, 0).sum())
    if len(windows) >= _FEW_ITEMS or more <= 2 * len(windows):
        return []
    what = "whole series" if windows.length is None else f"window{'s' * (len(windows) > 1)}"
    return [f"only {len(windows):,} {what} to learn from: --window {smaller} makes {more:,} shorter ones"]


def _steps(wish: str) -> int:
    if not wish.isdecimal() or int(wish) < 2:
        raise ReverieError(f"--window {wish}: give a number of steps, such as {WINDOW}, or all.")
    return int(wish)


def _names(windows: Windows) -> list[str]:
    """What messages call the items."""
    if windows.length is None:
        return [one.name for one in windows.series]
    places = windows.places.tolist()
    return [f"{windows.series[k].name}[{start}:{start + windows.length}]" for k, start in places]


def _own(windows: Windows) -> dict[str, Column]:
    """What windows tell of themselves: how long they are, where that differs, and when they start, where times are dates."""
    lengths = np.array([len(one) for one in windows], dtype=np.float64)
    found: dict[str, Column] = {}
    if lengths.min() < lengths.max():
        found[LENGTH] = Numbers(lengths)
    if windows.axis.kind == "date":
        starts = np.array([one.times[0] for one in windows])
        found[START] = Starts(starts, windows.axis.step, int(lengths.max()), windows.axis.calendar)
    return found


def _told(
    windows: Windows, label_from: str, condition: str | None
) -> tuple[dict[str, Column], dict[str, str], list[str]]:
    """Conditions by name, the column of each, and what there is to say."""
    static = list(windows.series[0].static)
    able = [*static, *filter(None, [windows.layout.identity])]
    wishes = [] if condition in (None, "none") else parse(condition)
    if label_from.startswith("csv:"):
        wishes.append(Wish("label", "label", label_from.removeprefix("csv:")))
    for wish in wishes:
        if wish.place not in able:
            raise Untold(_not_there(windows, wish, able))
    notes: list[str] = []
    if condition is None:
        wishes += _every(windows, [name for name in static if name not in {w.place for w in wishes}], notes)
    own = [k for k, _ in windows.places.tolist()]
    columns = {wish.name: _column(windows, wish).subset(np.array(own, dtype=np.int64)) for wish in wishes}
    return columns, {wish.place: wish.name for wish in wishes}, notes


def _not_there(windows: Windows, wish: Wish, able: list[str]) -> str:
    if wish.place in windows.channels:
        return (
            f"{windows.source}: '{wish.place}' changes in time, so that it is learned, and no condition. Leave it out."
        )
    near = f"There are {nearest(wish.place, able)}" if able else "It has none"
    return f"{windows.source} has no column '{wish.place}' that is the same all through each series. {near}."


def _every(windows: Windows, able: list[str], notes: list[str]) -> list[Wish]:
    """A wish for each column that tells series apart and does not name each."""
    wishes: list[Wish] = []
    for place in able:
        values = [one.static[place] for one in windows.series]
        distinct = len({str(v) for v in values})
        words = not all(isinstance(v, int | float) for v in values)
        if distinct < 2 or (words and distinct == len(values)):
            notes.append(f"'{place}' is not told: {'the same' if distinct < 2 else 'another word'} for each series")
            continue
        name = re.sub(r"\W", "_", place)
        name = f"_{name}" if not name.isidentifier() else name
        while name in (LENGTH, START) or name in [wish.name for wish in wishes]:
            name += "_"
        if name != place:
            notes.append(f"'{place}' is told as {name}")
        wishes.append(Wish("label" if name == "label" else "column", name, place))
    return wishes


def _column(windows: Windows, wish: Wish) -> Column:
    """A column of the series as what the model is told: as a person says, else by its values."""
    if wish.kind == "image":
        raise ReverieError(f"--condition {wish}: series have no pictures. Give columns of the file.")
    values = [one.static.get(wish.place, one.name) for one in windows.series]  # which series it is can be told, too
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    numeric = len(numbers) + sum(map(_gone, values)) >= len(values) and bool(numbers)
    many = len(set(numbers)) > _FEW or any(v != int(v) for v in numbers if not _gone(v))
    if wish.kind == "number" or (wish.kind != "label" and numeric and many):
        if not numeric:
            raise ReverieError(
                f"{windows.source}: the column '{wish.place}' holds words; tell it as label:{wish.place}."
            )
        return Numbers(np.array([np.nan if _gone(v) else float(v) for v in values]))
    return Labels.of([NO_LABEL if _gone(v) else v for v in values], wish.name)


def _gone(value: Any) -> bool:
    """Whether a cell is empty."""
    return value is None or value != value
