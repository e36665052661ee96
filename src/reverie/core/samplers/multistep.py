"""Multistep methods: one evaluation a step, the past predictions reused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand


class Past(NamedTuple):
    """The last prediction and the half log_snr at which it was made."""

    x0_hat: Tensor
    half_log_snr: Tensor


@dataclass(frozen=True)
class DPMSolverPP2M(GaussianSampler):
    """DPM-Solver++(2M): exact in the linear part, x0_hat extrapolated linearly in lambda = log(alpha / sigma).

    u_s = (n_s / n_t) u_t + (1 - e^-h) D;   D = x0_t + (x0_t - x0_r) h / (2 h_last)

    h = lambda_s - lambda_t and h_last = lambda_t - lambda_r, r the time before t; u = x / alpha, n = e^-lambda. The first
    step is of first order.
    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    name = "dpmpp-2m"

    @property
    def order(self) -> float | None:
        """Second order."""
        return 2.0

    def advance(self, leg: Leg, x_t: Tensor, state: Past | None, noise: Noise) -> tuple[Tensor, Past, Tensor]:
        """One evaluation."""
        u, lambda_t, lambda_s = leg.u(x_t), -torch.log(leg.n_t), -torch.log(leg.n_s)
        h = lambda_s - lambda_t
        x0_hat = leg.x0_at(u, leg.n_t)
        d = x0_hat
        if state is not None:
            d = x0_hat + expand(h / (2 * (lambda_t - state.half_log_snr)), u) * (x0_hat - state.x0_hat)
        u_s = expand(leg.n_s / leg.n_t, u) * u - expand(torch.expm1(-h), u) * d
        return leg.x(u_s), Past(x0_hat, lambda_t), x0_hat
