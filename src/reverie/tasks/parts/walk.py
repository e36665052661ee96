"""Walking items back in batches: what every verb that samples shares, whatever it bends the denoiser with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.samplers import Step, counted, sample
from reverie.errors import ReverieError
from reverie.model import Model, judging
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
    start: x_t at the first time; by default the prior. below: leave out the part of the grid above this time t, and start
    there (for starts that are not pure noise). Item k uses noise first + k of the seed, or index[k], however batches fall.
    """
    check_seed(seed)
    index = torch.arange(first, first + n) if index is None else index
    parts, cuts = [], slices(n, batch)
    with judging(model.denoiser):
        for number, which in enumerate(cuts):
            own = index[which]
            noise = Noise(torch.full_like(own, seed), own, temperature=settings.temperature)
            like = torch.empty(len(own), *model.codec.field.shape, device=model.device)
            denoiser, sampler = bend(which), settings.build_sampler()
            model.check_walk(sampler, denoiser.process)
            times = settings.build_grid().times(denoiser.process.schedule, settings.steps)
            if below is not None:
                times = torch.cat([times.new_tensor([below]), times[times < below]])
            x = (
                denoiser.process.prior(like, noise, times[0])
                if start is None
                else start(which, denoiser, noise, times[0])
            )
            parts.append(sample(denoiser, sampler, times, x, noise, counted(on_step, number, len(cuts))).cpu())
    return torch.cat(parts)


def slices(count: int, batch: int) -> list[slice]:
    """0 .. count - 1 in parts of `batch`; raises ReverieError for a batch of none."""
    if batch < 1:
        raise ReverieError(f"--batch {batch}: give a whole number from 1.")
    return [slice(k, min(k + batch, count)) for k in range(0, count, batch)]
