"""Parts of networks that have a truth of their own."""

import numpy as np
import pytest
import torch

from reverie.core.denoiser import NetworkDenoiser
from reverie.core.parameterisation import EDM as Target
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM
from reverie.example import ENTRIES, Condition, entries
from reverie.networks.base import Block
from reverie.networks.gaussian import SCALES, GaussianPosterior
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


def ar(channels=1, steps=12, phi=0.8):
    k = np.arange(steps)
    return np.kron(np.eye(channels) * 0.4 + 0.6, phi ** np.abs(k[:, None] - k))


def test_the_posterior_is_the_gaussian_s_given_what_is_noisy_and_what_is_told():
    rng = np.random.default_rng(0)
    both, m = ar(2), np.repeat([1.0, -1.0], 12)
    x = rng.multivariate_normal(m, both, size=20_000)
    made = GaussianPosterior(2, 12)
    made.fit(torch.from_numpy(x).reshape(-1, 2, 12))
    known = rng.random((5, 24)) < [[0.5], [0.1], [0.9], [0.0], [1.0]]
    n = np.array([0.5, 50.0, 0.1, 1.0, 2.0])
    y = x[:5] + n[:, None] * rng.standard_normal((5, 24))
    told = np.where(known, x[:5], np.nan)
    mean, sd = made(*(torch.from_numpy(v).float() for v in ((y - m).reshape(5, 2, 12), n, told.reshape(5, 2, 12))))
    made.eval()
    again = made(*(torch.from_numpy(v).float() for v in ((y - m).reshape(5, 2, 12), n, told.reshape(5, 24))))
    assert torch.allclose(again[0], mean, atol=2e-3)
    assert torch.allclose(again[1], sd, atol=2e-3)
    for k in range(5):
        r = np.where(known[k], 1e-9, n[k] ** 2)
        gain = both @ np.linalg.inv(both + np.diag(r))
        expected = gain @ (np.where(known[k], x[k], y[k]) - m)
        left = np.sqrt(np.diag(both - gain @ both).clip(0))
        assert mean[k].flatten().numpy() == pytest.approx(expected, abs=0.06)
        assert sd[k].flatten().numpy() == pytest.approx(np.where(known[k], 0, left), abs=0.03)


