"""Heun's method on the probability-flow ODE, with EDM's churn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.samplers.base import Sampler, gaussian
from reverie.core.shapes import expand


@dataclass(frozen=True)
class Heun(Sampler):
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

    @property
    def order(self) -> float | None:
        """2 without churn."""
        return 2.0 if self.churn == 0 else None

    def init(self, steps: int) -> float:
        """The share by which churn raises the noise in each step."""
        return min(self.churn / steps, math.sqrt(2) - 1)

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Tensor, s: Tensor, state: float, noise: Noise
    ) -> tuple[Tensor, float, Tensor]:
        """One or two evaluations."""
        schedule = gaussian(denoiser, self).schedule
        n_t, n_s = schedule.noise(t), schedule.noise(s)
        u = x_t / expand(schedule.alpha(t), x_t)
        if state > 0 and self.churn_min <= float(n_t) <= self.churn_max:
            t, n_before = schedule.time_of_noise(n_t * (1 + state)), n_t
            n_t = schedule.noise(t)
            u = u + expand(self.s_noise * torch.sqrt((n_t**2 - n_before**2).clamp(min=0)), u) * noise.normal(0, u)
        x0_hat = denoiser(u * expand(schedule.alpha(t), u), t)
        if n_s == 0:
            return x0_hat * expand(schedule.alpha(s), u), state, x0_hat
        d_t = (u - x0_hat) / expand(n_t, u)
        euler = u + expand(n_s - n_t, u) * d_t
        alpha_s = expand(schedule.alpha(s), u)
        d_s = (euler - denoiser(euler * alpha_s, s)) / expand(n_s, u)
        return (u + expand(0.5 * (n_s - n_t), u) * (d_t + d_s)) * alpha_s, state, x0_hat
