"""Truths that every survival schedule keeps, for all that are registered."""

import pytest
import torch

from reverie.core.survival import Cosine, LogLinear, Polynomial
from reverie.registry import registered

SURVIVALS = [cls() for cls in registered("survivals").values()] + [Polynomial(0.5), Polynomial(3.0)]
every_survival = pytest.mark.parametrize("survival", SURVIVALS, ids=repr)
T = torch.linspace(0, 1, 1001, dtype=torch.float64)


@every_survival
def test_it_falls_strictly_from_exactly_one_to_exactly_nothing(survival):
    values = survival.survival(T)
    assert values.dtype == torch.float64
    assert float(values[0]) == pytest.approx(1, abs=1e-15)
    assert float(values[-1]) == 0
    assert bool((values.diff() < 0).all())


@every_survival
def test_time_undoes_survival_and_noise(survival):
    inside = T[1:-1]
    assert torch.allclose(survival.time(survival.survival(T)), T, atol=1e-9)
    assert float(survival.time(torch.tensor(1.0))) == 0
    assert float(survival.time(torch.tensor(0.0))) == 1
    assert torch.allclose(survival.time_of_noise(survival.noise(inside)), inside, atol=1e-9)
    odds = (1 - survival.survival(inside)) / survival.survival(inside)
    assert torch.allclose(survival.noise(inside), odds, rtol=1e-12)
    assert float(survival.noise(T)[-1]) == float("inf")


@every_survival
def test_slope_is_the_derivative(survival):
    t, h = T[5:-5], 1e-5
    slope = survival.slope(t)
    assert torch.allclose(slope, (survival.survival(t + h) - survival.survival(t - h)) / (2 * h), rtol=1e-6, atol=1e-8)
    assert bool((slope < 0).all())
    assert not slope.requires_grad
    with torch.no_grad():
        assert torch.equal(survival.slope(t), slope)


def test_each_is_its_formula():
    assert torch.equal(LogLinear().survival(T), 1 - T)
    assert torch.allclose(Cosine().survival(T), 1 - torch.cos(0.5 * torch.pi * (1 - T)), atol=1e-15)
    assert torch.equal(Polynomial(3.0).survival(T), 1 - T**3)


def test_a_power_at_which_nothing_falls_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        Polynomial(0.0)
