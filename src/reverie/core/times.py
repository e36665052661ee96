"""Which noise levels training sees: laws for t, as maps from a uniform number.

The uniform numbers form a low-discrepancy sequence in the count of images seen, so that any stretch of training covers
all levels evenly (less variance in the loss than independent draws) and a resumed run goes on with the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.schedules import Schedule
from reverie.errors import ReverieError

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio, as int64
_TIME_KEY = 2


class TimeLaw(ABC):
    """A distribution of training times; `stratified` draws it by a low-discrepancy sequence."""

    stratified: bool

    @abstractmethod
    def quantile(self, u: Tensor, schedule: Schedule, sigma_data: float) -> Tensor:
        """The time below which a share u of training lies: (B,) in (0, 1) -> (B,) in (0, 1]."""

    def draw(self, noise: Noise, schedule: Schedule, sigma_data: float) -> Tensor:
        """Training times of the samples that `noise` stands for, (B,) float64."""
        u = noise.uniform(_TIME_KEY, torch.empty(len(noise.index), dtype=torch.float64))
        if self.stratified:
            u = low_discrepancy(noise.index, noise.seed)
        return self.quantile(u, schedule, sigma_data)


def low_discrepancy(index: Tensor, seed: Tensor) -> Tensor:
    """Kronecker sequence: frac(offset(seed) + index / golden ratio), (B,) int64 -> (B,) float64 in (0, 1).

    Source: Kuipers & Niederreiter 1974, chapter 2; the golden ratio has the least discrepancy of its kind.
    """
    first = Noise(seed, torch.zeros_like(index)).uniform(_TIME_KEY, torch.empty(len(index), dtype=torch.float64))
    turns = (index * _GOLDEN).to(torch.float64) * 2.0**-64
    return torch.frac(first + turns + 1.0).clamp(2.0**-40, 1 - 2.0**-40)


@dataclass(frozen=True)
class Uniform(TimeLaw):
    """t uniform in (0, 1).

    Source: Ho et al. 2020, algorithm 1; Kingma et al. 2021, appendix I.1, for the even spread.
    """

    stratified: bool = True

    def quantile(self, u: Tensor, schedule: Schedule, sigma_data: float) -> Tensor:
        """t = u."""
        return u


@dataclass(frozen=True)
class LogNormal(TimeLaw):
    """log n is normal, n = sigma / alpha; mean and std are EDM's, for data of standard deviation 0.5, and scale with it.

    Source: Karras et al. 2022, table 1 (P_mean, P_std).
    """

    mean: float = -1.2
    std: float = 1.2
    stratified: bool = True

    def quantile(self, u: Tensor, schedule: Schedule, sigma_data: float) -> Tensor:
        """The time at which n = (sigma_data / 0.5) exp(mean + std z)."""
        n = (sigma_data / 0.5) * torch.exp(self.mean + self.std * torch.special.ndtri(u))
        return schedule.time_of_noise(n)


@dataclass(frozen=True)
class LogitNormal(TimeLaw):
    """logit(t) is normal: the middle of the path is seen most.

    Source: Esser et al. 2024 (Scaling Rectified Flow Transformers), section 3.1.
    """

    mean: float = 0.0
    std: float = 1.0
    stratified: bool = True

    def quantile(self, u: Tensor, schedule: Schedule, sigma_data: float) -> Tensor:
        """t = sigmoid(mean + std z)."""
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))


@dataclass(frozen=True)
class Ladder(TimeLaw):
    """One of a few noise levels, n geometric from n_max down to n_min, each as often.

    Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients of the Data Distribution), section 4.2.
    """

    levels: int = 32
    n_min: float = 0.01
    n_max: float = 50.0
    stratified: bool = True

    def __post_init__(self) -> None:
        """Refuse a ladder that leads nowhere."""
        if self.levels < 2 or not 0 < self.n_min < self.n_max:
            raise ReverieError(
                f"ladder:levels={self.levels},n_min={self.n_min:g},n_max={self.n_max:g}: there must be 2 levels or more, and "
                "0 < n_min < n_max."
            )

    def quantile(self, u: Tensor, schedule: Schedule, sigma_data: float) -> Tensor:
        """The time at which n = n_min (n_max / n_min)^(k / (levels - 1)), k = floor(u levels)."""
        k = torch.floor(u * self.levels).clamp(max=self.levels - 1)
        return schedule.time_of_noise(self.n_min * (self.n_max / self.n_min) ** (k / (self.levels - 1)))
