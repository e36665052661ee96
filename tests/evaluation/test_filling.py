"""A forecaster that is right has the score and the coverage that its own spread says; those that know little of time do not."""

import numpy as np
import pytest

from reverie.data.dataset import Data
from reverie.evaluation.filling import fillings
from tests.tasks.series import LENGTH, PHI, exact_series, posterior, walk, windows


def data(seed, n=240):
    made = windows(walk(n * LENGTH, seed)).cut(LENGTH, stride=LENGTH)
    return Data(made, [str(k) for k in range(len(made))], kind="series", source="walk")


def test_an_exact_forecaster_has_the_score_that_its_own_spread_says():
    ahead, amid = fillings(exact_series(), data(1), data(2), n=96)
    # E CRPS of N(m, s^2), where it is true, is s / sqrt(pi)
    expected = np.sqrt(1 - PHI ** (2 * np.arange(1, 5))).mean() / np.sqrt(np.pi)
    assert ahead.low < expected < ahead.high
    assert ahead.high - ahead.low < 0.35 * expected
    hole = (np.arange(LENGTH) >= 6) & (np.arange(LENGTH) < 10)
    _, cov = posterior(np.zeros((LENGTH, 1)), hole[:, None])
    assert amid.low < np.sqrt(np.diag(cov)).mean() / np.sqrt(np.pi) < amid.high
    assert ahead.covered == pytest.approx(0.9, abs=0.05)
    assert ahead.marginal == pytest.approx(1 / np.sqrt(np.pi), rel=0.2)  # N(0, 1) knows nothing
    assert ahead.crps < ahead.marginal
    assert ahead.line().startswith("Forecast of the last quarter: error of the draws (CRPS, 0 is best) 0.")


@pytest.mark.slow
def test_what_was_not_observed_is_scored_nowhere():
    held = data(2, 40)
    whole = fillings(exact_series(), data(1), held, n=40)[0]
    values = held.items.series[0].values
    values[LENGTH - 4 :: LENGTH] = np.nan  # of each window the first step of the future
    holed = fillings(exact_series(), data(1), held, n=40)[0]
    later = np.sqrt(1 - PHI ** (2 * np.arange(2, 5))).mean() / np.sqrt(np.pi)
    assert holed.low < later < holed.high
    assert holed.crps > whole.crps
