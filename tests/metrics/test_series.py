"""Scores of time series: closed forms, exact values for equal sets, and planted faults that the right score sees."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from reverie.evaluation.evaluate import metrics_of
from reverie.metrics.series import (
    AutocorrelationError,
    ChannelShapes,
    CrossCorrelationError,
    IncrementShapes,
    SquaredAutocorrelationError,
    alike,
    autocorrelations,
    cross_correlations,
    squares,
)
from reverie.registry import registered

PHI, RHO, STEPS = 0.8, 0.6, 48
ALL = (ChannelShapes, IncrementShapes, AutocorrelationError, SquaredAutocorrelationError, CrossCorrelationError)


def autoregressive(seed, n, phi=PHI, rho=RHO):
    """Two stationary AR(1) channels of variance 1, correlated rho at lag 0, (n, 2, STEPS)."""
    rng = np.random.default_rng(seed)
    e = rng.standard_normal((n, 2, STEPS + 100))
    e[:, 1] = rho * e[:, 0] + np.sqrt(1 - rho**2) * e[:, 1]
    x = np.zeros_like(e)
    for t in range(1, e.shape[2]):
        x[..., t] = phi * x[..., t - 1] + np.sqrt(1 - phi**2) * e[..., t]
    return x[..., 100:]


@pytest.fixture(scope="module")
def sides():
    return autoregressive(1, 600), autoregressive(2, 500)


def test_autocorrelations_are_those_of_the_law(sides):
    x = autoregressive(3, 8_000)
    k = np.arange(1, STEPS // 2 + 1)
    np.testing.assert_allclose(autocorrelations(x), np.broadcast_to(PHI**k, (2, len(k))), atol=0.02)
    # a Gaussian's squares: corr(x^2, y^2) = corr(x, y)^2
    np.testing.assert_allclose(autocorrelations(squares(x)), np.broadcast_to(PHI ** (2 * k), (2, len(k))), atol=0.02)
    np.testing.assert_allclose(cross_correlations(x), [[1, RHO], [RHO, 1]], atol=0.01)
    np.testing.assert_allclose(cross_correlations(x, 1), PHI * np.array([[1, RHO], [RHO, 1]]), atol=0.01)
    late = x.copy()
    late[:, 1, 1:] = x[:, 0, :-1]  # the second channel follows the first by a step
    assert cross_correlations(late, 1)[0, 1] == pytest.approx(1, abs=0.03)
    assert cross_correlations(late, 1)[1, 0] == pytest.approx(PHI**2, abs=0.03)


def test_autocorrelations_are_those_of_plain_sums_where_values_are_missing():
    x = autoregressive(4, 9)
    x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    c = x - np.nanmean(x, axis=(0, 2), keepdims=True)
    found = autocorrelations(x)
    for lag in (1, 5, STEPS // 2):
        covariance = np.nanmean(c[..., :-lag] * c[..., lag:], axis=(0, 2))
        np.testing.assert_allclose(found[:, lag - 1], covariance / np.nanmean(c * c, axis=(0, 2)), atol=1e-12)
    one = cross_correlations(x, 1)
    spread = np.sqrt(np.nanmean(c * c, axis=(0, 2)))
    assert one[0, 1] == pytest.approx(np.nanmean(c[:, 0, :-1] * c[:, 1, 1:]) / spread[0] / spread[1], abs=1e-12)


def test_shapes_are_scipys(sides):
    a, b = sides
    for change in (lambda x: x, np.diff):
        each = [1 - ks_2samp(change(a)[:, c].ravel(), change(b)[:, c].ravel()).statistic for c in range(2)]
        assert alike(change(a), change(b)) == pytest.approx(np.mean(each), abs=1e-12)
    assert IncrementShapes()(a, b) == pytest.approx(alike(np.diff(a), np.diff(b)))


def test_equal_sets_are_exactly_alike(sides):
    for metric in ALL:
        best = 1.0 if metric.better == "higher" else 0.0
        assert metric()(sides[0], sides[0]) == best
        constant = np.ones((4, 2, 12))
        assert metric()(constant, constant) == best  # no division by a spread of 0


def off(metric, real, generated):
    """How far from the best a score is."""
    value = metric()(real, generated)
    return 1 - value if metric.better == "higher" else value


FAULTS = {
    "shuffled in time": (
        lambda x: np.random.default_rng(0).permuted(x, axis=2),
        {IncrementShapes, AutocorrelationError, SquaredAutocorrelationError, CrossCorrelationError},
    ),
    "a channel negated": (lambda x: x * np.array([[1.0], [-1.0]]), {CrossCorrelationError}),
    "heavier tails, in calm and wild windows": (
        lambda x: x / np.sqrt(np.random.default_rng(0).chisquare(2, (len(x), 1, 1)) / 2),
        {ChannelShapes, IncrementShapes, SquaredAutocorrelationError},
    ),
    "shifted": (lambda x: x + 1, {ChannelShapes}),
    "one channel late": (
        lambda x: np.stack([x[:, 0], np.roll(x[:, 1], 3, axis=1)], 1),
        {CrossCorrelationError},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen_by_the_scores_that_are_to_see_it_and_no_other(sides, fault):
    """A score sees a fault where it is far beyond its own spread over draws of one law."""
    change, seen_by = FAULTS[fault]
    real, other = sides
    for metric in ALL:
        noise = [off(metric, real, autoregressive(seed, len(other))) for seed in range(10, 14)]
        value = off(metric, real, change(other))
        limit = max(noise) + 4 * np.std(noise) + 0.02
        blind = {"heavier tails, in calm and wild windows": {AutocorrelationError, CrossCorrelationError}}.get(
            fault, set()
        )
        if metric in seen_by:
            assert value > limit, (metric.__name__, value, noise)
        elif metric not in blind:  # what a handful of wild windows does to plain correlations is left open
            assert value < limit, (metric.__name__, value, noise)


def test_the_registry_finds_them_and_asks_only_those_that_suit():
    assert set(registered("series-metrics").values()) == set(ALL)
    one = metrics_of("series-metrics", np.zeros((3, 1, 10)))
    assert CrossCorrelationError not in map(type, one)
    assert len(one) == len(ALL) - 1
    assert metrics_of("series-metrics", np.zeros((3, 2, 1))) == []
    for metric in metrics_of("series-metrics", np.zeros((3, 2, 10))):
        assert metric.bounds[0] <= metric(*(autoregressive(s, 20) for s in (0, 1))) <= metric.bounds[1]
