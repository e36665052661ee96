"""Euler's method on the probability-flow ODE, in the schedule's own time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand


@dataclass(frozen=True)
class Euler(GaussianSampler):
    """Euler's method on the probability-flow ODE in the time t of the schedule.

    dx/dt = alpha'(t) x0_hat + sigma'(t) eps_hat;   x_s = x_t + (s - t) dx/dt,   eps_hat = (x_t - alpha_t x0_hat) / sigma_t

    Finite where alpha = 0, as long as its slope is. How good it is depends on how straight the schedule's paths are in t:
    for rectified flow it is DDIM, whose steps are straight in (u, n) under every schedule; elsewhere DDIM is the better
    Euler step.
    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), eq. 13, with the score from x0_hat.
    """

    usual_steps: ClassVar[int] = 50

    @property
    def order(self) -> float | None:
        """First order."""
        return 1.0

    def advance(self, leg: Leg, x_t: Tensor, state: None, noise: Noise) -> tuple[Tensor, None, Tensor]:
        """One evaluation."""
        x0_hat = leg.x0(x_t, leg.t)
        d_alpha, d_sigma = leg.schedule.slopes(leg.t)
        eps_hat = (x_t - expand(leg.schedule.alpha(leg.t), x_t) * x0_hat) / expand(leg.schedule.sigma(leg.t), x_t)
        slope = expand(d_alpha, x_t) * x0_hat + expand(d_sigma, x_t) * eps_hat
        return x_t + expand(leg.s - leg.t, x_t) * slope, None, x0_hat
