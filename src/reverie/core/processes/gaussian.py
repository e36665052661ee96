"""The Gaussian process: x_t = alpha_t x0 + sigma_t eps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.processes.base import Process
from reverie.core.schedules import Schedule
from reverie.core.shapes import expand, flat_mean, time_of


def _zero() -> Tensor:
    return torch.zeros(())


def _one() -> Tensor:
    return torch.ones(())


@dataclass(frozen=True)
class Gaussian(Process):
    """Signal is scaled by alpha and white noise of standard deviation sigma is added.

    schedule: alpha and sigma. mean, variance: fitted moments of the data, broadcastable to one sample (C, *); the prior
    uses them, because not every schedule ends in pure noise.
    Source: Kingma et al. 2021 (Variational Diffusion Models), section 3 and appendix A.
    """

    error: ClassVar[str] = "mean squared error of x0"
    level: ClassVar[str] = "n = sigma / alpha"
    schedule: Schedule
    mean: Tensor = field(default_factory=_zero)
    variance: Tensor = field(default_factory=_one)

    def draw(self, noise: Noise, like: Tensor, key: int = 0) -> Tensor:
        """Standard normal numbers, times the temperature."""
        return noise.normal(key, like)

    def prior(self, like: Tensor, noise: Noise, t: Tensor) -> Tensor:
        """x_t ~ N(alpha mean, alpha^2 variance + sigma^2)."""
        alpha, sigma = self._levels(t, like)
        mean, variance = self.mean.to(like), self.variance.to(like)
        return alpha * mean + torch.sqrt(alpha**2 * variance + sigma**2) * noise.normal(0, like)

    def prior_mismatch(self, t: Tensor) -> float:
        """Upper bound, in nats per dimension, of how far the true x_t is from the prior.

        The mean over dimensions of log(1 + alpha^2 variance / sigma^2) / 2: the information about x0 left in x_t.
        """
        t = time_of(t)
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        return float(0.5 * torch.log1p(alpha**2 * self.variance.double() / sigma**2).mean())

    def diffuse(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_t = alpha_t x0 + sigma_t eps."""
        alpha, sigma = self._levels(t, x0)
        return alpha * x0 + sigma * eps

    def forward(self, x_s: Tensor, s: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_t = (alpha_t / alpha_s) x_s + sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2) eps."""
        ratio, variance = self.schedule.kernel(s, t)
        return expand(ratio, x_s) * x_s + expand(variance.sqrt(), x_s) * eps

    def reverse(self, x_t: Tensor, prediction: Tensor, t: Tensor, s: Tensor, eps: Tensor, eta: float = 1.0) -> Tensor:
        """x_s = alpha_s x0_hat + sqrt(sigma_s^2 - v) eps_hat + sqrt(v) eps, v = eta^2 sigma_s^2 sigma_{t|s}^2 / sigma_t^2.

        eta = 1 is the posterior of DDPM, eta = 0 is DDIM. sigma_{t|s}^2 is the variance of q(x_t | x_s).
        Source: Song et al. 2021 (DDIM), eq. 12 and 16, for any alpha and sigma.
        """
        t, s = time_of(t), time_of(s)
        alpha_t, alpha_s = self.schedule.alpha(t), self.schedule.alpha(s)
        sigma_t, sigma_s = self.schedule.sigma(t), self.schedule.sigma(s)
        _, kernel_variance = self.schedule.kernel(s, t)
        v = eta**2 * sigma_s**2 * kernel_variance / sigma_t**2
        keep = (
            torch.sqrt((sigma_s**2 - v).clamp(min=0)) / sigma_t
        )  # times (x_t - alpha_t x0_hat), which is sigma_t eps_hat
        x_s = expand(keep, x_t) * x_t + expand(alpha_s - keep * alpha_t, x_t) * prediction
        return x_s + expand(v.sqrt(), x_t) * eps if eta > 0 else x_s

    def mix(self, u: Tensor, c: Tensor, w: Tensor) -> Tensor:
        """u + w (c - u)."""
        return u + expand(w, u) * (c - u)

    def reveal(self, x_t: Tensor, value: Tensor, known: Tensor) -> Tensor:
        """x_t itself, which has the noise that t says."""
        return x_t

    def pin(self, prediction: Tensor, value: Tensor, known: Tensor) -> Tensor:
        """The value where it is known."""
        return torch.where(known, value.to(prediction), prediction)

    def temper(self, prediction: Tensor, temperature: float) -> Tensor:
        """The prediction itself: the noise carries the temperature."""
        return prediction

    def divergence(
        self, x0: Tensor, prediction: Tensor, x_t: Tensor, t: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """Mean squared error over the observed entries, (B,)."""
        return flat_mean((prediction - x0) ** 2, observed)

    def _levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        t = time_of(t)
        return expand(self.schedule.alpha(t), like), expand(self.schedule.sigma(t), like)
