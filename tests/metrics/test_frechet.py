"""The Frechet distance against closed forms and against scipy's matrix square root."""

import numpy as np
import pytest
import scipy.linalg

from reverie.metrics.frechet import Frechet, between, factor


def covariance(rng, d):
    a = rng.standard_normal((d, d + 2))
    return a @ a.T / d


def textbook(mean_a, cov_a, mean_b, cov_b):
    return np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * scipy.linalg.sqrtm(cov_a @ cov_b).real)


@pytest.mark.parametrize("d", [1, 3, 40])
def test_from_moments_it_is_the_textbook_formula(d):
    rng = np.random.default_rng(d)
    a, b = covariance(rng, d), covariance(rng, d)
    mean_a, mean_b = rng.standard_normal((2, d))
    ours = between(mean_a, np.linalg.cholesky(a).T, mean_b, np.linalg.cholesky(b).T)
    assert ours == pytest.approx(textbook(mean_a, a, mean_b, b), rel=1e-9)


def test_from_samples_it_is_the_textbook_formula():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 12)), 1 + rng.standard_normal((70, 12)) @ rng.standard_normal((12, 12))
    theirs = textbook(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert Frechet()(x, y) == pytest.approx(theirs, rel=1e-9)


def test_with_more_features_than_items_the_singular_covariances_are_exact():
    """The eigenvalues of C_a C_b need no square root of a matrix, only of themselves."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((15, 60)), 0.5 + 2 * rng.standard_normal((20, 60))
    a, b = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    theirs = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b) - 2 * roots
    assert factor(x).shape == (15, 60)
    assert Frechet()(x, y) == pytest.approx(theirs, rel=1e-5)


def test_diagonal_covariances_over_eighteen_orders_of_magnitude():
    """For commuting covariances it is |m_a - m_b|^2 + sum (s_a - s_b)^2, whatever the conditioning."""
    s_a, s_b = np.logspace(-6, 3, 10), np.logspace(-5, 4, 10)
    ours = between(np.zeros(10), np.diag(s_a), np.ones(10), np.diag(s_b))
    assert ours == pytest.approx(10 + np.sum((s_a - s_b) ** 2), rel=1e-12)


def test_large_samples_of_known_gaussians_reach_the_limit():
    """N(0, I) and N(m, s^2 I) are |m|^2 + D (s - 1)^2 apart; 2e5 draws leave some 1 % of error."""
    rng = np.random.default_rng(2)
    d, s, mean = 4, 1.5, np.array([1.0, 0, -1, 0.5])
    x, y = rng.standard_normal((200_000, d)), mean + s * rng.standard_normal((200_000, d))
    assert Frechet()(x, y) == pytest.approx(np.sum(mean**2) + d * (s - 1) ** 2, rel=0.01)


def test_a_set_is_at_zero_from_itself_and_the_distance_is_symmetric():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((50, 8)), rng.standard_normal((50, 8))
    assert Frechet()(x, x) < 1e-12
    assert Frechet()(x, y) == pytest.approx(Frechet()(y, x), rel=1e-12)
