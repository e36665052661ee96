"""Which of its own entries an item is told in training, so that a model learns to fill in the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.example import State, each

Pattern = Callable[[Noise, int, Tensor], Tensor]  # (noise, key, x (B, *)) -> known (B, *) bool

_FUTURE, _SPAN = (
    0.4,
    0.8,
)  # of the items that lose a span: all from some step on; a span amid; else steps here and there
_EVERY = 0.7  # of them, those that lose it in all channels together; the others in some


def scattered(noise: Noise, key: int, x: Tensor) -> Tensor:
    """Each entry with a probability that is drawn uniformly for the item; at least one is always left to learn."""
    u = noise.uniform(key, torch.empty(len(x), 1 + x[0].numel()))
    share, each_entry = u[:, :1], u[:, 1:]
    return ((each_entry < share) & (each_entry < each_entry.amax(1, keepdim=True))).view(x.shape)


def spans(noise: Noise, key: int, x: Tensor) -> Tensor:
    """What people ask of series, (B, C, L): the future, a span in the middle, or steps here and there, of all channels or some.

    Futures and spans are of all lengths from one step on, short ones as often as long: log L is uniform.

    Source: Tashiro et al. 2021 (CSDI), section 4.3, who mix such targets.
    """
    channels, steps = x.shape[1:]
    u = noise.uniform(key, torch.empty(len(x), 5 + 2 * channels + channels * steps))
    way, share, place, together, some = u[:, :5].T
    drawn, offset, each_entry = u[:, 5 : 5 + channels], u[:, 5 + channels : 5 + 2 * channels], u[:, 5 + 2 * channels :]
    step = torch.arange(steps)
    long = (steps + 1.0) ** share[:, None, None]
    long = long.floor().clamp(max=steps)  # 1 to all steps
    future = (step >= steps - long).expand(x.shape)
    every = (together < _EVERY)[:, None]
    begin = (torch.where(every, place[:, None], offset)[..., None] * (steps - long + 1)).floor()
    amid = (step >= begin) & (step < begin + long)
    here = each_entry.view(x.shape) < share[:, None, None]
    hidden = torch.where((way < _FUTURE)[:, None, None], future, torch.where((way < _SPAN)[:, None, None], amid, here))
    lost = every | (drawn <= torch.maximum(some[:, None], drawn.amin(1, keepdim=True)))  # at least one channel loses it
    hidden = hidden & lost[..., None]
    one = (each_entry == each_entry.amin(1, keepdim=True)).view(x.shape)
    return ~torch.where(hidden.flatten(1).any(1)[:, None, None], hidden, one)


PATTERNS: dict[str, Pattern] = {"entries": scattered, "spans": spans}


def told(pattern: str, share: float, noise: Noise, key: int, x0: State) -> State:
    """Which entries of each item are told, of a `share` of the items: nothing of the others. Of several fields, as one row."""
    chosen = noise.uniform(key, torch.empty(len(noise.index), 1))[:, 0] < share
    if isinstance(x0, dict):
        sizes = [x[0].numel() for x in x0.values()]
        flat = PATTERNS[pattern](noise, key + 2, torch.cat([x.flatten(1).float() for x in x0.values()], 1))
        known: State = {k: part.view(x.shape) for (k, x), part in zip(x0.items(), flat.split(sizes, 1), strict=True)}
    else:
        known = PATTERNS[pattern](noise, key + 2, x0)
    return each(lambda one: one & chosen.view(-1, *[1] * (one.ndim - 1)), known)
