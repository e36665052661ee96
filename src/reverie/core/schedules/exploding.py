"""Schedules under which the data keeps its size and noise grows over it, and the straight line of flows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.schedules.base import Schedule, need
from reverie.core.shapes import time_of


@dataclass(frozen=True)
class GeometricVE(Schedule):
    """The VE SDE: alpha = 1 and noise that grows geometrically, sigma^2 = sigma_min^2 ((sigma_max / sigma_min)^(2t) - 1).

    The exact kernel of the SDE, so that sigma = 0 at t = 0.
    Source: Song et al. 2021, eq. 30 and appendix C.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    name = "geometric-ve"

    def __post_init__(self) -> None:
        """Refuse noise that does not grow."""
        need(0 < self.sigma_min < self.sigma_max < math.inf, self, "0 < sigma_min < sigma_max, finite")

    def alpha(self, t: Tensor) -> Tensor:
        """Always 1."""
        return torch.ones_like(time_of(t))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_min sqrt(r^(2t) - 1), r = sigma_max / sigma_min."""
        return self.sigma_min * torch.sqrt(torch.expm1(2 * math.log(self.sigma_max / self.sigma_min) * time_of(t)))


@dataclass(frozen=True)
class EDM(Schedule):
    """alpha = 1 and sigma = sigma_max t^rho, so that equal steps of t are Karras' steps of sigma.

    Source: Karras et al. 2022 (Elucidating the Design Space of Diffusion-Based Generative Models), eq. 5, sigma_min = 0.
    """

    sigma_max: float = 80.0
    rho: float = 7.0
    name = "edm"

    def __post_init__(self) -> None:
        """Refuse noise that does not grow."""
        need(0 < self.sigma_max < math.inf and 0 < self.rho < math.inf, self, "sigma_max and rho above 0, finite")

    def alpha(self, t: Tensor) -> Tensor:
        """Always 1."""
        return torch.ones_like(time_of(t))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_max t^rho."""
        return self.sigma_max * time_of(t) ** self.rho

    def time(self, log_snr: Tensor) -> Tensor:
        """(sigma / sigma_max)^(1 / rho), sigma = exp(-log_snr / 2)."""
        return torch.exp((-0.5 * time_of(log_snr) - math.log(self.sigma_max)) / self.rho).clamp(max=1.0)


@dataclass(frozen=True)
class LogNormal(Schedule):
    """alpha = 1, and log(sigma) is normal over time: sigma = exp(mean + std Phi^-1(t Phi(z))), cut at sigma_max by z.

    Phi: the normal distribution. Uniform times see EDM's log-normal noise levels, so that a field of tokens that shares
    the clock, of which as many are lost in every stretch of time, is seen at all its levels too. mean, std: as EDM's, for data of
    standard deviation 1.
    Source: Karras et al. 2022, table 1, as a schedule.
    """

    mean: float = -0.5
    std: float = 1.4
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        """Refuse noise that does not grow."""
        need(0 < self.std < math.inf and 0 < self.sigma_max < math.inf, self, "std and sigma_max above 0, finite")

    def alpha(self, t: Tensor) -> Tensor:
        """Always 1."""
        return torch.ones_like(time_of(t))

    def sigma(self, t: Tensor) -> Tensor:
        """exp(mean + std Phi^-1(t Phi(z)))."""
        return torch.exp(self.mean + self.std * torch.special.ndtri(time_of(t) * self._last))

    def time(self, log_snr: Tensor) -> Tensor:
        """Phi((log sigma - mean) / std) / Phi(z)."""
        z = (-0.5 * time_of(log_snr) - self.mean) / self.std
        return (torch.special.ndtr(z) / self._last).clamp(max=1.0)

    @property
    def _last(self) -> Tensor:
        """Phi(z), the share of the normal distribution below sigma_max."""
        return torch.special.ndtr(torch.tensor((math.log(self.sigma_max) - self.mean) / self.std, dtype=torch.float64))


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """A straight line from data to noise: alpha = 1 - t, sigma = t.

    Source: Liu et al. 2023 (Flow Straight and Fast), eq. 1; Lipman et al. 2023 (Flow Matching), section 4.1.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t."""
        return 1 - time_of(t)

    def sigma(self, t: Tensor) -> Tensor:
        """t."""
        return time_of(t)

    def time(self, log_snr: Tensor) -> Tensor:
        """n / (1 + n) with n = exp(-log_snr / 2)."""
        return torch.sigmoid(-0.5 * time_of(log_snr))
