"""Task market of series.py: scenarios of 20 stocks against held-out years, and the risk of their portfolio one day ahead.

Scenarios: as many windows as the held-out years hold side by side, ten times over. Of each statistic (below) the median over
channels, pairs or lags of |scenarios' - held-out years'|; the row `years before` is that of the training years themselves: what
the change of times costs.

Risk: a portfolio of equal parts, made equal every day; a contender draws each held-out day's return from the days before it.
"""

from __future__ import annotations

import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import stats
from series_backtest import report
from series_contenders import Forecaster, Normal
from series_data import Cut, Set
from series_hidden import hide

LEVELS = (0.95, 0.99)
LAGS = range(1, 21)


class Market(ABC):
    """Scenarios, and draws of tomorrow."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, found: Set, seconds: float, seed: int) -> None:
        """Learn from the training years, for at most so many seconds."""

    @abstractmethod
    def scenarios(self, n: int, seed: int) -> np.ndarray:
        """(n, L, C) of daily log returns in %."""

    @abstractmethod
    def ahead(self, returns: np.ndarray, days: np.ndarray, k: int, seed: int) -> np.ndarray:
        """(k', D): draws of the portfolio's return in % on each of `days`, places in returns (T, C), from earlier rows alone."""


def portfolio(returns: np.ndarray) -> np.ndarray:
    """(*, C) of log returns in % -> (*), the return in % of equal parts: 100 mean_c (exp(r_c / 100) - 1)."""
    return 100 * np.expm1(returns / 100).mean(-1)


class Historical(Market):
    """Training windows drawn as they are; of tomorrow, the last 500 days: historical simulation."""

    name = "historical"
    DAYS: ClassVar[int] = 500

    def fit(self, found: Set, seconds: float, seed: int) -> None:
        self.windows = found.training(1).values

    def scenarios(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).choice(self.windows, n)

    def ahead(self, returns: np.ndarray, days: np.ndarray, k: int, seed: int) -> np.ndarray:
        whole = portfolio(returns)
        return np.stack([whole[day - self.DAYS : day] for day in days], axis=1)


class Memoryless(Market):
    """Days without memory from one normal law with the training years' means and covariances."""

    name = "memoryless"

    def fit(self, found: Set, seconds: float, seed: int) -> None:
        flat = np.concatenate(found.train)
        self.mean, self.covariance, self.steps = flat.mean(0), np.cov(flat.T), found.length

    def scenarios(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).multivariate_normal(self.mean, self.covariance, (n, self.steps))

    def ahead(self, returns: np.ndarray, days: np.ndarray, k: int, seed: int) -> np.ndarray:
        drawn = np.random.default_rng(seed).multivariate_normal(self.mean, self.covariance, (k, len(days)))
        return portfolio(drawn)


class Garch(Market):
    """GARCH(1,1) with Student's t of the package `arch`, in its own environment (series_garch.py says how), fitted once.

    Scenarios: one model a stock, days of standardised residuals drawn together. Tomorrow: one model of the portfolio.
    """

    name = "garch"
    refit: ClassVar[int] = 0
    python: ClassVar[Path] = Path(".venv-series/bin/python")

    def fit(self, found: Set, seconds: float, seed: int) -> None:
        self.train, self.steps = np.concatenate(found.train), found.length

    def scenarios(self, n: int, seed: int) -> np.ndarray:
        return self._ask("scenarios", {"train": self.train}, n, self.steps, seed)["made"]

    def ahead(self, returns: np.ndarray, days: np.ndarray, k: int, seed: int) -> np.ndarray:
        law = self._ask("ahead", {"returns": portfolio(returns), "days": days}, len(self.train), self.refit)
        levels = (np.arange(4 * k) + 0.5) / (
            4 * k
        )  # the law's quantiles for draws, so dense that its tail has its mean
        t = stats.t.ppf(levels[:, None], law["nu"])
        return law["mean"] + law["sd"] * t * np.sqrt((law["nu"] - 2) / law["nu"])

    def _ask(self, what: str, arrays: dict[str, np.ndarray], *numbers: int) -> dict[str, np.ndarray]:
        with tempfile.TemporaryDirectory() as place:
            source, target = Path(place) / "asked.npz", Path(place) / "found.npz"
            np.savez(source, **arrays)
            words = [self.python, Path(__file__).with_name("series_garch.py"), what, source, target, *numbers]
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"series_garch.py failed:\n{done.stderr[-2000:]}")
            with np.load(target) as found:
                return dict(found)


