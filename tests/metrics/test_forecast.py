"""Scores of forecasts against closed forms, the definition taken literally, and what exchangeable draws must give."""

import numpy as np
import pytest
from scipy import integrate, stats

from reverie.metrics.forecast import absolute_error, covered, crps, quantile


def normal_crps(mean, sd, y):
    """The closed form of a normal law. Source: Gneiting et al. 2005, eq. 5."""
    z = (y - mean) / sd
    return sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_crps_is_its_definition_pair_by_pair():
    rng = np.random.default_rng(0)
    draws, truth = rng.standard_cauchy((7, 3, 4)), rng.standard_cauchy((3, 4))
    pairs = [np.abs(draws[i] - draws[j]) for i in range(7) for j in range(7) if i != j]
    assert np.allclose(crps(draws, truth), np.abs(draws - truth).mean(0) - np.mean(pairs, axis=0) / 2)


@pytest.mark.parametrize("k", [2, 3, 20])
def test_crps_of_few_draws_has_the_mean_of_endless_ones(k):
    """Draws of N(1, 4) against fixed truths: the mean over repeats is the closed form within 4 standard errors."""
    rng, y = np.random.default_rng(1), np.array([-3.0, 1.0, 2.5])
    found = crps(rng.normal(1, 2, (k, 40_000, 3)), y)
    error = found.std(0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - normal_crps(1, 2, y)) < 4 * error)
    assert np.all(error < 0.02)


def test_crps_is_the_integral_of_the_squared_distance_of_the_distribution_functions():
    """With each draw among its own pairs (k^2 of them) it is that integral exactly; the fair form adds the difference."""
    draws, y, k = np.array([0.3, -1.2, 2.0, 0.9]), 0.5, 4
    f = lambda x: (np.mean(draws <= x) - (y <= x)) ** 2  # noqa: E731
    exact = integrate.quad(f, -2, 3, points=[*draws, y], limit=200)[0]
    own = np.abs(draws[:, None] - draws).sum() / 2
    assert crps(draws, np.array(y)) == pytest.approx(exact + own / k**2 - own / (k * (k - 1)))


def test_the_true_law_scores_best_and_shifts_and_units_carry_over():
    rng = np.random.default_rng(2)
    truth, noise = rng.standard_normal(4000), rng.standard_normal((50, 4000))
    best = crps(noise, truth).mean()
    for mean, sd in ((0.3, 1), (0, 0.6), (0, 1.6)):
        assert crps(mean + sd * noise, truth).mean() > best + 0.01
    assert np.allclose(crps(10 * noise - 3, 10 * truth - 3), 10 * crps(noise, truth))


def test_quantiles_split_exchangeable_values_as_they_say():
    """P(next <= x_(r)) = r / (k + 1) whatever the law: exponential draws, 3 standard errors of 40,000 values."""
    rng, levels = np.random.default_rng(3), np.array([0.05, 0.25, 0.9])
    below = (rng.exponential(size=40_000) <= quantile(rng.exponential(size=(19, 40_000)), levels)).mean(1)
    assert np.all(np.abs(below - levels) < 3 * np.sqrt(levels * (1 - levels) / 40_000))


@pytest.mark.parametrize("k, level", [(19, 0.9), (39, 0.5)])
def test_coverage_of_a_right_forecaster_is_the_level(k, level):
    rng = np.random.default_rng(4)
    draws, truth = rng.standard_normal((k, 40_000)), rng.standard_normal(40_000)
    error = np.sqrt(level * (1 - level) / 40_000)
    assert abs(covered(draws, truth, level).mean() - level) < 3 * error
    assert covered(0.5 * draws, truth, level).mean() < level - 10 * error


def test_the_point_is_the_median_and_a_value_that_is_not_there_has_no_score():
    draws = np.array([[1.0, 5.0, 2.0], [2.0, 6.0, 2.0], [30.0, 7.0, 2.0]])
    truth = np.array([4.0, np.nan, 2.0])
    assert np.array_equal(absolute_error(draws, truth), [2.0, np.nan, 0.0], equal_nan=True)
    for score in (crps, covered):
        assert np.array_equal(np.isnan(score(draws, truth)), [False, True, False])


def test_one_draw_has_no_spread():
    with pytest.raises(ValueError, match="two or more"):
        crps(np.zeros((1, 3)), np.zeros(3))
