"""Distances between sets of features against public implementations, and against closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics.pairwise import rbf_kernel

from reverie.errors import ReverieError
from reverie.metrics import distances
from reverie.metrics.energy import Energy
from reverie.metrics.gaussian_mmd import GaussianMMD, median_distance
from reverie.metrics.sliced import SlicedWasserstein
from reverie.registry import build
from tests.metrics.sets import SETS

ORACLES = json.loads((Path(__file__).parent / "oracles.json").read_text())
CASES = [(name, metric, figure) for name in SETS for metric, figure in ORACLES[name].items()]


@pytest.mark.parametrize(("name", "metric", "figure"), CASES)
def test_each_agrees_with_a_public_implementation(name, metric, figure):
    """torch-fidelity's statistics (Frechet, kernel and Gaussian MMD) and POT (sliced Wasserstein, energy)."""
    assert build("metrics", metric)(*SETS[name]) == pytest.approx(figure, rel=1e-4)


@pytest.mark.parametrize("entries", [900, 1 << 22])
def test_in_one_dimension_energy_is_scipy_s_and_sliced_wasserstein_the_quantiles(entries, monkeypatch):
    monkeypatch.setattr(distances, "ENTRIES", entries)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(150), 0.5 + 2 * rng.standard_normal(110)
    assert Energy()(x[:, None], y[:, None]) == pytest.approx(scipy.stats.energy_distance(x, y), rel=1e-9)
    x, y = np.repeat(x, 11), np.repeat(y, 15)  # 1,650 of each: the same two laws at one size
    truth = np.sqrt(np.mean((np.sort(x) - np.sort(y)) ** 2))
    assert SlicedWasserstein()(x[::11, None], y[::15, None]) == pytest.approx(truth, rel=1e-9)


def test_gaussian_mmd_is_its_definition_on_scikit_learn_s_kernel():
    x, y = SETS["unequal sizes"]
    h = np.median(scipy.spatial.distance.pdist(x))
    assert median_distance(x) == pytest.approx(h, rel=1e-9)
    for bandwidth in (None, 0.7):
        gamma = 1 / (2 * (bandwidth or h) ** 2)
        xx, yy, xy = rbf_kernel(x, gamma=gamma), rbf_kernel(y, gamma=gamma), rbf_kernel(x, y, gamma=gamma)
        among = (xx.sum() - len(x)) / (len(x) * (len(x) - 1)) + (yy.sum() - len(y)) / (len(y) * (len(y) - 1))
        assert GaussianMMD(bandwidth)(x, y) == pytest.approx(among - 2 * xy.mean(), rel=1e-8)


def test_gaussian_mmd_reaches_its_closed_form_for_gaussians():
    """E k = (1 + s / h^2)^(-1/2) exp(-m^2 / (2 (h^2 + s))) in one dimension, s the variance of the difference, m its mean."""
    rng = np.random.default_rng(1)
    h, mean, sd = 0.8, 0.6, 1.4

    def k(m, s):
        return (1 + s / h**2) ** -0.5 * np.exp(-(m**2) / (2 * (h**2 + s)))

    truth = k(0, 2) + k(0, 2 * sd**2) - 2 * k(mean, 1 + sd**2)
    found = [GaussianMMD(h)(rng.standard_normal((40, 1)), mean + sd * rng.standard_normal((50, 1))) for _ in range(400)]
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / 20 < 0.5 * truth


def test_a_shift_of_all_is_its_length_over_the_root_of_the_dimensions_along_random_lines():
    """The mean over the sphere of (v . m)^2 is |m|^2 / D."""
    x = np.random.default_rng(2).standard_normal((100, 5))
    shift = np.array([3.0, 0, 0, 4, 0])
    many = SlicedWasserstein(slices=20_000)
    assert many(x, x + shift) == pytest.approx(5 / np.sqrt(5), rel=0.02)
    assert many(x, x) == 0
    assert Energy()(x, x) < 1e-4  # the square root of what rounding leaves


def test_options_that_make_no_sense_are_refused():
    for text, said in (("gaussian-mmd:bandwidth=0", "bandwidth is 0"), ("sliced-wasserstein:slices=0", "slices is 0")):
        with pytest.raises(ReverieError, match=said):
            build("metrics", text)
