"""Bounds on the negative log-likelihood, estimated by Monte Carlo: DDPM's, in bits per dimension, and that of tokens, in nats.

DDPM's chain of T steps, with data x0 on a grid of `levels` values in [-1, 1], x_i at t_i = i / T:

    -log p(x0) <= KL(q(x_T | x0) || prior) + sum over i = 2 .. T of KL(q(x_{i-1} | x_i, x0) || p(x_{i-1} | x_i)) - log p(x0 | x_1)

    found = variational_bound(Given(denoiser, cond), x0, noise)          # all T steps
    found.total, found.standard_error                                     # bits per dimension, (B,) each
    rough = variational_bound(Rescheduled(denoiser, LinearBetaChain()), x0, noise, steps=50)

Both are means over random x_t, told with their standard errors: one estimate may fall below what it bounds, its mean never.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.processes import Categorical, Gaussian
from reverie.core.schedules import BetaChain
from reverie.core.shapes import time_of
from reverie.errors import ReverieError

_DECODER_DRAWS = 2  # of x_1, so that the decoder's term has a standard error too


@dataclass(frozen=True)
class VariationalBound:
    """DDPM's bound by its three terms, each (B,) float64 in bits per dimension.

    prior: KL(q(x_T | x0) || prior), exact. steps: the sum over i = 2 .. T, estimated. decoder: -log p(x0 | x_1), estimated.
    standard_error: (B,), of the total. nfe: evaluations of the denoiser, each for the whole batch.
    """

    prior: Tensor
    steps: Tensor
    decoder: Tensor
    standard_error: Tensor
    nfe: int

    @property
    def total(self) -> Tensor:
        """The bound: the sum of the three, (B,)."""
        return self.prior + self.steps + self.decoder


def variational_bound(
    denoiser: Denoiser, x0: Tensor, noise: Noise, steps: int | None = None, levels: int = 256, posterior: bool = True
) -> VariationalBound:
    """DDPM's variational bound on -log2 p(x0) / D, (B, *) -> (B,) each, for a Gaussian process on a chain of betas.

    x0: values -1 + 2 k / (levels - 1). noise: draws each sample's x_t. steps: how many of the T - 1 middle terms are looked at,
    from 2, one in each of as many equal stretches of the chain; all of them where None. posterior: the reverse variance is
    beta-tilde, that of q(x_{i-1} | x_i, x0), or else beta. Where the data's moments are fitted, the prior has them.
    beta-tilde is 0 in the decoder, which has that of the second step, as in the authors' released code. With beta the first steps
    cost what no number of steps takes away: on a cosine chain a bit per dimension.
    Raises ReverieError where the schedule is no chain, x0 is off the grid, or the network gives no number.
    Source: Ho et al. 2020 (Denoising Diffusion Probabilistic Models), eq. 5-7 for the terms, 13 for the decoder; section 3.2
    for the two variances.
    """
    process, chain = _chain_of(denoiser)
    _on_grid(x0, levels)
    noise = dataclasses.replace(noise, temperature=1.0)
    last = chain.T
    count = last - 1 if steps is None else steps
    if not 2 <= count <= last - 1:
        raise ReverieError(
            f"{count} of the bound's middle terms; a chain of T = {last} has {last - 1}, and 2 are the fewest."
        )
    with torch.no_grad():
        places = _strata(2, last, count, noise, x0)
        middle = torch.stack(
            [_step_term(denoiser, chain, x0, noise.at(k + 1), i, posterior) for k, i in enumerate(places)]
        )
        ends = torch.stack(
            [_decoder_term(denoiser, chain, x0, noise.at(last + k), levels, posterior) for k in range(_DECODER_DRAWS)]
        )
    bits = 1 / math.log(2)
    variance = (last - 1) ** 2 * _variance_of_mean(middle) + _variance_of_mean(ends)
    return VariationalBound(
        bits * _prior_term(process, x0),
        bits * (last - 1) * middle.mean(0),
        bits * ends.mean(0),
        bits * variance.sqrt(),
        count + _DECODER_DRAWS,
    )


@dataclass(frozen=True)
class TokenBound:
    """A bound on -log p(x0) in nats per token, (B,) float64, with its standard error, (B,), and the evaluations it took."""

    nats_per_token: Tensor
    standard_error: Tensor
    nfe: int


def token_bound(denoiser: Denoiser, x0: Tensor, noise: Noise, samples: int = 64) -> TokenBound:
    """The continuous-time bound on -log p(x0) of a Categorical process, in nats per token, (B, *) int64 -> (B,).

    integral over t from 0 to 1 of E[divergence(x0, prediction, x_t, t)], by `samples` times, one in each of as many equal
    stretches of sqrt(t): few tokens are lost near t = 0, but each counts 1 / t, and uniform times would give the estimate no
    finite variance. Infinite, with no standard error, where the denoiser rules out a true token.
    Raises ReverieError for another process, for x0 outside its classes, and for a network that gives no number.
    Source: Sahoo et al. 2024 (MDLM), eq. 10; Campbell et al. 2022, proposition 2, for the uniform process.
    """
    process = denoiser.process
    if not isinstance(process, Categorical):
        raise ReverieError(
            f"A bound in nats per token needs a Categorical process; the denoiser's is {type(process).__name__}. For a Gaussian "
            "one there are variational_bound and likelihood.log_likelihood."
        )
    _tokens(x0, process.classes)
    if samples < 2:
        raise ReverieError(f"{samples} times for a bound; give 2 or more, so that its standard error is known.")
    found = []
    with torch.no_grad():
        for k in range(samples):
            here = noise.at(k)
            root = (k + _one_each(here, x0)) / samples
            t = root**2
            x_t = process.diffuse(x0, t, process.draw(here, x0))
            prediction = denoiser(x_t, t)
            if bool((torch.isnan(prediction) | torch.isposinf(prediction)).any()):
                _not_a_number(denoiser, f"log p(x0 | x_t) near t = {float(t.mean()):.4g}")
            found.append(2 * root * process.divergence(x0, prediction, x_t, t).to("cpu", torch.float64))
    terms = torch.stack(found)
    return TokenBound(terms.mean(0), _variance_of_mean(terms).sqrt(), samples)


def _prior_term(process: Gaussian, x0: Tensor) -> Tensor:
    """KL(N(alpha x0, sigma^2) || N(alpha m, alpha^2 v + sigma^2)) at t = 1 in nats per dimension, (B,) float64."""
    end = time_of(1.0)
    alpha, sigma = float(process.schedule.alpha(end)), float(process.schedule.sigma(end))
    apart = alpha**2 * (x0.double() - process.mean.to(x0).double()) ** 2
    variance = alpha**2 * process.variance.to(x0).double() + sigma**2
    return _normal_kl(apart, torch.full_like(variance, sigma**2), variance).flatten(1).mean(1).cpu()


def _step_term(denoiser: Denoiser, chain: BetaChain, x0: Tensor, noise: Noise, i: Tensor, posterior: bool) -> Tensor:
    """KL(q(x_{i-1} | x_i, x0) || p(x_{i-1} | x_i)) at one x_i in nats per dimension, i (B,) from 2 -> (B,) float64."""
    alpha, sigma = chain.alpha((i - 1) / chain.T), chain.sigma((i - 1) / chain.T)
    after, beta = chain.sigma(i / chain.T), chain.betas()[i.long() - 1]
    tilde = beta * (sigma / after) ** 2
    error = (alpha * beta / after**2) ** 2 * _error(denoiser, chain, x0, noise, i)  # of the mean of x_{i-1}
    return _normal_kl(error, tilde, tilde if posterior else beta)


def _error(denoiser: Denoiser, chain: BetaChain, x0: Tensor, noise: Noise, i: Tensor) -> Tensor:
    """Mean squared error of x0_hat at one x_i, (B,) float64."""
    return ((_predicted(denoiser, x0, noise, i / chain.T) - x0).double() ** 2).flatten(1).mean(1).cpu()


def _decoder_term(
    denoiser: Denoiser, chain: BetaChain, x0: Tensor, noise: Noise, levels: int, posterior: bool
) -> Tensor:
    """-log of the mass that N(x0_hat(x_1), variance) gives the bins of x0, the outermost open, in nats per dimension, (B,)."""
    beta = chain.betas()
    variance = beta[1] * beta[0] / chain.sigma(torch.tensor(2 / chain.T)) ** 2 if posterior else beta[0]
    x0_hat = _predicted(denoiser, x0, noise, torch.full((len(x0),), 1 / chain.T, dtype=torch.float64))
    apart = x0.double() - x0_hat.double()
    half, spread = 1 / (levels - 1), math.sqrt(float(variance))
    low = torch.where(x0 < -1 + half, -torch.inf, (apart - half) / spread)
    high = torch.where(x0 > 1 - half, torch.inf, (apart + half) / spread)
    return -_log_mass(low, high).flatten(1).mean(1).cpu()


def _predicted(denoiser: Denoiser, x0: Tensor, noise: Noise, t: Tensor) -> Tensor:
    """x0_hat at an x_t drawn for x0, (B, *)."""
    process = denoiser.process
    x0_hat = denoiser(process.diffuse(x0, t, process.draw(noise, x0)), t)
    if not bool(torch.isfinite(x0_hat).all()):
        _not_a_number(denoiser, f"x0 near t = {float(t.mean()):.4g}")
    return x0_hat


def _normal_kl(apart: Tensor, variance: Tensor, other: Tensor) -> Tensor:
    """KL(N(a, variance) || N(b, other)) in nats, apart = (a - b)^2."""
    ratio = variance / other
    return 0.5 * (ratio - 1 - torch.log(ratio) + apart / other)


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)) for low < high, taken in the tail on whose side they lie, where nothing cancels."""
    flip = low + high > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    above, below = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return above + torch.log(-torch.expm1(below - above))


