"""Membership: the AUC and its interval by their definitions, exchangeable losses raise no alarm, an overfitted run does."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from reverie import api
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.errors import ReverieError
from reverie.evaluation.measure import measure
from reverie.evaluation.membership import LEVELS, STRONG, losses, membership
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.toy import bars, tiny


def test_the_auc_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    a, b = np.round(rng.standard_normal(60), 1), np.round(0.5 + rng.standard_normal(45), 1)  # rounded: ties
    found = membership(a, b)
    assert found.auc == pytest.approx(roc_auc_score(np.repeat([0, 1], [60, 45]), np.concatenate([a, b])))
    assert membership(b, a).auc == pytest.approx(1 - found.auc)


def test_the_interval_covers_and_p_is_uniform():
    """400 pairs of normal losses a shift of 0.5 apart: AUC = Phi(0.5 / sqrt 2). Bounds: three standard errors."""
    rng = np.random.default_rng(1)
    truth, hits, level = norm.cdf(0.5 / np.sqrt(2)), 0, 0
    for _ in range(400):
        x, y, z = rng.standard_normal((3, 50))
        found = membership(x, y + 0.5)
        hits += found.low <= truth <= found.high
        level += membership(x, z).p <= 0.05
    assert 0.95 - 3 * 0.011 <= hits / 400 <= 0.95 + 3 * 0.011
    assert level / 400 <= 0.05 + 3 * 0.011


def test_levels_of_any_scale_count_alike_and_constant_ones_do_not_count():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 40, 3))
    a[:, 1] -= 1
    scaled = np.array([1e6, 1e-6, 1]) * np.array([1, 1, 0])
    plain = membership(a[:, :2], b[:, :2])
    assert membership(a * scaled, b * scaled).auc == pytest.approx(plain.auc)
    same = membership(np.ones(5), np.ones(7))
    assert (same.auc, same.p) == (0.5, 1.0)


def test_losses_are_the_denoiser_s_errors_on_noises_that_both_sets_share():
    items, labels = bars(40)
    model = prepare(Data.from_arrays(items, labels), TrainSettings.of({"held_out": 10}), tiny()).model
    x, told = model.encode(items), model.condition(torch.from_numpy(labels))
    found = losses(model.denoiser, x, told)
    assert found.shape == (40, LEVELS)
    assert np.array_equal(found, losses(model.denoiser, x, told))
    assert np.allclose(
        losses(model.denoiser, x[:7], model.condition(torch.from_numpy(labels[:7]))), found[:7], rtol=1e-4
    )
    assert np.all(np.diff(found.mean(0)) > 0), "more noise leaves more to guess"


def test_too_few_items_or_losses_that_are_no_numbers_are_errors():
    with pytest.raises(ReverieError, match="needs 2 items of each set, and has 1 and 3"):
        membership(np.ones(1), np.ones(3))
    with pytest.raises(ReverieError, match="1 losses are NaN"):
        membership(np.array([1.0, np.nan]), np.ones(3))


@pytest.mark.slow
def test_a_run_overfitted_on_fifty_pictures_is_flagged_by_each_test_and_a_short_run_by_none():
    data = Digits().load()
    some = data.subset(np.arange(0, len(data), 17))
    cut = split(some, len(some) - 50, seed=0)
    model = api.train(some, steps=250, batch=32, held_out=len(some) - 50, seed=0, weights="last")
    train, held = some.subset(cut.train), some.subset(cut.held_out)
    assert len(train) == 50
    found = measure(model, train, held, n=50, likelihood_n=0)[0].audit
    print(*found.lines(), sep="\n")
    assert found.memorised
    assert found.copying
    assert found.membership.auc > 0.95
    assert found.nearer.p < 0.01
    assert found.ratio_p < 0.01

    cut = split(data)
    short = api.train(data, steps=20, batch=64, seed=0)
    audit = measure(short, data.subset(cut.train), data.subset(cut.held_out), n=200, likelihood_n=0)[0].audit
    print(*audit.lines(), sep="\n")
    assert not audit.memorised
    assert audit.membership.high < STRONG
