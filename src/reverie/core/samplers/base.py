"""The contract of a sampler, and the loop that all of them share."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.processes import Masked, Process
from reverie.core.shapes import time_of
from reverie.errors import ReverieError
from reverie.example import State, tensors


class Sampler(ABC):
    """One step from time t down to time s; a frozen dataclass whose fields are its options.

    order: how fast the error of the probability-flow ODE falls with the number of steps; None for a stochastic sampler.
    treats: the kind of process that it can walk back. usual_steps: how many steps a person gets who names the sampler and
    no number; usual_grid: the grid that they suit, None where any does.
    """

    treats: ClassVar[type] = Process
    usual_steps: ClassVar[int] = 18
    usual_grid: ClassVar[str | None] = None

    def check(self, process: Process) -> None:
        """Refuse a process that this sampler cannot treat; raises ReverieError, with what can."""
        if not isinstance(process, self.treats):
            instead = "'ancestral' or 'confidence'" if isinstance(process, Masked) else "'ancestral'"
            raise ReverieError(
                f"The sampler {type(self).__name__} needs a {self.treats.__name__} process; a {type(process).__name__} process "
                f"is sampled by {instead}."
            )

    @property
    @abstractmethod
    def order(self) -> float | None:
        """Global order of convergence, measured by the tests; None where noise is drawn."""

    def init(self, steps: int) -> Any:
        """State before the first of `steps` steps: None for one-step methods."""
        return None

    @abstractmethod
    def step(
        self, denoiser: Denoiser, x_t: State, t: Tensor, s: Tensor, state: Any, noise: Noise
    ) -> tuple[State, Any, State]:
        """x_t: (B, *), t > s: () float64 -> (x_s, the next state, the prediction of x0 at t)."""


@dataclass(frozen=True)
class Step:
    """What a watcher of the loop sees after each step."""

    number: int  # from 1
    total: int
    t: float  # where the step started
    s: float  # where it ended
    x: State  # at s
    x0_hat: State | None  # predicted at t; None where time jumped back up


def counted(on_step: Callable[[Step], None] | None, number: int, rounds: int) -> Callable[[Step], None] | None:
    """A watcher of one round of several, told of steps as counted over all of them."""
    if on_step is None:
        return None
    watcher = on_step

    def told(step: Step) -> None:
        watcher(dataclasses.replace(step, number=number * step.total + step.number, total=rounds * step.total))

    return told


def sample(
    denoiser: Denoiser,
    sampler: Sampler,
    grid: Tensor,
    x: State,
    noise: Noise,
    on_step: Callable[[Step], None] | None = None,
) -> State:
    """Walk x from grid[0] to grid[-1] with a sampler, and return the state there, (B, *).

    grid: (N + 1,) times; where the next time is larger, noise is added up to it and the sampler starts afresh.
    on_step: called after each step; raising an exception in it ends the loop. Runs without gradients, but not in
    inference mode: a guidance may differentiate through the network.
    """
    sampler.check(denoiser.process)
    grid = time_of(grid)
    if grid.ndim != 1 or len(grid) < 2 or not bool(((grid >= 0) & (grid <= 1)).all()):
        raise ReverieError(
            f"A grid of times is a list of two or more in [0, 1], from noise to data; found {grid.tolist()}."
        )
    steps = len(grid) - 1
    with torch.no_grad():
        state = sampler.init(steps)
        for i, (t, s) in enumerate(pairwise(grid), start=1):
            x0_hat = None
            if s > t:
                x = denoiser.process.forward(x, t, s, denoiser.process.draw(noise.at(i), x))
                state = sampler.init(steps)
            else:
                x, state, x0_hat = sampler.step(denoiser, x, t, s, state, noise.at(i))
            if not _sound(x, x0_hat):
                raise ReverieError(
                    f"{type(sampler).__name__} over {type(denoiser.process).__name__} gave NaN or infinity in step {i} of "
                    f"{steps}, from t = {float(t):.4g} to {float(s):.4g}. If it is the network's output that is not finite, "
                    "training diverged: use an earlier checkpoint. If not, start at a lower noise "
                    "(karras:n_max=80), or take more steps."
                )
            if on_step is not None:
                on_step(Step(i, steps, float(t), float(s), x, x0_hat))
    return x


def _sound(x: State, prediction: State | None) -> bool:
    """Whether a state is finite and a prediction a number: log-probabilities may be -inf, and tokens hide a NaN."""
    guesses = [] if prediction is None else tensors(prediction)
    return all(bool(torch.isfinite(part).all()) for part in tensors(x)) and not any(
        bool((torch.isnan(part) | torch.isposinf(part)).any()) for part in guesses
    )
