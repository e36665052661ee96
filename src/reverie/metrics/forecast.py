"""Scores of probabilistic forecasts and imputations, each given as k draws: one figure for each value that was hidden.

All are in the units of the value itself (coverage is a share), and NaN where there is no true value, so that
np.nanmean over steps, channels or windows is the score of those. Draws may come in any order along their first axis.
"""

from __future__ import annotations

import numpy as np


def crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score, the fair form: how far the draws lie from the truth, less half their own spread.

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 k (k - 1)); its mean does not depend on k: it is that of endless draws,
    E|X - y| - E|X - X'| / 2 = integral (F(x) - 1[y <= x])^2 dx. draws: (k, *), k >= 2, truth: (*) -> (*), in the truth's
    units, smaller is better; a single value may lie below 0. Raises ValueError for fewer than two draws.
    Source: Gneiting & Raftery 2007, eq. 21; the fair form, Zamo & Naveau 2018 (after Ferro 2014).
    """
    k = len(draws)
    if k < 2:
        raise ValueError(f"{k} draw: a spread needs two or more")
    ranked = np.sort(draws, axis=0)  # sum_ij |x_i - x_j| = 2 sum_i (2 i - k - 1) x_(i), i from 1
    weights = (2 * np.arange(1, k + 1) - k - 1) / (k * (k - 1))
    return np.abs(ranked - truth).mean(0) - np.tensordot(weights, ranked, 1)


def absolute_error(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Absolute error of the draws' median, the point that makes its mean least: |median_i x_i - y|.

    draws: (k, *), truth: (*) -> (*), in the truth's units, >= 0. Its mean over values is the MAE.
    Source: Gneiting 2011 (Making and evaluating point forecasts), on why the median.
    """
    return np.abs(np.median(draws, axis=0) - truth)


def quantile(draws: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Predictive quantiles: the next value falls below with probability `level`, were it one more draw of the same law.

    x_(r) at rank r = level (k + 1), linear between ranks, the outermost draw beyond them: below x_(r) of k + 1
    exchangeable values lies the last with probability r / (k + 1), whatever their law. draws: (k, *), level in (0, 1), a
    number or (q,) -> (*) or (q, *). Source: Weibull 1939 for the plotting position; Hyndman & Fan 1996, definition 6.
    """
    return np.quantile(draws, level, axis=0, method="weibull")


def covered(draws: np.ndarray, truth: np.ndarray, level: float = 0.9) -> np.ndarray:
    """Whether the central interval of the draws holds the truth: 1.0 where it does, 0.0 where not; its mean is the coverage.

    1[q_(1 - level)/2 <= y <= q_(1 + level)/2], quantiles as above, so that the mean is `level` for a forecaster that is right,
    for each k with k + 1 a multiple of 2 / (1 - level) (19, 39, ... for 0.9), and at most 1 / (k + 1) off at each end for others.
    draws: (k, *), truth: (*) -> (*), 1.0, 0.0 or NaN. Source: Gneiting & Raftery 2007, section 6.
    """
    low, high = quantile(draws, np.array([(1 - level) / 2, (1 + level) / 2]))
    return np.where(np.isnan(truth), np.nan, (low <= truth) & (truth <= high))
