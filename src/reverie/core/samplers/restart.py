"""Restart: the ODE walked down, with a stretch of it walked again from fresh noise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.grids import Karras
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian
from reverie.core.samplers.base import Sampler
from reverie.core.samplers.heun import Heun
from reverie.core.schedules import Schedule
from reverie.core.shapes import time_of
from reverie.errors import ReverieError

_HEUN = Heun()


@dataclass(frozen=True)
class Restart(Sampler):
    """Heun's method, which at n = `low` goes back up to n = `high` with fresh noise and down again, `repeats` times.

    x_high = (alpha_high / alpha_low) x_low + noise of q(x_high | x_low);   x_low = ODE(x_high, high -> low)

    The noise forgets the errors made above, as an SDE does, and the ODE makes few new ones. The grid's step that passes `low`
    is cut there; the way down again has `steps` of Karras' steps. 2 evaluations for every step of either walk, one for the
    last to n = 0. `high` is lowered to what the schedule reaches.
    Source: Xu et al. 2023 (Restart Sampling for Improving Generative Processes), algorithm 1, with one interval.
    """

    low: float = 0.06
    high: float = 0.3
    repeats: int = 2
    steps: int = 3
    treats: ClassVar[type] = Gaussian
    usual_steps: ClassVar[int] = 18

    def __post_init__(self) -> None:
        """Refuse an interval that is none."""
        if not (0 < self.low < self.high and self.repeats >= 1 and self.steps >= 1):
            raise ReverieError(
                f"restart:low={self.low:g},high={self.high:g},repeats={self.repeats},steps={self.steps} needs noise levels "
                "0 < low < high, and repeats and steps of at least 1."
            )

    @property
    def order(self) -> float | None:
        """None: noise is drawn."""
        return None

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Tensor, s: Tensor, state: None, noise: Noise
    ) -> tuple[Tensor, None, Tensor]:
        """One step of Heun's, or where `low` is passed all the walks between."""
        process = denoiser.process
        assert isinstance(process, Gaussian)  # the loop has checked it
        t, s, schedule = time_of(t), time_of(s), process.schedule
        if not bool((schedule.noise(s) <= self.low) & (schedule.noise(t) > self.low)):
            x, _, x0_hat = _HEUN.step(denoiser, x_t, t, s, 0.0, noise)
            return x, None, x0_hat
        down = self._way_down(schedule)
        x, _, x0_hat = _HEUN.step(denoiser, x_t, t, down[-1], 0.0, noise)
        for k in range(self.repeats):
            eps = process.draw(noise.at(noise.step * self.repeats + k), x, key=1)
            x = process.forward(x, down[-1], down[0], eps)
            for above, below in pairwise(down):
                x, _, _ = _HEUN.step(denoiser, x, above, below, 0.0, noise)
        if bool(s < down[-1]):
            x, _, _ = _HEUN.step(denoiser, x, down[-1], s, 0.0, noise)
        return x, None, x0_hat

    def _way_down(self, schedule: Schedule) -> Tensor:
        """The times from high to low, (steps + 1,)."""
        return Karras(self.low, self.high).times(schedule, self.steps + 1)[:-1]
