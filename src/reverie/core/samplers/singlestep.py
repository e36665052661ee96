"""Singlestep methods of higher order: more than one evaluation a step, nothing remembered."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand
from reverie.errors import ReverieError


@dataclass(frozen=True)
class DPMSolver2(GaussianSampler):
    """DPM-Solver-2: the slope of eps_hat in lambda = log(alpha / sigma) from a second look a part r of the step ahead.

    u_m = u_t + (n_m - n_t) eps_t,   n_m = n_t^(1 - r) n_s^r
    u_s = u_t + (n_s - n_t) (eps_t + (eps_m - eps_t) / (2 r)),   eps = (u - x0_hat) / n

    Two evaluations a step; one where s is the end of time (n_s = 0). r = 0.5 is the midpoint in lambda.
    Source: Lu et al. 2022 (DPM-Solver), algorithm 1; any r in their appendix.
    """

    r: float = 0.5
    name = "dpm-solver-2"

    def __post_init__(self) -> None:
        """Refuse a second look outside the step."""
        if not 0 < self.r <= 1:
            raise ReverieError(f"dpm-solver-2:r={self.r:g} is outside 0 (excluded) to 1: a place within the step.")

    @property
    def order(self) -> float | None:
        """Second order."""
        return 2.0

    def advance(self, leg: Leg, x_t: Tensor, state: None, noise: Noise) -> tuple[Tensor, None, Tensor]:
        """Two evaluations."""
        u, n_t, n_s = leg.u(x_t), leg.n_t, leg.n_s
        n_m = n_s if self.r == 1 else n_t ** (1 - self.r) * n_s**self.r
        x0_hat = leg.x0_at(u, n_t)
        eps_t = (u - x0_hat) / expand(n_t, u)
        u_m = u + expand(n_m - n_t, u) * eps_t
        eps_m = (u_m - leg.x0_at(u_m, n_m)) / expand(n_m, u)
        slope = eps_t + (eps_m - eps_t) / (2 * self.r)
        return leg.x(u + expand(n_s - n_t, u) * slope), None, x0_hat
