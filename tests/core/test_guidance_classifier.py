"""Guidance whose right answer is known: by a classifier, by a worse model, and outside an interval of noise levels."""

import math

import pytest
import torch
from torch import nn

from reverie.core.denoiser import Given, NetworkDenoiser
from reverie.core.grids import Karras
from reverie.core.guidance import Autoguidance, Classifier, ClassifierFree
from reverie.core.noise import Noise
from reverie.core.parameterisation import EDM as F
from reverie.core.processes import Gaussian, Masked
from reverie.core.samplers import Heun, sample
from reverie.core.schedules import EDM, Cosine, RectifiedFlow
from reverie.core.shapes import expand
from reverie.errors import ReverieError
from reverie.example import Condition
from tests.core import chain, exact


def component(k):
    """log p(component k | x_t) of the mixture, as a classifier of noisy data."""

    def log_probability(x_t, t, schedule):
        u, n = x_t / expand(schedule.alpha(t), x_t), schedule.noise(t)
        variance = exact.STDS**2 + n[:, None] ** 2
        square = ((u[:, None] - exact.MEANS) ** 2).sum(-1)
        log_joint = torch.log(exact.WEIGHTS) - torch.log(variance) - square / (2 * variance)
        return torch.log_softmax(log_joint, 1)[:, k]

    return log_probability


def alone(k, schedule, x_t, t):
    """The exact denoiser of component k by itself."""
    u, n2 = x_t / expand(schedule.alpha(t), x_t), expand(schedule.noise(t), x_t) ** 2
    return exact.MEANS[k] + exact.STDS[k] ** 2 / (exact.STDS[k] ** 2 + n2) * (u - exact.MEANS[k])


def classified(schedule, k, scale=1.0):
    return Classifier(exact.Mixture(schedule), lambda x, t: component(k)(x, t, schedule), scale)


@pytest.mark.parametrize("schedule", [EDM(), Cosine(), RectifiedFlow()], ids=repr)
@pytest.mark.parametrize("k", range(3))
def test_the_true_classifier_turns_the_mixture_into_its_component(schedule, k):
    g = torch.Generator().manual_seed(0)
    n = torch.logspace(-1, 1, 24, dtype=torch.float64)
    t = schedule.time_of_noise(n)
    x_t = 2 * torch.randn(24, 2, generator=g).double() * expand(schedule.alpha(t), torch.empty(24, 2).double())
    with torch.no_grad():  # as in the sample loop
        guided = classified(schedule, k)(x_t, t)
        plain = exact.Mixture(schedule)(x_t, t)
        expected = alone(k, schedule, x_t, t)
        assert torch.allclose(guided, expected, atol=1e-9)
        assert not torch.allclose(plain, expected, atol=0.1)
        twice = classified(schedule, k, 2.0)(x_t, t)
    assert torch.allclose(twice - plain, 2 * (guided - plain), atol=1e-12)


@pytest.mark.parametrize(("sampler", "steps"), [(Heun(), 40), (Heun(churn=20), 60)], ids=repr)
def test_samples_are_those_of_the_component(sampler, steps):
    count, k = 4_000, 1
    denoiser, noise, grid = classified(EDM(), k), Noise.of(0, count), Karras().times(EDM(), steps)
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, sampler, grid, x, noise)
    sd = float(exact.STDS[k])
    assert torch.allclose(x.mean(0), exact.MEANS[k], atol=4 * sd / count**0.5)
    assert torch.allclose(torch.cov(x.T), sd**2 * torch.eye(2).double(), atol=0.09 * sd**2)


def test_a_classifier_that_does_not_fit_is_named():
    x, t = torch.ones(3, 2).double(), torch.tensor(0.5)
    with pytest.raises(ReverieError, match=r"gives \(3, 3\) for a batch of 3"):
        Classifier(exact.Mixture(EDM()), lambda x, t: x[:, :1] * torch.ones(3))(x, t)
    with pytest.raises(ReverieError, match="does not depend on its input"):
        Classifier(exact.Mixture(EDM()), lambda x, t: x.detach().sum(1))(x, t)
    with pytest.raises(ReverieError, match=r"needs a Gaussian process; this is a Masked process"):
        Classifier(chain.Exact(Masked(chain.K)), lambda x, t: x.sum(1))


def test_autoguidance_moves_past_the_model_away_from_the_worse_one():
    """Exactly: the model knows the mixture, the worse one a single Gaussian of its moments."""
    better, worse = exact.Mixture(EDM()), exact.Normal(EDM(), 0.0, 1.2)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    t = EDM().time_of_noise(torch.tensor([30.0, 3.0, 1.0, 0.3, 0.05]))
    guided = Autoguidance(better, worse, 2.5, interval=(0.2, 5.0))(x, t)
    d, r = better(x, t), worse(x, t)
    assert torch.allclose(guided[1:4], (r + 2.5 * (d - r))[1:4], rtol=1e-12)
    assert torch.equal(guided[[0, 4]], d[[0, 4]])
    with pytest.raises(ReverieError, match=r"Gaussian process and the worse one a Masked process"):
        Autoguidance(better, chain.Exact(Masked(chain.K)))


class Counting(nn.Module):
    """A network that counts the samples it sees."""

    def __init__(self):
        super().__init__()
        self.rows = 0

    def forward(self, x, level, cond):
        self.rows += len(x)
        return 0.1 * x + sum(torch.where(c.present, c.value, 0.0) for c in cond.values()).to(x)[:, None]


@pytest.mark.parametrize("kind", ["classifier-free", "autoguidance"])
def test_an_interval_saves_the_evaluations_outside_it(kind):
    """18 Heun steps: 35 evaluations, doubled at the noise levels inside alone; counted at the networks."""
    networks = Counting(), Counting()
    cond = {"number": Condition.of(torch.tensor([1.0, -1.0]))}
    better, worse = (NetworkDenoiser(network, Gaussian(EDM()), F(), 0.5) for network in networks)

    def rows(interval):
        guided = (
            ClassifierFree(better, cond, 2.0, interval=interval)
            if kind == "classifier-free"
            else Autoguidance(Given(better, cond), Given(worse, cond), 2.0, interval=interval)
        )
        networks[0].rows = networks[1].rows = 0
        sample(guided, Heun(), Karras().times(EDM(), 18), 80 * torch.ones(2, 3).double(), Noise.of(0, 2))
        return (networks[0].rows + networks[1].rows) / 2

    n = EDM().noise(Karras().times(EDM(), 18))
    asked = torch.cat([n[:-1], n[1:-1]])  # Heun asks at both ends of every step but the last
    inside = int(((asked >= 0.3) & (asked <= 5.0)).sum())
    assert 0 < inside < 35
    assert rows((0.0, math.inf)) == 70
    assert rows((0.3, 5.0)) == 35 + inside
    assert rows((1e3, math.inf)) == 35
