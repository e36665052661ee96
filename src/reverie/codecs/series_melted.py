"""Long tables that name the channel in each row (series, time, variable, value): read as channels, written as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reverie.codecs.rows import pandas
from reverie.codecs.series_frames import number_values, time_columns
from reverie.codecs.series_items import Layout
from reverie.codecs.series_times import parsed
from reverie.errors import ReverieError

if TYPE_CHECKING:
    import pandas as pd

_VARIABLE = {"variable", "channel", "metric", "measure", "indicator", "quantity", "parameter", "sensor", "feature"}
_MOST = 64  # channels
_FAULTS = 20  # times as many rows as those that stand there twice, for these to be faults
_TOGETHER = 1.5  # rows of a time, on average, from which on they are channels and not series of their own


class Unmelted(NamedTuple):
    """A column for each channel, the columns of time and series, and the layout's `melted`."""

    frame: pd.DataFrame
    time: str
    identity: str | None
    melted: tuple[str, ...]

    @property
    def words(self) -> str:
        """What was done, for a person."""
        count = self.frame.shape[1] - 1 - (self.identity is not None)
        return f"'{self.melted[0]}' names {count} channels of '{self.melted[1]}'"


def unmelted(frame: pd.DataFrame, source: str) -> Unmelted | None:
    """A column for each value of the column that names the variable, the times of each series in order; None of another table.

    The table has a column called variable, channel, metric ... of 2 to 64 words, one of times, one of numbers, at most one more
    that says which series a row is of, and hardly a variable twice at one time. Raises ReverieError, with its row, for what is no
    time or number, and with both rows for a variable that stands twice at one time.
    """
    pd, columns = pandas(), list(frame.columns)
    variable = next((c for c in columns if c.lower() in _VARIABLE), None)
    if variable is None or not 3 <= len(columns) <= 4 or pd.api.types.is_numeric_dtype(frame[variable]):
        return None
    rest = frame.drop(columns=variable)
    time = next(iter(time_columns(rest)), None)
    if time is None:
        return None
    left = [c for c in rest.columns if c != time]
    value = left[0] if len(left) == 1 else next((c for c in left if c.lower() in ("value", "values")), left[-1])
    keys = [*(c for c in left if c != value), time]
    channels = [str(v) for v in frame[variable].drop_duplicates()]
    if frame[[variable, *keys[:-1]]].isna().any(axis=None):
        return None
    twice = frame.duplicated([*keys, variable]).to_numpy()
    if _FAULTS * twice.sum() > len(frame):
        return None
    if not 2 <= len(channels) <= _MOST or {*channels} & {*columns} or len({*channels}) < frame[variable].nunique():
        return None
    times, values = parsed(frame[time], source)[0], number_values(frame[value], source)
    if values is None or len(frame) < _TOGETHER * len(frame.drop_duplicates(keys)):
        return None
    if twice.any():
        row = int(np.argmax(twice))
        alike = (frame[[*keys, variable]] == frame.loc[frame.index[row], [*keys, variable]]).all(axis=1).to_numpy()
        raise ReverieError(
            f"{source}, row {row + 2}: '{variable}' {frame[variable].iloc[row]} at {frame[time].iloc[row]} stands there "
            f"already, in row {int(np.argmax(alike)) + 2} (rows like this: {twice.sum():,}). Keep one row for each time."
        )
    owner = pd.factorize(frame[keys[0]])[0] if len(keys) > 1 else np.zeros(len(frame), np.int64)
    order = np.lexsort((times, owner))
    ordered = frame.iloc[order]
    row = ordered.groupby(keys, sort=False).ngroup().to_numpy()
    grid = np.full((row.max() + 1, len(channels)), np.nan)
    grid[row, pd.factorize(frame[variable])[0][order]] = values[order]
    made = ordered[keys].drop_duplicates().reset_index(drop=True)
    whole = pd.api.types.is_integer_dtype(frame[value])
    for k, name in enumerate(channels):
        column = pd.Series(grid[:, k])
        made[name] = column.astype("Int64" if column.isna().any() else frame[value].dtype) if whole else column
    return Unmelted(made, time, keys[0] if len(keys) > 1 else None, (variable, value, *columns))


def melted(frame: pd.DataFrame, layout: Layout, channels: tuple[str, ...]) -> pd.DataFrame:
    """A row for each known value of each channel, time after time, in the columns that the file had."""
    variable, value, *columns = layout.melted
    keys = [c for c in frame.columns if c not in channels]
    made = frame.melt(id_vars=keys, value_vars=list(channels), var_name=variable, value_name=value)
    by_time = np.arange(len(made)).reshape(len(channels), -1).T.ravel()
    made = made.iloc[by_time].dropna(subset=[value]).reset_index(drop=True)
    if all(str(frame[c].dtype).lower().startswith(("int", "uint")) for c in channels):
        made[value] = made[value].astype("int64")
    return made[[*(c for c in made.columns if c not in columns), *(c for c in columns if c in made.columns)]]
