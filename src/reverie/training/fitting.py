"""What fits: how many parts a batch is computed in, and whether memory and budget have room for a network at all."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from reverie.core.denoiser import Learned
from reverie.data.loader import Loader
from reverie.errors import ReverieError
from reverie.training.learner import Learner
from reverie.training.memory import available_memory, training_memory
from reverie.training.plan import seconds
from reverie.training.settings import TrainSettings

SIZES = ("small", "tiny")  # that --size auto tries, in this order
_SHARE = 0.85  # of what is free; the rest is the system's
_ENOUGH = 200  # steps, the least for which a network of more than the smallest size is worth its time


@dataclass(frozen=True)
class Fit:
    """How a batch is computed: in `accumulate` parts, which take `need` bytes of the `free`; None where nobody can say."""

    accumulate: int
    need: int | None
    free: int | None

    @property
    def fits(self) -> bool:
        """Whether there is room."""
        return self.need is None or self.free is None or self.need <= _SHARE * self.free

    def note(self, batch: int) -> str:
        """Why a batch is computed in parts, for the person who did not ask for it."""
        return (
            f"a batch of {batch} at once would not fit in the {(self.free or 0) / 2**30:.1f} GiB that are free: it is computed "
            f"in {self.accumulate} parts, with the same result"
        )

    def check(self, batch: int, shape: str, parameters: int) -> None:
        """Raise ReverieError where there is no room."""
        if self.fits or self.need is None or self.free is None:
            return
        items = f"{-(-batch // self.accumulate)} items of {shape}"
        raise ReverieError(
            f"A training step needs about {self.need / 2**30:.1f} GiB ({items} at once, {parameters:,} weights) and "
            f"{self.free / 2**30:.1f} GiB are free. Give a smaller --resolution or --size, or more --accumulate."
        )


def fit(denoiser: Learned, loader: Loader, batch: int, wish: int | None, device: torch.device) -> Fit:
    """The fewest parts, 1, 2, 4 ..., in which a batch fits into memory; as many as wished for where a person says."""
    free, parts = available_memory(device), min(wish or 1, batch)
    while True:
        size = -(-batch // parts)
        found = Fit(parts, training_memory(denoiser, loader.batch(0, size), parts), free)
        if found.fits or wish or size == 1:
            return found
        parts = min(2 * parts, batch)


def worth_its_time(denoiser: Learned, loader: Loader, batch: int, settings: TrainSettings) -> bool:
    """Whether a budget has room for enough steps of this network."""
    return steps_in(denoiser, loader, batch, settings) >= _ENOUGH


def steps_in(denoiser: Learned, loader: Loader, batch: int, settings: TrainSettings) -> float:
    """How many steps a budget has room for, by the quicker of two on a copy, as the first process finds; inf without a budget."""
    if settings.steps is not None or settings.epochs is not None:
        return math.inf
    state = {k: v.clone() for k, v in denoiser.state_dict().items()}
    trial, took = Learner.of(denoiser, settings), []
    for k in range(2):
        begin = time.monotonic()
        trial.advance(loader.batch(k * batch, batch), 0.0)
        took.append(time.monotonic() - begin)
    denoiser.load_state_dict(state)
    return seconds(settings.budget or "10m") / float(trial.group.agree(lambda: repr(min(took))))
