"""Wide tables: a row is a series, the columns whose names are consecutive are its steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reverie.codecs.rows import pandas
from reverie.codecs.series_frames import PART_OF_TIME, TABLE, Found, number_values, says_time
from reverie.codecs.series_grid import NEAR, gridded
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.codecs.series_times import evened, is_date, offsets, parsed, times_written
from reverie.errors import ReverieError

if TYPE_CHECKING:
    import pandas as pd

CHANNEL = "value"
_LEAST = 8  # steps that a table has at least to be taken for wide series
_ALIKE = 0.5  # von Neumann's ratio, below which neighbouring steps are alike
_HOURS = {"h", "hour", "hr", "d", "day", "w", "week", "m", "month", "q", "quarter", "lag"}
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


class Steps(NamedTuple):
    """The columns that are steps, in order, their times, how these are told, whether names say time, and how long a step is."""

    columns: list[str]
    times: np.ndarray
    axis: Axis
    timely: bool
    step: float


def steps_of(columns: Sequence[str]) -> Steps | None:
    """The columns whose names are consecutive: whole numbers, one word with a number, dates or times of day; None of none."""
    if clock := [(c, m) for c in columns if (m := _CLOCK.fullmatch(c))]:
        times = np.array([3600 * int(m[1]) + 60 * int(m[2]) + int(m[3] or 0) for _, m in clock], dtype=np.float64)
        return _consecutive([c for c, _ in clock], times, Axis("time", "number", None, "float64"), True)
    families: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for column in columns:
        if m := _NUMBERED.fullmatch(column):
            families.setdefault((m[1], m[3]), []).append((column, int(m[2])))
    (before, after), found = max(families.items(), key=lambda item: len(item[1]), default=(("", ""), []))
    numbered = _consecutive(
        [c for c, _ in found], np.array([float(k) for _, k in found]), Axis("step", "number", None, "int64"),
        says_time(before) or bool(_HOURS & {*re.findall("[a-z]+", before.lower())}) or after.lower() in PART_OF_TIME,
    )  # fmt: skip
    pd = pandas()
    dated = [c for c in columns if is_date(pd.Series([c]))]
    if numbered is not None and len(numbered.columns) >= max(2, len(dated)):
        return numbered
    if len(dated) < 2:
        return None
    try:
        times, axis = evened(*parsed(pd.Series(dated, name="time"), "the columns"))
    except ReverieError:
        return None
    return _consecutive(dated, times, axis, True)


def reason(frame: pd.DataFrame) -> str | None:
    """Why a table's rows are series, in words; None where nothing speaks for it.

    At least eight columns are consecutive, and their names say time, or neighbours are alike: von Neumann's ratio of the
    standardised columns, sum (z_k+1 - z_k)^2 / (2 sum (z_k - mean)^2) in each row, is 1 for columns in no order.
    Source: von Neumann 1941.
    """
    steps = steps_of(list(frame.columns))
    if steps is None or len(steps.columns) < _LEAST:
        return None
    try:
        values = [number_values(frame[c], "") for c in steps.columns]
    except ReverieError:
        return None
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        return None
    words = f"{len(known)} columns, '{steps.columns[0]}' to '{steps.columns[-1]}', are steps"
    if steps.timely:
        return words
    x = np.stack(known, 1)
    x = x[~np.isnan(x).any(1)]
    if len(x) < 2:
        return None
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    spread = np.square(z - z.mean(1, keepdims=True)).sum() * len(known) / (len(known) - 1)
    ratio = np.square(np.diff(z)).mean() * len(z) * len(known) / max(2 * spread, 1e-300)
    return f"{words}: neighbours are alike" if ratio < _ALIKE else None


def of_wide(frame: pd.DataFrame, source: str) -> Found:
    """Series of a wide table: a row each, one channel, the other columns what is known of it; ReverieError as for long ones."""
    steps = steps_of(list(frame.columns))
    if steps is None:
        raise ReverieError(f"{source} has neither a column of times nor columns called by consecutive steps. {TABLE}")
    x = np.stack([_step(frame[c], source) for c in steps.columns], 1)
    others = [c for c in frame.columns if c not in steps.columns]
    names = _names(frame, others)
    series = [
        Series(
            names[k], steps.times, x[k, :, None], {c: _plain(frame[c].iloc[k]) for c in others}, np.full(x.shape[1], k)
        )
        for k in range(len(frame))
    ]
    made, axis, notes = gridded(series, steps.axis)
    whole = all(pandas().api.types.is_integer_dtype(frame[c]) for c in steps.columns)
    windows = Windows.whole(
        made, (CHANNEL,), axis, Layout("wide", None, tuple(frame.columns)),
        dtypes=("int64" if whole else "float64",), source=source, frame=frame,
    )  # fmt: skip
    said = [f"each row is a series of {len(steps.columns)} steps, from '{steps.columns[0]}'"]
    if len(clocks := offsets(pandas().Series(steps.columns))) > 1:
        said.append(
            f"columns are written with the offsets {', '.join(clocks)}: read as instants; new ones are written in UTC"
        )
    return Found(windows, [*said, *notes])


def _step(column: pd.Series, source: str) -> np.ndarray:
    values = number_values(column, source)
    if values is None:
        raise ReverieError(
            f"{source}, row 2, column '{column.name}': '{column.iloc[0]}', where the steps of a series are numbers. {TABLE}"
        )
    return values


def wide_frame(windows: Windows, series: Sequence[Series]) -> pd.DataFrame:
    """The table of wide series, in the columns that they were read from; later steps are further columns."""
    pd = pandas()
    steps = steps_of(windows.layout.columns)
    assert steps is not None  # what a wide layout is
    names = {step_of(t, steps): c for t, c in zip(steps.times, steps.columns, strict=True)}
    cells: list[dict[str, Any]] = []
    for one in series:
        row = dict(one.static)
        if one.rows is not None and windows.frame is not None:
            row = dict(windows.frame.iloc[int(one.rows.max())])
        known = ~np.isnan(one.values[:, 0])
        for t, value, seen in zip(one.times, one.values[:, 0], known, strict=True):
            name = names.get(step_of(t, steps))
            if name is None and seen:
                name = names[step_of(t, steps)] = _next_name(t, steps)
            if name is not None:
                row[name] = value if seen else None
        cells.append(row)
    order = [c for c in windows.layout.columns if any(c in row for row in cells)]
    frame = pd.DataFrame(cells)[[*order, *(c for c in names.values() if c not in order)]]
    for name in names.values():
        column = frame[name].astype("float64")
        whole = windows.dtypes[0].startswith("int")
        frame[name] = column.round().astype("Int64" if column.isna().any() else "int64") if whole else column
    return frame


def step_of(time: float, steps: Steps) -> int:
    """Which step a time is, counted from the first column."""
    return round((time - steps.times[0]) / steps.step)


def _next_name(time: float, steps: Steps) -> str:
    """What the column of a later step is called."""
    if steps.axis.kind == "date":
        return str(times_written(np.array([time]), replace(steps.axis, dtype="str"))[0])
    if _CLOCK.fullmatch(steps.columns[0]):
        return f"{int(time // 3600):02d}:{int(time % 3600 // 60):02d}"
    last = _NUMBERED.fullmatch(steps.columns[-1])
    assert last is not None  # what is no date and no time of day is numbered
    before, number, after = last.groups()
    return f"{before}{round(time):0{len(number) if number.startswith('0') else 0}d}{after}"


def _consecutive(columns: list[str], times: np.ndarray, axis: Axis, timely: bool) -> Steps | None:
    """Steps, where their times rise evenly; days are even whose nights have an hour more or less, by another offset."""
    gaps = np.diff(times)
    if len(columns) < 2 or gaps.min() <= 0:
        return None
    step = float(np.median(gaps))
    away = (times - times[0]) / step - np.arange(len(times))
    if np.abs(away).max() > (NEAR if len(offsets(pandas().Series(columns))) > 1 else 1e-6):
        return None
    return Steps(columns, times, axis, timely, step)


def _names(frame: pd.DataFrame, others: Sequence[str]) -> list[str]:
    """What series are called: by a column of words of which each has its own, else by their rows."""
    pd = pandas()
    for name in others:
        if not pd.api.types.is_numeric_dtype(frame[name]) and frame[name].notna().all() and frame[name].is_unique:
            return [str(v) for v in frame[name]]
    return [f"row {k + 2}" for k in range(len(frame))]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
