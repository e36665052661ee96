"""How well does a model say what it is not shown? Parts of held-out items are hidden, drawn, and compared with the truth.

Draws are scored by the continuous ranked probability score, in standard deviations of the training data: the mean
absolute error of a forecaster that names one value, less where a spread is right. Beside it stand two who know little of time but
have the right spread: the values that training items have at that step, and the value last seen (between two, the line), with
the errors that this makes on training items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from reverie.core.guidance import Known
from reverie.core.noise import Noise
from reverie.data.dataset import Data
from reverie.example import ENTRIES, entries, some_of
from reverie.metrics.forecast import absolute_error, covered, crps
from reverie.model import Model
from reverie.networks.base import takes_entries

ITEMS, DRAWS = 32, 19  # 19 draws: the outermost hold nine tenths
_LEVEL = 0.9
_AT_ONCE = 8  # items whose draws are computed together


@dataclass(frozen=True)
class Filling:
    """One way of hiding. way: what was hidden, in words. n: items.

    crps, low, high: mean over hidden entries, its 95 % interval over items. error: mean absolute error of the median. covered:
    share of the truth within the central 90 % of the draws. naive, marginal: CRPS of the two that know little of time.
    """

    way: str
    n: int
    crps: float
    low: float
    high: float
    error: float
    covered: float
    naive: float
    marginal: float

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            f"{self.way} error of the draws (CRPS, 0 is best) {self.crps:.3f}  [{self.low:.3f}, {self.high:.3f}], "
            f"n = {self.n:,}   keeping the last value {self.naive:.3f}   drawing any value of training {self.marginal:.3f}   "
            f"the draws' central 90 % hold {self.covered:.0%} of what came"
        )


def fillings(model: Model, train: Data, held_out: Data, n: int = ITEMS, seed: int = 0) -> tuple[Filling, ...]:
    """Hide the last quarter, and a quarter amid, of n held-out items; none where a model cannot be told entries.

    Entries that were not observed are scored nowhere.
    """
    if model.codec.hides != "spans" or not takes_entries(model.denoiser.network) or min(len(held_out), n) < 2:
        return ()
    rng = np.random.default_rng(seed)
    some = held_out.subset(np.sort(rng.permutation(len(held_out))[:n]))
    past = train.subset(np.sort(rng.permutation(len(train))[: 8 * n]))
    steps = model.codec.field.shape[-1]
    quarter = max(steps // 4, 1)
    amid = (steps - quarter) // 2
    step = np.arange(steps)
    ways = {
        "Forecast of the last quarter:": step >= steps - quarter,
        "A quarter amid, filled in:": (step >= amid) & (step < amid + quarter),
    }
    return tuple(_filled(model, some, past, hidden, way, seed) for way, hidden in ways.items())


def _filled(model: Model, some: Data, past: Data, hidden: np.ndarray, way: str, seed: int) -> Filling:
    x, before = model.encode(some.items), model.encode(past.items)
    seen = model.codec.observed(some.items)
    truth = np.where(seen, x, np.nan) if seen is not None else x
    truth = truth[:, :, hidden]
    drawn = _drawn(model, some, x, hidden, seen, seed)[..., hidden]
    naive = _line(x, hidden)[:, :, hidden] + _errors(before, hidden, len(x), seed)
    rng = np.random.default_rng(seed)
    marginal = before[rng.integers(len(before), size=(DRAWS, len(x)))][..., hidden]
    own = np.nanmean(crps(drawn, truth).reshape(len(x), -1), axis=1)
    mean, reach = float(np.nanmean(own)), 1.96 * float(np.nanstd(own, ddof=1)) / len(own) ** 0.5
    score: Callable[[np.ndarray], float] = lambda draws: float(np.nanmean(crps(draws, truth)))  # noqa: E731
    return Filling(
        way, len(x), mean, mean - reach, mean + reach, float(np.nanmean(absolute_error(drawn, truth))),
        float(np.nanmean(covered(drawn, truth, _LEVEL))), score(naive), score(marginal),
    )  # fmt: skip


def _drawn(
    model: Model, some: Data, x: np.ndarray, hidden: np.ndarray, seen: np.ndarray | None, seed: int
) -> np.ndarray:
    """(DRAWS, N, C, L), the known entries among them."""
    known = torch.from_numpy(np.broadcast_to(~hidden, x.shape) & (True if seen is None else seen))
    value, cond = torch.from_numpy(x), model.told(some)
    found = []
    for first in range(0, len(x), _AT_ONCE):
        which = torch.arange(first, min(first + _AT_ONCE, len(x))).repeat_interleave(DRAWS)
        given, here = value[which].to(model.device), known[which].to(model.device)
        told = some_of(cond, which) | {ENTRIES: entries(given, here)}
        denoiser = Known(model.guided(told, model.defaults.given(guidance=1.0)), given, here)
        noise = Noise.of(seed, len(which), first * DRAWS)
        found.append(model.walk(denoiser, noise, model.defaults).unflatten(0, (-1, DRAWS)).numpy())
    return np.concatenate(found).swapaxes(0, 1)


def _line(x: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """(N, C, L) with what is hidden on the line between its neighbours, or as the last one before it."""
    step = np.arange(x.shape[-1])
    made = x.copy()
    for n, c in np.ndindex(*x.shape[:2]):
        made[n, c, hidden] = np.interp(step[hidden], step[~hidden], x[n, c, ~hidden])
    return made


def _errors(before: np.ndarray, hidden: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Errors that the line makes on training items, whole items at a time, (DRAWS, N, C, hidden)."""
    wrong = (before - _line(before, hidden))[:, :, hidden]
    return wrong[np.random.default_rng(seed).integers(len(wrong), size=(DRAWS, n))]
