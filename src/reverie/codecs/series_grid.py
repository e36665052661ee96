"""Even steps: whether the times of series lie on a grid, and the steps that a file leaves out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reverie.codecs.series_items import Axis, Series, Windows
from reverie.codecs.series_times import counted, dated, span_words

NEAR = 0.05  # of a step: as far as a time may be from the grid
_SHARE = 0.9  # of all steps, that must be whole ones
_LONGER = 20  # times longer than it is that missing steps may make a series


def common_step(times: Sequence[np.ndarray]) -> tuple[float, float]:
    """The commonest time between two observations, and the share of all that have it, to a thousandth; (1, 0) of none.

    times: (T,) rising, of each series.
    """
    gaps = np.concatenate([np.diff(t) for t in times]) if times else np.empty(0)
    if not len(gaps):
        return 1.0, 0.0
    middle = float(np.median(gaps))
    if middle <= 0:
        return 1.0, 0.0
    _, place, counts = np.unique(np.round(gaps / middle, 3), return_inverse=True, return_counts=True)
    most = int(np.argmax(counts))
    exact, many = np.unique(gaps[place == most], return_counts=True)
    return float(exact[np.argmax(many)]), float(counts[most] / len(gaps))


def gridded(series: Sequence[Series], axis: Axis) -> tuple[list[Series], Axis, list[str]]:
    """Series with a row of NaN for each step that the file leaves out, where steps are even; and what was changed, in words.

    Steps are even where nine in ten are, within a twentieth of a step, whole multiples of the commonest. Other times are then
    moved to the nearest step. Where missing steps would make a series more than 20 times longer, it is uneven.
    """
    step, _ = common_step([one.times for one in series])
    if axis.kind == "date":
        step = max(round(step, 6), 1e-6)  # of microseconds, which is all that such times are exact to
    axis = replace(axis, step=step)
    if axis.kind == "index":
        return list(series), axis, []
    places = [np.round((one.times - one.times[0]) / step).astype(np.int64) for one in series]
    gaps = np.concatenate([np.diff(one.times) for one in series]) / step
    whole = (np.abs(gaps - np.round(gaps)) <= NEAR) & (gaps > 0.5)
    longer = any(p[-1] + 1 > _LONGER * len(p) for p in places)
    if whole.mean() < _SHARE or longer or any((np.diff(p) < 1).any() for p in places):
        why = (
            "missing steps would make it more than 20 times longer"
            if longer
            else f"{whole.mean():.0%} of the steps are even"
        )
        return (
            list(series),
            replace(axis, regular=False),
            [f"the steps are uneven ({why}): the time between is learned"],
        )
    made, moved, most = [], 0, 0.0
    for one, place in zip(series, places, strict=True):
        filled, off = _filled(one, place, step, near := 1e-6 * max(step, axis.kind == "date"))
        far = off > near
        moved, most = moved + int(far.sum()), max(most, float(off.max()))
        made.append(filled)
    notes, added = [], sum(map(len, made)) - sum(map(len, series))
    if moved:
        farthest = span_words(float(f"{most:.3g}"), axis.kind)
        notes.append(f"{moved:,} times moved to even steps of {span_words(step, axis.kind)}, by at most {farthest}")
    if added:
        notes.append(f"{added:,} steps of {span_words(step, axis.kind)} that the file leaves out are missing values")
    return made, axis, notes


def on_calendar(windows: Windows, axis: Axis) -> Windows:
    """Whole series with their dates counted as an axis counts them, where they are dates of its calendar: few may not tell it.

    Five dates from Monday to Friday are days as well as working days; the weekends that a file leaves out are gaps of days.
    """
    own = windows.axis
    if windows.length is not None or own.kind != "date" or axis.kind != "date" or own.calendar == axis.calendar:
        return windows
    made = []
    for one in windows.series:
        here = np.ones(len(one), bool) if one.rows is None else one.rows >= 0
        times = counted(dated(one.times[here], own.calendar), axis.calendar)
        if times is None:
            return windows
        rows = None if one.rows is None else one.rows[here]
        made.append(replace(one, times=times, values=one.values[here], rows=rows))
    series, found, _ = gridded(made, replace(own, calendar=axis.calendar))
    return windows.with_series(series, axis=found)


def _filled(one: Series, place: np.ndarray, step: float, near: float) -> tuple[Series, np.ndarray]:
    """A series with all steps of its grid, and how far each of its times was from it; who is near stays where it is."""
    count = int(place[-1]) + 1
    times = one.times[0] + step * np.arange(count)
    off = np.abs(one.times - times[place])
    times[place] = np.where(off <= near, one.times, times[place])  # not moved: as it stood, to the last bit
    values = np.full((count, one.values.shape[1]), np.nan)
    values[place] = one.values
    rows = None
    if one.rows is not None:
        rows = np.full(count, -1, np.int64)
        rows[place] = one.rows
    return replace(one, times=times, values=values, rows=rows), off
