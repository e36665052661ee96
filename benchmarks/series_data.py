"""The time series of series.py: four real sets that installed packages ship, cut into training and held-out windows.

    pip download --no-deps aeon bokeh-sampledata skfolio, each wheel unzipped into one folder: --data FOLDER

    name      what it is, and its units                                    training                held out
    italy     a day's power demand, 24 hours, each day z-normalised        877 days                219 days (a fifth, seed 0)
    vowels    12 cepstrum coefficients of a spoken vowel, 7 to 29 steps    aeon's training file    aeon's test file, 369 of 370
    glucose   a person's blood glucose every 5 minutes, mg/dl, with gaps   the first 80 % of time  the last 20 %
    stocks    daily log returns of 20 stocks, in %                         1990 to 2013            2014 to 2022

`write(name, data, folder)` puts each set's two sides down as CSV files that `reverie train FILE` reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

LAST_TRAINING_DAY = "2013-12-31"
ITALY = "aeon/datasets/data/ItalyPowerDemand/ItalyPowerDemand"
VOWELS = "aeon/datasets/data/JapaneseVowels/JapaneseVowels"
GLUCOSE = "bokeh_sampledata/_data/CGM.csv.gz"
STOCKS = "skfolio/datasets/data/sp500_dataset.csv.gz"


@dataclass(frozen=True, eq=False)
class Cut:
    """N windows of at most L steps of C channels.

    values: (N, L, C) float64, NaN where nothing was observed, where it is hidden, and beyond a window's end. lengths: (N,),
    how long each window is. earlier: (N, L, C), the value one season before each step, from before the window too; NaN where
    there is none. phase: (N, L), the step's place in its season, from 0. starts: (N,), the time of the first step, as in the
    files, dates in seconds since 1970.
    """

    values: np.ndarray
    lengths: np.ndarray
    earlier: np.ndarray
    phase: np.ndarray
    starts: np.ndarray

    def hide(self, hidden: np.ndarray) -> Cut:
        """The same windows, NaN where `hidden` (N, L, C). No season is shorter than a window: `earlier` gives nothing away."""
        return replace(self, values=np.where(hidden, np.nan, self.values))

    def take(self, index: np.ndarray) -> Cut:
        """Some of the windows."""
        return Cut(*(part[index] for part in (self.values, self.lengths, self.earlier, self.phase, self.starts)))

    @property
    def inside(self) -> np.ndarray:
        """(N, L): whether a step is within its window."""
        return np.arange(self.values.shape[1]) < self.lengths[:, None]


@dataclass(frozen=True, eq=False)
class Set:
    """One data set: series of training and of held-out time, and how they are cut.

    train, held: each a list of (T, C), NaN where nothing was observed. times: of the same steps, for the files. length: of a
    window, None where each series is one. season: in steps, None where there is none that a window or its past could show.
    """

    name: str
    channels: tuple[str, ...]
    train: list[np.ndarray]
    held: list[np.ndarray]
    times: tuple[list[pd.Index], list[pd.Index]]
    length: int | None
    season: int | None
    unit: str

    def training(self, stride: int) -> Cut:
        """Training windows, `stride` steps apart where series are longer than a window."""
        return self._cut(self.train, self.times[0], stride, [one[:0] for one in self.train])

    def testing(self, stride: int | None = None) -> Cut:
        """Held-out windows, side by side where no stride is given."""
        return self._cut(self.held, self.times[1], stride or self.length or 1, self.train)

    def _cut(self, series: list[np.ndarray], times: list[pd.Index], stride: int, before: list[np.ndarray]) -> Cut:
        if self.length is None:
            return padded(series, self.season)
        values, earlier, phase, starts = [], [], [], []
        for one, when, past in zip(series, times, before, strict=True):
            ago = season_ago(one, past, self.season)
            steps = np.arange(len(one))
            for start in range(0, len(one) - self.length + 1, stride):
                part = slice(start, start + self.length)
                if np.isfinite(one[part]).mean() >= 0.9:  # a window of the sensor's pauses shows nothing
                    values.append(one[part])
                    earlier.append(ago[part])
                    starts.append(seconds(when[start]))
                    phase.append(steps[part] % self.season if self.season else steps[part] - start)
        lengths = np.full(len(values), self.length)
        return Cut(np.stack(values), lengths, np.stack(earlier), np.stack(phase), np.array(starts))


def seconds(time: pd.Timestamp | int) -> float:
    """A time as a number: seconds since 1970 of a date."""
    return time.timestamp() if isinstance(time, pd.Timestamp) else float(time)


def season_ago(one: np.ndarray, past: np.ndarray, season: int | None) -> np.ndarray:
    """(T, C): the value a season before each step of `one`, which follows `past`; NaN where there is none."""
    if not season:
        return np.full_like(one, np.nan)
    return np.concatenate([np.full((season, one.shape[1]), np.nan), past, one])[len(past) :][: len(one)]


def padded(series: list[np.ndarray], season: int | None) -> Cut:
    """Whole series as windows, NaN beyond their ends."""
    lengths = np.array([len(one) for one in series])
    values = np.full((len(series), lengths.max(), series[0].shape[1]), np.nan)
    for k, one in enumerate(series):
        values[k, : len(one)] = one
    phase = np.broadcast_to(np.arange(lengths.max()), values.shape[:2])
    phase = phase % season if season else phase
    return Cut(values, lengths, np.full_like(values, np.nan), phase, np.zeros(len(series)))


def italy(data: Path) -> Set:
    """ItalyPowerDemand: its training file has 67 days, so both files' days are put together and cut anew."""
    days = [one for side in ("TRAIN", "TEST") for one in ts_file(data / f"{ITALY}_{side}.ts")]
    order = np.random.default_rng(0).permutation(len(days))
    held, train = ([days[k] for k in part] for part in np.split(order, [len(days) // 5]))
    return Set("italy", ("demand",), train, held, counted(train, held), None, 24, "sd of a day")


def vowels(data: Path) -> Set:
    """JapaneseVowels: nine speakers, in both files."""
    train, held = (ts_file(data / f"{VOWELS}_{side}.ts") for side in ("TRAIN", "TEST"))
    held = [one for one in held if len(one) <= max(map(len, train))]  # one of 370 is longer than all in training
    channels = tuple(f"lpc{k}" for k in range(1, 13))
    return Set("vowels", channels, train, held, counted(train, held), None, None, "as in the file")


def glucose(data: Path) -> Set:
    """Blood glucose: stamps to the 5-minute grid that they drift along (the first of those that share a place), gaps as NaN."""
    frame = pd.read_csv(data / GLUCOSE, parse_dates=["datetime"])
    one = frame.groupby(frame["datetime"].dt.floor("5min"))["glucose"].first().astype(float).asfreq("5min")
    cut = len(one) * 4 // 5 // 288 * 288  # at a whole day, so that the time of day is the phase on both sides
    sides = one.iloc[:cut], one.iloc[cut:]
    train, held = ([side.to_numpy()[:, None]] for side in sides)
    return Set("glucose", ("glucose",), train, held, tuple([s.index] for s in sides), 96, 288, "mg/dl")


def stocks(data: Path) -> Set:
    """Stocks: 100 log(p_t / p_(t-1)); times count trading days, so that holidays are no gaps."""
    prices = pd.read_csv(data / STOCKS, index_col=0, parse_dates=True)
    returns = 100 * np.log(prices).diff().iloc[1:]
    sides = returns.loc[:LAST_TRAINING_DAY], returns.loc[returns.index > LAST_TRAINING_DAY]
    train, held = ([side.to_numpy()] for side in sides)
    days = pd.RangeIndex(len(returns))
    times = [days[: len(sides[0])]], [days[len(sides[0]) :]]
    return Set("stocks", tuple(returns), train, held, times, 64, None, "% a day")


SETS: dict[str, Callable[[Path], Set]] = {"italy": italy, "vowels": vowels, "glucose": glucose, "stocks": stocks}


def ts_file(path: Path) -> list[np.ndarray]:
    """The series (T, C) of an aeon file: channels between colons, the class last."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and line[0] not in "#@"]
    cases = [[channel.split(",") for channel in line.split(":")[:-1]] for line in lines]
    return [np.array(case, dtype=np.float64).T for case in cases]


def counted(*sides: list[np.ndarray]) -> tuple[list[pd.Index], ...]:
    """Steps 0, 1, 2 ... as the times of series that have none."""
    return tuple([pd.RangeIndex(len(one)) for one in side] for side in sides)


def write(found: Set, folder: Path) -> tuple[Path, Path]:
    """FOLDER/NAME-train.csv and NAME-held.csv: a row a day for italy, else a row a step, unobserved steps left out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{found.name}-train.csv", folder / f"{found.name}-held.csv"
    for path, series, times in zip(paths, (found.train, found.held), found.times, strict=True):
        if found.name == "italy":
            frame = pd.DataFrame(np.stack(series)[:, :, 0], columns=[f"h{k}" for k in range(24)])
        else:
            frame = long(series, times, found.channels)
        frame.to_csv(path, index=False)
    return paths


def long(series: list[np.ndarray], times: list[pd.Index], channels: tuple[str, ...]) -> pd.DataFrame:
    """A row a step: `time`, the channels, and `series` before them where there are several."""
    parts = []
    for k, (one, when) in enumerate(zip(series, times, strict=True)):
        part = pd.DataFrame(one, columns=list(channels))
        part.insert(0, "time", when)
        if len(series) > 1:
            part.insert(0, "series", f"u{k}")
        parts.append(part.dropna(how="all", subset=list(channels)))
    return pd.concat(parts, ignore_index=True)
