"""DDPM's bound and that of tokens against closed forms, and never below the exact negative log-likelihood."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from reverie.core.bound import token_bound, variational_bound
from reverie.core.denoiser import Denoiser, Rescheduled
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian, Masked, Uniform
from reverie.core.schedules import EDM, BetaChain, GeometricBeta, LinearBetaChain, ScaledLinear
from reverie.core.shapes import expand
from reverie.core.survival import Cosine
from reverie.errors import ReverieError
from tests.core import exact

SHORT = LinearBetaChain(beta_start=0.01, beta_end=0.4, T=20)


@pytest.mark.parametrize("chain", [LinearBetaChain(), ScaledLinear(), GeometricBeta(), SHORT], ids=repr)
def test_one_step_at_a_time_is_the_closed_form(chain):
    """Each step is sqrt(1 - beta) x + sqrt(beta) eps, and their chain is alpha x0 + sigma eps, at every i."""
    process, betas = Gaussian(chain), chain.betas()
    i = torch.arange(chain.T, dtype=torch.float64)
    s, t, one = i / chain.T, (i + 1) / chain.T, torch.ones(chain.T, 1, dtype=torch.float64)
    scale, spread = process.forward(one, s, t, 0 * one)[:, 0], process.forward(0 * one, s, t, one)[:, 0]
    assert torch.allclose(scale**2, 1 - betas, rtol=1e-10)
    assert torch.allclose(spread**2, betas, rtol=1e-8)
    mean, variance = [1.0], [0.0]
    for c, v in zip(scale.tolist(), spread.tolist(), strict=True):
        mean.append(c * mean[-1])
        variance.append(c**2 * variance[-1] + v**2)
    assert torch.allclose(
        torch.tensor(mean[1:], dtype=torch.float64), process.diffuse(one, t, 0 * one)[:, 0], rtol=1e-10
    )
    assert torch.allclose(
        torch.tensor(variance[1:], dtype=torch.float64), process.diffuse(0 * one, t, one)[:, 0] ** 2, rtol=1e-10
    )


def closed_form(x0, chain, m, v, levels, posterior):
    """Prior, steps and decoder in bits for one number x0 and the exact denoiser of N(m, v), from the betas alone."""
    beta = chain.betas().numpy()
    bar = np.cumprod(1 - beta)  # alpha_bar of steps 1 .. T
    before = np.concatenate([[1.0], bar[:-1]])
    tilde = (1 - before) / (1 - bar) * beta
    model = tilde if posterior else beta
    shrink = v / (v + (1 - bar) / bar)  # x0_hat = m + shrink (u - m), u = x0 + n eps
    wrong = (1 - shrink) ** 2 * (x0 - m) ** 2 + shrink**2 * (1 - bar) / bar
    means = before * beta**2 / (1 - bar) ** 2 * wrong  # squared distance of the two means of x_{i-1}
    ratio = tilde[1:] / model[1:]
    kl = 0.5 * (ratio - 1 - np.log(ratio) + means[1:] / model[1:])
    end = bar[-1] * v + 1 - bar[-1]
    prior = 0.5 * ((1 - bar[-1]) / end - 1 - math.log((1 - bar[-1]) / end) + bar[-1] * (x0 - m) ** 2 / end)
    spread = math.sqrt(tilde[1] if posterior else beta[0])
    eps = np.linspace(-9, 9, 4001)
    x0_hat = m + shrink[0] * (x0 + math.sqrt((1 - bar[0]) / bar[0]) * eps - m)
    half = 1 / (levels - 1)
    high = np.inf if x0 > 1 - half else (x0 + half - x0_hat) / spread
    low = -np.inf if x0 < -1 + half else (x0 - half - x0_hat) / spread
    mass = np.where(x0 > x0_hat, stats.norm.sf(low) - stats.norm.sf(high), stats.norm.cdf(high) - stats.norm.cdf(low))
    decoder = -np.trapezoid(stats.norm.pdf(eps) * np.log(mass), eps)
    return np.array([prior, kl.sum(), decoder]) / math.log(2)


@pytest.mark.parametrize("steps", [None, 6])
@pytest.mark.parametrize("posterior", [True, False])
def test_the_three_terms_on_a_gaussian(posterior, steps):
    """Mean of 3,000 estimates within 4 standard errors of the closed form, term by term; the prior's exactly. The standard error
    told is never too small, at most half too large where all steps are seen, and twice where a third are."""
    levels, count, m, v = 9, 3000, 0.2, 0.1
    x0 = torch.tensor([-1.0, 0.25, 1.0], dtype=torch.float64)  # the two open bins, and one between
    found = variational_bound(
        exact.Normal(SHORT, m, v), x0.expand(count, 3), Noise.of(0, count), steps, levels, posterior=posterior
    )
    true = np.mean([closed_form(float(x), SHORT, m, v, levels, posterior) for x in x0], 0)
    assert torch.allclose(found.prior, torch.tensor(true[0]), rtol=1e-6)
    for term, value in ((found.steps, true[1]), (found.decoder, true[2])):
        assert abs(float(term.mean()) - value) < 4 * float(term.std()) / count**0.5
    assert abs(float(found.total.mean()) - true.sum()) < 4 * float(found.total.std()) / count**0.5
    ratio = float(found.standard_error.square().mean().sqrt() / found.total.std())
    assert 0.95 < ratio < (1.5 if steps is None else 2), ratio


@dataclass(frozen=True)
class CosineChain(BetaChain):
    """A chain of any length with alpha_bar along a cosine, for bounds of few steps."""

    T: int

    def betas(self):
        bar = torch.cos(torch.linspace(0, 1, self.T + 1, dtype=torch.float64) * 0.5 * math.pi) ** 2
        return (1 - bar[1:] / bar[:-1]).clamp(max=0.995)


class Levels(Denoiser):
    """The exact denoiser of a Gaussian's masses on 8 grid values, told apart by Bayes' rule."""

    VALUES = torch.linspace(-1, 1, 8, dtype=torch.float64)
    MASS = torch.softmax(-((VALUES - 0.1) ** 2) / (2 * 0.4**2), 0)
    BITS = float(-(MASS * MASS.log2()).sum())

    def __init__(self, schedule, tilt=0.0):
        super().__init__()
        mean = self.MASS @ self.VALUES
        self.process = Gaussian(schedule, mean, self.MASS @ (self.VALUES - mean) ** 2)
        self.prior = self.MASS.log() + tilt * self.VALUES
        self.calls = 0

    def forward(self, x_t, t):
        self.calls += 1
        n = expand(self.process.schedule.noise(t), x_t)
        u = x_t / expand(self.process.schedule.alpha(t), x_t)
        share = torch.softmax(self.prior - (u[..., None] - self.VALUES) ** 2 / (2 * n[..., None] ** 2), -1)
        return share @ self.VALUES


def bounds(denoiser, repeats, posterior=True):
    """Estimates of the bound's mean over the data, (repeats,): each grid value once in each, by its mass."""
    x0 = Levels.VALUES.repeat(repeats)[:, None]
    found = variational_bound(denoiser, x0, Noise.of(0, len(x0)), levels=8, posterior=posterior)
    return found.total.reshape(repeats, 8) @ Levels.MASS


