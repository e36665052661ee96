"""Schedules for tokens: the probability that a token is still itself at time t.

t in [0, 1], 0 = data, 1 = noise; survival falls strictly from 1 to 0. What n = sigma / alpha is to a Gaussian, the odds of
being lost, n = (1 - survival) / survival, are to a token, so that every grid of times serves both.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.shapes import time_of


class Survival(ABC):
    """Probability that a token is still itself; a new schedule is that one function."""

    @abstractmethod
    def survival(self, t: Tensor) -> Tensor:
        """Probability, t: (*,) in [0, 1] -> (*,), 1 at t = 0 and 0 at t = 1."""

    def slope(self, t: Tensor) -> Tensor:
        """d survival / dt, at most 0: (*,) -> (*,), by automatic differentiation."""
        with torch.enable_grad():
            t = time_of(t).detach().requires_grad_()
            return torch.autograd.grad(self.survival(t).sum(), t)[0]

    def noise(self, t: Tensor) -> Tensor:
        """Odds of being lost, (1 - survival) / survival: (*,) -> (*,), from 0 to infinity."""
        survival = self.survival(time_of(t))
        return (1 - survival) / survival

    def time(self, survival: Tensor) -> Tensor:
        """The t at which a survival is reached: (*,) in [0, 1] -> (*,), by bisection."""
        target = time_of(survival)
        low, high = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(60):
            middle = 0.5 * (low + high)
            above = self.survival(middle) > target
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return torch.where(target >= 1, 0.0, torch.where(target <= 0, 1.0, high))

    def time_of_noise(self, n: Tensor) -> Tensor:
        """The t at which the odds of being lost are n: (*,) -> (*,)."""
        return self.time(1 / (1 + time_of(n)))

    def noisiest(self, n: float) -> Tensor:
        """Sampling starts at 1, whatever the grid's largest n: there the state is known without data."""
        return torch.ones((), dtype=torch.float64)


@dataclass(frozen=True)
class LogLinear(Survival):
    """survival = 1 - t: as many tokens are lost in every stretch of time.

    Source: Sahoo et al. 2024 (Masked Diffusion Language Models), section 4; Lou et al. 2024, for the name.
    """

    def survival(self, t: Tensor) -> Tensor:
        """1 - t."""
        return 1 - time_of(t)


@dataclass(frozen=True)
class Cosine(Survival):
    """survival = 1 - cos(pi (1 - t) / 2): few tokens are settled at the start of sampling, many at its end.

    Source: Chang et al. 2022 (MaskGIT), section 3.3; Shi et al. 2024 (Simplified Masked Diffusion), table 4.
    """

    def survival(self, t: Tensor) -> Tensor:
        """2 sin^2(pi (1 - t) / 4), which is exactly 0 at t = 1."""
        return 2 * torch.sin(0.25 * math.pi * (1 - time_of(t))) ** 2


@dataclass(frozen=True)
class Polynomial(Survival):
    """survival = 1 - t^power.

    Source: Shi et al. 2024 (Simplified and Generalized Masked Diffusion for Discrete Data), table 4.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a power at which nothing falls."""
        if not self.power > 0:
            raise ValueError(f"power = {self.power:g} must be above 0")

    def survival(self, t: Tensor) -> Tensor:
        """1 - t^power."""
        return 1 - time_of(t) ** self.power
