"""Contenders of series.py's forecasts and imputations: simple fillers with the spread of their training errors, and two learned.

A contender is fitted to a set's training windows for one task (how values are hidden), and then draws what held-out windows hide.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pandas as pd
from series_data import Cut, Set
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import HistGradientBoostingRegressor

Hide = Callable[[Cut, np.random.Generator], np.ndarray]  # windows -> (N, L, C), which values are hidden
STRIDE = 8  # between training windows of one long series


class Forecaster(ABC):
    """Draws of what windows hide."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, found: Set, hide: Hide, seconds: float, seed: int) -> None:
        """Learn from a set's training part, for at most so many seconds; `hide` is the task that will be asked."""

    @abstractmethod
    def draws(self, given: Cut, k: int, seed: int) -> np.ndarray:
        """Windows with NaN where hidden -> (k, N, L, C), known values as they are."""


class Filler(Forecaster):
    """A point for each hidden value, and around it the errors that such points had on training windows hidden in the same way.

    Errors are drawn from those of the same channel at about the same distance from the nearest known step.
    """

    EDGES: ClassVar[np.ndarray] = np.array([2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49])
    FEWEST: ClassVar[int] = 50

    @abstractmethod
    def points(self, given: Cut) -> np.ndarray:
        """(N, L, C), a value at every step."""

    def fit(self, found: Set, hide: Hide, seconds: float, seed: int) -> None:
        cut = found.training(STRIDE)
        self.means, self.profile = np.nanmean(cut.values, (0, 1)), profile(cut)
        hidden = hide(cut, np.random.default_rng(seed))
        given = cut.hide(hidden)
        errors = cut.values - self.points(given)
        distance = np.digitize(gap(given), self.EDGES)
        self.errors: dict[tuple[int, int], np.ndarray] = {}
        for c in range(errors.shape[2]):
            of_channel = errors[:, :, c][hidden[:, :, c]]
            for d in range(len(self.EDGES) + 1):
                mine = errors[:, :, c][hidden[:, :, c] & (distance[:, :, c] == d)]
                self.errors[c, d] = mine if len(mine) >= self.FEWEST else of_channel

    def draws(self, given: Cut, k: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        made = np.repeat(self.points(given)[None], k, axis=0)
        distance, hidden = np.digitize(gap(given), self.EDGES), np.isnan(given.values)
        for (c, d), errors in self.errors.items():
            n, step = np.nonzero(hidden[:, :, c] & (distance[:, :, c] == d))
            made[:, n, step, c] += rng.choice(errors, (k, len(n)))
        return made


class Mean(Filler):
    """The mean of what is known of the channel in the window."""

    name = "mean"

    def points(self, given: Cut) -> np.ndarray:
        count = np.isfinite(given.values).sum(1, keepdims=True)
        mean = np.nansum(given.values, 1, keepdims=True) / np.maximum(count, 1)
        return known_or(given.values, np.where(count, mean, self.means))


class Last(Filler):
    """The last known value; before the first, the first."""

    name = "last"

    def points(self, given: Cut) -> np.ndarray:
        return known_or(by_column(given.values, lambda x: x.ffill().bfill()), self.means)


class Linear(Filler):
    """A straight line between the known neighbours, level beyond the outermost."""

    name = "linear"

    def points(self, given: Cut) -> np.ndarray:
        return known_or(by_column(given.values, lambda x: x.interpolate(limit_direction="both")), self.means)


class Seasonal(Filler):
    """The value a season ago; where nothing is known of it the training mean at this place in the season."""

    name = "seasonal"

    def points(self, given: Cut) -> np.ndarray:
        return known_or(given.values, known_or(given.earlier, at(self.profile, given.phase)))


class Normal(Forecaster):
    """The normal law of whole windows, given what is known of one: mean and covariance of all steps of all channels together.

    x_h | x_k ~ N(m_h + S_hk S_kk^-1 (x_k - m_k), S_hh - S_hk S_kk^-1 S_kh), S shrunk as Ledoit & Wolf 2004 have it. Gaps of
    training windows are filled by lines, and what lies beyond a window's end is as unknown as what is hidden.
    """

    name = "normal"

    def fit(self, found: Set, hide: Hide, seconds: float, seed: int) -> None:
        x, steps = found.training(STRIDE).values, found.testing().values.shape[1]
        x = np.pad(x, ((0, 0), (0, steps - x.shape[1]), (0, 0)), constant_values=np.nan)
        x = known_or(by_column(x, lambda one: one.interpolate(limit_direction="both")), np.nanmean(x, (0, 1)))
        flat = x.reshape(len(x), -1)
        scale = flat.std(0)
        self.mean, self.covariance = flat.mean(0), LedoitWolf().fit(flat / scale).covariance_ * np.outer(scale, scale)

    def draws(self, given: Cut, k: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        flat = given.values.reshape(len(given.values), -1)
        made = np.repeat(flat[None], k, axis=0)
        masks, which = np.unique(np.isnan(flat), axis=0, return_inverse=True)
        for number, mask in enumerate(masks):
            h, known, rows = np.flatnonzero(mask), np.flatnonzero(~mask), np.flatnonzero(which == number)
            pull = np.linalg.solve(self.covariance[np.ix_(known, known)], self.covariance[np.ix_(known, h)])
            left = self.covariance[np.ix_(h, h)] - self.covariance[np.ix_(h, known)] @ pull
            mean = self.mean[h] + (flat[np.ix_(rows, known)] - self.mean[known]) @ pull
            noise = rng.standard_normal((k, len(rows), len(h))) @ np.linalg.cholesky(left).T
            made[:, rows[:, None], h] = mean + noise
        return made.reshape(k, *given.values.shape)


class Boosted(Forecaster):
    """Gradient-boosted quantile regression of a hidden value on what is known around it, one model a quantile.

    Fitted for the task asked, on windows hidden in its way. Predicted is the distance from the linear filler, in the channel's
    spread, from: the channel, place and phase, a dozen known values to either side and how far the nearest is, mean and
    spread of the known, the season's profile, all channels at the same step. Draws are from the quantiles, linear between
    them. Seconds bound the number of trees; early stopping, on the last fifth of the training windows, comes first.
    """

    name = "boosted"
    LEVELS: ClassVar[np.ndarray] = np.array([0.01, 0.05, *np.linspace(0.1, 0.9, 9), 0.95, 0.99])
    ROWS: ClassVar[int] = 30_000
    TREES: ClassVar[int] = 300

    def fit(self, found: Set, hide: Hide, seconds: float, seed: int) -> None:
        started, rng = time.monotonic(), np.random.default_rng(seed)
        cut = found.training(STRIDE)
        flat = cut.values.reshape(-1, cut.values.shape[2])
        self.scale, self.profile, self.filler = np.nanstd(flat, 0), profile(cut), Linear()
        self.filler.means = np.nanmean(flat, 0)
        held = np.arange(len(cut.values)) >= 0.8 * len(cut.values)  # the last of time: neighbours overlap
        rows = self._rows(cut.take(~held), hide, self.ROWS, rng)
        checks = self._rows(cut.take(held), hide, self.ROWS // 5, rng)
        self.useful = np.array([len(np.unique(column[np.isfinite(column)])) > 1 for column in rows[0].T])
        (x, y), (x_val, y_val) = ((x[:, self.useful], y) for x, y in (rows, checks))
        self.models = []
        for k, level in enumerate(self.LEVELS):
            left = (seconds - (time.monotonic() - started)) / (len(self.LEVELS) - k)
            trial = time.monotonic()
            model = self._model(level, 10, seed).fit(x, y, X_val=x_val, y_val=y_val)
            each = (time.monotonic() - trial) / 10  # of a tree
            trees = min(self.TREES, int(left / each) - 10)
            if trees > 10:
                model = self._model(level, trees, seed).fit(x, y, X_val=x_val, y_val=y_val)
            self.models.append(model)

    def _model(self, level: float, trees: int, seed: int) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss="quantile", quantile=level, max_iter=trees, max_leaf_nodes=15, min_samples_leaf=50, learning_rate=0.1,
            early_stopping=True, random_state=seed,
        )  # fmt: skip

    def _rows(self, cut: Cut, hide: Hide, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Features and targets of about so many values, windows hidden up to eight times over."""
        xs, ys = [], []
        while sum(map(len, ys)) < count and len(ys) < 8:
            hidden = hide(cut, rng)
            x, anchor = self._features(cut.hide(hidden), hidden)
            xs.append(x)
            ys.append((cut.values[hidden] - anchor) / self.scale[np.nonzero(hidden)[2]])
        some = rng.permutation(sum(map(len, ys)))[:count]
        return np.concatenate(xs)[some], np.concatenate(ys)[some]

    def draws(self, given: Cut, k: int, seed: int) -> np.ndarray:
        hidden = np.isnan(given.values) & given.inside[:, :, None]
        x, anchor = self._features(given, hidden)
        found = np.sort(
            np.stack([model.predict(x[:, self.useful]) for model in self.models]), axis=0
        )  # quantiles that cross are put in order
        u = np.random.default_rng(seed).uniform(size=(k, len(x))).clip(self.LEVELS[0], self.LEVELS[-1])
        place = np.searchsorted(self.LEVELS, u).clip(1, len(self.LEVELS) - 1)
        low, high = self.LEVELS[place - 1], self.LEVELS[place]
        rows = np.arange(len(x))
        drawn = found[place - 1, rows] + (found[place, rows] - found[place - 1, rows]) * (u - low) / (high - low)
        made = np.repeat(given.values[None], k, axis=0)
        made[:, hidden] = anchor + drawn * self.scale[np.nonzero(hidden)[2]]
        return made

    def _features(self, given: Cut, hidden: np.ndarray, near: int = 12) -> tuple[np.ndarray, np.ndarray]:
        """(rows, features) and (rows,), the anchor, of the hidden values."""
        n, step, c = np.nonzero(hidden)
        anchor, scale = self.filler.points(given)[hidden], self.scale[c]
        values, places = neighbours(given.values, near)
        around = (values[:, n, step, c] - anchor) / scale
        known = pd.DataFrame(given.values.transpose(1, 0, 2).reshape(given.values.shape[1], -1))
        column = n * given.values.shape[2] + c
        mean, spread = (known.agg(what).to_numpy()[column] for what in ("mean", "std"))
        season = at(self.profile, given.phase)[n, step, c]
        same_step = ((given.values - self.filler.means) / self.scale)[n, step]
        mine = [c, step, given.lengths[n] - step, given.phase[n, step], anchor / scale, (mean - anchor) / scale]
        mine += [
            spread / scale,
            (season - anchor) / scale,
            step - places[0][n, step, c],
            places[near][n, step, c] - step,
        ]
        return np.concatenate([np.stack(mine, 1), around.T, same_step], axis=1), anchor


def profile(cut: Cut) -> np.ndarray:
    """(P, C): the training mean at each phase, smoothed over neighbours of a twenty-fourth of the season where it is long."""
    count = int(cut.phase.max()) + 1
    flat = pd.DataFrame(cut.values.reshape(-1, cut.values.shape[2]))
    found = flat.groupby(cut.phase.reshape(-1)).mean().reindex(range(count))
    width = max(1, count // 24)
    around = pd.concat([found, found, found]).rolling(width, center=True, min_periods=1).mean()
    return around.iloc[count : 2 * count].fillna(flat.mean()).to_numpy()


def at(profile: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """(N, L, C): the profile at each phase; beyond its end, its end."""
    return profile[np.minimum(phase, len(profile) - 1)]


def by_column(values: np.ndarray, fill: Callable[[pd.DataFrame], pd.DataFrame]) -> np.ndarray:
    """Each channel of each window filled along time."""
    n, length, c = values.shape
    found = fill(pd.DataFrame(values.transpose(1, 0, 2).reshape(length, n * c)))
    return found.to_numpy().reshape(length, n, c).transpose(1, 0, 2)


def known_or(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Values where they are known."""
    return np.where(np.isnan(values), other, values)


def gap(given: Cut) -> np.ndarray:
    """(N, L, C): how many steps the nearest known value of the channel is away; 0 if it is this one."""
    _, places = neighbours(given.values, 1)
    steps = np.arange(given.values.shape[1])[:, None]
    found = np.fmin(steps - places[0], places[1] - steps)
    return np.where(np.isnan(given.values), np.nan_to_num(found, nan=len(steps)), 0)


def neighbours(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(2 k, N, L, C): the k known values before each step, nearest first, then the k after; and at which steps. NaN for none."""
    known = np.isfinite(values)
    rank = np.cumsum(known, 1) - known  # how many are known before
    first = np.argsort(~known, axis=1, kind="stable")  # steps of the known ones, in order
    beyond = np.arange(values.shape[1])[:, None] >= known.sum(1, keepdims=True)
    steps = np.where(beyond, np.nan, first)
    packed = np.where(beyond, np.nan, np.take_along_axis(values, first, 1))
    edge = np.full((len(values), 1, values.shape[2]), np.nan)
    steps, packed = (np.concatenate([edge, x, edge], 1) for x in (steps, packed))
    last = values.shape[1] + 1
    asked = [rank - j for j in range(k)] + [rank + known + 1 + j for j in range(k)]
    asked = [place.clip(0, last) for place in asked]
    return tuple(np.stack([np.take_along_axis(x, place, 1) for place in asked]) for x in (packed, steps))


CONTENDERS: dict[str, type[Forecaster]] = {cls.name: cls for cls in (Seasonal, Linear, Last, Mean, Normal, Boosted)}