class Refitted(Garch):
    """As `garch`, its risk from all days until then, fitted anew every quarter."""

    name = "garch-refit"
    refit = 63


class Drawn(Market):
    """Whatever draws what windows hide: all of a window is a scenario, the last day of one is tomorrow."""

    forecaster: ClassVar[type[Forecaster]]
    LIMIT: ClassVar[float] = 2e7  # values among the draws that are in memory at once

    def fit(self, found: Set, seconds: float, seed: int) -> None:
        self.steps, self.channels, self.model = found.length, len(found.channels), self.forecaster()
        self.model.fit(found, hide("forecast"), seconds, seed)

    def scenarios(self, n: int, seed: int) -> np.ndarray:
        return self.model.draws(window(np.full((n, self.steps, self.channels), np.nan)), 1, seed)[0]

    def ahead(self, returns: np.ndarray, days: np.ndarray, k: int, seed: int) -> np.ndarray:
        rows = max(1, int(self.LIMIT // (k * self.steps * self.channels)))
        drawn = []
        for start in range(0, len(days), rows):
            given = np.stack([returns[day - self.steps + 1 : day + 1] for day in days[start : start + rows]])
            given[:, -1] = np.nan
            drawn.append(portfolio(self.model.draws(window(given), k, seed + start)[:, :, -1]))
        return np.concatenate(drawn, axis=1)


class Joint(Drawn):
    """The normal law of whole windows (series_contenders.py)."""

    name = "normal"
    forecaster = Normal


def window(values: np.ndarray) -> Cut:
    """Windows (N, L, C) of no season."""
    phase = np.broadcast_to(np.arange(values.shape[1]), values.shape[:2])
    lengths = np.full(len(values), values.shape[1])
    return Cut(values, lengths, np.full_like(values, np.nan), phase, np.zeros(len(values)))


CONTENDERS: dict[str, type[Market]] = {cls.name: cls for cls in (Historical, Memoryless, Joint, Garch, Refitted)}


def statistics(windows: np.ndarray) -> dict[str, np.ndarray]:
    """Of windows (n, L, C): moments and tails of each channel, autocorrelation of its squares by lag, correlations of pairs."""
    flat = windows.reshape(-1, windows.shape[2])
    low, high = np.quantile(flat, [[0.01, 0.05], [0.99, 0.95]], axis=0)[:2]
    squares = (windows - flat.mean(0)) ** 2
    squares = squares - squares.mean((0, 1))
    spread = (squares**2).mean((0, 1))
    memory = [(squares[:, lag:] * squares[:, :-lag]).mean((0, 1)) / spread for lag in LAGS if lag < windows.shape[1]]
    above = np.triu_indices(flat.shape[1], 1)
    of_whole = portfolio(windows)
    return {
        "mean": flat.mean(0),
        "sd": flat.std(0),
        "skew": stats.skew(flat),
        "kurtosis": stats.kurtosis(flat),
        "q1": low[0],
        "q5": low[1],
        "q95": high[1],
        "q99": high[0],
        "squares": np.stack(memory),
        "pairs": np.corrcoef(flat.T)[above],
        "portfolio_sd": of_whole.std(keepdims=True).ravel(),
        "portfolio_q1": np.quantile(of_whole, [0.01]),
    }


def apart(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Median absolute difference of each statistic, and the made ones' own median."""
    a, b = statistics(made), statistics(real)
    found = {name: float(np.median(np.abs(a[name] - b[name]))) for name in b}
    return {**found, "own": {name: round(float(np.median(v)), 4) for name, v in a.items()}}


def run(found: Set, contender: Market, seed: int, draws: int, stride: int) -> dict[str, object]:
    """One contender's scenarios and risk."""
    real = found.testing().values
    made = contender.scenarios(10 * len(real), seed)
    returns = np.concatenate([*found.train, *found.held])
    days = np.arange(len(returns) - len(found.held[0]), len(returns), stride)
    ahead = contender.ahead(returns, days, draws, seed)
    truth = portfolio(returns)[days]
    risk = {f"{level:g}": report(ahead, truth, level) for level in LEVELS}
    return {"scenarios": apart(made, real), "risk": risk, "days": len(days), "draws": len(ahead)}


def years_before(found: Set) -> dict[str, object]:
    """The training years in the scenarios' place, and the held-out years' own statistics."""
    real = found.testing().values
    own = {name: round(float(np.median(v)), 4) for name, v in statistics(real).items()}
    return {"scenarios": apart(found.training(found.length).values, real), "held_out": own}
