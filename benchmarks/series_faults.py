"""Task anomaly of series.py: faults planted in half of the held-out windows, and how well a contender tells them from the rest.

Each kind of fault in turn stands in every second window, its size in the channel's training spread (sd), its channel, place and
sign by chance; the other half stays as it is. Scores, 0.5 by chance: the area under the ROC curve, by kind and over all
together; and the share of faulty windows that score higher than the same windows without their fault. Where windows differ among
themselves by more than a fault does (a market in crisis and in calm), only the second says whether a fault is seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
from series_contenders import Linear
from series_data import Cut, Set
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

STRIDE = {"glucose": 48, "stocks": 16}  # between held-out windows of one long series
Fault = Callable[[np.ndarray, np.ndarray, np.random.Generator], None]  # (T, C) changed in place, sd (C,)


def spikes(x: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> None:
    """Two single steps of a channel are off by 3 sd."""
    c, at = rng.integers(x.shape[1]), rng.choice(len(x), 2, replace=False)
    x[at, c] += 3 * sd[c] * rng.choice([-1, 1], 2)


def shift(x: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> None:
    """A channel stands 1.5 sd off from a step in the middle half on."""
    c, at = rng.integers(x.shape[1]), rng.integers(len(x) // 4, 3 * len(x) // 4)
    x[at:, c] += 1.5 * sd[c] * rng.choice([-1, 1])


def drop(x: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> None:
    """Half of the window, in all channels: only a quarter is left of the distance from the window's mean."""
    at = rng.integers(0, len(x) - len(x) // 2 + 1)
    part, mean = slice(at, at + len(x) // 2), np.nanmean(x, 0)
    x[part] = mean + 0.25 * (x[part] - mean)


def frozen(x: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> None:
    """A channel repeats one value for a third of the window."""
    size = max(3, len(x) // 3)
    c, at = rng.integers(x.shape[1]), rng.integers(0, len(x) - size + 1)
    x[at : at + size, c] = x[at, c]


def swap(x: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> None:
    """Two channels change places."""
    a, b = rng.choice(x.shape[1], 2, replace=False)
    x[:, [a, b]] = x[:, [b, a]]


FAULTS: dict[str, Fault] = {f.__name__: f for f in (spikes, shift, drop, frozen, swap)}


def planted(found: Set, seed: int) -> tuple[Cut, Cut, np.ndarray]:
    """Held-out windows as they are, the same with faults, and (N,) the name of each one's fault, "" for none."""
    rng = np.random.default_rng(seed)
    cut, sd = found.testing(STRIDE.get(found.name)), np.nanstd(np.concatenate(found.train), axis=0)
    kinds = [kind for kind in FAULTS if kind != "swap" or len(sd) > 1]
    values, names = cut.values.copy(), np.full(len(cut.values), "", dtype="U16")
    for number, k in enumerate(rng.permutation(len(values))[::2]):
        names[k] = kinds[number % len(kinds)]
        FAULTS[names[k]](values[k, : cut.lengths[k]], sd, rng)
    return cut, replace(cut, values=values), names


def areas(before: np.ndarray, scores: np.ndarray, names: np.ndarray) -> dict[str, float]:
    """AUROC over all windows, and of each kind's beside those without a fault; `paired`, of all and of each kind."""
    fine = names == ""
    found = {"auroc": float(roc_auc_score(~fine, scores)), "paired": higher(before[~fine], scores[~fine])}
    for kind in sorted(set(names.tolist()) - {""}):
        some = fine | (names == kind)
        found[kind] = float(roc_auc_score(~fine[some], scores[some]))
        found[f"{kind} paired"] = higher(before[names == kind], scores[names == kind])
    return found


def higher(before: np.ndarray, after: np.ndarray) -> float:
    """Share of pairs of which the second is higher; of equal ones a half."""
    return float((0.5 * (after > before) + 0.5 * (after >= before)).mean())


class Detector(ABC):
    """A score for each window, high where it is unlike the training part."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, found: Set, seconds: float, seed: int) -> None:
        """Learn from a set's training part, for at most so many seconds."""

    @abstractmethod
    def scores(self, cut: Cut) -> np.ndarray:
        """Windows -> (N,)."""


class Flat(Detector):
    """Windows as vectors in the channels' own spread, gaps filled by lines, zeros beyond a window's end."""

    def fit(self, found: Set, seconds: float, seed: int) -> None:
        flat = np.concatenate(found.train)
        self.filler, self.scale = Linear(), np.nanstd(flat, 0)
        self.filler.means = np.nanmean(flat, 0)
        self.steps = max(len(one) for one in [*found.train, *found.held]) if found.length is None else found.length
        self.learn(self.vectors(found.training(4)), seed)

    def vectors(self, cut: Cut) -> np.ndarray:
        x = (self.filler.points(cut) - self.filler.means) / self.scale
        x = np.where(cut.inside[:, :, None], x, 0)
        return np.pad(x, ((0, 0), (0, self.steps - x.shape[1]), (0, 0))).reshape(len(x), -1)

    @abstractmethod
    def learn(self, x: np.ndarray, seed: int) -> None:
        """(N, L C) of training."""


class Neighbours(Flat):
    """Mean distance to the five nearest training windows."""

    name = "neighbours"

    def learn(self, x: np.ndarray, seed: int) -> None:
        self.near = NearestNeighbors(n_neighbors=5).fit(x)

    def scores(self, cut: Cut) -> np.ndarray:
        return self.near.kneighbors(self.vectors(cut))[0].mean(1)


class Forest(Flat):
    """Isolation forest of 300 trees."""

    name = "forest"

    def learn(self, x: np.ndarray, seed: int) -> None:
        self.forest = IsolationForest(n_estimators=300, random_state=seed).fit(x)

    def scores(self, cut: Cut) -> np.ndarray:
        return -self.forest.score_samples(self.vectors(cut))


DETECTORS: dict[str, type[Detector]] = {cls.name: cls for cls in (Neighbours, Forest)}
