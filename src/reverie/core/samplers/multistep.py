"""Multistep methods: one evaluation a step, the past predictions reused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.samplers.base import Sampler, gaussian
from reverie.core.shapes import expand


class Past(NamedTuple):
    """The last prediction and the half log_snr at which it was made."""

    x0_hat: Tensor
    half_log_snr: Tensor


@dataclass(frozen=True)
class DPMSolverPP2M(Sampler):
    """DPM-Solver++(2M): exact in the linear part, x0_hat extrapolated linearly in lambda = log(alpha / sigma).

    x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) D;   D = x0_t + (x0_t - x0_r) h / (2 h_last)

    h = lambda_s - lambda_t and h_last = lambda_t - lambda_r, r the time before t. The first step, and one to
    sigma_s = 0, where h is infinite, are of first order.
    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    name = "dpmpp-2m"

    @property
    def order(self) -> float | None:
        """Second order."""
        return 2.0

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Tensor, s: Tensor, state: Past | None, noise: Noise
    ) -> tuple[Tensor, Past, Tensor]:
        """One evaluation."""
        schedule = gaussian(denoiser, self).schedule
        lambda_t, lambda_s = 0.5 * schedule.log_snr(t), 0.5 * schedule.log_snr(s)
        h = lambda_s - lambda_t
        x0_hat = denoiser(x_t, t)
        d = x0_hat
        if state is not None and torch.isfinite(h):
            d = x0_hat + expand(h / (2 * (lambda_t - state.half_log_snr)), x_t) * (x0_hat - state.x0_hat)
        ratio = schedule.sigma(s) / schedule.sigma(t)
        x_s = expand(ratio, x_t) * x_t - expand(schedule.alpha(s) * torch.expm1(-h), x_t) * d
        return x_s, Past(x0_hat, lambda_t), x0_hat
