"""The likelihood by the probability-flow ODE against densities that are known."""

import math

import pytest
import torch
from torch import nn

from reverie.core.denoiser import Given, NetworkDenoiser
from reverie.core.likelihood import Exact, Hutchinson, decode_ode, dequantise, encode_ode, log_likelihood
from reverie.core.noise import Noise
from reverie.core.parameterisation import EDM as EDMTarget
from reverie.core.processes import Gaussian, Masked
from reverie.core.schedules import EDM, Cosine, GeometricBeta, LinearBeta, RectifiedFlow
from reverie.core.shapes import expand
from reverie.errors import ReverieError
from reverie.example import Condition
from tests.core import exact


def log_density(x):
    """log p of the mixture, (B, 2) -> (B,)."""
    variance, square = exact.STDS**2, ((x[:, None] - exact.MEANS) ** 2).sum(-1)
    return torch.logsumexp(exact.WEIGHTS.log() - torch.log(2 * torch.pi * variance) - square / (2 * variance), 1)


def log_normal(x, mean, variance):
    """log p of independent normals, summed over all but the first axis."""
    return torch.distributions.Normal(mean, variance**0.5).log_prob(x).flatten(1).sum(1)


@pytest.mark.parametrize("schedule", [EDM(), LinearBeta(), RectifiedFlow()], ids=repr)
def test_log_density_of_the_mixture(schedule):
    """Mean error at most 1e-3 nats at rtol 1e-5 with the exact trace; evaluations as the denoiser itself counts them."""
    denoiser, x0 = exact.Mixture(schedule), exact.draw(200)
    found = log_likelihood(denoiser, x0, rtol=1e-5)
    error = (found.nats - log_density(x0)).abs()
    assert float(error.mean()) <= 1e-3, f"mean {error.mean():.2e}, worst {error.max():.2e}"
    assert found.nfe == denoiser.calls
    assert found.standard_error is None


def test_a_gaussian_has_its_blurred_density_exactly():
    """Where the process' moments are the data's, the path is straight: N(m, v + n_min^2) to rounding, of any shape."""
    x0 = 0.7 + torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    found = log_likelihood(exact.Normal(Cosine(), 0.7, 0.3), x0, n_min=0.1)
    assert torch.allclose(found.nats, log_normal(x0, 0.7, 0.3 + 0.1**2), rtol=0, atol=1e-5)
    assert torch.allclose(found.z, (x0 - 0.7) / 0.31**0.5, atol=1e-6)


def test_the_prior_of_a_schedule_that_does_not_reach_noise():
    """A geometric chain of 50 steps ends at n = 0.6: the density is that of the ODE from the prior there, which differs from the
    data's by what the fitted moments miss; for a Gaussian they miss nothing."""
    schedule = GeometricBeta(beta=0.02, T=50)
    x0 = torch.linspace(-2, 3, 9, dtype=torch.float64)[:, None]
    found = log_likelihood(exact.Normal(schedule, 0.7, 0.3), x0)
    assert torch.allclose(found.nats, log_normal(x0, 0.7, 0.3 + 0.002**2), rtol=0, atol=1e-5)


class Shifted(nn.Module):
    """EDM's F of the exact denoiser of N(label, sd^2), the labels told as a condition."""

    def __init__(self, sd):
        super().__init__()
        self.sd = nn.Parameter(torch.tensor(sd))

    def forward(self, x, level, cond):
        n = torch.exp(4 * level)
        shift = n / (self.sd * torch.sqrt(self.sd**2 + n**2)) * cond["label"].value
        return expand(shift, x).expand_as(x)


def test_a_network_in_float32_given_its_condition():
    """Two labels, two means: each sample has the density of its own. As the docstring says, it is that of what the ODE makes of
    the prior at n_max = 80: z lies 1 / sqrt(v + 80^2) off for label 1, where the unconditional moments have mean 0."""
    process = Gaussian(EDM(), torch.zeros(()), torch.tensor(0.25))
    denoiser = NetworkDenoiser(Shifted(0.5), process, EDMTarget(0.5), 0.5)
    x0, label = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0.0, 1.0]).repeat(3)
    found = log_likelihood(Given(denoiser, {"label": Condition.of(label)}), x0)
    z = (x0 - expand(label, x0)) / 0.5 + expand(label, x0) / (0.25 + 80**2) ** 0.5
    true = log_normal(z, torch.zeros(()), torch.ones(())) - 4 * math.log(0.5)
    assert found.z.dtype == torch.float32
    assert torch.allclose(found.nats, true.double(), atol=2e-3), found.nats - true


@pytest.mark.parametrize("gaussian", [False, True])
def test_hutchinson_agrees_with_the_exact_trace(gaussian):
    """The mean within 3 standard errors; the errors are as large as the standard errors say."""
    denoiser, x0 = exact.Mixture(EDM()), exact.draw(200)
    true = log_likelihood(denoiser, x0, rtol=1e-4, atol=1e-4).nats
    found = log_likelihood(denoiser, x0, Hutchinson(Noise.of(0, 200), 8, gaussian), rtol=1e-4, atol=1e-4)
    error = found.nats - true
    assert float(error.mean().abs()) <= 3 * float(found.standard_error.square().sum().sqrt()) / 200
    assert float(found.standard_error.mean()) > 0.05  # a test that the probes are random at all
    ratio = float((error.square().mean() / found.standard_error.square().mean()).sqrt())
    assert 0.8 < ratio < 1.2, ratio


