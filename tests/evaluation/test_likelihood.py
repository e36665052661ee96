"""Bits per dimension of exact denoisers are the entropy of the data that they are exact for."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from reverie.core.denoiser import Denoiser
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.evaluation.likelihood import bin_width, likelihood
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.core.exact import Normal
from tests.toy import tiny

SD = 30


class Told(Denoiser):
    """An exact denoiser in a network's place: what it is told of conditions changes nothing."""

    def __init__(self, exact):
        super().__init__()
        self.exact, self.process = exact, exact.process
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x_t, t, cond=None):
        return self.exact(x_t, t)


class Frequencies(Denoiser):
    """Exact for tokens that are independent and of one law."""

    def __init__(self, process, share):
        super().__init__()
        self.process, self.log_share = process, torch.log(torch.tensor(share))

    def forward(self, x_t, t):
        shape = (len(x_t), -1, *x_t.shape[1:])
        logits = self.log_share.reshape(1, -1, *(1,) * (x_t.ndim - 1)).expand(shape)
        return self.process.settle(logits.to(torch.float32), x_t, t)


def normal_pictures(count, seed):
    drawn = np.random.default_rng(seed).normal(128, SD, (count, 6, 6, 1))
    return np.clip(np.round(drawn), 0, 255).astype(np.uint8)


def test_for_an_exact_denoiser_of_pixels_it_is_their_entropy():
    """Integers drawn from N(128, 30^2) take log2(30 sqrt(2 pi e)) bits each, but for what is cut at 0 and 255 (2e-5)."""
    data = Data.from_arrays(normal_pictures(300, 0))
    model = prepare(data, TrainSettings.of({"held_out": 50}), tiny()).model
    schedule = model.denoiser.process.schedule
    model.denoiser = Told(Normal(schedule, 2 * 128 / 255 - 1, (2 * SD / 255) ** 2))
    assert bin_width(model, data.items[0]) == pytest.approx(2 / 255)
    truth = np.log2(SD * np.sqrt(2 * np.pi * np.e))
    found = likelihood(model, data.subset(np.arange(150)), data.subset(np.arange(150, 300)), n=64)
    assert found.n == 64
    assert abs(found.bits - truth) < 4 * found.standard_error + 0.01
    assert abs(found.train - truth) < 4 * found.train_standard_error + 0.01
    assert found.gaussian == pytest.approx(truth, abs=0.03)
    assert found.standard_error == pytest.approx(1 / (np.log(2) * np.sqrt(2 * 36 * 64)), rel=0.35)
    assert found.high - found.bits == pytest.approx(norm.ppf(0.975) * found.standard_error)
    worse = Told(Normal(schedule, 2 * 128 / 255 - 1, (4 * SD / 255) ** 2))
    model.denoiser = worse  # twice the spread costs 1 - (1 - 1/4) / (2 log 2) bits
    wrong = likelihood(model, data.subset(np.arange(150)), data.subset(np.arange(150, 300)), n=64)
    assert wrong.bits - found.bits == pytest.approx(1 - 0.375 / np.log(2), abs=0.15)


def test_for_tokens_it_is_a_bound_that_the_exact_denoiser_reaches():
    share = np.array([0.5, 0.25, 0.125, 0.125])
    items = np.random.default_rng(1).choice(4, (200, 6, 6, 1), p=share).astype(np.uint8) * 85  # black to white
    data = Data.from_arrays(items)
    model = prepare(data, TrainSettings.of({"held_out": 50, "family": "masked"})).model
    assert model.codec.field.classes == 4
    model.denoiser = Told(Frequencies(model.denoiser.process, share))
    found = likelihood(model, data.subset(np.arange(100)), data.subset(np.arange(100, 200)), n=64)
    assert abs(found.bits - 1.75) < 4 * found.standard_error
    assert found.gaussian == pytest.approx(1.75, abs=0.05)
    assert "a bound" in found.line()


def test_one_item_has_no_error_and_is_refused():
    data = Data.from_arrays(normal_pictures(6, 0))
    model = prepare(data, TrainSettings.of({"held_out": 2}), tiny()).model
    with pytest.raises(ReverieError, match="needs 2 items"):
        likelihood(model, data, data.subset(np.arange(1)))