def test_many_entries_are_guessed_channel_by_channel():
    x = torch.randn(500, 20, 32, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    made = GaussianPosterior(20, 32)
    made.fit(x)
    told = x[:3].clone()
    told[:, 0, 16:], told[:, 1:] = torch.nan, torch.nan
    mean, sd = made(torch.zeros_like(told), torch.full((3,), 1e3), told)
    assert torch.allclose(
        mean[:, 0, 16:] + made.mean[0, 16:], x[:3, 0, 15:16].expand(3, 16), atol=1.2
    )  # of a random walk, the last value
    assert torch.allclose(mean[:, 5], torch.zeros(3, 32), atol=1e-2)
    assert torch.allclose(sd[0, 0, 16:], torch.arange(1, 17).sqrt(), rtol=0.2)


def factors(channels=20, steps=32, count=3000):
    """Channels with a slow factor in common, and each a quick one of its own: windows, and their covariance."""
    load = np.linspace(0.3, 1.0, channels)
    s = np.kron(np.outer(load, load), ar(1, steps, 0.9)) + np.kron(0.5 * np.eye(channels), ar(1, steps, 0.2))
    rows = np.random.default_rng(0).standard_normal((count, channels * steps)) @ np.linalg.cholesky(s).T
    return torch.from_numpy(rows).float().reshape(count, channels, steps), s


def test_beyond_what_is_known_together_channels_are_by_their_principal_components():
    """Of whole steps told, sum_k v_k v_k^T (x) T_k in closed form; of others, each channel's own covariance; near the truth."""
    x, truth = factors()
    made = GaussianPosterior(20, 32, principal=True)
    made.fit(x)
    v, t, own = (part.double().numpy() for part in (made.axes, made.along, made.covariance))
    both = sum(np.kron(np.outer(v[:, k], v[:, k]), t[k]) for k in range(20))
    apart = np.zeros_like(both)
    for c in range(20):
        apart[c * 32 : c * 32 + 32, c * 32 : c * 32 + 32] = own[c]
    assert np.linalg.norm(both - truth) < 0.2 * np.linalg.norm(truth)
    assert np.linalg.norm(apart - truth) > 0.8 * np.linalg.norm(truth)
    some = np.random.default_rng(1).random((20, 32)) < 0.4
    whole = np.arange(32) < np.array([[20]])
    amid = np.broadcast_to((np.arange(32) < 9) | (np.arange(32) > 17), (20, 32))
    known = np.stack([np.broadcast_to(whole, (20, 32)), some, np.zeros((20, 32), bool), amid, np.ones((20, 32), bool)])
    n = np.array([1.0, 0.5, 2.0, 30.0, 1.0])
    m, rng = made.mean.double().numpy().reshape(20, 32), np.random.default_rng(2)
    y = x[:5].double().numpy() - m + n[:, None, None] * rng.standard_normal((5, 20, 32))
    told = np.where(known, x[:5].double().numpy(), np.nan)
    given = [torch.from_numpy(part).float() for part in (y, n, told)]
    for mean, sd in (made.train()(*given), made.eval()(*given)):
        for k, s in enumerate((both, apart, both, both, both)):
            r = np.where(known[k].ravel(), 1e-9, n[k] ** 2)
            gain = np.linalg.solve(s + np.diag(r), s).T
            expected = gain @ np.where(known[k].ravel(), told[k].ravel() - m.ravel(), y[k].ravel())
            left = np.sqrt(np.diag(s - gain @ s).clip(0)) * ~known[k].ravel()
            assert mean[k].flatten().numpy() == pytest.approx(expected, abs=2e-3)
            assert sd[k].flatten().numpy() == pytest.approx(left, abs=2e-3)
    alone = made.eval()(given[0][2:3], given[1][2:3], None)
    assert torch.allclose(alone[0], mean[2:3], atol=1e-4)


def test_u_nets_of_many_channels_begin_by_principal_components_and_older_ones_load():
    x, _ = factors(count=200)
    net = UNet.sized("tiny", {"values": Block((20, 32))}, takes_entries=True)
    assert net.config["gaussian"] == [20, 32, True, 1]
    assert UNet.sized("tiny", {"values": Block((12, 32))}, takes_entries=True).config["gaussian"] == [
        12,
        32,
        False,
        SCALES,
    ]
    assert UNet.sized("tiny", {"values": Block((1, 500))}, takes_entries=True).config["gaussian"] == [
        1,
        500,
        False,
        SCALES,
    ]
    before = UNet(**{**net.config, "gaussian": [20, 32]})  # as files of before say it
    before.load_state_dict({k: v for k, v in net.state_dict().items() if k not in ("gaussian.axes", "gaussian.along")})
    net.begin(lambda: x, 1.0, edm=True)
    again = UNet(**net.config)
    again.load_state_dict(net.state_dict())
    assert torch.equal(again.eval()(x[:2], torch.zeros(2), {}), net.eval()(x[:2], torch.zeros(2), {}))


@pytest.mark.parametrize("sd", [1.0, 0.5])
def test_an_untrained_u_net_of_series_is_the_exact_denoiser_of_a_gaussian(sd):
    """Whatever the noise: E[x0 | x_t], and E[x0 | x_t, told entries]."""
    s = sd**2 * ar(1)
    x = np.random.default_rng(0).multivariate_normal(np.full(12, 0.3), s, size=20_000)
    data = torch.from_numpy(x).float().reshape(-1, 1, 12)
    net = UNet.sized("tiny", {"values": Block((1, 12))}, takes_entries=True)
    net.begin(lambda: data, sd, edm=True)
    process = Gaussian(EDM(), data.mean(0), data.var(0))
    denoiser = NetworkDenoiser(net, process, Target(sd), sd).eval()
    known = torch.arange(12) < 5
    for n in (0.05, 0.7, 5.0):
        t = process.schedule.time_of_noise(torch.tensor(n, dtype=torch.float64))
        y = data[:4] + n * torch.randn(4, 1, 12, generator=torch.Generator().manual_seed(1))
        for told in (torch.zeros(12, dtype=torch.bool), known):
            r = np.where(told.numpy(), 1e-9, n**2)
            gain = s @ np.linalg.inv(s + np.diag(r))
            seen = np.where(told.numpy(), data[:4, 0], y[:, 0]) - 0.3
            said = denoiser(y, t, {ENTRIES: entries(data[:4], told.expand(4, 1, 12))})[:, 0].detach().numpy()
            assert said == pytest.approx(0.3 + seen @ gain.T, abs=0.05 * sd)


def test_smooth_series_of_which_most_is_told_are_denoised_as_closed_forms_have_it():
    """Their covariance given so much has few axes that are not 0, on which eigenvalues in float32 did not converge."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 1, 96, generator=rng).cumsum(-1).cumsum(-1)
    x = (x - x.mean()) / x.std()
    made = GaussianPosterior(1, 96)
    made.fit(x)
    hidden = torch.rand(256, 1, 96, generator=rng) > 0.9
    told, n = torch.where(hidden, torch.nan, x[:256]), 0.1
    seen = x[:256] - made.mean.view(1, 1, 96) + n * torch.randn(256, 1, 96, generator=rng)
    mean, _ = made.eval()(seen, torch.full((256,), n), told)
    covariance, m = made.covariance[0].double(), made.mean[0].double()
    for k in (0, 2, 77):
        h = hidden[k, 0]
        pull = torch.linalg.solve(covariance[~h][:, ~h], covariance[~h][:, h])
        g = (x[k, 0].double() - m)[~h] @ pull
        left = covariance[h][:, h] - covariance[h][:, ~h] @ pull
        expected = g + left @ torch.linalg.solve(left + n**2 * torch.eye(int(h.sum())), seen[k, 0, h].double() - g)
        assert torch.allclose(mean[k, 0, h].double(), expected, atol=2e-3)