def error_of(estimates):
    return float(estimates.std()) / len(estimates) ** 0.5


def test_never_below_the_exact_bits_and_tighter_with_more_steps():
    """The data's own entropy, known, bounds every chain's bound from below; with the exact denoiser the gap closes with T."""
    found = {T: bounds(Levels(CosineChain(T)), 30) for T in (32, 64, 128)}
    gaps = [float(b.mean()) - Levels.BITS for b in found.values()]
    assert all(gap > -3 * error_of(b) for gap, b in zip(gaps, found.values(), strict=True))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.3 * gaps[0]
    excess = bounds(Levels(CosineChain(64), tilt=2.0), 30) - found[64]  # on the same noise
    assert float(excess.mean()) > 4 * error_of(excess), "a wrong denoiser has a worse bound"


@pytest.mark.slow
def test_the_gap_that_is_left():
    """With beta-tilde some 0.06 bits at T = 1,000; with beta a whole bit, that of the first steps, whatever T."""
    best = bounds(Levels(CosineChain(1000)), 60)
    assert -3 * error_of(best) < float(best.mean()) - Levels.BITS < 0.06 + 3 * error_of(best)
    assert error_of(best) < 0.03
    assert float(bounds(Levels(CosineChain(256)), 20, posterior=False).mean()) > Levels.BITS + 1


