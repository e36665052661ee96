"""Adaptive Runge-Kutta on the probability-flow ODE: the error decides the steps, each sample's its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.ode import Parts, dormand_prince
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.errors import ReverieError


@dataclass(frozen=True)
class Adaptive(GaussianSampler):
    """Dormand-Prince 5(4) on the probability-flow ODE in log n, n = sigma / alpha, with a step size for each sample.

    du/dlog n = u - x0_hat, from n_t to n_s of each step of the grid, with errors of at most atol + rtol |u|. Six
    evaluations a try, all samples together, and two more; a sample that has arrived waits for the others. A grid of
    (n_max, n_min, 0), which two steps of `karras` give, is one integration and a last prediction. Raises ReverieError where
    max_nfe evaluations do not bring one step of the grid to its end.
    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), section 4.3 and appendix D.4; Dormand & Prince
    1980 (A Family of Embedded Runge-Kutta Formulae) for the solver.
    """

    rtol: float = 1e-4
    atol: float = 1e-4
    max_nfe: int = 2000

    usual_steps: ClassVar[int] = 2
    usual_grid: ClassVar[str | None] = "karras"

    def __post_init__(self) -> None:
        """Refuse tolerances that no step could meet."""
        if not (self.rtol > 0 and self.atol > 0):
            raise ReverieError(f"adaptive:rtol={self.rtol:g},atol={self.atol:g}: give both above 0, e.g. 1e-4.")
        if self.max_nfe < 8:
            raise ReverieError(f"adaptive:max_nfe={self.max_nfe} leaves no step; the first takes 8 evaluations.")

    @property
    def order(self) -> float | None:
        """5, in the evaluations that the tolerances cost."""
        return 5.0

    def advance(self, leg: Leg, x_t: Tensor, state: None, noise: Noise) -> tuple[Tensor, None, Tensor]:
        """As many evaluations as the tolerances need."""
        u = leg.u(x_t)

        def slope(log_n: Tensor, parts: Parts) -> Parts:
            return (parts[0] - leg.x0_at(parts[0], torch.exp(log_n)),)

        start, end = float(torch.log(leg.n_t)), float(torch.log(leg.n_s))
        tries = (self.max_nfe - 2) // 6
        (u_s,) = dormand_prince(slope, (u,), start, end, self.rtol, self.atol, most_steps=tries)
        return leg.x(u_s), None, leg.x0_at(u, leg.n_t)
