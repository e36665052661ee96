"""Calm and wild windows: the posterior of a mixture of scales in closed form, what is measured of them, and when they help."""

import numpy as np
import pytest
import torch

from reverie.networks.base import Block
from reverie.networks.gaussian import SCALES, GaussianPosterior
from reverie.networks.scales import mixture
from reverie.networks.unet import UNet
from tests.networks.test_blocks import ar

STEPS = 24


def windows(count, scales, channels=1, seed=0):
    """x = sqrt(w) z, z ~ N(0, S), with w one of `scales` alike."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((count, channels * STEPS)) @ np.linalg.cholesky(ar(channels, STEPS)).T
    w = rng.choice(scales, count)
    return torch.from_numpy(np.sqrt(w)[:, None] * z).float().reshape(count, channels, STEPS), w


@pytest.mark.parametrize(("channels", "principal"), [(2, False), pytest.param(17, True, marks=pytest.mark.slow)])
def test_the_posterior_of_a_mixture_is_its_closed_form(channels, principal):
    x, _ = windows(200, [0.2, 1.0, 4.0], channels)
    made = GaussianPosterior(channels, STEPS, principal, scales=3)
    made.fit(x)
    assert made.scales[2] > 4 * made.scales[0]
    d, m = channels * STEPS, made.mean.double().numpy().ravel()
    if principal:
        v, t = made.axes.double().numpy(), made.along.double().numpy()
        s = sum(np.kron(np.outer(v[:, k], v[:, k]), t[k]) for k in range(channels))
    else:
        s = made.covariance[0].double().numpy()
    known = np.zeros((4, channels, STEPS), bool)
    known[1, :, :2], known[2, :, 6:], known[3] = True, True, True
    known, n = known.reshape(4, d), np.array([2.0, 1.0, 5.0, 1.0])
    rng, here = np.random.default_rng(1), x[:4].reshape(4, d).double().numpy()
    y = here - m + n[:, None] * rng.standard_normal((4, d))
    told = np.where(known, here, np.nan)
    given = [torch.from_numpy(part).float() for part in (y.reshape(4, channels, STEPS), n, told)]
    for mean, _ in (made.train()(*given), made.eval()(*given)):
        for k in range(4):
            seen, r = np.where(known[k], here[k] - m, y[k]), np.where(known[k], 1e-6, n[k] ** 2)
            logs, means = [], []
            for w, p in zip(made.scales.double().numpy(), made.shares.double().numpy(), strict=True):
                whole = w * s + np.diag(r)
                solved = np.linalg.solve(whole, seen)
                logs.append(np.log(p) - seen @ solved / 2 - np.linalg.slogdet(whole)[1] / 2)
                means.append(w * s @ solved)
            q = np.exp(np.array(logs) - max(logs))
            assert mean[k].flatten().numpy() == pytest.approx(q @ np.array(means) / q.sum(), abs=5e-3)
    alone, _ = made.eval()(given[0][:1], given[1][:1], None)
    assert torch.allclose(alone, mean[:1], atol=1e-4)


def test_em_finds_scales_and_shares_from_squared_lengths():
    """Of lengths w chi^2_24: which w there are, how often, and with more scales than there are their mean and spread."""
    rng = np.random.default_rng(0)
    w = rng.choice([0.25, 4.0], 20_000, p=[0.7, 0.3])
    lengths = torch.from_numpy(w * rng.chisquare(STEPS, 20_000))
    two = mixture(lengths, STEPS, 2)
    assert two.scales.tolist() == pytest.approx([0.25, 4.0], rel=0.03)
    assert two.shares.tolist() == pytest.approx([0.7, 0.3], abs=0.02)
    more = mixture(lengths, STEPS, SCALES)
    assert float(more.shares @ more.scales) == pytest.approx(w.mean(), rel=0.03)
    assert float(more.shares @ more.scales.log()) == pytest.approx(np.log(w).mean(), abs=0.05)


def denoised(made, x, n):
    """Mean squared error of windows of which noise n is taken off."""
    y = x + n * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    return float((made.eval()(y - made.mean.view(x.shape[1:]), torch.full((len(x),), n), None)[0] - x).square().mean())


def test_windows_of_several_scales_are_denoised_better_by_several():
    """Within 1 % of the law that made them, where one scale is a tenth off."""
    x, new = windows(3000, [0.1, 3.0])[0], windows(2000, [0.1, 3.0], seed=1)[0]
    many, one, true = (GaussianPosterior(1, STEPS, scales=k) for k in (SCALES, 1, 2))
    many.fit(x)
    one.fit(x)
    true.covariance.copy_(torch.from_numpy(ar(1, STEPS)))
    true.scales.copy_(torch.tensor([0.1, 3.0]))
    true.shares.fill_(0.5)
    best = denoised(true, new, 1.0)
    assert denoised(many, new, 1.0) < 1.01 * best
    assert denoised(one, new, 1.0) > 1.1 * best


def test_scales_are_left_out_where_they_do_not_help():
    """Roughness that says nothing of the level: a walk with noise of its own width on it, in windows of two widths."""
    rng = np.random.default_rng(0)
    level = 3 * rng.standard_normal((2000, 1, 1)) + rng.standard_normal((2000, 1, STEPS)).cumsum(-1)
    rough = rng.choice([0.02, 0.5], (2000, 1, 1)) * rng.standard_normal((2000, 1, STEPS))
    made = GaussianPosterior(1, STEPS, scales=SCALES)
    made.fit(torch.from_numpy(level + rough).float())
    assert made.shares.tolist() == [1] + [0] * (SCALES - 1)
    assert made.scales.tolist() == [1] * SCALES


def test_networks_of_before_had_one_scale_and_load_as_they_were():
    net = UNet.sized("tiny", {"values": Block((1, STEPS))}, takes_entries=True)
    assert net.config["gaussian"] == [1, STEPS, False, SCALES]
    before = UNet(**{**net.config, "gaussian": [1, STEPS]})
    assert "gaussian.scales" not in before.state_dict()
    assert before.gaussian.scales.tolist() == [1]
    again = UNet(**net.config)
    net.begin(lambda: windows(200, [0.1, 3.0])[0], 1.0, edm=True)
    again.load_state_dict(net.state_dict())
    x = torch.randn(2, 1, STEPS)
    assert torch.equal(again.eval()(x, torch.zeros(2), {}), net.eval()(x, torch.zeros(2), {}))