def _strata(first: int, last: int, count: int, noise: Noise, like: Tensor) -> list[Tensor]:
    """Whole numbers first .. last, each equally likely: one per sample in each of `count` equal stretches, (B,) float64 each."""
    width = (last - first + 1) / count
    starts = [(k + _one_each(noise.at(k + 1), like)) * width for k in range(count)]
    return [(first + s.floor()).clamp(max=last) for s in starts]


def _variance_of_mean(terms: Tensor) -> Tensor:
    """Variance of the mean of terms drawn one a stratum, (k, B) -> (B,): squared differences within pairs of neighbours / k^2.

    The plain variance would count how strata differ; that of neighbours differs little, and makes it too large if anything. A
    last one without a pair shares its neighbour's.
    Source: the method of collapsed strata, Cochran 1977 (Sampling Techniques), section 5A.12.
    """
    k, apart = len(terms), terms.diff(dim=0) ** 2
    pairs = apart[::2].sum(0)
    return (pairs + apart[-1] if k % 2 else pairs) / k**2


def _one_each(noise: Noise, like: Tensor) -> Tensor:
    """One uniform number per sample, (B,) float64 on the CPU."""
    return noise.uniform(1, torch.empty(len(like), 1, dtype=torch.float64))[:, 0]


def _chain_of(denoiser: Denoiser) -> tuple[Gaussian, BetaChain]:
    """The process and its chain of betas, or an error that says what they are instead."""
    process = denoiser.process
    if not isinstance(process, Gaussian):
        raise ReverieError(
            f"DDPM's bound needs a Gaussian process; the denoiser's is {type(process).__name__}. For tokens there is token_bound."
        )
    if not isinstance(process.schedule, BetaChain):
        raise ReverieError(
            f"DDPM's bound is a sum over a chain of betas, and the schedule is {type(process.schedule).__name__}, in continuous "
            "time. Read the denoiser under a chain, Rescheduled(denoiser, LinearBetaChain()), or use likelihood.log_likelihood."
        )
    if process.schedule.T < 3:
        raise ReverieError(f"A chain of T = {process.schedule.T} steps; the bound's terms need 3 or more.")
    return process, process.schedule