def test_probes_are_each_samples_own():
    """A sample's estimate is the same alone or in a batch; more probes keep the first; temperature means nothing to them."""
    denoiser, x0 = exact.Mixture(EDM()), exact.draw(7)
    whole = log_likelihood(denoiser, x0, Hutchinson(Noise.of(3, 7), 4))
    alone = log_likelihood(denoiser, x0[5:6], Hutchinson(Noise.of(3, 1, first=5), 4))
    assert torch.allclose(whole.nats[5], alone.nats[0], rtol=0, atol=1e-9)
    one = Hutchinson(Noise.of(3, 7, temperature=0.5), 1, gaussian=True)
    assert log_likelihood(denoiser, x0, one).standard_error is None
    more = Hutchinson(Noise.of(3, 7), 3, gaussian=True)
    assert torch.equal(one.directions(x0)[0], more.directions(x0)[0])


@pytest.mark.parametrize(("schedule", "points"), [(Cosine(), 300), pytest.param(EDM(), 5000, marks=pytest.mark.slow)])
def test_round_trip_and_a_standard_normal_latent(schedule, points):
    """x -> z -> x within 1e-4 for every point; z of exact samples has mean 0 and covariance 1, to 4 standard errors."""
    denoiser, x0 = exact.Mixture(schedule), exact.draw(points)
    z = encode_ode(denoiser, x0)
    assert float((decode_ode(denoiser, z) - x0).abs().max()) < 1e-4
    assert float(z.mean(0).abs().max()) < 4 / points**0.5
    assert float((torch.cov(z.T) - torch.eye(2)).abs().max()) < 4 * (2 / points) ** 0.5


def discretised(width):
    """Centres and masses of the mixture's bins of a width, (bins, 2) and (bins,); the mass beyond is below 1e-9."""
    edges = torch.arange(-5, 5 + width, width, dtype=torch.float64)
    below = torch.special.ndtr((edges[:, None, None] - exact.MEANS.T) / exact.STDS)  # (edges, 2, 3)
    part = below.diff(dim=0)
    mass = torch.einsum("k,ak,bk->ab", exact.WEIGHTS, part[:, 0], part[:, 1]).ravel()
    centre = 0.5 * (edges[1:] + edges[:-1])
    return torch.cartesian_prod(centre, centre), mass


@pytest.mark.parametrize("width", [0.5, 0.1])
def test_bits_per_dimension_of_data_on_a_grid(width):
    """The mean over grid and blur is the exact integral, and bounds the grid's own entropy, tightly where bins are fine."""
    centre, mass = discretised(width)
    assert float(mass.sum()) == pytest.approx(1, abs=1e-9)
    entropy = float(-(torch.special.xlogy(mass, mass)).sum()) / (2 * math.log(2))
    place = width / 2 * torch.tensor([-(0.6**0.5), 0, 0.6**0.5], dtype=torch.float64)  # Gauss-Legendre
    weight = torch.tensor([5, 8, 5], dtype=torch.float64) / 18
    inside = torch.cartesian_prod(place, place)
    nats = (
        log_density((centre[:, None] + inside).reshape(-1, 2)).reshape(len(mass), 9)
        @ torch.outer(weight, weight).ravel()
    ) @ mass
    true = -float(nats) / (2 * math.log(2)) - math.log2(width)

    count = 1000
    k = torch.multinomial(mass, count, replacement=True, generator=torch.Generator().manual_seed(0))
    x0 = dequantise(centre[k], width, Noise.of(0, count))
    assert float((x0 - centre[k]).abs().max()) <= width / 2
    bits = log_likelihood(exact.Mixture(EDM()), x0).bits_per_dim(width)
    error = float(bits.std()) / count**0.5
    assert abs(float(bits.mean()) - true) < 4 * error
    assert entropy < true < entropy + (0.5 if width == 0.5 else 0.03)


class Wrong(exact.Mixture):
    """A denoiser with a fault."""

    def __init__(self, fault):
        super().__init__(EDM())
        self.fault = fault

    def forward(self, x_t, t):
        return self.fault(super().forward(x_t, t))


POINT = torch.zeros(2, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("denoiser", "x0", "options", "said"),
    [
        (Wrong(lambda x: x * math.nan), POINT, {}, "Wrong gave NaN or infinity"),
        (Wrong(torch.Tensor.detach), POINT, {}, "cannot be differentiated"),
        (exact.Mixture(EDM()), POINT.long(), {}, "int64"),
        (exact.Mixture(EDM()), POINT / 0, {}, "NaN or infinity in 4 of 4"),
        (exact.Mixture(EDM()), torch.zeros(2, 3), {}, r"x0 is \(2, 3\) and the process' moments are \(2,\)"),
        (exact.Mixture(GeometricBeta(0.02, 50)), POINT, {"n_min": 2.0}, "GeometricBeta reaches"),
        (exact.Mixture(EDM()), POINT, {"rtol": 0.0}, "above 0"),
        (exact.Mixture(EDM()), POINT, {"trace": Hutchinson(Noise.of(0, 3))}, "for 3 samples, x0 has 2"),
        (exact.Normal(EDM(), 0, 1), torch.zeros(1, 3, 32, 32), {}, "3,072 dimensions"),
    ],
)
def test_bad_input_is_told(denoiser, x0, options, said):
    with pytest.raises(ReverieError, match=said):
        log_likelihood(denoiser, x0, **options)


def test_tokens_and_grids_that_make_no_sense_are_told():
    tokens = exact.Mixture(EDM())
    tokens.process = Masked(3)
    with pytest.raises(ReverieError, match=r"needs a Gaussian process; the denoiser's is Masked.*token_bound"):
        log_likelihood(tokens, POINT)
    with pytest.raises(ReverieError, match="bin_width = 0"):
        dequantise(POINT, 0.0, Noise.of(0, 2))
    with pytest.raises(ReverieError, match="0 Hutchinson probes"):
        Hutchinson(Noise.of(0, 2), 0)
    assert len(Exact().directions(POINT)) == 2
