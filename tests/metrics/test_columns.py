"""Scores of columns and of pairs of them: against sdmetrics, scipy and pandas, and what they must and must not notice."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from scipy.stats.contingency import association

from reverie.metrics.columns import ColumnPairTrends, ColumnShapes, correlations, names

# sdmetrics 0.32.0 on table(1, 400) and table(2, 300, 0.3), -1 as missing: KSComplement of a, b, e, TVComplement of c, d, f;
# CorrelationSimilarity of two of a, b, e, ContingencySimilarity of all other pairs, continuous_column_names=those of a, b, e
SHAPES = {"a": 0.8175, "b": 0.8475, "c": 0.805, "d": 0.886667, "e": 0.796787, "f": 0.907294}
PAIRS = {
    "ab": 0.991841, "ac": 0.709167, "ad": 0.83, "ae": 0.980624, "af": 0.818333, "bc": 0.730833, "bd": 0.835, "be": 0.976431,
    "bf": 0.831667, "cd": 0.805, "ce": 0.710833, "cf": 0.798333, "de": 0.8, "df": 0.886667, "ef": 0.780833,
}  # fmt: skip


def table(seed, n, shift=0.0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(n) + shift
    b = np.round(3 * a + rng.standard_normal(n), 1)
    c = rng.choice(4, n, p=[0.25] * 4 if shift else [0.4, 0.3, 0.2, 0.1])
    d = (a + 0.5 * rng.standard_normal(n) > 0).astype(np.int64)
    e = np.where(rng.random(n) < 0.2 + shift / 5, np.nan, np.exp(a))
    f = np.where(rng.random(n) < 0.1, -1, d)
    return records({"a": a, "b": b, "c": c, "d": d, "e": e, "f": f})


def records(columns):
    made = np.empty(len(next(iter(columns.values()))), [(k, v.dtype) for k, v in columns.items()])
    for name, values in columns.items():
        made[name] = values
    return made


@pytest.fixture(scope="module")
def sides():
    return table(1, 400), table(2, 300, 0.3)


def test_shapes_agree_with_sdmetrics(sides):
    assert ColumnShapes().by_column(*sides) == pytest.approx(SHAPES, abs=1e-6)
    assert ColumnShapes()(*sides) == pytest.approx(np.mean(list(SHAPES.values())), abs=1e-6)


def test_pair_trends_agree_with_sdmetrics(sides):
    alike = ColumnPairTrends().pairs(*sides).alike
    found = {"abcdef"[i] + "abcdef"[j]: alike[i, j] for i in range(6) for j in range(i + 1, 6)}
    assert found == pytest.approx(PAIRS, abs=1e-6)
    np.testing.assert_array_equal(alike, alike.T)
    assert ColumnPairTrends()(*sides) == pytest.approx(np.mean(list(PAIRS.values())), abs=1e-6)


def test_numbers_are_scored_as_scipy_does(sides):
    real, made = sides
    for name in "abe":
        a, b = (x[name][~np.isnan(x[name])] for x in sides)
        assert ColumnShapes().by_column(real, made)[name] == pytest.approx(1 - ks_2samp(a, b).statistic, abs=1e-12)


def test_ties_are_those_of_pandas_and_scipy(sides):
    real = sides[0]
    frame = pd.DataFrame({name: real[name] for name in names(real)})
    np.testing.assert_allclose(
        correlations(real)[np.ix_([0, 1, 4], [0, 1, 4])], frame[["a", "b", "e"]].corr(), atol=1e-9
    )
    assert np.isnan(correlations(real)[2]).all()
    tie = ColumnPairTrends().pairs(*sides).real
    assert tie[2, 3] == pytest.approx(corrected(pd.crosstab(frame.c, frame.d)), abs=1e-9)
    binned = np.digitize(frame.a, np.histogram_bin_edges(frame.a, 10)[1:-1])
    assert tie[0, 5] == pytest.approx(corrected(pd.crosstab(binned, frame.f)), abs=1e-9)


def corrected(table):
    """Scipy's Cramer's V, corrected as Bergsma 2013 does."""
    n, (k, ell) = table.to_numpy().sum(), table.shape
    phi2 = association(table, "cramer") ** 2 * (min(k, ell) - 1)
    less = max(phi2 - (k - 1) * (ell - 1) / (n - 1), 0)
    return (less / (min(k - (k - 1) ** 2 / (n - 1), ell - (ell - 1) ** 2 / (n - 1)) - 1)) ** 0.5


def test_columns_of_many_classes_that_have_nothing_to_do_with_each_other_do_not_seem_to():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        a, b = rng.integers(0, 200, 400), rng.integers(0, 30, 400)
        records = np.rec.fromarrays([a, b], names="a,b")
        found.append(ColumnPairTrends().pairs(records, records).real[0, 1])
    assert association(pd.crosstab(a, b), "cramer") > 0.6, "what it was without the correction"
    assert np.mean(found) < 0.1
    same = np.rec.fromarrays([b, b], names="a,b")
    assert ColumnPairTrends().pairs(same, same).real[0, 1] == pytest.approx(1, abs=0.02)


def test_numbers_whose_range_is_beyond_all_numbers_are_binned():
    x = 1.7e308 * np.random.default_rng(0).uniform(-1, 1, 300)
    records = np.rec.fromarrays([x, (x > 0).astype(int)], names="a,b")
    assert ColumnPairTrends().pairs(records, records).real[0, 1] > 0.9


def test_a_copy_is_perfect_and_a_shuffled_column_shows_in_its_pairs_alone(sides):
    real = sides[0]
    assert ColumnShapes()(real, real[::-1]) == ColumnPairTrends()(real, real[::-1]) == pytest.approx(1)
    torn = real.copy()
    torn["a"] = np.random.default_rng(0).permutation(real["a"])
    assert ColumnShapes()(real, torn) == 1
    alike = ColumnPairTrends().pairs(real, torn).alike
    assert alike[0, 1] < 0.6
    assert np.nanmin(alike[1:, 1:]) == pytest.approx(1)


def test_empty_and_constant_columns_have_a_score():
    some = records({"x": np.array([np.nan, 1.0, 2.0]), "y": np.array([0, 1, -1])})
    none = records({"x": np.full(3, np.nan), "y": np.full(3, -1)})
    assert ColumnShapes().by_column(some, none) == {"x": 0, "y": 0}
    assert ColumnShapes().by_column(none, none) == {"x": 1, "y": 1}
    rng = np.random.default_rng(0)
    line = rng.standard_normal(50)
    real = records({"x": line, "y": line})
    flat = records({"x": line, "y": np.ones(50)})
    assert ColumnPairTrends()(real, flat) == pytest.approx(
        0.5
    )  # r = 1 against 0: a constant hangs together with nothing
