"""UniPC: a multistep predictor, and a corrector that costs nothing because it uses the next step's evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.samplers.multistep import History, Past, exponential
from reverie.core.shapes import expand
from reverie.errors import ReverieError


class Corrected(NamedTuple):
    """The corrected u at the start of the last step, (B, *), and the predictions known there, newest first."""

    u: Tensor
    history: History


@dataclass(frozen=True)
class UniPC(GaussianSampler):
    """Unified predictor-corrector: each evaluation first mends the step that led to it, then serves the next.

    corrector: u_t = e^-h u_r + integral of e^-(lambda_t - z) P(z) dz, P in lambda through x0_t and the last `predictor` values
    predictor: u_s likewise from the corrected u_t, without the value at s

    The predictor of order 2 and the corrector of the first step take the paper's shortcut a = 1/2 in B(h) = e^h - 1
    ("bh2"): (1 - e^-h) times the middle of their straight line; elsewhere B(h) cancels and the integral is exact. One
    evaluation a step. The corrector raises the predictor's order by one; what the first step, of third order, leaves of a fourth
    is not seen in practice.
    Source: Zhao et al. 2023 (UniPC), algorithms 1 and 2 (data prediction, as in their appendix).
    """

    predictor: int = 2
    name = "unipc"

    def __post_init__(self) -> None:
        """Refuse orders that were never tried."""
        if self.predictor not in (1, 2, 3):
            raise ReverieError(f"unipc:predictor={self.predictor} is outside 1 to 3, the orders of its predictor.")

    @property
    def order(self) -> float | None:
        """One more than the predictor's."""
        return self.predictor + 1.0

    def advance(self, leg: Leg, x_t: Tensor, state: Corrected | None, noise: Noise) -> tuple[Tensor, Corrected, Tensor]:
        """One evaluation."""
        u, lambda_t = leg.u(x_t), -torch.log(leg.n_t)
        x0_hat = leg.x0_at(u, leg.n_t)
        here = Past(lambda_t, x0_hat)
        if state is not None:
            u = _walk(state.u, (*state.history, here), state.history[0].place, lambda_t)
        history = (here, *(state.history if state else ()))[: self.predictor]
        return leg.x(_walk(u, history, lambda_t, -torch.log(leg.n_s))), Corrected(u, history), x0_hat


def _walk(u: Tensor, history: History, start: Tensor, end: Tensor) -> Tensor:
    """u at `end`: two values by bh2's half slope, any other number by the exact integral."""
    keep = torch.exp(start - end)
    if len(history) != 2:
        return expand(keep, u) * u + exponential(history, start, end)
    (first, x0_first), (second, x0_second) = history
    middle = x0_first + expand(0.5 * (end - start) / (second - first), u) * (x0_second - x0_first)
    return expand(keep, u) * u + expand(1 - keep, u) * middle
