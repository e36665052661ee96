"""Heun's method on the probability-flow ODE, with EDM's churn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand
from reverie.errors import ReverieError


@dataclass(frozen=True)
class Heun(GaussianSampler):
    """Trapezoidal rule on the probability-flow ODE, in the coordinates u = x / alpha, n = sigma / alpha.

    du/dn = (u - x0_hat) / n;   u_s = u_t + (n_s - n_t) (d_t + d_s) / 2

    Two evaluations a step; one where s is the end of time (n_s = 0). With churn > 0, n is first raised by the factor
    1 + min(churn / steps, sqrt(2) - 1) where churn_min <= n <= churn_max, with fresh noise times s_noise.
    Source: Karras et al. 2022, algorithm 1 (churn = 0) and algorithm 2.
    """

    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    s_noise: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a churn that would take noise away."""
        if not (0 <= self.churn < math.inf and 0 <= self.churn_min <= self.churn_max and self.s_noise > 0):
            raise ReverieError(
                f"heun:churn={self.churn:g},churn_min={self.churn_min:g},churn_max={self.churn_max:g},s_noise={self.s_noise:g} "
                "needs churn from 0, churn_min <= churn_max and s_noise above 0."
            )

    @property
    def order(self) -> float | None:
        """2 without churn."""
        return 2.0 if self.churn == 0 else None

    def init(self, steps: int) -> float:
        """The share by which churn raises the noise in each step."""
        return min(self.churn / steps, math.sqrt(2) - 1)

    def advance(self, leg: Leg, x_t: Tensor, state: float, noise: Noise) -> tuple[Tensor, float, Tensor]:
        """Two evaluations."""
        u, n_t, n_s = leg.u(x_t), leg.n_t, leg.n_s
        if state > 0 and self.churn_min <= float(n_t) <= self.churn_max:
            n_before, n_t = n_t, leg.schedule.noise(leg.schedule.time_of_noise(n_t * (1 + state)))
            u = u + expand(self.s_noise * torch.sqrt((n_t**2 - n_before**2).clamp(min=0)), u) * noise.normal(0, u)
        x0_hat = leg.x0_at(u, n_t)
        d_t = (u - x0_hat) / expand(n_t, u)
        euler = u + expand(n_s - n_t, u) * d_t
        d_s = (euler - leg.x0_at(euler, n_s)) / expand(n_s, u)
        return leg.x(u + expand(0.5 * (n_s - n_t), u) * (d_t + d_s)), state, x0_hat
