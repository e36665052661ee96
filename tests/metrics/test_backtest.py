"""The benchmark's back-tests of risk: closed forms, published figures, and what right and wrong forecasts must give."""

import numpy as np
import pytest
from benchmarks.series_backtest import binomial_interval, christoffersen, kupiec, risk, shortfall
from scipy import stats


def test_risk_of_a_normal_is_its_closed_form():
    """VaR = -quantile, ES = sd phi(z) / p - mean, here of N(1, 4) at 95 %."""
    draws = stats.norm.ppf((np.arange(99_999) + 0.5) / 99_999, 1, 2)[:, None]
    var, es = risk(draws, 0.95)
    z = stats.norm.ppf(0.95)
    assert var[0] == pytest.approx(2 * z - 1, abs=1e-3)
    assert es[0] == pytest.approx(2 * stats.norm.pdf(z) / 0.05 - 1, abs=1e-3)


@pytest.mark.parametrize("k", [99, 199])
def test_var_is_exceeded_as_often_as_it_says_by_one_more_draw_of_any_law(k):
    rng = np.random.default_rng(0)
    var, es = risk(rng.standard_cauchy((k, 40_000)), 0.95)
    share = np.mean(-rng.standard_cauchy(40_000) > var)
    assert abs(share - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 40_000)
    assert np.all(es >= var)


REGIONS = [(510, 0.99, 2, 10), (1000, 0.99, 5, 16), (255, 0.95, 7, 20), (510, 0.95, 17, 35), (1000, 0.95, 38, 64)]


@pytest.mark.parametrize("days, level, low, high", REGIONS)
def test_kupiec_s_regions_are_those_of_his_table(days, level, low, high):
    """Kupiec 1995, table 3: counts of exceedances that are not rejected at 5 %. With none, LR = -2 D log(level)."""
    passed = [x for x in range(days // 5) if kupiec(np.arange(days) < x, level) > 0.05]
    assert (passed[0], passed[-1]) == (low, high)
    assert kupiec(np.zeros(days), level) == pytest.approx(stats.chi2.sf(-2 * days * np.log(level), 1))


def test_christoffersen_sees_exceedances_in_a_row_and_their_likelihood_ratio_is_that_of_the_table_of_pairs():
    """The independence test is the G test of the 2 x 2 table of neighbouring days, as scipy has it."""
    rng = np.random.default_rng(1)
    days = rng.uniform(size=1000) < 0.05
    pairs = [[np.sum((days[:-1] == a) & (days[1:] == b)) for b in (0, 1)] for a in (0, 1)]
    independent, _ = christoffersen(days, 0.95)
    assert independent == pytest.approx(
        stats.chi2_contingency(pairs, correction=False, lambda_="log-likelihood").pvalue
    )
    assert independent > 0.05
    rows = np.arange(1000) % 200 < 10  # as many, ten at a time
    assert kupiec(rows, 0.95) == pytest.approx(1)
    assert max(christoffersen(rows, 0.95)) < 1e-6


def test_right_forecasts_pass_and_their_p_values_are_uniform_where_wrong_ones_fail():
    rng, ps = np.random.default_rng(2), []
    for _ in range(60):
        draws, returns = rng.standard_t(4, (199, 250)), rng.standard_t(4, 250)
        ps.append(shortfall(draws, returns, 0.95, repeats=200)[1])
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    z2, p = shortfall(0.7 * draws, returns, 0.95, repeats=200)
    assert z2 < -0.3
    assert p < 0.02


def test_the_interval_holds_95_percent_of_binomial_counts():
    low, high = binomial_interval(2264, 0.99)
    law = stats.binom(2264, 0.01)
    assert law.cdf(high) - law.cdf(low - 1) >= 0.95
    assert law.cdf(high - 1) - law.cdf(low) < 0.95
