"""Copying: do samples lie nearer to training items than real items do that the model never saw?

For each item, the ratio r = d1 / mean(d1 .. d50) of its distances in pixels to its nearest training items: near 0 for
a copy, near 1 where no training item stands out. The ratio, unlike d1, does not call a plain picture a copy because all
plain pictures are close. Held-out items are what the samples should be: if nothing was copied, and the samples are as
good as real, the two sets of ratios are exchangeable, and how many of the m lowest are samples' is hypergeometric,
exactly. Three depths are looked at, each at a third of the level, so that together they raise a false alarm in at most
2 % of evaluations of a perfect model:
- half of all (Mood's median test): samples lean towards the training items as a whole;
- the lowest 2 %: some samples do;
- those below every held-out item: a handful of plain copies (8 among 500 are enough).

Pixel distances see copies and near copies; a copy shifted or flipped passes unseen.

Source: the ratio, Carlini et al. 2023, section 5.1; the comparison with held-out items, Meehan et al. 2020, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from reverie.errors import ReverieError
from reverie.metrics.distances import nearest

NEIGHBOURS = 50  # that a nearest distance is measured against
SHOWN = 3  # nearest training items kept for each sample
FALSE_ALARMS = 0.02
DEPTHS = (0.5, 0.02)


@dataclass(frozen=True)
class Audit:
    """Nearest-training ratios of the samples beside the held-out items' own, and what follows.

    median, held_out_median: of r. low, high: 95 % bootstrap interval of median - held_out_median. p: the least of three
    one-sided p-values times three (see the head of this file). copying: p < 0.02. ratios: r of each sample. nearest:
    for each sample its 3 nearest training items, nearest first. suspects: samples with r below every held-out item's,
    lowest first.
    """

    copying: bool
    verdict: str
    median: float
    held_out_median: float
    low: float
    high: float
    p: float
    n: int
    held_out_n: int
    ratios: tuple[float, ...]
    nearest: tuple[tuple[int, ...], ...]
    suspects: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            f"Nearest-training ratio, median {self.median:.3f} (held-out {self.held_out_median:.3f}, difference in "
            f"[{self.low:+.3f}, {self.high:+.3f}]), n = {self.n:,} and {self.held_out_n:,}   {self.verdict}"
        )


def ratios(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return r (N,) and the nearest training items (N, min(3, M)) of x (N, C, H, W) among train (M, C, H, W).

    Where all 50 distances are 0, r is 0.
    """
    k = min(NEIGHBOURS, len(train))
    distances, indices = nearest(x.reshape(len(x), -1), train.reshape(len(train), -1), k)
    mean = distances.mean(axis=1)
    r = np.divide(distances[:, 0], mean, out=np.zeros(len(x)), where=mean > 0)
    return r, indices[:, :SHOWN]


def audit(
    train_x: np.ndarray,
    held_x: np.ndarray,
    sample_x: np.ndarray,
    held_y: np.ndarray | None = None,
    sample_y: np.ndarray | None = None,
    seed: int = 0,
) -> Audit:
    """Look for copies of training items among samples, all (*, C, H, W), against held-out items; labels (*,) or None.

    Classes differ in how near their members lie, so with labels given, the medians and the test take equally many
    samples and held-out items of each class. Raises ReverieError with fewer than 3 training items, or none to compare.
    """
    if len(train_x) < 3 or not len(held_x) or not len(sample_x):
        raise ReverieError(
            f"The audit needs 3 training items, a held-out item and a sample, and has {len(train_x)}, {len(held_x)} "
            f"and {len(sample_x)}."
        )
    rng = np.random.default_rng(seed)
    made, near = ratios(sample_x, train_x)
    held, _ = ratios(held_x, train_x)
    alike_made, alike_held = np.arange(len(made)), np.arange(len(held))
    notes: tuple[str, ...] = ()
    if held_y is not None and sample_y is not None:
        alike_made, alike_held, notes = match(sample_y, held_y, rng)
    a, b = made[alike_made], held[alike_held]
    p = p_value(a, b)
    low, high = np.quantile(_medians(rng, a) - _medians(rng, b), [0.025, 0.975])
    suspects = np.flatnonzero(made < held.min())
    return Audit(
        copying=p < FALSE_ALARMS,
        verdict=verdict(p, len(suspects), min(len(a), len(b))),
        median=float(np.median(a)),
        held_out_median=float(np.median(b)),
        low=float(low),
        high=float(high),
        p=p,
        n=len(a),
        held_out_n=len(b),
        ratios=tuple(made.tolist()),
        nearest=tuple(tuple(row) for row in near.tolist()),
        suspects=tuple(suspects[np.argsort(made[suspects])].tolist()),
        notes=notes,
    )


def match(
    sample_y: np.ndarray, held_y: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return indices of equally many samples and held-out items of each class, and a note where that left items out.

    With no class in common, everything is compared with everything, and the note says so.
    """
    pairs = []
    for label in np.intersect1d(sample_y, held_y):
        ours, theirs = np.flatnonzero(sample_y == label), np.flatnonzero(held_y == label)
        n = min(len(ours), len(theirs))
        pairs.append((rng.permutation(ours)[:n], rng.permutation(theirs)[:n]))
    if not pairs:
        note = (
            "No class has both samples and held-out items, so the audit compares samples with items of other classes."
        )
        return np.arange(len(sample_y)), np.arange(len(held_y)), (note,)
    made, held = (np.concatenate(side) for side in zip(*pairs, strict=True))
    if len(made) == min(len(sample_y), len(held_y)):
        return made, held, ()
    note = f"The audit compares like with like: {len(made):,} samples and as many held-out items of the same classes."
    return made, held, (note,)


def p_value(made: np.ndarray, held: np.ndarray) -> float:
    """Probability of ratios this low among samples (N,), were they and the held-out (M,) exchangeable.

    Three times the least, over the depths named above, of P[X >= x], X ~ Hypergeometric(N + M, N, m),
    with m items at or below the cut, x of them samples'.
    """
    every = np.sort(np.concatenate([made, held]))
    cuts = [every[max(0, int(np.ceil(depth * len(every))) - 1)] for depth in DEPTHS]
    found = [_upper(np.sum(every <= cut), np.sum(made <= cut), len(every), len(made)) for cut in cuts]
    below = np.sum(made < held.min())
    found.append(_upper(below, below, len(every), len(made)))
    return min(1.0, len(found) * min(found))


def verdict(p: float, suspects: int, n: int) -> str:
    """Say in words what was found."""
    if p < FALSE_ALARMS:
        return (
            f"Copying: samples lie nearer to training items than held-out items do (p = {p:.1g}; {suspects:,} nearer "
            "than any of those)."
        )
    if n < 50:
        return f"No sign of copying, but {n} items to compare could not show much."
    return "No sign of copying: samples lie no nearer to training items than held-out items do."


def _upper(drawn: np.integer, ours: np.integer, total: int, samples: int) -> float:
    return float(hypergeom.sf(int(ours) - 1, total, samples, int(drawn)))


def _medians(rng: np.random.Generator, r: np.ndarray, resamples: int = 1000) -> np.ndarray:
    return np.median(r[rng.integers(len(r), size=(resamples, len(r)))], axis=1)