def _on_grid(x0: Tensor, levels: int) -> None:
    """Refuse data that is not of the grid's values: the decoder gives mass to those alone."""
    if levels < 2:
        raise ReverieError(f"A grid of {levels} levels; there must be at least 2.")
    place = (x0.double() + 1) * (levels - 1) / 2
    off = ~((place - place.round()).abs() < 1e-3) | (place < -0.5) | (place > levels - 0.5)
    if bad := int(off.sum()):
        raise ReverieError(
            f"{bad:,} of {x0.numel():,} values of x0 (the first: {float(x0[off][0]):.6g}) are not among the {levels} values "
            f"-1 + 2 k / {levels - 1} that the bound's decoder knows. Scale the data to [-1, 1] and give its number of levels, "
            "or use likelihood.log_likelihood for continuous data."
        )


def _tokens(x0: Tensor, classes: int) -> None:
    """Refuse what are no tokens of the process."""
    if x0.dtype != torch.int64 or bool((x0 < 0).any()) or bool((x0 >= classes).any()):
        raise ReverieError(
            f"x0 is {x0.dtype} from {float(x0.min()):g} to {float(x0.max()):g}; the process has tokens 0 to {classes - 1}, int64."
        )


def _not_a_number(denoiser: Denoiser, what: str) -> None:
    raise ReverieError(
        f"{type(denoiser).__name__} over {type(denoiser.process).__name__} gave NaN or infinity for {what}: there is no bound. "
        "Training diverged: use an earlier checkpoint."
    )
