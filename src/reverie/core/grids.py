"""The times at which a sampler stops, from noise to data: an argument of every sampler, never a part of it.

A grid starts where alpha is still above 0 (for tokens, at t = 1, where nothing is known) and ends at t = 0; samplers need
not treat an endpoint specially. It falls, but for `jumps`, whose rising times are noise added again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from reverie.core.schedules import Schedule
from reverie.core.survival import Survival
from reverie.errors import ReverieError
from reverie.registry import build

_MAX_NOISE = 500.0  # n = sigma / alpha at the start of grids given in t, where the schedule itself goes on to infinity


class Grid(ABC):
    """A rule from a number of steps to times."""

    @property
    def fixed_steps(self) -> int | None:
        """How many steps it has whatever is asked for; None where it has those."""
        return None

    @abstractmethod
    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """(steps + 1,) float64, falling from the noisiest time to 0."""


def _need(steps: int) -> None:
    if steps < 1:
        raise ReverieError(f"{steps} sampling steps; give a whole number from 1.")


def _to_zero(times: Tensor, schedule: Schedule | Survival, grid: Grid) -> Tensor:
    """The times above 0, begun at 1 for tokens, then 0; raises ReverieError where two times are one."""
    if isinstance(schedule, Survival):
        times = torch.cat([torch.ones(1, dtype=torch.float64), times[1:]])
    times = torch.cat([times, torch.zeros(1, dtype=torch.float64)])
    if not bool((times.diff() < 0).all()):
        twice = float(times[:-1][times.diff() >= 0][0])
        raise ReverieError(
            f"The grid {type(grid).__name__} over {type(schedule).__name__} does not fall: it stops twice at t = {twice:.4g}. "
            "Ask for fewer steps, or for noise levels that the schedule reaches."
        )
    return times


def _need_range(name: str, n_min: float, n_max: float) -> None:
    if not 0 < n_min < n_max < math.inf:
        raise ReverieError(f"The grid '{name}' needs 0 < n_min < n_max; found n_min = {n_min:g}, n_max = {n_max:g}.")


def _top(schedule: Schedule | Survival, n_max: float, n_min: float) -> float:
    """n_max, or what the schedule reaches below it."""
    top = min(n_max, float(schedule.noise(schedule.noisiest(n_max))))
    if top <= n_min:
        raise ReverieError(
            f"{type(schedule).__name__} reaches n = {top:.4g} only; give the grid a lower n_min than {n_min:g}."
        )
    return top


@dataclass(frozen=True)
class Karras(Grid):
    """n_i = (n_max^(1/rho) + i / (N - 1) (n_min^(1/rho) - n_max^(1/rho)))^rho, then 0, in n = sigma / alpha.

    n_max is lowered to what the schedule reaches.
    Source: Karras et al. 2022, eq. 5.
    """

    n_min: float = 0.002
    n_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        """Refuse a range that does not fall."""
        _need_range("karras", self.n_min, self.n_max)
        if not self.rho > 0:
            raise ReverieError(f"karras:rho={self.rho:g} must be above 0; 7 is usual.")

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """N times above 0, and 0."""
        _need(steps)
        place = torch.linspace(0, 1, steps, dtype=torch.float64)
        high, low = _top(schedule, self.n_max, self.n_min) ** (1 / self.rho), self.n_min ** (1 / self.rho)
        return _to_zero(schedule.time_of_noise((high + place * (low - high)) ** self.rho), schedule, self)


@dataclass(frozen=True)
class LogSNR(Grid):
    """Equal steps of log_snr from n_max to n_min, then 0.

    Source: Lu et al. 2022 (DPM-Solver), section 3.4.
    """

    n_min: float = 0.002
    n_max: float = 80.0
    name = "log-snr"

    def __post_init__(self) -> None:
        """Refuse a range that does not fall."""
        _need_range("log-snr", self.n_min, self.n_max)

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """N times above 0, and 0."""
        _need(steps)
        top = _top(schedule, self.n_max, self.n_min)
        place = torch.linspace(math.log(top), math.log(self.n_min), steps, dtype=torch.float64)
        return _to_zero(schedule.time_of_noise(torch.exp(place)), schedule, self)


@dataclass(frozen=True)
class Uniform(Grid):
    """Equal steps of t.

    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), appendix E.
    """

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """From the noisiest time to 0."""
        _need(steps)
        top = float(schedule.noisiest(_MAX_NOISE))
        return _to_zero(torch.linspace(top, 0, steps + 1, dtype=torch.float64)[:-1], schedule, self)


@dataclass(frozen=True)
class Quadratic(Grid):
    """t_i = ((N - i) / N)^2: steps that shorten towards the data.

    Source: Song et al. 2021 (DDIM), appendix D.2.
    """

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """From the noisiest time to 0."""
        _need(steps)
        top = float(schedule.noisiest(_MAX_NOISE))
        return _to_zero(top * torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1] ** 2, schedule, self)


class _Chain(Grid):
    """Some of the steps of a T-step chain, counted from 0 as chains are: step k ends at t = (k + 1) / T."""

    T: int

    def __post_init__(self) -> None:
        """Refuse a chain of no steps."""
        if self.T < 1:
            raise ReverieError(f"A chain of T = {self.T} steps; give a whole number from 1, usually 1000.")

    @abstractmethod
    def chosen(self, steps: int) -> Tensor:
        """`steps` numbers of steps, falling, whole numbers in 0 .. T - 1 as float64."""

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """(k + 1) / T of the chosen steps, and 0; those too noisy to start from are one, the noisiest."""
        if steps > self.T:
            raise ReverieError(
                f"{steps} sampling steps of a chain of T = {self.T}; take at most {self.T}, or give the grid its T."
            )
        _need(steps)
        times = ((self.chosen(steps) + 1) / self.T).clamp(max=float(schedule.noisiest(_MAX_NOISE)))
        return _to_zero(torch.unique_consecutive(times), schedule, self)


@dataclass(frozen=True)
class Leading(_Chain):
    """Every (T // N)-th step of a T-step chain, counted from the first: does not reach t = 1, but for tokens.

    t = (k (T // N) + 1) / T for k = N - 1 .. 0.
    Source: Song et al. 2021 (DDIM); Lin et al. 2024 (Common Diffusion Noise Schedules are Flawed), table 2, for the name.
    """

    T: int = 1000

    def chosen(self, steps: int) -> Tensor:
        """Multiples of T // N."""
        return torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (self.T // steps)


@dataclass(frozen=True)
class Trailing(_Chain):
    """Every (T / N)-th step of a T-step chain, counted from the last: starts at t = 1.

    t = round(T - k T / N) / T for k = 0 .. N - 1.
    Source: Lin et al. 2024 (Common Diffusion Noise Schedules are Flawed), table 2.
    """

    T: int = 1000

    def chosen(self, steps: int) -> Tensor:
        """Rounded multiples of T / N, taken from T."""
        return torch.round(self.T - torch.arange(steps, dtype=torch.float64) * self.T / steps) - 1


@dataclass(frozen=True)
class Linspace(_Chain):
    """N steps of a T-step chain, evenly from the last to the first, both included.

    t = (round((T - 1) k / (N - 1)) + 1) / T for k = N - 1 .. 0; one step is the last.
    Source: Nichol & Dhariwal 2021 (Improved DDPM), section 4; Lin et al. 2024, table 2, for the name.
    """

    T: int = 1000

    def chosen(self, steps: int) -> Tensor:
        """Rounded, evenly spaced numbers."""
        k = torch.arange(steps - 1, -1, -1, dtype=torch.float64)
        return torch.round((self.T - 1) * (k / (steps - 1) if steps > 1 else k + 1))


@dataclass(frozen=True)
class Sigmas(Grid):
    """Any falling list of n = sigma / alpha, written 80/10/1/0.1; ends at 0, which is added where missing.

    Source: k-diffusion's convention of passing the noise levels themselves.
    """

    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a list that is no way down from noise to data."""
        above = self.values[:-1] if self.values and self.values[-1] == 0 else self.values
        falls = all(a > b for a, b in pairwise(above))
        if not above or not falls or not all(0 < v < math.inf for v in above):
            given = "/".join(f"{v:g}" for v in self.values) or "nothing"
            raise ReverieError(
                f"The grid 'sigmas' needs a falling list of noise levels above 0, as in sigmas:values=80/10/1/0.1; found {given}."
            )

    @property
    def fixed_steps(self) -> int | None:
        """One for each level above 0."""
        return sum(v > 0 for v in self.values)

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """The list itself, whatever the number of steps."""
        n = torch.tensor([v for v in self.values if v > 0], dtype=torch.float64)
        top = float(schedule.noise(schedule.noisiest(float(n[0]))))
        if top < float(n[0]) * (1 - 1e-6):
            raise ReverieError(
                f"{type(schedule).__name__} reaches n = {top:.4g} only; the grid 'sigmas' starts at {float(n[0]):g}. "
                "Leave out what lies above."
            )
        return _to_zero(schedule.time_of_noise(n), schedule, self)


@dataclass(frozen=True)
class Jumps(Grid):
    """Another grid, walked with jumps back up: from every `length`-th stop noise is added again, resamplings - 1 times.

    Of the N noisy stops of `base`, counted from the data as 0 .. N - 1, those at 0, length, 2 length ... below N - length
    send the walk back up by `length` stops, each resamplings - 1 times. N is `steps`; with J such stops the walk has
    N + (resamplings - 1) length J steps down.
    Source: Lugmayr et al. 2022 (RePaint), section 4.2; their j is `length`, their r `resamplings`.
    """

    base: str = "karras"
    length: int = 10
    resamplings: int = 10

    def __post_init__(self) -> None:
        """Refuse jumps to nowhere, and jumps within jumps."""
        if self.length < 1 or self.resamplings < 1:
            raise ReverieError(
                f"jumps:length={self.length},resamplings={self.resamplings}: give whole numbers from 1 (1 resampling: no jump)."
            )
        if isinstance(self._below(), Jumps):
            raise ReverieError(
                "The grid 'jumps' cannot be made of jumps; give a base that falls, e.g. jumps:base=karras."
            )

    def times(self, schedule: Schedule | Survival, steps: int) -> Tensor:
        """The walk, with rising times where it jumps; ends at 0."""
        down = self._below().times(schedule, steps)
        last = len(down) - 2  # the stop nearest to the data that is noisy
        left = dict.fromkeys(range(last, self.length - 1, -self.length), self.resamplings - 1)
        walk, here = [0], 0
        while here <= last:
            if left.get(here):
                left[here] -= 1
                here -= self.length
            else:
                here += 1
            walk.append(here)
        return down[torch.tensor(walk)]

    def _below(self) -> Grid:
        grid: Grid = build("grids", self.base)
        return grid
