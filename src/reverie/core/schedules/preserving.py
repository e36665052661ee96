"""Schedules that keep the variance: alpha falls as sigma rises."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.schedules.base import Schedule, from_log_alpha2, need
from reverie.core.shapes import time_of


@dataclass(frozen=True)
class LinearBeta(Schedule):
    """The VP SDE: beta(t) rises linearly; log(alpha^2) = -(beta_min t + (beta_max - beta_min) t^2 / 2).

    Variance preserving: sigma^2 = 1 - alpha^2. The limit of DDPM's linear chain for T to infinity.
    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), eq. 33.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        """Refuse rates that do not rise."""
        need(
            0 <= self.beta_min <= self.beta_max < math.inf and self.beta_max > 0,
            self,
            "0 <= beta_min <= beta_max, finite",
        )

    def _log_alpha2(self, t: Tensor) -> Tensor:
        return -(self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2)

    def alpha(self, t: Tensor) -> Tensor:
        """exp(-B(t) / 2), B the integral of beta."""
        return from_log_alpha2(self._log_alpha2(time_of(t)))[0]

    def sigma(self, t: Tensor) -> Tensor:
        """sqrt(1 - alpha^2)."""
        return from_log_alpha2(self._log_alpha2(time_of(t)))[1]

    def time(self, log_snr: Tensor) -> Tensor:
        """The root of B(t) = -log sigmoid(log_snr)."""
        return self._time_of_integral(-torch.nn.functional.logsigmoid(time_of(log_snr)))

    def _time_of_integral(self, b: Tensor) -> Tensor:
        """The t at which beta's integral is b, in a form without cancellation; 1 where it never is."""
        rise = self.beta_max - self.beta_min
        total = self.beta_min + 0.5 * rise
        root = torch.sqrt(self.beta_min**2 + 2 * rise * b.clamp(max=total))
        return torch.where(b >= total, 1.0, 2 * b.clamp(max=total) / (self.beta_min + root).clamp(min=1e-300))


@dataclass(frozen=True)
class SubVP(LinearBeta):
    """The sub-VP SDE: alpha of the VP SDE, but sigma = 1 - alpha^2, never more than the VP's.

    Source: Song et al. 2021, eq. 29.
    """

    name = "sub-vp"

    def sigma(self, t: Tensor) -> Tensor:
        """1 - alpha^2."""
        return -torch.expm1(self._log_alpha2(time_of(t)))

    def time(self, log_snr: Tensor) -> Tensor:
        """The root of B(t) = 2 asinh(n / 2), n = (1 - alpha^2) / alpha = exp(-log_snr / 2)."""
        return self._time_of_integral(2 * torch.asinh(0.5 * torch.exp(-0.5 * time_of(log_snr))))


@dataclass(frozen=True)
class Cosine(Schedule):
    """Signal falls along a quarter cosine: alpha = cos(pi t / 2), sigma = sin(pi t / 2).

    Variance preserving; log_snr runs from +inf at t = 0 to -inf at t = 1.
    Source: Nichol & Dhariwal 2021 (Improved DDPM), eq. 17, without their offset s.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """cos(pi t / 2), written as a sine so that it is exactly 0 at t = 1."""
        return torch.sin(0.5 * math.pi * (1 - time_of(t)))

    def sigma(self, t: Tensor) -> Tensor:
        """sin(pi t / 2)."""
        return torch.sin(0.5 * math.pi * time_of(t))

    def time(self, log_snr: Tensor) -> Tensor:
        """2 atan(n) / pi with n = exp(-log_snr / 2)."""
        return torch.atan(torch.exp(-0.5 * time_of(log_snr))) * (2 / math.pi)


@dataclass(frozen=True)
class Sigmoid(Schedule):
    """alpha^2 falls along a logistic curve from `start` to `end`, rescaled to run from 1 to 0; variance preserving.

    Source: Jabri et al. 2022 (Scalable Adaptive Computation for Iterative Generation), algorithm 1; Chen 2023.
    """

    start: float = -3.0
    end: float = 3.0
    tau: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a curve that does not fall."""
        need(
            -math.inf < self.start < self.end < math.inf and 0 < self.tau < math.inf,
            self,
            "start < end and tau > 0, finite",
        )

    def _share(self, low: Tensor | float, high: Tensor | float) -> Tensor:
        """The part of the logistic curve between two places, by sigmoid(h) - sigmoid(l) = sinh((h-l)/2) / (2 cosh cosh)."""
        h, l = time_of(high) / (2 * self.tau), time_of(low) / (2 * self.tau)
        return torch.sinh(h - l) / (2 * torch.cosh(h) * torch.cosh(l))

    def _place(self, t: Tensor) -> Tensor:
        return self.start + time_of(t) * (self.end - self.start)

    def alpha(self, t: Tensor) -> Tensor:
        """Square root of the part of the curve that lies after t."""
        return torch.sqrt(self._share(self._place(t), self.end) / self._share(self.start, self.end))

    def sigma(self, t: Tensor) -> Tensor:
        """Square root of the part of the curve that lies before t."""
        return torch.sqrt(self._share(self.start, self._place(t)) / self._share(self.start, self.end))
