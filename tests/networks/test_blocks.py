"""Parts of networks that have a truth of their own."""

import numpy as np
import pytest
import torch

from reverie.example import ENTRIES, Condition, entries
from reverie.networks.base import Block
from reverie.networks.guess import LinearGuess
from reverie.networks.unet import UNet


def test_a_u_net_that_is_told_nothing_known_is_told_nothing():
    torch.manual_seed(0)
    net = UNet.sized("tiny", {"values": Block((2, 24))}, takes_entries=True).eval()
    for p in net.last.parameters():
        torch.nn.init.normal_(p)
    x, level = torch.randn(3, 2, 24), torch.zeros(3)
    known = torch.rand(3, 2, 24) < 0.5
    told = entries(x, known)
    untold = net(x, level, {})
    assert torch.equal(net(x, level, {ENTRIES: told.absent()}), untold)
    assert torch.equal(net(x, level, {ENTRIES: entries(x, torch.zeros_like(known))}), untold)
    some = net(x, level, {ENTRIES: Condition(told.value, torch.tensor([True, False, False]))})
    assert not torch.allclose(some[0], untold[0])
    assert torch.allclose(some[1:], untold[1:], atol=1e-5)
    assert UNet(**net.config).takes_entries


def test_the_linear_guess_is_the_posterior_of_a_gaussian():
    rng = np.random.default_rng(0)
    steps = np.arange(12)
    true = 0.8 ** np.abs(steps[:, None] - steps)
    both = np.kron([[1.0, 0.6], [0.6, 1.0]], true)  # two channels that go together
    x = rng.multivariate_normal(np.tile([1.0, -1.0], (12, 1)).T.ravel(), both, size=20_000).reshape(-1, 2, 12)
    guess = LinearGuess(2, 12)
    guess.fit(torch.from_numpy(x))
    known = rng.random((5, 24)) < [[0.5], [0.1], [0.9], [0.0], [1.0]]
    value = torch.from_numpy(np.where(known, x[:5].reshape(5, 24), np.nan).reshape(5, 2, 12)).float()
    mean, sd = (made.reshape(5, 24).double().numpy() for made in guess(value))
    m = np.repeat([1.0, -1.0], 12)
    for k, told in enumerate(known):
        gain = both[~told][:, told] @ np.linalg.inv(both[told][:, told])
        expected = m[~told] + gain @ (x[k].ravel()[told] - m[told])
        left = np.diag(both[~told][:, ~told] - gain @ both[told][:, ~told])
        assert mean[k, ~told] == pytest.approx(expected, abs=0.06)
        assert sd[k, ~told] == pytest.approx(np.sqrt(left), abs=0.03)
        assert mean[k, told] == pytest.approx(x[k].ravel()[told], abs=1e-6)
        assert (sd[k, told] == 0).all()


def test_many_entries_are_guessed_channel_by_channel():
    x = torch.randn(500, 20, 32, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    guess = LinearGuess(20, 32)
    guess.fit(x)
    value = x[:3].clone()
    value[:, 0, 16:], value[:, 1:] = torch.nan, torch.nan
    mean, sd = guess(value)
    assert torch.allclose(mean[:, 0, 16:], x[:3, 0, 15:16].expand(3, 16), atol=1.2)  # of a random walk, the last value
    assert torch.allclose(mean[:, 5], guess.mean[5].expand(3, 32), atol=1e-4)
    assert torch.allclose(sd[0, 0, 16:], torch.arange(1, 17).sqrt(), rtol=0.2)
