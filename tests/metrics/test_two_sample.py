"""The classifier two-sample test: scikit-learn's own accuracy, an exact p-value, and what it sees."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from reverie.errors import ReverieError
from reverie.metrics.gaussian_mmd import median_distance
from reverie.metrics.two_sample import ClassifierTest
from reverie.registry import build
from tests.metrics.sets import SETS


@pytest.mark.parametrize(
    "name", [k if k.startswith("unequal") else pytest.param(k, marks=pytest.mark.slow) for k in SETS]
)
def test_the_accuracy_is_that_of_scikit_learn_s_cross_validation(name):
    real, made = SETS[name]
    metric = ClassifierTest()
    labels, fold, _ = metric._fit(real, made)
    x = np.concatenate([real, made])
    ridge = KernelRidge(alpha=1.0, kernel="rbf", gamma=1 / (2 * median_distance(x) ** 2))
    said = cross_val_predict(ridge, x, labels, cv=PredefinedSplit(fold))
    theirs = np.mean([np.mean(np.sign(said[labels == y]) == y) for y in (1, -1)])
    assert metric(real, made) == pytest.approx(theirs, rel=1e-9)


def test_p_is_uniform_where_the_two_laws_are_one():
    """A permutation test is exact: P[p <= a] <= a, and near it. 400 pairs; the bounds are three standard errors."""
    metric, rng = ClassifierTest(permutations=59), np.random.default_rng(0)
    found = np.array([metric.p_value(*rng.standard_normal((2, 20, 3))) for _ in range(400)])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / 400)
    assert np.mean(found <= 0.5) >= 0.35


def test_it_sees_a_shift_and_a_spread_and_names_their_p():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 4))
    for other in (rng.standard_normal((200, 4)) + 1, 2 * rng.standard_normal((200, 4))):
        assert ClassifierTest()(x, other) > 0.65
        assert ClassifierTest().p_value(x, other) == 1 / 1000
    assert ClassifierTest()(x, x + 100) == 1
    assert ClassifierTest().p_value(x, rng.standard_normal((200, 4))) > 0.01


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ReverieError, match="folds must be 2"):
        build("metrics", "classifier:folds=1")
