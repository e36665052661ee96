"""Precision, recall, density and coverage against plain loops, a public implementation, and faults put in by hand."""

import numpy as np
import pytest

from reverie.errors import ReverieError
from reverie.metrics import distances
from reverie.metrics.distances import nearest
from reverie.metrics.neighbours import Coverage, Density, Precision, Recall
from reverie.registry import build

FOUR = [Precision, Recall, Density, Coverage]


def distance(a, b):
    return float(np.sqrt(np.sum((a - b) ** 2)))


def radius(i, x, k):
    return sorted(distance(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]


def by_loops(real, made, k):
    """The four definitions, word for word."""
    r = [radius(i, real, k) for i in range(len(real))]
    g = [radius(j, made, k) for j in range(len(made))]
    return {
        Precision: np.mean([any(distance(y, x) <= r[i] for i, x in enumerate(real)) for y in made]),
        Recall: np.mean([any(distance(x, y) <= g[j] for j, y in enumerate(made)) for x in real]),
        Density: sum(distance(y, x) <= r[i] for y in made for i, x in enumerate(real)) / (k * len(made)),
        Coverage: np.mean([min(distance(x, y) for y in made) <= r[i] for i, x in enumerate(real)]),
    }


@pytest.mark.parametrize("entries", [50, 1 << 22])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_each_is_its_definition_whatever_the_blocks(k, entries, monkeypatch):
    monkeypatch.setattr(distances, "ENTRIES", entries)
    rng = np.random.default_rng(k)
    real, made = 10 + rng.standard_normal((30, 3)), 10.5 + 0.8 * rng.standard_normal((24, 3))
    expected = by_loops(real, made, k)
    for metric in FOUR:
        assert metric(k=k)(real, made) == pytest.approx(expected[metric], abs=1e-12), metric.__name__


def test_each_agrees_with_the_authors_own_implementation():
    prdc = pytest.importorskip("prdc", reason="prdc, the authors' own code, is not installed: pip install prdc")
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((300, 16)), 0.3 + 0.9 * rng.standard_normal((250, 16))
    theirs = prdc.compute_prdc(real, made, nearest_k=5)
    for metric in FOUR:
        assert metric(k=5)(real, made) == pytest.approx(theirs[metric.__name__.lower()], abs=1e-12), metric.__name__


def test_for_one_law_coverage_is_one_minus_two_to_the_minus_k_and_density_one():
    """Naeem et al. 2020: a ball misses all generated items with probability 2^-k for large equal sets."""
    rng = np.random.default_rng(4)
    sets = [rng.standard_normal((2, 400, 6)) for _ in range(30)]
    for k in (1, 3):
        assert np.mean([Coverage(k)(a, b) for a, b in sets]) == pytest.approx(1 - 2.0**-k, abs=0.01)
    assert np.mean([Density()(a, b) for a, b in sets]) == pytest.approx(1, abs=0.02)


def test_a_missing_mode_lowers_recall_and_coverage_alone():
    rng = np.random.default_rng(5)
    modes = 20 * np.eye(4)
    real = np.concatenate([m + rng.standard_normal((100, 4)) for m in modes])
    made = np.concatenate([m + rng.standard_normal((133, 4)) for m in modes[:3]])
    assert Precision()(real, made) > 0.9
    assert Density()(real, made) > 0.9
    assert Recall()(real, made) < 0.76
    assert Coverage()(real, made) < 0.76


def test_one_outlier_among_the_real_lifts_precision_but_hardly_density():
    """The reason for density (Naeem et al. 2020): a far outlier's ball is huge and holds all that is false."""
    rng = np.random.default_rng(6)
    real = rng.standard_normal((300, 4))
    bad = np.array([8.0, 0, 0, 0]) + 0.1 * rng.standard_normal((300, 4))
    with_outlier = np.concatenate([real, [[16.0, 0, 0, 0]]])
    assert Precision()(real, bad) == 0
    assert Precision()(with_outlier, bad) == 1
    assert Density()(with_outlier, bad) < 0.25


def test_a_copy_is_at_distance_exactly_zero_and_found():
    rng = np.random.default_rng(7)
    train = (100 + rng.standard_normal((400, 50))).astype(np.float32)
    far, where = nearest(train[[5, 17]], train, 4)
    assert far[:, 0].tolist() == [0, 0]
    assert where[:, 0].tolist() == [5, 17]
    brute = np.sort(np.linalg.norm(train[5].astype(float) - train, axis=1))[:4]
    np.testing.assert_allclose(far[0], brute, rtol=1e-12)


def test_k_below_one_is_refused():
    with pytest.raises(ReverieError, match="k is 0"):
        build("metrics", "recall:k=0")


@pytest.mark.parametrize("wide", [3, 7, 1000])
def test_the_nearest_are_the_same_however_many_are_met_together(wide, monkeypatch):
    monkeypatch.setattr(distances, "WIDE", wide)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 4)), rng.standard_normal((50, 4))
    every = np.linalg.norm(a[:, None] - b, axis=2)
    found, places = nearest(a, b, 5)
    np.testing.assert_array_equal(places, np.argsort(every, axis=1)[:, :5])
    np.testing.assert_allclose(found, np.sort(every, axis=1)[:, :5])
