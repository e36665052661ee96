"""Adaptive Runge-Kutta on the probability-flow ODE: the error decides the steps, each sample's its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand
from reverie.errors import ReverieError

# Dormand & Prince 1980, RK5(4)7M: row i of A leads to stage i, the last row is the solution of order 5
_A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_C = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)  # order 5 minus order 4

_FIRST = 0.5  # the first step tried, in e-folds of n
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0


@dataclass(frozen=True)
class Adaptive(GaussianSampler):
    """Dormand-Prince 5(4) on the probability-flow ODE in log n, n = sigma / alpha, with a step size for each sample.

    du/dlog n = u - x0_hat, from n_t to n_s of each step of the grid. A step is kept where the root mean square of
    error / (atol + rtol max(|u|, |u_new|)) is at most 1, and the next is 0.9 / norm^(1/5) as long. Six evaluations a try,
    all samples together; a sample that has arrived waits for the others. A grid of (n_max, n_min, 0), which two steps
    give, is one integration and a last prediction. Raises ReverieError after max_nfe evaluations in one step of the grid.
    Source: Dormand & Prince 1980 (A Family of Embedded Runge-Kutta Formulae); Song et al. 2021, appendix D.4, for RK45 on
    this ODE.
    """

    rtol: float = 1e-4
    atol: float = 1e-4
    max_nfe: int = 2000

    usual_steps: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse tolerances that no step could meet."""
        if not (self.rtol >= 0 and self.atol >= 0 and self.rtol + self.atol > 0):
            raise ReverieError(f"adaptive: rtol={self.rtol:g}, atol={self.atol:g}; give tolerances above 0, e.g. 1e-4.")
        if self.max_nfe < 7:
            raise ReverieError(f"adaptive:max_nfe={self.max_nfe} leaves no step; one takes 7 evaluations.")

    @property
    def order(self) -> float | None:
        """5 in the steps that it takes; how many those are is its own choice."""
        return 5.0

    def advance(self, leg: Leg, x_t: Tensor, state: Tensor | None, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """As many evaluations as the tolerances need; the state is each sample's step size, (B,)."""
        u, batch = leg.u(x_t), len(x_t)
        place, end = torch.log(leg.n_t).expand(batch).clone(), torch.log(leg.n_s)
        size = torch.full((batch,), _FIRST, dtype=torch.float64) if state is None else state
        x0_hat = leg.x0_at(u, leg.n_t)
        slope, nfe = u - x0_hat, 1
        while bool((place > end).any()):
            if nfe + len(_A) > self.max_nfe:
                raise self._lost(place, end, nfe)
            left = place - end
            step = torch.minimum(size, left)
            new, last, error = self._try(leg, u, slope, place, -step)
            nfe += len(_A)
            norm = self._norm(error, u, new)
            kept = (norm <= 1) & (left > 0)
            place = torch.where(kept, torch.where(step < left, place - step, end), place)
            u, slope = torch.where(expand(kept, u).bool(), new, u), torch.where(expand(kept, u).bool(), last, slope)
            factor = (_SAFETY * norm.clamp(min=1e-10) ** -0.2).clamp(_SHRINK, _GROW)
            cut_short = kept & (
                step < size
            )  # at the end of the grid's step, which says little about the next one's size
            size = torch.where(
                left > 0, torch.where(cut_short, torch.maximum(size, step * factor), step * factor), size
            )
        return leg.x(u), size, x0_hat

    def _try(self, leg: Leg, u: Tensor, slope: Tensor, place: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u after a step h (B,), the slope there, and the difference of orders 5 and 4."""
        slopes, new = [slope], u
        for row, c in zip(_A, _C, strict=True):
            new = u + expand(h, u) * _weigh(row, slopes)
            slopes.append(new - leg.x0_at(new, torch.exp(place + c * h)))
        return new, slopes[-1], expand(h, u) * _weigh(_ERROR, slopes)

    def _norm(self, error: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Error in units of the tolerance, (B,) float64 on the CPU; infinity where it is not a number."""
        allowed = self.atol + self.rtol * torch.maximum(before.abs(), after.abs())
        norm = ((error / allowed) ** 2).flatten(1).mean(1).sqrt().to("cpu", torch.float64)
        return torch.nan_to_num(norm, nan=torch.inf)

    def _lost(self, place: Tensor, end: Tensor, nfe: int) -> ReverieError:
        worst = int(torch.argmax(place))
        return ReverieError(
            f"adaptive: sample {worst} of the batch is still at sigma / alpha = {float(place[worst].exp()):.4g} of the step to "
            f"{float(end.exp()):.4g} after {nfe} evaluations. Loosen rtol and atol (now {self.rtol:g}, {self.atol:g}), raise "
            "max_nfe, or use a fixed number of steps: heun."
        )


def _weigh(row: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    """Sum of the slopes times a row of the tableau, zeros left out."""
    terms = [a * k for a, k in zip(row, slopes, strict=True) if a != 0]
    return sum(terms[1:], start=terms[0])