def test_a_trained_schedule_is_read_under_a_chain_and_calls_are_counted():
    """EDM's denoiser under DDPM's chain gives the chain's own bound; nfe is what the denoiser counts; a sample is its own."""
    x0 = Levels.VALUES[:, None]
    denoiser = Levels(EDM())
    found = variational_bound(Rescheduled(denoiser, SHORT), x0, Noise.of(1, 8), 5, levels=8)
    own = variational_bound(Levels(SHORT), x0, Noise.of(1, 8), 5, levels=8)
    assert torch.allclose(found.total, own.total, atol=1e-9)
    assert found.nfe == denoiser.calls == 5 + 2
    alone = variational_bound(Levels(SHORT), x0[3:4], Noise.of(1, 1, first=3), 5, levels=8)
    assert torch.allclose(alone.total[0], own.total[3], atol=1e-12)
    cold = variational_bound(Levels(SHORT), x0, Noise.of(1, 8, temperature=0.1), 5, levels=8)
    assert torch.equal(cold.total, own.total)


def test_pictures_in_float32_have_the_same_bound():
    x0, denoiser, noise = Levels.VALUES.reshape(1, 8).repeat(3, 1), exact.Normal(SHORT, 0.2, 0.1), Noise.of(0, 3)
    flat = variational_bound(denoiser, x0, noise, levels=8)
    picture = variational_bound(denoiser, x0.float().reshape(3, 1, 2, 4), noise, levels=8)
    assert picture.total.dtype == torch.float64
    assert torch.allclose(picture.total, flat.total, rtol=1e-4)


