"""What the network's output means: always a linear target, a x0 + b eps.

One formula inverts them all. With x_t = alpha x0 + sigma eps,

    x0  = (sigma out - b x_t) / (a sigma - b alpha)
    eps = (a x_t - alpha out) / (a sigma - b alpha)

and an error of the output is (a - b alpha / sigma) times the error of x0, so that every loss is a weighted loss on x0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.schedules import Schedule
from reverie.core.shapes import expand, time_of
from reverie.errors import ReverieError


class Parameterisation(ABC):
    """The pair (a, b) of the target a x0 + b eps, at every time."""

    @abstractmethod
    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a, b) at t: (*,) -> two (*,), float64."""

    def target(self, schedule: Schedule, t: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        """What the network should say for a known x0 and eps, (B, *)."""
        a, b = self._ab(schedule, t)
        return expand(a, x0) * x0 + expand(b, x0) * eps

    def unit(self, schedule: Schedule, t: Tensor) -> Tensor:
        """What a network's raw output is multiplied by to give the target, (*,) -> (*,): 1 unless the target has no bound."""
        return torch.ones_like(time_of(t))

    def x0(self, schedule: Schedule, t: Tensor, x_t: Tensor, out: Tensor) -> Tensor:
        """The x0 that an output stands for, (B, *); raises ReverieError at a time where it stands for none."""
        a, b, alpha, sigma = *self._ab(schedule, t), schedule.alpha(t), schedule.sigma(t)
        d = a * sigma - b * alpha
        if not bool((torch.isfinite(d) & (d != 0)).all()):
            raise self._singular(schedule, t, alpha, sigma, d)
        return expand(sigma / d, x_t) * out - expand(b / d, x_t) * x_t

    def output(self, schedule: Schedule, t: Tensor, x_t: Tensor, x0: Tensor) -> Tensor:
        """The output that stands for an x0, (B, *): the inverse of `x0`."""
        a, b, alpha, sigma = *self._ab(schedule, t), schedule.alpha(t), schedule.sigma(t)
        return expand(a - b * alpha / sigma, x_t) * x0 + expand(b / sigma, x_t) * x_t

    def x0_scale(self, schedule: Schedule, t: Tensor) -> Tensor:
        """Squared error of the output per squared error of x0, (a - b alpha / sigma)^2: (*,) -> (*,)."""
        a, b = self._ab(schedule, t)
        return (a - b / schedule.noise(t)) ** 2

    def _singular(self, schedule: Schedule, t: Tensor, alpha: Tensor, sigma: Tensor, d: Tensor) -> ReverieError:
        """What to say where an output says nothing of x0, and what to use instead."""
        where = torch.argmin(torch.where(torch.isfinite(d), d.abs(), -1.0))
        at = [float(v.expand_as(d).flatten()[where]) for v in (time_of(t), alpha, sigma)]
        instead = "v, x0 or edm" if at[1] == 0 else "eps, v or edm"
        way = (
            "start the grid at a lower noise (karras:n_max=80)"
            if at[1] == 0
            else "do not ask it where there is no noise"
        )
        return ReverieError(
            f"The parameterisation {type(self).__name__} says nothing of x0 under the schedule {type(schedule).__name__} at "
            f"t = {at[0]:.4g}, where alpha = {at[1]:.3g} and sigma = {at[2]:.3g}. Train with {instead}, or {way}."
        )

    def _ab(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        t = time_of(t)
        a, b = self.coefficients(schedule, t)
        return a + torch.zeros_like(t), b + torch.zeros_like(t)


@dataclass(frozen=True)
class X0(Parameterisation):
    """The network says the clean data itself: a = 1, b = 0.

    Source: Ho et al. 2020, section 3.2, the alternative they name.
    """

    name = "x0"

    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """1, 0."""
        return torch.ones_like(t), torch.zeros_like(t)


@dataclass(frozen=True)
class Eps(Parameterisation):
    """The network says the noise: a = 0, b = 1. Says nothing of x0 where alpha = 0.

    Source: Ho et al. 2020, eq. 14.
    """

    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """0, 1."""
        return torch.zeros_like(t), torch.ones_like(t)


@dataclass(frozen=True)
class V(Parameterisation):
    """The network says v = alpha eps - sigma x0.

    Source: Salimans & Ho 2022 (Progressive Distillation), appendix D.
    """

    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """-sigma, alpha."""
        return -schedule.sigma(t), schedule.alpha(t)


@dataclass(frozen=True)
class Score(Parameterisation):
    """The network says the score of the noisy data, -eps / sigma. Infinite where sigma = 0.

    Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients), eq. 5.
    """

    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """0, -1 / sigma."""
        return torch.zeros_like(t), -1 / schedule.sigma(t)

    def unit(self, schedule: Schedule, t: Tensor) -> Tensor:
        """1 / sigma, so that the network's own numbers have variance 1 at every level.

        Source: Song & Ermon 2020 (Improved Techniques for Training Score-Based Generative Models), technique 3.
        """
        return 1 / schedule.sigma(time_of(t))


@dataclass(frozen=True)
class Velocity(Parameterisation):
    """The network says the flow's velocity, d alpha/dt x0 + d sigma/dt eps: for a rectified flow, eps - x0.

    Source: Lipman et al. 2023 (Flow Matching for Generative Modeling), theorem 3.
    """

    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """The slopes of alpha and sigma."""
        return schedule.slopes(t)


@dataclass(frozen=True)
class EDM(Parameterisation):
    """The network says EDM's F: x0_hat = c_skip x_t + c_out F, whose target has variance 1 at every noise level.

    With r = sqrt(sigma^2 + alpha^2 sd^2), sd the data's standard deviation: a = sigma / (sd r), b = -alpha sd / r.
    For alpha = 1 this gives c_skip = sd^2 / r^2 and c_out = sigma sd / r.
    Source: Karras et al. 2022, table 1 and eq. 7-8, carried to any alpha.
    """

    sigma_data: float = 0.5
    name = "edm"

    def coefficients(self, schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """sigma / (sd r), -alpha sd / r."""
        alpha, sigma, sd = schedule.alpha(t), schedule.sigma(t), self.sigma_data
        r = torch.sqrt(sigma**2 + (alpha * sd) ** 2)
        return sigma / (sd * r), -alpha * sd / r
