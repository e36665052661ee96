"""Solvers of the reverse-time SDE, whose noise may come from one Brownian path.

In y = u / n^2 the reverse SDE with the prediction held still is y's drift plus plain Brownian motion in the clock
tau = 1 / n^2 (u = x / alpha, n = sigma / alpha). Every sampler here draws its noise on such a clock when `brownian` is set,
each with its own coefficient: with more steps, and under any schedule, it follows the same trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand
from reverie.errors import ReverieError


def increment(noise: Noise, path: int | None, before: Tensor, after: Tensor, like: Tensor) -> Tensor:
    """Standard normal noise for a step between two clock values, (B, *): fresh, or that of a Brownian path.

    path: the loop's step at which the walk began, by which paths are told apart (after a jump back up a new one begins), or
    None for fresh noise. before, after: () float64.
    """
    if path is None:
        return noise.normal(0, like)
    return noise.at(path).brownian(before, after, like) / expand((after - before).sqrt(), like)


@dataclass(frozen=True)
class EulerMaruyama(GaussianSampler):
    """Euler-Maruyama on the reverse-time SDE, with the schedule's own drift and diffusion.

    dx = (f x - g^2 score) dt + g dw;   x_s = x_t - (f x_t - g^2 score) (t - s) + g sqrt(t - s) z

    f and g^2 at t from `schedule.rates`, score = (alpha x0_hat - x_t) / sigma^2: the VP, VE and sub-VP SDEs by their
    schedules. One evaluation a step. brownian: z is the increment of one path over the clock 1 / n^2, the clock of
    'dpmpp-2m-sde', so that both tend to one trajectory; the error along it falls as 1 / steps.
    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), eq. 6 and appendix E.
    """

    brownian: bool = False
    usual_steps: ClassVar[int] = 250

    @property
    def order(self) -> float | None:
        """None: noise is drawn."""
        return None

    def advance(self, leg: Leg, x_t: Tensor, state: int | None, noise: Noise) -> tuple[Tensor, int, Tensor]:
        """One evaluation."""
        path = noise.step if state is None else state
        x0_hat = leg.x0(x_t, leg.t)
        f, g2 = leg.schedule.rates(leg.t)
        variance, dt = leg.schedule.sigma(leg.t) ** 2, leg.t - leg.s
        score = (expand(leg.schedule.alpha(leg.t), x_t) * x0_hat - x_t) / expand(variance, x_t)
        z = increment(noise, path if self.brownian else None, leg.n_t**-2, leg.n_s**-2, x_t)
        x_s = (
            x_t
            - expand(f * dt, x_t) * x_t
            + expand(g2 * dt, x_t) * score
            + expand((g2 * dt).clamp(min=0).sqrt(), x_t) * z
        )
        return x_s, path, x0_hat


class Walk(NamedTuple):
    """The last prediction, the lambda at which it was made, and the step at which the walk began."""

    x0_hat: Tensor
    half_log_snr: Tensor
    path: int


@dataclass(frozen=True)
class DPMSolverPP2MSDE(GaussianSampler):
    """SDE-DPM-Solver++(2M): exact in the linear part and the noise, x0_hat extrapolated from the step before.

    u_s = e^(-(1 + eta) h) u_t + (1 - e^(-(1 + eta) h)) D + n_s sqrt(1 - e^(-2 eta h)) z
    D = x0_t + (x0_t - x0_r) h / (2 h_last)

    h = lambda_s - lambda_t and h_last = lambda_t - lambda_r, lambda = log(alpha / sigma), r the time before t: the midpoint
    form; u = x / alpha, n = e^-lambda. eta scales the noise: 1 is the reverse-time SDE, 0 the ODE, where this is
    'dpmpp-2m:midpoint=true'. One evaluation a step. brownian: z is the increment of one path over the clock n^(-2 eta), on
    which the noise of every step is n_s^(1 + eta) times a stretch of one Brownian motion.
    Source: Lu et al. 2022 (DPM-Solver++), SDE-DPM-Solver++(2M), for eta = 1; k-diffusion for other eta.
    """

    eta: float = 1.0
    brownian: bool = False
    name = "dpmpp-2m-sde"
    usual_steps: ClassVar[int] = 32

    def __post_init__(self) -> None:
        """Refuse an eta below 0, or one whose clock would leave float64."""
        if not 0 <= self.eta <= 10:
            raise ReverieError(
                f"dpmpp-2m-sde:eta={self.eta:g} is outside 0 (the ODE) to 10; 1 is the reverse-time SDE."
            )

    @property
    def order(self) -> float | None:
        """2 as the deterministic dpmpp-2m at eta = 0."""
        return 2.0 if self.eta == 0 else None

    def advance(self, leg: Leg, x_t: Tensor, state: Walk | None, noise: Noise) -> tuple[Tensor, Walk, Tensor]:
        """One evaluation."""
        u, eta = leg.u(x_t), self.eta
        lambda_t, lambda_s = -torch.log(leg.n_t), -torch.log(leg.n_s)
        h = lambda_s - lambda_t
        x0_hat = d = leg.x0_at(u, leg.n_t)
        if state is not None:
            d = x0_hat + expand(h / (2 * (lambda_t - state.half_log_snr)), u) * (x0_hat - state.x0_hat)
        u_s = expand(torch.exp(-(1 + eta) * h), u) * u - expand(torch.expm1(-(1 + eta) * h), u) * d
        path = noise.step if state is None else state.path
        if eta > 0:
            clock = leg.n_t ** (-2 * eta), leg.n_s ** (-2 * eta)
            z = increment(noise, path if self.brownian else None, *clock, u)
            u_s = u_s + expand(leg.n_s * torch.sqrt(-torch.expm1(-2 * eta * h)), u) * z
        return leg.x(u_s), Walk(x0_hat, lambda_t, path), x0_hat
