"""Walking items back in batches: what every verb that samples shares, whatever it bends the denoiser with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.samplers import Step, counted
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.samples import Settings, check_seed

Bend = Callable[[slice], Denoiser]  # the denoiser of some of the items, 0 .. n - 1
Start = Callable[[slice, Denoiser, Noise, Tensor], Tensor]  # (which, denoiser, noise, time t () float64) -> x_t


def walk(
    model: Model,
    bend: Bend,
    n: int,
    settings: Settings,
    *,
    seed: int,
    first: int = 0,
    index: Tensor | None = None,
    batch: int = 128,
    start: Start | None = None,
    below: float | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Tensor:
    """Walk n items back to t = 0 and return them encoded, on the CPU, (n, C, *).

    bend(which): the denoiser that sees the items of a slice, from `model.guided` with whatever guidance around it.
    start, below: as `Model.walk` has them. Item k uses noise first + k of the seed, or index[k], however batches fall.
    """
    check_seed(seed)
    index = torch.arange(first, first + n) if index is None else index
    parts, cuts = [], slices(n, batch)
    for number, which in enumerate(cuts):
        own = index[which]
        noise = Noise(torch.full_like(own, seed), own, temperature=settings.temperature)
        begin = None if start is None else partial(start, which)
        watcher = counted(on_step, number, len(cuts))
        parts.append(model.walk(bend(which), noise, settings, watcher, begin, below))
    return torch.cat(parts)


def slices(count: int, batch: int) -> list[slice]:
    """0 .. count - 1 in parts of `batch`; raises ReverieError for a batch of none."""
    if batch < 1:
        raise ReverieError(f"--batch {batch}: give a whole number from 1.")
    return [slice(k, min(k + batch, count)) for k in range(0, count, batch)]
