"""Is it learning? The error on held-out and on training items, per band of noise level, on fixed noises."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.times import TimeLaw
from reverie.example import Conditions, State, count, each, moved, some_of
from reverie.metrics.distances import nearest
from reverie.model import judging

BANDS = 8
ITEMS = 128
_SEED = 0x5EED  # of the fixed noises; apart from every training seed's use by its step
_STEP = 1


@dataclass(frozen=True)
class Items:
    """A fixed set of encoded items to measure on, and what is told of them; `at_once` of them go through the network together."""

    x: State
    cond: Conditions = field(default_factory=dict)
    at_once: int = ITEMS

    def __len__(self) -> int:
        """How many there are."""
        return count(self.x)

    def first(self, most: int) -> Items:
        """Fewer of them."""
        return Items(each(lambda x: x[:most], self.x), some_of(self.cond, slice(most)), self.at_once)


def bands(times: TimeLaw, denoiser: Learned) -> torch.Tensor:
    """The times at which it is measured: the middles of BANDS equal shares of the training law."""
    u = (torch.arange(BANDS, dtype=torch.float64) + 0.5) / BANDS
    return times.quantile(u, denoiser.process.schedule, denoiser.sigma_data)


def errors(denoiser: Learned, items: Items, times: torch.Tensor) -> list[float]:
    """Mean squared error of x0 at each time, over all items, each with its own fixed noise."""
    return item_errors(denoiser, items, times).mean(1).tolist()


def item_errors(denoiser: Learned, items: Items, times: torch.Tensor) -> torch.Tensor:
    """Squared error of x0 at each time of each item, (K, N) float64; every call meets the same noises."""
    device = next(denoiser.parameters()).device
    x0, cond = each(lambda x: x.to(device), items.x), moved(items.cond, device)
    found = []
    process = denoiser.process
    with judging(denoiser):
        for k, t in enumerate(times):
            x_t = process.diffuse(x0, t, process.draw(Noise.of(_SEED, len(items)).at(_STEP + k), x0))
            for first in range(0, len(items), items.at_once):
                some = slice(first, first + items.at_once)
                true, noisy = (each(lambda x: x[some], state) for state in (x0, x_t))  # noqa: B023
                x0_hat = denoiser(noisy, t, some_of(cond, some))
                found.append(process.divergence(true, x0_hat, noisy, t).double().cpu())
    return torch.cat(found).reshape(len(times), len(items))


def weighted(found: list[float], denoiser: Learned, times: torch.Tensor) -> float:
    """One number for the curve: the errors in the network's output space, where EDM's F has variance 1; mean of bands."""
    return float((torch.tensor(found, dtype=torch.float64) * denoiser.output_scale(times)).mean())


def label_errors(denoiser: Learned, items: Items, times: torch.Tensor) -> dict[str, float]:
    """What conditions are worth: weighted error with the items' own ones told, with none told, and with wrong ones told.

    On the first half of the items and the same noises, so that the three differ by what is told alone; empty where nothing
    is told, or the same of all. What is wrong for an item is what the next one is told, around the end, that is told another.
    """
    items = items.first(max(16, len(items) // 2))
    wrong = _of_another(items.cond, len(items))
    if wrong is None:
        return {}
    tellings: dict[str, Conditions] = {"told": items.cond, "untold": {}, "wrong": some_of(items.cond, wrong)}
    return {
        k: weighted(errors(denoiser, Items(items.x, v, items.at_once), times), denoiser, times)
        for k, v in tellings.items()
    }


def _of_another(cond: Conditions, count: int) -> torch.Tensor | None:
    """For each of `count` items the next one, around the end, that is told something else; None where there is none."""
    rows = [c.value.reshape(count, -1).double() * c.present[:, None] for c in cond.values()]
    rows += [c.present[:, None].double() for c in cond.values()]
    if not rows:
        return None
    _, kind = torch.unique(torch.cat(rows, 1), dim=0, return_inverse=True)
    if not bool((kind != kind[0]).any()):
        return None
    another = torch.zeros(count, dtype=torch.int64)
    for k in range(count):
        following = (torch.arange(count) + k) % count
        another[k] = following[kind[following] != kind[k]][0]
    return another


def sample_facts(drawn: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """How drawn items compare with held-out ones and with those trained on, all as numbers (N, C, *).

    shift: the largest difference of a channel's mean from the training items', in standard deviations of that channel, theirs
    or the drawn items', whichever is larger (a rare word may be in none of those compared with). shift_z: the same in standard
    errors of the means of N items. spread: standard deviation over the training items'.
    near: median distance to the nearest training item over that of held-out items (1 for as near as unseen ones are, 0 for
    copies). copies: share of the drawn that lie nearer to a training item than the lowest twentieth of the held-out do.
    """
    flat = {k: v.reshape(*v.shape[:2], -1).astype(np.float64) for k, v in (("drawn", drawn), ("data", training))}
    own = {k: v.mean(2) for k, v in flat.items()}  # an item's mean of each channel
    sd = np.maximum(*(v.std((0, 2)) for v in flat.values())) + 1e-12
    difference = np.abs(own["drawn"].mean(0) - own["data"].mean(0))
    standard = np.maximum(*(v.std(0) for v in own.values())) * np.sqrt(1 / len(drawn) + 1 / len(training)) + 1e-12
    rows = [v.reshape(len(v), -1) for v in (drawn, held_out, training)]
    made, unseen = (nearest(r, rows[2], 1)[0][:, 0] for r in rows[:2])
    return {
        "shift": float((difference / sd).max()),
        "shift_z": float((difference / standard).max()),
        "spread": float(drawn.std() / (training.std() + 1e-12)),
        "near": float(np.median(made) / (np.median(unseen) + 1e-12)),
        "copies": float(np.mean(made < np.quantile(unseen, 0.05))),
        "drawn": len(drawn),
    }
