"""The times at which a sampler stops, from noise to data: an argument of every sampler, never a part of it.

A grid starts where alpha is still above 0 and ends at t = 0; samplers need not treat an endpoint specially.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.schedules import Schedule
from reverie.core.survival import Survival
from reverie.errors import ReverieError

_MAX_NOISE = 500.0  # n = sigma / alpha at the start of grids given in t, where the schedule itself goes on to infinity


class Grid(ABC):
    """A rule from a number of steps to times."""

    @abstractmethod
    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """(steps + 1,) float64, falling from the noisiest time to 0."""


def _need(steps: int, at_most: int | None = None) -> None:
    if steps < 1 or (at_most is not None and steps > at_most):
        raise ReverieError(
            f"{steps} sampling steps; give a whole number from 1" + (f" to {at_most}." if at_most else ".")
        )


def _to_zero(n: Tensor, schedule: Schedule | Survival) -> Tensor:
    return torch.cat([schedule.time_of_noise(n), torch.zeros(1, dtype=torch.float64)])


@dataclass(frozen=True)
class Karras(Grid):
    """n_i = (n_max^(1/rho) + i / (N - 1) (n_min^(1/rho) - n_max^(1/rho)))^rho, then 0, in n = sigma / alpha.

    n_max is lowered to what the schedule reaches.
    Source: Karras et al. 2022, eq. 5.
    """

    n_min: float = 0.002
    n_max: float = 80.0
    rho: float = 7.0

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """N times above 0, and 0."""
        _need(steps)
        top = min(self.n_max, float(schedule.noise(schedule.noisiest(self.n_max))))
        place = torch.linspace(0, 1, steps, dtype=torch.float64)
        high, low = top ** (1 / self.rho), min(self.n_min, top) ** (1 / self.rho)
        return _to_zero((high + place * (low - high)) ** self.rho, schedule)


@dataclass(frozen=True)
class LogSNR(Grid):
    """Equal steps of log_snr from n_max to n_min, then 0.

    Source: Lu et al. 2022 (DPM-Solver), section 3.4.
    """

    n_min: float = 0.002
    n_max: float = 80.0
    name = "log-snr"

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """N times above 0, and 0."""
        _need(steps)
        top = min(self.n_max, float(schedule.noise(schedule.noisiest(self.n_max))))
        place = torch.linspace(math.log(top), math.log(min(self.n_min, top)), steps, dtype=torch.float64)
        return _to_zero(torch.exp(place), schedule)


@dataclass(frozen=True)
class Uniform(Grid):
    """Equal steps of t.

    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), appendix E.
    """

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """From the noisiest time to 0."""
        _need(steps)
        return torch.linspace(float(schedule.noisiest(_MAX_NOISE)), 0, steps + 1, dtype=torch.float64)


@dataclass(frozen=True)
class Quadratic(Grid):
    """t_i = ((N - i) / N)^2: steps that shorten towards the data.

    Source: Song et al. 2021 (DDIM), appendix D.2.
    """

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """From the noisiest time to 0."""
        _need(steps)
        return float(schedule.noisiest(_MAX_NOISE)) * torch.linspace(1, 0, steps + 1, dtype=torch.float64) ** 2


@dataclass(frozen=True)
class Leading(Grid):
    """Every (T // N)-th step of a T-step chain, counted from the first: does not reach t = 1.

    Source: Song et al. 2021 (DDIM); Lin et al. 2024 (Common Diffusion Noise Schedules are Flawed), table 2, for the name.
    """

    T: int = 1000

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """(k (T // N) + 1) / T for k = N - 1 .. 0, and 0."""
        _need(steps, self.T)
        k = torch.arange(steps - 1, -1, -1, dtype=torch.float64)
        return torch.cat([(k * (self.T // steps) + 1) / self.T, torch.zeros(1, dtype=torch.float64)])


@dataclass(frozen=True)
class Trailing(Grid):
    """Every (T / N)-th step of a T-step chain, counted from the last: starts at t = 1.

    Source: Lin et al. 2024 (Common Diffusion Noise Schedules are Flawed), table 2.
    """

    T: int = 1000

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """round(T - k T / N) / T for k = 0 .. N - 1, and 0."""
        _need(steps, self.T)
        k = torch.arange(steps, dtype=torch.float64)
        times = torch.cat([torch.round(self.T - k * self.T / steps) / self.T, torch.zeros(1, dtype=torch.float64)])
        return times.clamp(max=float(schedule.noisiest(_MAX_NOISE)))


@dataclass(frozen=True)
class Sigmas(Grid):
    """Any falling list of n = sigma / alpha, written 80/10/1/0.1; ends at 0, which is added where missing.

    Source: k-diffusion's convention of passing the noise levels themselves.
    """

    values: tuple[float, ...] = ()

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """The list itself, whatever the number of steps."""
        n = torch.tensor([v for v in self.values if v > 0], dtype=torch.float64)
        if len(n) == 0 or bool((n.diff() >= 0).any()):
            raise ReverieError("The grid 'sigmas' needs a falling list of noise levels: sigmas:values=80/10/1/0.1.")
        return _to_zero(n, schedule)
