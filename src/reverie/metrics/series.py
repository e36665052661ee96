"""Scores of time series: what a channel holds, how it moves, what of its past it remembers, and how channels hang together.

Windows are as `SeriesMetric` says. All statistics are pooled over windows and time, so that a difference of level between windows
counts as memory: the law that is compared is that of a window drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import SeriesMetric

_HALVES = 50  # half-samples behind an interval: each looks at every step of every window


class _Shapes(SeriesMetric):
    """The mean over channels of 1 - max_x |F_real(x) - F_generated(x)| of something that each step has."""

    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    half_samples: ClassVar[int] = _HALVES

    @property
    def least(self) -> int:
        """One window."""
        return 1


class _Error(SeriesMetric):
    """The mean over channels or pairs of |r_real - r_generated|, r correlations."""

    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (0.0, 2.0)
    half_samples: ClassVar[int] = _HALVES

    @property
    def least(self) -> int:
        """Two windows."""
        return 2


@dataclass(frozen=True)
class ChannelShapes(_Shapes):
    """How alike the values of each channel are distributed, pooled over time: the mean over channels of 1 - the KS distance.

    1 - max_x |F_real(x) - F_generated(x)|, in [0, 1]; 1 is best. It knows nothing of the order of steps.
    Source: Patki et al. 2016 (The Synthetic Data Vault), for columns.
    """

    title: ClassVar[str] = "Channel shapes"

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, C, L), generated: (M, C, L) -> the mean over channels."""
        return alike(real, generated)


@dataclass(frozen=True)
class IncrementShapes(_Shapes):
    """How alike the increments x[t + 1] - x[t] of each channel are distributed: the mean over channels of 1 - the KS distance.

    In [0, 1]; 1 is best. It sees a path that is too smooth or too rough, whose values alone may be right.
    Source: Cont 2001 (Empirical properties of asset returns), section 4, on what increments tell.
    """

    title: ClassVar[str] = "Increment shapes"

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, C, L), generated: (M, C, L) -> the mean over channels."""
        return alike(np.diff(real), np.diff(generated))


@dataclass(frozen=True)
class AutocorrelationError(_Error):
    """How far apart the autocorrelations of the channels are: the mean over channels and lags of |difference|.

    r(k) = corr(x[t], x[t + k]), lags k = 1 .. L/2; in [0, 2]; 0 is best.
    Source: Wiese et al. 2020 (Quant GANs), section 7, the ACF score; r(k) as in Box & Jenkins 1976, 2.1.
    """

    title: ClassVar[str] = "Autocorrelation error"

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, C, L), generated: (M, C, L) -> the mean over channels and lags."""
        return float(np.abs(autocorrelations(real) - autocorrelations(generated)).mean())


@dataclass(frozen=True)
class SquaredAutocorrelationError(_Error):
    """The same of squares: whether what is far from the mean, to either side, is followed by the like (volatility clustering).

    r(k) = corr(y[t], y[t + k]), y = (x - mean x)^2, lags 1 .. L/2; in [0, 2]; 0 is best.
    Source: Cont 2001 (Empirical properties of asset returns), section 5.2; Wiese et al. 2020, section 7, the score.
    """

    title: ClassVar[str] = "Autocorrelation error of squares"

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, C, L), generated: (M, C, L) -> the mean over channels and lags."""
        a, b = (autocorrelations(squares(x)) for x in (real, generated))
        return float(np.abs(a - b).mean())


@dataclass(frozen=True)
class CrossCorrelationError(_Error):
    """How far apart the correlations of any two channels are, at the same step and one step apart: the mean of |difference|.

    r_ij(l) = corr(x_i[t], x_j[t + l]), i != j, l in {-1, 0, 1}; in [0, 2]; 0 is best.
    Source: Box & Jenkins 1976 (Time Series Analysis), section 11.1.
    """

    title: ClassVar[str] = "Cross-correlation error"
    channels: ClassVar[int] = 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, C, L), generated: (M, C, L) -> the mean over pairs and lags."""
        apart = [np.abs(cross_correlations(real, lag) - cross_correlations(generated, lag)) for lag in (0, 1)]
        off = ~np.eye(len(apart[0]), dtype=bool)
        return float((apart[0][off].mean() + 2 * apart[1][off].mean()) / 3)  # lag -1 of (i, j) is lag 1 of (j, i)


def alike(real: np.ndarray, generated: np.ndarray) -> float:
    """1 - max_x |F(x) - G(x)|, the mean over channels: (N, C, *) and (M, C, *), NaN left out."""
    return float(np.mean([_complement(real[:, c], generated[:, c]) for c in range(real.shape[1])]))


def autocorrelations(x: np.ndarray, lags: int | None = None) -> np.ndarray:
    """r(k) of each channel, k = 1 .. lags (half the steps unless given), pooled over windows: (N, C, L) -> (C, lags).

    r(k) = mean (x[t] - m)(x[t + k] - m) / mean (x[t] - m)^2 over all n and t where both are known; 0 for a constant channel.
    """
    length = x.shape[-1]
    centred, known = _centred(x)
    lags = length // 2 if lags is None else lags

    def products(part: np.ndarray) -> np.ndarray:
        """The sum over windows and steps of part[t] part[t + k], for k = 0 .. lags."""
        wave = np.fft.rfft(part, 2 * length)
        return np.fft.irfft((wave.real**2 + wave.imag**2).sum(0), 2 * length)[:, : lags + 1]

    pairs = np.maximum(np.round(products(known.astype(np.float64))), 1)
    covariance = products(centred) / pairs
    variance = (centred**2).sum((0, 2))[:, None] / pairs[:, :1]
    return np.divide(covariance[:, 1:], variance, out=np.zeros((x.shape[1], lags)), where=variance > 0)


def squares(x: np.ndarray) -> np.ndarray:
    """(x - m)^2, m the mean of its channel: (N, C, L) -> (N, C, L), NaN where NaN."""
    centred, known = _centred(x)
    return np.where(known, centred**2, np.nan)


def cross_correlations(x: np.ndarray, lag: int = 0) -> np.ndarray:
    """corr(x_i[t], x_j[t + lag]) of all pairs of channels, pooled over windows: (N, C, L) -> (C, C); 0 for a constant one.

    lag: from 0; that of i and j at -lag is that of j and i at lag.
    """
    centred, known = _centred(x)
    spread = np.sqrt((centred**2).sum((0, 2)) / np.maximum(known.sum((0, 2)), 1))
    parts = [
        np.moveaxis(p, 1, 0)[..., cut].reshape(x.shape[1], -1)
        for p in (centred, known.astype(np.float64))
        for cut in (slice(0, x.shape[2] - lag), slice(lag, None))
    ]
    covariance = parts[0] @ parts[1].T / np.maximum(parts[2] @ parts[3].T, 1)
    scale = np.outer(spread, spread)
    return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x less the mean of its channel, 0 where it is not known, and where it is."""
    known = ~np.isnan(x)
    mean = np.where(known, x, 0).sum((0, 2)) / np.maximum(known.sum((0, 2)), 1)
    return np.where(known, x - mean[:, None], 0.0), known


def _complement(real: np.ndarray, generated: np.ndarray) -> float:
    a, b = (np.sort(x[~np.isnan(x)]) for x in (real, generated))
    if not (len(a) and len(b)):
        return float(len(a) == len(b))
    values = np.concatenate([a, b])
    shares = [np.searchsorted(x, values, side="right") / len(x) for x in (a, b)]
    return 1 - float(np.abs(shares[0] - shares[1]).max())
