"""A network as a denoiser, its loss, and guidance."""

import math

import pytest
import torch
from torch import nn

from reverie.core.denoiser import Given, NetworkDenoiser, Rescheduled
from reverie.core.guidance import ClassifierFree
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM, Cosine, GeometricBeta
from reverie.errors import ReverieError
from reverie.example import Condition, Example
from reverie.registry import registered
from tests.core import exact

PARAMETERISATIONS = registered("parameterisations")
MEAN, SD = 0.4, 0.6


class Ideal(nn.Module):
    """Says, through any parameterisation, the exact posterior mean of N(MEAN, SD^2): a linear function of its input."""

    def __init__(self, schedule, parameterisation):
        super().__init__()
        self.schedule, self.parameterisation = schedule, parameterisation
        self.seen = []

    def forward(self, x, level, cond):
        self.seen.append(x)
        t = self.schedule.time(-8 * level.double())
        alpha, sigma = self.schedule.alpha(t)[:, None], self.schedule.sigma(t)[:, None]
        y = x * torch.sqrt((alpha * SD) ** 2 + sigma**2)  # undo the input scaling: the centred x_t
        centred = alpha * SD**2 / (alpha**2 * SD**2 + sigma**2) * y
        unit = self.parameterisation.unit(self.schedule, t)[:, None]
        return self.parameterisation.output(self.schedule, t, y, centred) / unit


