"""GARCH(1,1) with Student's t, as a peer of series.py, in an environment of its own:

    python3 -m venv .venv-series && .venv-series/bin/pip install -r benchmarks/requirements-series.txt
    .venv-series/bin/python benchmarks/series_garch.py scenarios asked.npz found.npz N LENGTH SEED
    .venv-series/bin/python benchmarks/series_garch.py ahead asked.npz found.npz TRAINING_DAYS REFIT

scenarios: `train` (T, C), returns in % -> `made` (N, LENGTH, C): a model a channel; each scenario starts from the variances of a
training day and draws whole days of the residuals' ranks, each made the fitted law's quantile, so that channels keep their ties
(an empirical copula: residuals themselves explode where a stock's price stood still and its variance was nearly 0).
ahead: `returns` (T,) in %, `days` (D,) -> `mean`, `sd`, `nu` (D,) of each day's law, from the rows before it; parameters are
those of the first TRAINING_DAYS, or of all rows before, anew every REFIT days where REFIT is not 0.
"""

from __future__ import annotations

import sys

import numpy as np
from arch import arch_model
from arch.univariate.base import ARCHModelResult
from scipy import stats


def main() -> None:
    what, source, target = sys.argv[1:4]
    numbers = list(map(int, sys.argv[4:]))
    with np.load(source) as asked:
        found = {"scenarios": scenarios, "ahead": ahead}[what](dict(asked), *numbers)
    np.savez(target, **found)


def fitted(returns: np.ndarray, last: int | None = None) -> ARCHModelResult:
    """The model of all rows, its parameters those of the first `last`."""
    return arch_model(returns, mean="Constant", vol="GARCH", p=1, q=1, dist="t").fit(disp="off", last_obs=last)


def scenarios(asked: dict[str, np.ndarray], n: int, length: int, seed: int) -> dict[str, np.ndarray]:
    train, rng = asked["train"], np.random.default_rng(seed)
    models = [fitted(column) for column in train.T]
    mu, omega, alpha, beta = np.array([[m.params[p] for m in models] for p in ("mu", "omega", "alpha[1]", "beta[1]")])
    variances = np.stack([m.conditional_volatility**2 for m in models], 1)
    nu = np.array([m.params["nu"] for m in models])
    ranks = stats.rankdata((train - mu) / np.sqrt(variances), axis=0) / (len(train) + 1)
    residuals = stats.t.ppf(ranks, nu) * np.sqrt((nu - 2) / nu)
    variance, made = variances[rng.integers(len(train), size=n)], np.empty((n, length, train.shape[1]))
    for t in range(length):
        shock = np.sqrt(variance) * residuals[rng.integers(len(train), size=n)]
        made[:, t] = mu + shock
        variance = omega + alpha * shock**2 + beta * variance
    return {"made": made}


def ahead(asked: dict[str, np.ndarray], training: int, refit: int) -> dict[str, np.ndarray]:
    returns, days = asked["returns"], asked["days"]
    laws = np.empty((len(returns), 3))
    step = refit or len(returns)
    for start in range(training, len(returns), step):
        model = fitted(returns, start)
        stop = min(start + step, len(returns))
        told = model.forecast(start=start - 1, horizon=1, reindex=False)  # from the rows up to start - 1, of day start
        count = stop - start
        laws[start:stop, 0] = told.mean.to_numpy()[:count, 0]
        laws[start:stop, 1] = np.sqrt(told.variance.to_numpy()[:count, 0])
        laws[start:stop, 2] = model.params["nu"]
    return dict(zip(("mean", "sd", "nu"), laws[days].T, strict=True))


if __name__ == "__main__":
    main()
