"""Chains of discrete steps, as DDPM has them, in continuous time."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from reverie.core.schedules.base import Schedule, from_log_alpha2, need
from reverie.core.shapes import time_of


@lru_cache(maxsize=32)
def _chain_log_alpha2(chain: BetaChain) -> Tensor:
    """log(alpha^2) at t = 0, 1/T, ..., 1, (T + 1,): the cumulated log(1 - beta)."""
    steps = torch.log1p(-chain.betas())
    return torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumsum(steps, 0)])


class BetaChain(Schedule):
    """A T-step chain q(x_i | x_{i-1}) = N(sqrt(1 - beta_i) x_{i-1}, beta_i), living in continuous time at t_i = i / T.

    Between the steps log(alpha^2) is linear: the noise rate is constant within a step. Entry i of `betas`, counted
    from 0, leads from t = i / T to t = (i + 1) / T.
    Source: Ho et al. 2020 (Denoising Diffusion Probabilistic Models), eq. 2-4.
    """

    T: int

    def __post_init__(self) -> None:
        """Refuse a chain without steps, or with one that adds no noise or leaves nothing else."""
        need(isinstance(self.T, int) and self.T >= 1, self, "a whole number T of steps, from 1")
        betas = self.betas()
        need(bool(((betas > 0) & (betas < 1)).all()), self, "betas above 0 and below 1")

    @abstractmethod
    def betas(self) -> Tensor:
        """The variances added by the T steps, (T,) float64, each in (0, 1)."""

    def _log_alpha2(self, t: Tensor) -> Tensor:
        table = _chain_log_alpha2(self)
        place = time_of(t) * self.T
        left = place.detach().floor().clamp(0, self.T - 1).long()
        return table[left] + (place - left) * (table[left + 1] - table[left])

    def alpha(self, t: Tensor) -> Tensor:
        """sqrt of the product of (1 - beta) up to t."""
        return from_log_alpha2(self._log_alpha2(t))[0]

    def sigma(self, t: Tensor) -> Tensor:
        """sqrt(1 - alpha^2)."""
        return from_log_alpha2(self._log_alpha2(t))[1]

    def time(self, log_snr: Tensor) -> Tensor:
        """Where log(alpha^2) = log sigmoid(log_snr), by the table; 1 where it is never reached."""
        fallen, target = -_chain_log_alpha2(self), -torch.nn.functional.logsigmoid(time_of(log_snr))
        left = (torch.searchsorted(fallen, target) - 1).clamp(0, self.T - 1)
        place = left + (target - fallen[left]) / (fallen[left + 1] - fallen[left])
        return torch.where(target >= fallen[-1], 1.0, place / self.T)


@dataclass(frozen=True)
class LinearBetaChain(BetaChain):
    """DDPM's chain: beta_i rises linearly from beta_start to beta_end in T steps.

    Source: Ho et al. 2020, section 4.
    """

    beta_start: float = 1e-4
    beta_end: float = 0.02
    T: int = 1000

    def betas(self) -> Tensor:
        """T equally spaced values."""
        return torch.linspace(self.beta_start, self.beta_end, self.T, dtype=torch.float64)


@dataclass(frozen=True)
class ScaledLinear(BetaChain):
    """Latent diffusion's chain: sqrt(beta_i) rises linearly.

    Source: Rombach et al. 2022 (High-Resolution Image Synthesis with Latent Diffusion Models), their released configuration.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    T: int = 1000

    def betas(self) -> Tensor:
        """Squares of T equally spaced values."""
        return torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.T, dtype=torch.float64) ** 2


@dataclass(frozen=True)
class GeometricBeta(BetaChain):
    """beta_i = beta (1 - beta)^(T - 1 - i), i = 0 .. T - 1: the rate grows geometrically towards the noise.

    The chain need not end in pure noise: alpha^2 = 0.37 at t = 1 for beta = 0.02, T = 1000. Sampling then starts from
    the fitted moments of the data, and the report prints what that leaves out.
    Source: the geometric distribution read as a schedule; Sohl-Dickstein et al. 2015 for the chain.
    """

    beta: float = 0.02
    T: int = 1000

    def betas(self) -> Tensor:
        """T values that grow by the factor 1 / (1 - beta)."""
        return self.beta * (1 - self.beta) ** torch.arange(self.T - 1, -1, -1, dtype=torch.float64)
