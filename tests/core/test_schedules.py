"""Every registered schedule keeps the contract; each equals its published closed form."""

import math

import pytest
import torch

from reverie.core.schedules import (
    EDM,
    Cosine,
    GeometricBeta,
    GeometricVE,
    LinearBeta,
    LinearBetaChain,
    RectifiedFlow,
    ScaledLinear,
    Schedule,
    Sigmoid,
    SubVP,
)
from reverie.registry import registered

SCHEDULES = registered("schedules")
T = torch.linspace(0, 1, 501, dtype=torch.float64)


@pytest.mark.parametrize("cls", SCHEDULES.values(), ids=SCHEDULES)
class TestEvery:
    def test_starts_as_data_and_log_snr_falls_strictly(self, cls):
        schedule = cls()
        assert float(schedule.alpha(T[:1])) == 1
        assert float(schedule.sigma(T[:1])) == 0
        assert bool((schedule.log_snr(T).diff()[1:-1] < 0).all())
        assert bool((schedule.alpha(T) >= 0).all())
        assert bool((schedule.sigma(T) >= 0).all())

    def test_time_inverts_log_snr(self, cls):
        schedule = cls()
        assert torch.allclose(schedule.time(schedule.log_snr(T)), T, rtol=1e-9, atol=1e-12)

    def test_time_outside_what_is_reached_is_an_endpoint(self, cls):
        schedule = cls()
        assert float(schedule.time(torch.tensor(-1e4))) == 1
        assert float(schedule.time(torch.tensor(math.inf))) == 0

    def test_closed_form_of_time_agrees_with_bisection(self, cls):
        schedule = cls()
        target = torch.linspace(float(schedule.log_snr(torch.tensor(0.99))), 12, 50, dtype=torch.float64)
        by_bisection = Schedule.time(schedule, target)
        assert torch.allclose(schedule.time(target), by_bisection, rtol=1e-9)
        assert torch.allclose(schedule.log_snr(by_bisection), target, atol=1e-7)

    def test_rates_integrate_back_to_the_kernel(self, cls):
        """d(alpha)/dt = f alpha and d(sigma^2)/dt = 2 f sigma^2 + g^2, by central differences."""
        schedule, h = cls(), 1e-6
        t = torch.tensor([0.1237, 0.4513, 0.8129], dtype=torch.float64)
        f, g2 = schedule.rates(t)
        d_alpha = (schedule.alpha(t + h) - schedule.alpha(t - h)) / (2 * h)
        d_variance = (schedule.sigma(t + h) ** 2 - schedule.sigma(t - h) ** 2) / (2 * h)
        assert torch.allclose(d_alpha, f * schedule.alpha(t), rtol=1e-5, atol=1e-7)
        assert torch.allclose(d_variance, 2 * f * schedule.sigma(t) ** 2 + g2, rtol=1e-5, atol=1e-7)
        assert bool((g2 > 0).all())


@pytest.mark.parametrize(
    "schedule", [LinearBeta(), LinearBetaChain(), ScaledLinear(), GeometricBeta(), Cosine(), Sigmoid()], ids=repr
)
def test_variance_preserving(schedule):
    assert torch.allclose(schedule.alpha(T) ** 2 + schedule.sigma(T) ** 2, torch.ones_like(T), atol=1e-12)


@pytest.mark.parametrize("chain", [LinearBetaChain(), ScaledLinear(), GeometricBeta(), LinearBetaChain(T=10)], ids=repr)
def test_a_chain_has_exactly_its_table_at_i_over_T(chain):
    alpha_bar = torch.cumprod(1 - chain.betas(), 0)
    t = torch.arange(1, chain.T + 1, dtype=torch.float64) / chain.T
    assert torch.allclose(chain.alpha(t) ** 2, alpha_bar, rtol=1e-12)


def test_geometric_betas_as_published():
    """beta_t = beta (1 - beta)^(T - 1 - t), which leaves alpha_bar = 0.37 at the end for beta = 0.02, T = 1000."""
    betas = GeometricBeta(beta=0.02, T=1000).betas()
    assert torch.allclose(betas, torch.tensor([0.02 * 0.98 ** (999 - t) for t in range(1000)], dtype=torch.float64))
    assert float(GeometricBeta().alpha(torch.tensor(1.0)) ** 2) == pytest.approx(0.37, abs=0.005)


def test_vp_rates_are_the_published_sde():
    """f = -beta / 2 and g^2 = beta for the VP SDE; g^2 = beta (1 - exp(-2 B)) for the sub-VP."""
    t = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)
    beta, big_b = 0.1 + 19.9 * t, 0.1 * t + 9.95 * t**2
    f, g2 = LinearBeta().rates(t)
    assert torch.allclose(f, -beta / 2, rtol=1e-9)
    assert torch.allclose(g2, beta, rtol=1e-9)
    assert torch.allclose(SubVP().rates(t)[1], beta * (1 - torch.exp(-2 * big_b)), rtol=1e-9)


def test_ve_rates_are_the_published_sde():
    """g^2 = 2 sigma_t^2 log(sigma_max / sigma_min), sigma_t = sigma_min (sigma_max / sigma_min)^t."""
    t = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)
    expected = 2 * math.log(5000) * (0.01 * 5000**t) ** 2
    assert torch.allclose(GeometricVE().rates(t)[1], expected, rtol=1e-9)


def test_closed_forms():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    assert torch.allclose(Cosine().alpha(t), torch.cos(math.pi * t / 2), atol=1e-15)
    assert torch.equal(RectifiedFlow().sigma(t), t)
    assert torch.allclose(EDM().sigma(t), 80 * t**7)

    def logistic(x):
        return 1 / (1 + torch.exp(-torch.as_tensor(x, dtype=torch.float64)))

    jabri = (logistic(3.0) - logistic(t * 6 - 3)) / (logistic(3.0) - logistic(-3.0))
    assert torch.allclose(Sigmoid().alpha(t) ** 2, 1 - (1 - jabri), atol=1e-12)