SEQUENCES = torch.tensor(list(itertools.product(range(3), repeat=3)))
JOINT = torch.softmax(2 * torch.randn(27, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 0)


class Sequences(Denoiser):
    """The exact log p(x0_i | x_t) of three tokens under JOINT, mended by a sharpness; counts its calls."""

    def __init__(self, process, sharpness=1.0):
        super().__init__()
        self.process, self.sharpness, self.calls = process, sharpness, 0

    def forward(self, x_t, t):
        self.calls += 1
        a = self.process.schedule.survival(t).reshape(-1, 1, 1)
        here = x_t[:, None] == SEQUENCES  # (B, 27, 3)
        lost = (x_t[:, None] == 3).double() if isinstance(self.process, Masked) else 1 / 3
        share = JOINT * (a * here + (1 - a) * lost).prod(-1)
        token = torch.nn.functional.one_hot(SEQUENCES, 3).double()
        p = torch.einsum("bs,sik->bki", share / share.sum(1, keepdim=True), token)
        return torch.log_softmax(self.sharpness * p.log(), 1)


@pytest.mark.parametrize("process", [Masked(3), Masked(3, Cosine()), Uniform(3), Uniform(3, Cosine())], ids=repr)
def test_the_token_bound_of_the_exact_denoiser_is_the_exact_likelihood(process):
    """For every sequence: the mean is -log p(x0) to 4.5 standard errors; those that are told are right in the mean."""
    repeats = 80
    x0 = SEQUENCES.repeat(repeats, 1)
    found = token_bound(Sequences(process), x0, Noise.of(0, len(x0)), 24)
    each = found.nats_per_token.reshape(repeats, 27)
    error = each.std(0) / repeats**0.5
    assert bool(((each.mean(0) + JOINT.log() / 3).abs() < 4.5 * error).all())
    told = found.standard_error.square().mean().sqrt() / each.var(0).mean().sqrt()
    assert 0.9 < float(told) < 1.3, told


@pytest.mark.parametrize("process", [Masked(3), Uniform(3)], ids=repr)
@pytest.mark.parametrize("sharpness", [0.5, 1.5])
def test_the_token_bound_of_a_wrong_denoiser_is_above_it(process, sharpness):
    """In the mean over the data the bound of any other denoiser is above that of the exact one, on the same noise."""
    denoiser, repeats = Sequences(process, sharpness), 100
    x0, noise = SEQUENCES.repeat(repeats, 1), Noise.of(0, 27 * repeats)
    found, best = token_bound(denoiser, x0, noise, 16), token_bound(Sequences(process), x0, noise, 16)
    excess = (found.nats_per_token - best.nats_per_token).reshape(
        repeats, 27
    ) @ JOINT  # best is the entropy in the mean
    assert float(excess.mean()) > 4 * float(excess.std()) / repeats**0.5
    assert found.nfe == denoiser.calls == 16


def test_a_token_bound_is_each_samples_own():
    whole = token_bound(Sequences(Masked(3)), SEQUENCES, Noise.of(2, 27), 8)
    alone = token_bound(Sequences(Masked(3)), SEQUENCES[4:5], Noise.of(2, 1, first=4), 8)
    assert torch.allclose(alone.nats_per_token[0], whole.nats_per_token[4], atol=1e-12)


class Silent(Levels):
    def forward(self, x_t, t):
        return super().forward(x_t, t) * math.nan


class SilentTokens(Sequences):
    def forward(self, x_t, t):
        return super().forward(x_t, t) * math.nan


GRID = Levels.VALUES[:, None]


@pytest.mark.parametrize(
    ("denoiser", "x0", "options", "said"),
    [
        (Sequences(Masked(3)), GRID, {}, "the denoiser's is Masked.*token_bound"),
        (Levels(EDM()), GRID, {}, "the schedule is EDM.*Rescheduled"),
        (Levels(SHORT), 1.2 * GRID, {}, "8 of 8 values of x0"),
        (Levels(SHORT), 3.0 + 0 * GRID, {}, "8 of 8 values of x0"),
        (Levels(SHORT), GRID * math.nan, {}, "8 of 8 values of x0"),
        (Levels(SHORT), GRID, {"levels": 9}, "6 of 8 values of x0"),
        (Levels(SHORT), GRID, {"levels": 1}, "at least 2"),
        (Levels(SHORT), GRID, {"steps": 1}, "T = 20 has 19"),
        (Levels(SHORT), GRID, {"steps": 20}, "T = 20 has 19"),
        (Levels(CosineChain(2)), GRID, {}, "T = 2"),
        (Silent(SHORT), GRID, {}, "Silent over Gaussian gave NaN"),
    ],
)
def test_bad_input_of_the_variational_bound_is_told(denoiser, x0, options, said):
    with pytest.raises(ReverieError, match=said):
        variational_bound(denoiser, x0, Noise.of(0, 8), **{"levels": 8} | options)


@pytest.mark.parametrize(
    ("denoiser", "x0", "samples", "said"),
    [
        (Levels(SHORT), SEQUENCES, 8, "the denoiser's is Gaussian.*variational_bound"),
        (Sequences(Masked(3)), SEQUENCES + 1, 8, "from 1 to 3; the process has tokens 0 to 2"),
        (Sequences(Masked(3)), SEQUENCES.double(), 8, "float64 from 0 to 2"),
        (Sequences(Masked(3)), SEQUENCES, 1, "1 times"),
        (SilentTokens(Masked(3)), SEQUENCES, 8, "SilentTokens over Masked gave NaN"),
    ],
)
def test_bad_input_of_the_token_bound_is_told(denoiser, x0, samples, said):
    with pytest.raises(ReverieError, match=said):
        token_bound(denoiser, x0, Noise.of(0, 27), samples)
