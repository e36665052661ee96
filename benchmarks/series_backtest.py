"""Back-tests of Value-at-Risk and Expected Shortfall: forecasts of a day's loss held against what came.

A loss is -return. At level a (0.95, 0.99), VaR_a is the loss that is exceeded with probability p = 1 - a, ES_a the mean loss
where it is; an exceedance is a day with loss > VaR.
"""

from __future__ import annotations

import numpy as np
from scipy import stats


def risk(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """VaR and ES of draws of returns (k, D) -> (D,) and (D,), as losses.

    VaR is at rank level (k + 1) of the losses, exceeded by one more draw of the law with probability 1 - level whatever
    the law; ES is the mean of the draws beyond it, the largest where there is none.
    """
    losses = -draws
    var = np.quantile(losses, level, axis=0, method="weibull")
    beyond = losses > var
    tail = np.where(beyond, losses, 0).sum(0) / np.maximum(beyond.sum(0), 1)
    return var, np.where(beyond.any(0), tail, losses.max(0))


def binomial_interval(days: int, level: float) -> tuple[int, int]:
    """The central 95 % of the number of exceedances, were the forecasts right: Binomial(days, 1 - level)."""
    low, high = stats.binom.interval(0.95, days, 1 - level)
    return int(low), int(high)


def log_likelihood(hits: float, misses: float, p: float) -> float:
    """hits log p + misses log(1 - p), with 0 log 0 = 0."""
    return float(stats.bernoulli.logpmf(1, p) * hits if hits else 0.0) + float(
        stats.bernoulli.logpmf(0, p) * misses if misses else 0.0
    )


def kupiec(exceeded: np.ndarray, level: float) -> float:
    """p-value of Kupiec's test that days (D,) of bool are exceeded with probability 1 - level.

    LR = -2 log[(1 - p)^(D - x) p^x / ((1 - x/D)^(D - x) (x/D)^x)] ~ chi2(1). Source: Kupiec 1995.
    """
    return float(stats.chi2.sf(_unconditional(exceeded, level), 1))


def _unconditional(exceeded: np.ndarray, level: float) -> float:
    x, days = int(exceeded.sum()), len(exceeded)
    return -2 * (log_likelihood(x, days - x, 1 - level) - log_likelihood(x, days - x, x / days))


def christoffersen(exceeded: np.ndarray, level: float) -> tuple[float, float]:
    """p-values of Christoffersen's tests: that exceedances do not follow one another, and that with Kupiec's together.

    LR_ind = -2 log[L(pi) / L(pi_01, pi_11)] ~ chi2(1), pi_ij the share of days in state j after one in state i;
    LR_cc = LR_uc + LR_ind ~ chi2(2). Source: Christoffersen 1998.
    """
    before, after = exceeded[:-1].astype(bool), exceeded[1:].astype(bool)
    apart = 0.0
    for state in (False, True):
        hits, n = int(after[before == state].sum()), int((before == state).sum())
        apart += log_likelihood(hits, n - hits, hits / n) if n else 0.0
    hits, n = int(after.sum()), len(after)
    independent = max(0.0, 2 * (apart - log_likelihood(hits, n - hits, hits / n)))
    together = _unconditional(exceeded, level) + independent
    return float(stats.chi2.sf(independent, 1)), float(stats.chi2.sf(together, 2))


def shortfall(
    draws: np.ndarray, returns: np.ndarray, level: float, repeats: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Acerbi and Szekely's Z2 and its p-value: 0 expected of right forecasts, below 0 where losses beyond VaR are many or large.

    Z2 = sum_t X_t 1[X_t < -VaR_t] / (D (1 - level) ES_t) + 1, X the returns. draws: (k, D), returns: (D,). p: the share of
    `repeats` histories, each day one of its draws, whose Z2 is as low. Source: Acerbi & Szekely 2014, eq. 6.
    """
    var, es = risk(draws, level)
    rng, days = np.random.default_rng(seed), np.arange(len(returns))

    def z2(x: np.ndarray) -> float:
        return float(1 + (x * (x < -var) / es).sum() / (len(x) * (1 - level)))

    found = z2(returns)
    made = np.array([z2(draws[rng.integers(len(draws), size=len(days)), days]) for _ in range(repeats)])
    return found, float((1 + (made <= found).sum()) / (repeats + 1))


def report(draws: np.ndarray, returns: np.ndarray, level: float) -> dict[str, object]:
    """All of the above for one level."""
    var, es = risk(draws, level)
    exceeded = -returns > var
    low, high = binomial_interval(len(returns), level)
    x = int(exceeded.sum())
    independent, together = christoffersen(exceeded, level)
    z2, p = shortfall(draws, returns, level)
    tests = {
        "kupiec": kupiec(exceeded, level),
        "independence": independent,
        "conditional": together,
        "z2": z2,
        "z2_p": p,
    }
    about = {
        "exceeded": x,
        "expected": round(len(returns) * (1 - level), 1),
        "interval": [low, high],
        "within": low <= x <= high,
    }
    return {**about, **tests, "var": float(var.mean()), "es": float(es.mean())}
