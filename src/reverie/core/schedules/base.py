"""Noise schedules: how much signal, alpha, and how much noise, sigma, is in x_t = alpha_t x0 + sigma_t eps.

t in [0, 1], 0 = data, 1 = noise; the log signal-to-noise ratio, log_snr = log(alpha^2 / sigma^2), falls strictly. A new
schedule is its alpha and its sigma; everything else here follows from them. All is computed in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from reverie.core.shapes import time_of
from reverie.errors import ReverieError


class Schedule(ABC):
    """Signal and noise at every time."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Signal level, t: (*,) in [0, 1] -> (*,) in [0, 1]."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Noise level, t: (*,) in [0, 1] -> (*,), at least 0."""

    def noise(self, t: Tensor) -> Tensor:
        """Noise relative to signal, n = sigma / alpha: (*,) -> (*,), from 0 up to infinity."""
        return self.sigma(t) / self.alpha(t)

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha^2 / sigma^2): (*,) -> (*,); +inf where sigma = 0, -inf where alpha = 0."""
        t = time_of(t)
        return 2 * (torch.log(self.alpha(t)) - torch.log(self.sigma(t)))

    def time(self, log_snr: Tensor) -> Tensor:
        """The t at which log_snr is reached: (*,) -> (*,), by bisection; 0 or 1 where it is never reached."""
        target = time_of(log_snr)
        low, high = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(1100):  # 53 halvings find t to 2^-53 near 1; small t need more, as doubles are denser there
            middle = 0.5 * (low + high)
            if torch.all((middle <= low) | (middle >= high)):
                break
            above = self.log_snr(middle) > target
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return torch.where(self.log_snr(torch.zeros_like(target)) <= target, 0.0, high)

    def time_of_noise(self, n: Tensor) -> Tensor:
        """The t at which sigma / alpha = n: (*,) -> (*,)."""
        return self.time(-2 * torch.log(time_of(n)))

    def noisiest(self, n: float) -> Tensor:
        """The noisiest time that sampling may start from: where sigma / alpha = n, or 1 where it never gets there."""
        return self.time_of_noise(torch.tensor(n, dtype=torch.float64)).clamp(max=1.0)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Drift f and squared diffusion g^2 of dx = f x dt + g dw, each (*,) -> (*,).

        f = d log(alpha) / dt;   g^2 = d sigma^2 / dt - 2 f sigma^2
        Source: Kingma et al. 2021 (Variational Diffusion Models), section 3.
        """
        alpha, sigma = self.alpha(t), self.sigma(t)
        d_alpha, d_sigma = self.slopes(t)
        f = d_alpha / alpha
        return f, 2 * sigma * (d_sigma - f * sigma)

    def kernel(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and variance of q(x_t | x_s) for s < t, each (*,) -> (*,): alpha_t / alpha_s, sigma_t^2 - scale^2 sigma_s^2."""
        s, t = time_of(s), time_of(t)
        ratio = self.alpha(t) / self.alpha(s)
        return ratio, (self.sigma(t) ** 2 - ratio**2 * self.sigma(s) ** 2).clamp(min=0)

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of alpha and sigma by t, each (*,) -> (*,), by automatic differentiation."""
        with torch.enable_grad():
            t = time_of(t).detach().requires_grad_()
            found = []
            for level in (self.alpha(t), self.sigma(t)):
                constant = not level.requires_grad
                found.append(torch.zeros_like(t) if constant else torch.autograd.grad(level.sum(), t)[0])
        return found[0], found[1]


def need(holds: bool, schedule: Schedule, rule: str) -> None:
    """Refuse options under which a schedule is none; a NaN holds nothing."""
    if not holds:
        raise ReverieError(f"{schedule!r} is no noise schedule: it needs {rule}.")


def from_log_alpha2(log_alpha2: Tensor) -> tuple[Tensor, Tensor]:
    """Variance-preserving alpha, sigma from log(alpha^2), without cancellation where alpha is near 1."""
    return torch.exp(0.5 * log_alpha2), torch.sqrt(-torch.expm1(log_alpha2))
