"""Is it learning? The error on held-out and on training items, per band of noise level, on fixed noises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.times import TimeLaw
from reverie.example import Condition

BANDS = 8
ITEMS = 128
_SEED = 0x5EED  # of the fixed noises; apart from every training seed's use by its step
_STEP = 1
_AT_ONCE = 32  # items: a prediction of tokens is as many times larger than they as there are classes


@dataclass(frozen=True)
class Items:
    """A fixed set of encoded items to measure on, with their class numbers."""

    x: torch.Tensor
    labels: torch.Tensor | None

    @classmethod
    def of(cls, x: np.ndarray, labels: np.ndarray | None) -> Items:
        """The first few; the split has shuffled them already."""
        return cls(torch.from_numpy(x[:ITEMS]), None if labels is None else torch.from_numpy(labels[:ITEMS]))

    def first(self, count: int) -> Items:
        """Fewer of them."""
        return Items(self.x[:count], None if self.labels is None else self.labels[:count])


def bands(times: TimeLaw, denoiser: Learned) -> torch.Tensor:
    """The times at which it is measured: the middles of BANDS equal shares of the training law."""
    u = (torch.arange(BANDS, dtype=torch.float64) + 0.5) / BANDS
    return times.quantile(u, denoiser.process.schedule, denoiser.sigma_data)


@torch.no_grad()
def errors(denoiser: Learned, items: Items, times: torch.Tensor) -> list[float]:
    """Mean squared error of x0 at each time, over all items, each with its own fixed noise."""
    device = next(denoiser.parameters()).device
    training = denoiser.training
    denoiser.eval()
    x0 = items.x.to(device)
    cond = {} if items.labels is None else {"label": Condition.of(items.labels.to(device))}
    found = []
    process = denoiser.process
    for k, t in enumerate(times):
        x_t = process.diffuse(x0, t, process.draw(Noise.of(_SEED, len(x0)).at(_STEP + k), x0))
        parts = []
        for rows in torch.arange(len(x0), device=device).split(_AT_ONCE):
            told = {name: Condition(c.value[rows], c.present[rows]) for name, c in cond.items()}
            parts.append(process.divergence(x0[rows], denoiser(x_t[rows], t, told), x_t[rows], t))
        found.append(float(torch.cat(parts).mean()))
    denoiser.train(training)
    return found


def weighted(found: list[float], denoiser: Learned, times: torch.Tensor) -> float:
    """One number for the curve: the errors in the network's output space, where EDM's F has variance 1; mean of bands."""
    return float((torch.tensor(found, dtype=torch.float64) * denoiser.output_scale(times)).mean())