@pytest.mark.parametrize("name", PARAMETERISATIONS)
@pytest.mark.parametrize("schedule", [EDM(), Cosine()], ids=repr)
def test_wrapping_undoes_itself_and_scales_the_input_to_unit_variance(name, schedule):
    p = PARAMETERISATIONS[name]()
    network = Ideal(schedule, p)
    denoiser = NetworkDenoiser(network, Gaussian(schedule, torch.tensor(MEAN), torch.tensor(SD**2)), p, SD)
    g = torch.Generator().manual_seed(0)
    x0 = MEAN + SD * torch.randn(50_000, 1, generator=g, dtype=torch.float64)
    for at in (0.3, 0.6, 0.9):
        t = torch.tensor(at, dtype=torch.float64)
        x_t = denoiser.process.diffuse(x0, t, torch.randn(50_000, 1, generator=g, dtype=torch.float64))
        n = schedule.noise(t)
        expected = MEAN + SD**2 / (SD**2 + n**2) * (x_t / schedule.alpha(t) - MEAN)
        assert torch.allclose(denoiser(x_t, t), expected, rtol=1e-6, atol=1e-6 * float(1 + n))
        assert float(network.seen[-1].var()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("weighting", registered("weightings"))
@pytest.mark.parametrize("name", PARAMETERISATIONS)
def test_loss_equals_the_weight_times_the_error_of_x0(name, weighting):
    """Whatever space it is computed in."""
    schedule, p, w = Cosine(), PARAMETERISATIONS[name](), registered("weightings")[weighting]()
    network = nn.Linear(4, 4).double()
    denoiser = NetworkDenoiser(Wrapped(network), Gaussian(schedule, torch.tensor(MEAN)), p, SD)
    g = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(6, 4, generator=g).double(), torch.randn(6, 4, generator=g).double()
    t = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    loss = denoiser.loss(Example(x0), t, eps, w)
    x_t = denoiser.process.diffuse(x0, t, eps)
    error = denoiser.process.divergence(x0, denoiser(x_t, t), x_t, t)
    weight = w.on_x0(schedule.log_snr(t), p.x0_scale(schedule, t), SD)
    assert torch.allclose(loss, weight * error, rtol=1e-8)


class Wrapped(nn.Module):
    """A network that adds what it is told."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.batches = []

    def forward(self, x, level, cond):
        self.batches.append(len(x))
        told = sum(torch.where(c.present, c.value, 0.0) for c in cond.values()) if cond else torch.zeros(len(x))
        return self.inner(x) + told.to(x)[:, None]


@pytest.fixture
def told():
    denoiser = NetworkDenoiser(Wrapped(nn.Linear(4, 4).double()), Gaussian(EDM()), PARAMETERISATIONS["edm"](), 0.5)
    return denoiser, {"number": Condition.of(torch.tensor([1.0, -2.0, 0.5]))}, torch.randn(3, 4).double()


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.0, 7.5])
def test_guidance_is_u_plus_w_times_c_minus_u(told, w):
    denoiser, cond, x = told
    t = torch.tensor(0.6, dtype=torch.float64)
    u, c = denoiser(x, t), Given(denoiser, cond)(x, t)
    assert not torch.allclose(u, c)
    assert torch.allclose(ClassifierFree(denoiser, cond, w)(x, t), u + w * (c - u), rtol=1e-12)


def test_guidance_is_one_forward_of_twice_the_batch_and_none_extra_outside_the_interval(told):
    denoiser, cond, x = told
    guided = ClassifierFree(denoiser, cond, 3.0, interval=(0.2, 5.0))
    batches = denoiser.network.batches
    guided(x, EDM().time_of_noise(torch.tensor(1.0)))
    assert batches == [6]
    outside = guided(x, EDM().time_of_noise(torch.tensor(30.0)))
    assert batches == [6, 3]
    assert torch.equal(outside, Given(denoiser, cond)(x, EDM().time_of_noise(torch.tensor(30.0))))


def test_guidance_interval_is_per_sample(told):
    denoiser, cond, x = told
    t = EDM().time_of_noise(torch.tensor([1.0, 30.0, 0.1]))
    guided = ClassifierFree(denoiser, cond, 3.0, interval=(0.2, 5.0))(x, t)
    u, c = denoiser(x, t), Given(denoiser, cond)(x, t)
    assert torch.allclose(guided[0], (u + 3 * (c - u))[0])
    assert torch.allclose(guided[1:], c[1:])


def test_a_worse_reference_is_autoguidance(told):
    denoiser, cond, x = told
    worse = NetworkDenoiser(Wrapped(nn.Linear(4, 4).double()), denoiser.process, denoiser.parameterisation, 0.5)
    t = torch.tensor(0.6, dtype=torch.float64)
    guided = ClassifierFree(denoiser, cond, 2.0, null=cond, reference=worse)(x, t)
    assert torch.allclose(guided, 2 * Given(denoiser, cond)(x, t) - Given(worse, cond)(x, t))


def test_the_end_of_time_is_finite():
    """n = 0 tells the network a bounded level."""
    denoiser = NetworkDenoiser(Wrapped(nn.Linear(4, 4).double()), Gaussian(EDM()), PARAMETERISATIONS["edm"](), 0.5)
    assert math.isfinite(float(denoiser(torch.ones(1, 4).double(), torch.tensor(1e-9)).detach().sum()))


def test_a_parameterisation_that_says_nothing_where_signal_or_noise_is_gone_is_refused():
    """eps at alpha = 0 (zero terminal SNR) and score at sigma = 0, with both sides named and what to use instead."""
    x = torch.ones(1, 2, dtype=torch.float64)
    for name, at, instead in (("eps", 1.0, "v, x0 or edm"), ("score", 0.0, "eps, v or edm")):
        t, p = torch.tensor(at, dtype=torch.float64), PARAMETERISATIONS[name]()
        with pytest.raises(
            ReverieError, match=f"{type(p).__name__} says nothing of x0 under the schedule Cosine.*{instead}"
        ):
            p.x0(Cosine(), t, x, x)


def test_another_schedule_with_more_noise_than_was_trained_on_is_refused():
    """The geometric chain ends at n = 1.3: what the network would be told of n = 80 it never saw."""
    old = GeometricBeta()
    most = float(old.noise(torch.tensor(1.0)))
    denoiser = Rescheduled(exact.Mixture(old), EDM())
    x = torch.ones(1, 2, dtype=torch.float64)
    assert torch.allclose(
        denoiser(x, EDM().time_of_noise(torch.tensor(most))), exact.posterior_mean(x, torch.tensor(most))
    )
    with pytest.raises(
        ReverieError, match=r"Under EDM sampling starts at .* trained under GeometricBeta up to n = 1\.32"
    ):
        denoiser(x, EDM().time_of_noise(torch.tensor(2.0)))
