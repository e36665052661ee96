"""The Gaussian process against its own algebra: composition of kernels, posteriors, moments."""

import math

import pytest
import torch

from reverie.core.noise import Noise
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM, Cosine, GeometricBeta
from reverie.registry import registered

SCHEDULES = registered("schedules")
N = 200_000


def normal(seed, count=N):
    return torch.randn(count, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_forward_agrees_with_the_closed_form(name):
    """q(x_t | x_0) = integral of q(x_t | x_s) q(x_s | x_0): the same mean and variance."""
    process, s, t = Gaussian(SCHEDULES[name]()), torch.tensor(0.3), torch.tensor(0.7)
    x0 = torch.full((N, 1), 1.5, dtype=torch.float64)
    x_t = process.forward(process.diffuse(x0, s, normal(0)), s, t, normal(1))
    alpha, sigma = float(process.schedule.alpha(t)), float(process.schedule.sigma(t))
    assert float(x_t.mean()) == pytest.approx(1.5 * alpha, abs=5 * sigma / math.sqrt(N) + 1e-9)
    assert float(x_t.std()) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_reverse_with_the_true_x0_keeps_the_marginal(name, eta):
    """x_s ~ q(x_s | x_t, x0) averaged over x_t is q(x_s | x0), for every eta."""
    process, s, t = Gaussian(SCHEDULES[name]()), torch.tensor(0.3), torch.tensor(0.7)
    x0 = torch.full((N, 1), -0.8, dtype=torch.float64)
    x_s = process.reverse(process.diffuse(x0, t, normal(2)), x0, t, s, normal(3), eta)
    alpha, sigma = float(process.schedule.alpha(s)), float(process.schedule.sigma(s))
    assert float(x_s.mean()) == pytest.approx(-0.8 * alpha, abs=5 * sigma / math.sqrt(N) + 1e-9)
    assert float(x_s.std()) == pytest.approx(sigma, rel=0.01)


def test_reverse_at_eta_1_is_the_ddpm_posterior():
    """Ho et al. 2020, eq. 6-7: mean and variance of q(x_{t-1} | x_t, x_0) from the beta table."""
    chain = registered("schedules")["linear-beta-chain"]()
    process, i = Gaussian(chain), 400
    betas = chain.betas()
    bar = torch.cumprod(1 - betas, 0)
    mean_x0 = bar[i - 1].sqrt() * betas[i] / (1 - bar[i])
    mean_xt = (1 - betas[i]).sqrt() * (1 - bar[i - 1]) / (1 - bar[i])
    variance = (1 - bar[i - 1]) / (1 - bar[i]) * betas[i]
    x_t, x0, eps = normal(0, 8), normal(1, 8), normal(2, 8)
    t, s = torch.tensor((i + 1) / 1000, dtype=torch.float64), torch.tensor(i / 1000, dtype=torch.float64)
    expected = mean_x0 * x0 + mean_xt * x_t + variance.sqrt() * eps
    assert torch.allclose(process.reverse(x_t, x0, t, s, eps, 1.0), expected, rtol=1e-9)


def test_the_prior_uses_fitted_moments_and_knows_its_mismatch():
    process = Gaussian(GeometricBeta(), torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0]))
    t = torch.tensor(1.0)
    x = process.prior(torch.empty(N, 2, dtype=torch.float64), Noise.of(0, N), t)
    alpha2 = float(process.schedule.alpha(t)) ** 2
    assert torch.allclose(x.mean(0), alpha2**0.5 * process.mean.double(), atol=0.02)
    assert torch.allclose(x.var(0), alpha2 * process.variance.double() + 1 - alpha2, rtol=0.02)
    expected = 0.25 * sum(math.log(1 + alpha2 * v / (1 - alpha2)) for v in (0.5, 3.0))
    assert process.prior_mismatch(t) == pytest.approx(expected)
    assert Gaussian(EDM(), variance=torch.tensor(0.25)).prior_mismatch(t) < 1e-4
    assert Gaussian(Cosine()).prior_mismatch(t) == 0


def test_divergence_is_the_mean_square_over_what_is_observed():
    x0, hat = torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 4.0]])
    seen = torch.tensor([[True, True, False], [False, False, True]])
    process = Gaussian(Cosine())
    assert process.divergence(x0, hat, x0, torch.tensor(0.5)).tolist() == pytest.approx([14 / 3, 16 / 3])
    assert process.divergence(x0, hat, x0, torch.tensor(0.5), seen).tolist() == pytest.approx([2.5, 16.0])
