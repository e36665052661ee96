"""Guidance by linear measurements where the posterior is known: Gaussian data, white and correlated."""

import math
import re

import pytest
import torch
from tools import guidance_bias as bias
from torch import nn

from reverie.core.denoiser import Given, NetworkDenoiser
from reverie.core.grids import Karras
from reverie.core.guidance import DPS, Blur, Classifier, Downsample, Known, Mask, MomentMatched, PiGDM, Projection
from reverie.core.guidance.posterior import conjugate_gradients
from reverie.core.noise import Noise
from reverie.core.parameterisation import EDM as F
from reverie.core.processes import Gaussian, Masked
from reverie.core.samplers import Ancestral, Heun, sample
from reverie.core.schedules import EDM, Cosine, RectifiedFlow
from reverie.core.shapes import expand
from reverie.errors import ReverieError
from tests.core import chain, exact
from tests.core.test_guidance_classifier import alone, classified

CASES = {
    "mask": (Mask(torch.arange(12) % 3 == 1), (1, 12), 0.0),
    "noisy mask": (Mask(torch.arange(12) % 3 == 1), (1, 12), 0.3),
    "blur": (Blur(0.8), (1, 4, 4), 0.1),
    "downsample": (Downsample(2), (2, 4, 2), 0.05),
    "projection": (Projection.random(4, 12), (1, 12), 0.2),
    "tomography": (Projection.tomography(4, 3), (1, 4, 4), 0.3),
}


def problem(name, schedule, white=None):
    """(prior, A, y (3, *), noise, dense A): three samples with a measurement each."""
    a, shape, noise = CASES[name]
    d, g = math.prod(shape), torch.Generator().manual_seed(0)
    covariance = exact.smooth((d,)) if white is None else white * torch.eye(d).double()
    prior = exact.Correlated(schedule, shape, covariance)
    x0 = (torch.randn(3, d, generator=g).double() @ torch.linalg.cholesky(covariance).T).reshape(3, *shape)
    y = a.apply(x0)
    return prior, a, a.seen(y + noise * torch.randn(y.shape, generator=g).double()), noise, exact.dense(a, shape)


def states(prior, n):
    """Three noisy states at n: x_t, t and u = x_t / alpha."""
    schedule = prior.process.schedule
    t = schedule.time_of_noise(torch.tensor(n, dtype=torch.float64)).expand(3)
    u = (1 + n) * torch.randn(3, *prior.shape, generator=torch.Generator().manual_seed(1)).double()
    return u * expand(schedule.alpha(t), u), t, u


