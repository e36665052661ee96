"""Membership inference: can the items that a model was trained on be told by its loss from items that it never saw?

Each item's loss is taken at the same noise levels with the same noises, put on one scale level by level (mean 0 and variance 1
over both sets together, which favours neither) and averaged. The AUC is the probability that a training item's loss is below
a held-out item's: 0.5 for a model that knows both alike, 1 where it knows its training items by heart. Nearly every model that
learns for long fits its training items a little better, so a verdict takes both: a p-value, and an AUC of 0.75 or more.

Held-out items must come from where the training items do; of another data set, the AUC tells the sets apart and no more.

Source: Yeom et al. 2018 (Privacy Risk in Machine Learning), the loss as the attack; on diffusion models, Matsumoto et al. 2023
(Membership Inference Attacks against Diffusion Models).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import mannwhitneyu, norm

from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.processes import Product
from reverie.core.times import LogNormal, TimeLaw
from reverie.core.times import Uniform as Even
from reverie.errors import ReverieError
from reverie.example import Conditions, count, each, of_arrays, some_of
from reverie.model import judging

LEVELS = 8  # noise levels: the middles of as many equal shares of EDM's law
ITEMS = 300  # of each set, at most
BATCH = 128
STRONG = 0.75  # AUC from which a model is said to know its training items by heart; 600 steps on 1,297 digits give 0.58
_STEP = 0xA0D1  # of the fixed noises; apart from those of sampling


@dataclass(frozen=True)
class Membership:
    """How well a loss tells training items from held-out ones.

    auc: P(loss of a training item < that of a held-out one), ties half. low, high: its 95 % interval (DeLong). p: one-sided,
    of an AUC as high were the losses exchangeable (Mann-Whitney). n, held_out_n: items of each set.
    """

    auc: float
    low: float
    high: float
    p: float
    n: int
    held_out_n: int

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            "Does its loss tell training from held-out items (membership)? "
            f"AUC {self.auc:.3f}  [{self.low:.3f}, {self.high:.3f}], n = {self.n:,} training and {self.held_out_n:,} held-out "
            f"items   chance 0.500   p = {self.p:.2g}"
        )


def membership(train: np.ndarray, held_out: np.ndarray) -> Membership:
    """Compare losses of training items (N,) or (N, K) with those of held-out items (M,) or (M, K), K noise levels.

    The interval: auc +- 1.96 (var_i P(t_i < h) / N + var_j P(t < h_j) / M)^(1/2). Raises ReverieError with fewer than 2 of
    either, or a loss that is no number.
    Source: DeLong et al. 1988 (Comparing the Areas under Two or More Correlated ROC Curves), eqs. 3-5.
    """
    if min(len(train), len(held_out)) < 2:
        raise ReverieError(f"Membership needs 2 items of each set, and has {len(train)} and {len(held_out)}.")
    every = np.concatenate([x.reshape(len(x), -1).astype(np.float64) for x in (train, held_out)])
    if not np.isfinite(every).all():
        raise ReverieError(f"{int((~np.isfinite(every)).sum()):,} losses are NaN or infinite: training diverged.")
    sd = every.std(axis=0)
    score = ((every - every.mean(axis=0)) / np.where(sd > 0, sd, 1)).mean(axis=1)
    a, b = score[: len(train)], score[len(train) :]
    above, below = 1 - _share_below(b, a), _share_below(a, b)
    auc = float(below.mean())
    reach = float(norm.ppf(0.975) * np.sqrt(above.var(ddof=1) / len(a) + below.var(ddof=1) / len(b)))
    p = float(mannwhitneyu(a, b, alternative="less").pvalue) if sd.any() else 1.0
    return Membership(auc, max(0.0, auc - reach), min(1.0, auc + reach), p, len(a), len(b))


def _share_below(x: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Share of x (N,) below each of cuts (M,), ties half."""
    x = np.sort(x)
    return (np.searchsorted(x, cuts, "left") + np.searchsorted(x, cuts, "right")) / (2 * len(x))


def losses(denoiser: Learned, x: Any, cond: Conditions, seed: int = 0) -> np.ndarray:
    """The process' divergence of each item from the denoiser's guess at each of 8 noise levels: x (N, *) -> (N, 8).

    x: encoded items. cond: their conditions, or none. Item k of any set has the same noises as item k of every other.
    """
    process, device = denoiser.process, next(denoiser.parameters()).device
    u = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
    law: TimeLaw = Even() if isinstance(process, Product) else LogNormal()  # whose own schedule spreads the levels
    times = law.quantile(u, process.schedule, denoiser.sigma_data)
    state = of_arrays(x)
    parts = []
    with judging(denoiser):
        for first in range(0, count(state), BATCH):
            some = slice(first, first + BATCH)
            x0 = each(lambda part: part[some].to(device), state)  # noqa: B023
            told = some_of(cond, some)
            noise, found = Noise.of(seed, count(x0), first), []
            for k, t in enumerate(times):
                x_t = process.diffuse(x0, t, process.draw(noise.at(_STEP + k), x0))
                found.append(process.divergence(x0, denoiser(x_t, t, told), x_t, t).cpu())
            parts.append(torch.stack(found, 1).double().numpy())
    return np.concatenate(parts)