@pytest.mark.parametrize("schedule", [EDM(), Cosine(), RectifiedFlow()], ids=repr)
@pytest.mark.parametrize("name", CASES)
def test_moment_matching_is_exact_on_gaussian_data(name, schedule):
    """The prediction is E[x0 | x_t, y] to 1e-8, at every noise level, for each sample's own y."""
    prior, a, y, noise, m = problem(name, schedule)
    guided = MomentMatched(prior, a, y, noise, iterations=200, tolerance=1e-13)
    for n in (20.0, 1.0, 0.1):
        x_t, t, u = states(prior, n)
        n = float(schedule.noise(t[0]))
        with torch.no_grad():  # as in the sample loop
            found = guided(x_t, t)
        assert torch.allclose(found, prior.given(m, y, noise, n, u)[0], rtol=0, atol=1e-8)
        assert not torch.allclose(prior(x_t, t), found, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_pigdm_is_exact_on_white_data(name):
    """There x0 is known from x_t to within one number in every direction."""
    prior, a, y, noise, m = problem(name, Cosine(), white=0.6)
    for n in (20.0, 1.0, 0.1):
        x_t, t, u = states(prior, n)
        n = float(prior.process.schedule.noise(t[0]))
        assert torch.allclose(PiGDM(prior, a, y, noise)(x_t, t), prior.given(m, y, noise, n, u)[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_dps_is_the_score_it_says(name):
    """x0_hat + (sigma^2 / alpha) s with s = -(zeta / |r|) grad |r|^2 and zeta = scale sqrt(numbers in y) / (2 n)."""
    prior, a, y, _, m = problem(name, Cosine())
    x_t, t, _ = states(prior, 0.7)
    leaf = x_t.clone().requires_grad_()
    r = (y - a.apply(prior(leaf, t))).flatten(1)
    (slope,) = torch.autograd.grad((r**2).sum(), leaf)
    count = int((m.abs().sum(1) > 0).sum())  # rows of A that measure something
    schedule = prior.process.schedule
    zeta = 1.7 * count**0.5 / (2 * schedule.noise(t))
    s = -expand(zeta / r.detach().norm(dim=1), slope) * slope
    expected = prior(x_t, t) + expand(schedule.sigma(t) ** 2 / schedule.alpha(t), s) * s
    assert torch.allclose(DPS(prior, a, y, 1.7)(x_t, t), expected, atol=1e-10)


def moments(name, sampler, steps, count):
    """Errors of samples of the exact method, as in docs/guidance_bias.md; each of these y has four numbers."""
    prior, a, y, noise, m = problem(name, EDM())
    guided, z = MomentMatched(prior, a, y[:1], noise, iterations=4), Noise.of(0, count)
    times = Karras().times(EDM(), steps)
    x = guided.process.prior(torch.empty(count, *prior.shape, dtype=torch.float64), z, times[0])
    mean, covariance = prior.given(m, y[:1], noise)
    return bias.Bias.of(sample(guided, sampler, times, x, z), mean.flatten(), covariance)


DETERMINISTIC, STOCHASTIC = (Heun(), 40), (Ancestral(), 160)


@pytest.mark.parametrize(
    ("name", "walk", "count"),
    [
        ("projection", DETERMINISTIC, 3_000),
        ("mask", STOCHASTIC, 3_000),
        pytest.param("projection", STOCHASTIC, 10_000, marks=pytest.mark.slow),
        pytest.param("noisy mask", DETERMINISTIC, 10_000, marks=pytest.mark.slow),
        pytest.param("downsample", DETERMINISTIC, 10_000, marks=pytest.mark.slow),
    ],
)
def test_samples_have_the_posterior_s_moments(name, walk, count):
    """Mean within 2 %, covariance within 10 %, with a deterministic and a stochastic sampler."""
    found = moments(name, *walk, count)
    assert found.mean < 0.02
    assert found.covariance < 0.10


def test_a_measurement_of_a_class_of_the_mixture():
    """Guidances nest: measuring the classifier-guided mixture is measuring the component, and known entries go on top."""
    a, y = Projection(torch.tensor([[1.0, -0.5]]).double()), torch.tensor([[0.8]]).double()

    class Component(exact.Mixture):
        def forward(self, x_t, t):
            return alone(1, self.process.schedule, x_t, t)

    x_t = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).double()
    t = torch.tensor(0.5, dtype=torch.float64).expand(4)
    with torch.no_grad():
        nested = MomentMatched(classified(EDM(), 1), a, y, 0.1, tolerance=1e-12)(x_t, t)
        direct = MomentMatched(Component(EDM()), a, y, 0.1, tolerance=1e-12)(x_t, t)
        assert torch.allclose(nested, direct, atol=1e-9)
        over = Known(MomentMatched(exact.Mixture(EDM()), a, y), torch.zeros(2), torch.tensor([True, False]))
        assert bool((over(x_t, t)[:, 0] == 0).all())
    inner = Classifier(MomentMatched(Component(EDM()), a, y, 0.1), lambda x, t: -(x**2).sum(1))
    assert not inner(x_t, t).requires_grad


class Stretch(nn.Module):
    """A network with weights: every entry times a number of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-0.5, 0.5, 8))

    def forward(self, x, level, cond):
        return self.weight * torch.tanh(x)


@pytest.mark.parametrize(("method", "limit"), [(MomentMatched, 1e-5), (PiGDM, 0.02), (DPS, 0.02)])
def test_a_network_in_float32_is_led_to_what_was_measured(method, limit):
    """Without noise A x = y: for mmps as exactly as conjugate gradients solve it; and no gradients are left behind."""
    network = Given(NetworkDenoiser(Stretch(), Gaussian(EDM(), variance=torch.tensor(0.25)), F(), 0.5), {})
    a, y = Downsample(2), torch.tensor([[[0.5, -0.3, 0.1, 0.9]]])
    guided, noise, grid = method(network, a, y), Noise.of(0, 16), Karras().times(EDM(), 24)
    x = sample(guided, Heun(), grid, network.process.prior(torch.empty(16, 1, 8), noise, grid[0]), noise)
    assert x.dtype == torch.float32
    assert not x.requires_grad
    assert network.denoiser.network.weight.grad is None
    assert float((a.apply(x) - y).abs().mean()) < limit
    plain = sample(network, Heun(), grid, network.process.prior(torch.empty(16, 1, 8), noise, grid[0]), noise)
    assert float((a.apply(plain) - y).abs().mean()) > 0.3


@pytest.mark.parametrize("method", [MomentMatched, PiGDM, DPS])
def test_a_sample_does_not_depend_on_its_neighbours(method):
    prior, a, y, _, _ = problem("blur", EDM())
    x_t, t, _ = states(prior, 1.0)
    t = EDM().time_of_noise(torch.tensor([30.0, 1.0, 0.01]))
    whole = method(prior, a, y)(x_t, t)
    for b in range(3):
        assert torch.allclose(method(prior, a, y[b : b + 1])(x_t[b : b + 1], t[b : b + 1])[0], whole[b], atol=1e-12)


def test_conjugate_gradients_solve_in_as_many_iterations_as_there_are_numbers():
    g = torch.Generator().manual_seed(0)
    root = torch.randn(2, 5, 5, generator=g).double()
    s = root @ root.transpose(1, 2) + 0.1 * torch.eye(5).double()
    b = torch.randn(2, 5, generator=g).double()

    def times(w):
        return (s @ w[..., None])[..., 0]

    assert torch.allclose(times(conjugate_gradients(times, b, 7, 1e-14)), b, atol=1e-9)
    errors = [float((times(conjugate_gradients(times, b, k, 0.0)) - b).norm()) for k in (1, 5)]
    assert errors[1] < 1e-3 * errors[0]
    assert torch.equal(conjugate_gradients(times, torch.zeros(2, 5).double(), 3, 1e-6), torch.zeros(2, 5).double())
    assert torch.equal(conjugate_gradients(lambda w: -w, b, 3, 1e-6), torch.zeros_like(b))  # not positive: left alone


def test_what_does_not_fit_is_named():
    prior, a, y, _, _ = problem("downsample", EDM())
    x_t, t, _ = states(prior, 1.0)
    with pytest.raises(ReverieError, match=r"y has shape \(2, 2, 2, 1\), and Downsample makes \(3, 2, 2, 1\) of data"):
        PiGDM(prior, a, y[:2])(x_t, t)
    with pytest.raises(ReverieError, match="Downsample by 3 does not fit"):
        DPS(prior, Downsample(3), y)(x_t, t)
    with pytest.raises(ReverieError, match=r"mask of shape \(12,\) does not fit data of shape \(3, 2, 2, 1\)"):
        DPS(prior, Mask(torch.ones(12)), y)
    with pytest.raises(ReverieError, match="NaN or infinity"):
        DPS(prior, a, y * math.nan)
    with pytest.raises(ReverieError, match="noise is -1"):
        PiGDM(prior, a, y, -1.0)
    with pytest.raises(ReverieError, match="at least 1"):
        MomentMatched(prior, a, y, iterations=0)
    with pytest.raises(ReverieError, match="MomentMatched moves x0_hat along a gradient and needs a Gaussian process"):
        MomentMatched(chain.Exact(Masked(chain.K)), a, y)


def agrees(name, method):
    """A row of the page says what the code gives: mean to 1 point in 100, spread and covariance to 5 %."""
    section = bias.PAGE.read_text().split(f"## {name}: ")[1].split("## ")[0]
    row = next(r for r in section.splitlines() if r.startswith(f"| {method} |"))
    mean, spread, covariance = (float(v) for v in re.findall(r"\| ([\d.]+)%? (?=\|)", row))
    found = bias.measure(bias.PROBLEMS[name], bias.METHODS[method])
    assert 100 * found.mean == pytest.approx(mean, abs=1)
    assert found.spread == pytest.approx(spread, rel=0.05, abs=0.01)
    assert 100 * found.covariance == pytest.approx(covariance, rel=0.05, abs=1)


@pytest.mark.parametrize("method", ["pigdm", "dps, scale 3 (default)"])
def test_the_page_of_biases_is_true(method):
    agrees("fill", method)


@pytest.mark.slow
def test_the_page_of_biases_is_true_of_every_problem():
    for method in ("pigdm", "dps, scale 3 (default)"):
        agrees("deblur", method)
        agrees("tomography", method)
    agrees("tomography", "mmps, 1 iteration")
    for method in ("known", "known, ancestral", "known, ancestral, jumps (RePaint)"):
        agrees("fill", method)
