"""Memorisation: do samples lie nearer to training items than real items do that the model never saw, and does its loss tell them?

For each item, the ratio r = d1 / mean(d1 .. d50) of its distances in pixels to its nearest training items: near 0 for
a copy, near 1 where no training item stands out. The ratio, unlike d1, does not call a plain picture a copy because all
plain pictures are close. Held-out items are what the samples should be: if nothing was copied, and the samples are as
good as real, the two sets of ratios are exchangeable, and how many of the m lowest are samples' is hypergeometric,
exactly. Three depths are looked at, and the least of their p-values is taken three times:
- half of all (Mood's median test): samples lean towards the training items as a whole;
- the lowest 2 %: some samples do;
- those below every held-out item: a handful of plain copies (9 among 500 are enough).

A second test asks each sample which is nearer to it, of m training and m held-out items: a training item for half of them, if
nothing was copied, however good or plain the samples are. Which side an item of the 2 m is on is then as good as drawn by
lot, so the p-value is by drawing lots again. The third is `membership`, where the model's own losses are given. Each has an
equal share of the level, so that together they raise a false alarm in at most 2 % of evaluations of a perfect model.

Works on numbers of any shape (N, *). Distances of entries see copies and near copies; a picture shifted or flipped passes
unseen. Held-out items must come from where the training items do: of another data set, nearness tells the sets apart.

Source: the ratio, Carlini et al. 2023, section 5.1; the comparison with held-out items, Meehan et al. 2020, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from reverie.errors import ReverieError
from reverie.evaluation.membership import STRONG, Membership
from reverie.metrics.distances import nearest

NEIGHBOURS = 50  # that a nearest distance is measured against
SHOWN = 3  # nearest training items kept for each sample
FALSE_ALARMS = 0.02
DEPTHS = (0.5, 0.02)
LOTS = 1999
CONTROLS = 150  # training items beside samples where held-out ones cannot be: few, as overlapping ones say the same
HELD = 2000  # held-out items whose distances are taken: those of 100,000 to a million others would take hours


@dataclass(frozen=True)
class Nearer:
    """Of as many training and held-out items, to which is a sample's nearest? Half and half where nothing was copied.

    share: of the samples whose nearest is a training item. low, high: where chance puts it in 95 % of cases. p: one-sided, of
    a share as high by chance. n: samples. each: training items, and held-out items, that were compared.
    """

    share: float
    low: float
    high: float
    p: float
    n: int
    each: int

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            f"Nearer to a training than to a held-out item {self.share:.1%}  (chance [{self.low:.1%}, {self.high:.1%}]), "
            f"n = {self.n:,} samples, {self.each:,} items of each   p = {self.p:.2g}"
        )


@dataclass(frozen=True)
class Audit:
    """Nearest-training ratios of the samples beside the held-out items' own, and what follows.

    median, held_out_median: of r. low, high: 95 % bootstrap interval of median - held_out_median. p: the least of the tests'
    p-values times their number (see the head of this file). memorised: p < 0.02. copying: so by the samples' distances, not by
    the losses alone. ratio_p: of the ratios. nearer, membership: the two other tests, the last None where no losses were given.
    ratios: r of each sample. nearest: for each sample its 3 nearest training items, nearest first. suspects: samples with r
    below every held-out item's, lowest first. control: what stands in the place of held-out items.
    """

    memorised: bool
    copying: bool
    verdict: str
    median: float
    held_out_median: float
    low: float
    high: float
    p: float
    ratio_p: float
    nearer: Nearer
    membership: Membership | None
    n: int
    held_out_n: int
    ratios: tuple[float, ...]
    nearest: tuple[tuple[int, ...], ...]
    suspects: tuple[int, ...]
    notes: tuple[str, ...] = ()
    control: str = "held-out"

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            f"Nearest-training ratio, median {self.median:.3f} ({self.control} {self.held_out_median:.3f}, difference in "
            f"[{self.low:+.3f}, {self.high:+.3f}]), n = {self.n:,} and {self.held_out_n:,}   {self.verdict}"
        )

    def lines(self) -> list[str]:
        """Return each test as a line for a person, the verdict in the first."""
        return [self.line(), self.nearer.line(), *([] if self.membership is None else [self.membership.line()])]


def ratios(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return r (N,) and the nearest training items (N, min(3, M)) of x (N, *) among train (M, *).

    Where all 50 distances are 0, r is 0.
    """
    k = min(NEIGHBOURS, len(train))
    distances, indices = nearest(x.reshape(len(x), -1), train.reshape(len(train), -1), k)
    mean = distances.mean(axis=1)
    r = np.divide(distances[:, 0], mean, out=np.zeros(len(x)), where=mean > 0)
    return r, indices[:, :SHOWN]


def ratios_apart(train: np.ndarray, spans: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """r of at most 150 training items (M,), each among those whose stretch of time shares no step with its own; train (N, *)."""
    flat = train.reshape(len(train), -1).astype(np.float64)
    chosen = np.sort(rng.permutation(len(flat))[:CONTROLS])
    squares = (flat**2).sum(1)
    found = []
    for k in chosen:
        apart = (spans[:, 0] >= spans[k, 1] - 1e-9) | (spans[:, 1] <= spans[k, 0] + 1e-9)
        if apart.any():
            d = np.sort(np.maximum(squares[apart] + squares[k] - 2 * flat[apart] @ flat[k], 0))[:NEIGHBOURS] ** 0.5
            found.append(d[0] / d.mean() if d.mean() > 0 else 0.0)
    if not found:
        raise ReverieError(
            "All training items share steps of time, so that none can be held against another. Give more data."
        )
    return np.array(found)


def audit(
    train_x: np.ndarray,
    held_x: np.ndarray,
    sample_x: np.ndarray,
    held_y: np.ndarray | None = None,
    sample_y: np.ndarray | None = None,
    seed: int = 0,
    membership: Membership | None = None,
    spans: np.ndarray | None = None,
) -> Audit:
    """Look for copies of training items among samples, all (N, *) numbers, against held-out items; labels (N,) or None.

    membership: what the model's losses say of its training items, where a model is at hand.
    spans: (N, 2), begin and end of training items that are stretches of time. Held-out items come after them, so that a drift
    alone makes samples nearer to training items, and losses lower on these: both are told and not judged. The one test is of
    ratios, and beside samples stand training items themselves, each among those that share no step with it.

    Classes differ in how near their members lie, so with labels given, the medians and the test of ratios take equally many
    samples and held-out items of each class. Of more than `HELD` held-out items so many are drawn. Raises ReverieError with fewer
    than 3 training items, or none to compare.
    """
    if len(train_x) < 3 or not len(held_x) or not len(sample_x):
        raise ReverieError(
            f"The audit needs 3 training items, a held-out item and a sample, and has {len(train_x)}, {len(held_x)} "
            f"and {len(sample_x)}."
        )
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(held_x))[:HELD]) if len(held_x) > HELD else np.arange(len(held_x))
    made, near = ratios(sample_x, train_x)
    held = ratios(held_x[some], train_x)[0] if spans is None else ratios_apart(train_x, spans, rng)
    held_y = None if held_y is None else held_y[some]
    alike_made, alike_held = np.arange(len(made)), np.arange(len(held))
    notes: tuple[str, ...] = ()
    if held_y is not None and sample_y is not None and spans is None:
        alike_made, alike_held, notes = match(sample_y, held_y, rng)
    a, b = made[alike_made], held[alike_held]
    p = p_value(a, b)
    beside = nearer(train_x, held_x, sample_x, rng)
    judged = None if spans is not None else membership
    known = 1.0 if judged is None or judged.auc < STRONG else judged.p
    tests = 1 if spans is not None else 2 if judged is None else 3
    distances = (p,) if spans is not None else (p, beside.p)
    by_distance, whole = (min(1.0, tests * min(ps)) for ps in (distances, (*distances, known)))
    low, high = np.quantile(_medians(rng, a) - _medians(rng, b), [0.025, 0.975])
    suspects = np.flatnonzero(made < held.min())
    control = "held-out" if spans is None else "training items of other times"
    return Audit(
        memorised=whole < FALSE_ALARMS,
        copying=by_distance < FALSE_ALARMS,
        verdict=verdict(by_distance, whole, len(suspects), min(len(a), len(b)), judged, control),
        median=float(np.median(a)),
        held_out_median=float(np.median(b)),
        low=float(low),
        high=float(high),
        p=whole,
        ratio_p=p,
        nearer=beside,
        membership=membership,
        n=len(a),
        held_out_n=len(b),
        ratios=tuple(made.tolist()),
        nearest=tuple(tuple(row) for row in near.tolist()),
        suspects=tuple(suspects[np.argsort(made[suspects])].tolist()),
        notes=notes,
        control=control,
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


def nearer(train_x: np.ndarray, held_x: np.ndarray, sample_x: np.ndarray, rng: np.random.Generator) -> Nearer:
    """Count the samples (N, *) whose nearest, of m training and m held-out items (*, *), is a training item; m the fewer."""
    each = min(len(train_x), len(held_x))
    sides = [x[rng.permutation(len(x))[:each]].reshape(each, -1) for x in (train_x, held_x)]
    _, found = nearest(sample_x.reshape(len(sample_x), -1), np.concatenate(sides), 1)
    held_by = np.bincount(found[:, 0], minlength=2 * each)  # samples to which each item is the nearest
    share = held_by[:each].sum() / len(sample_x)
    lots = _lots(held_by, each, rng) / len(sample_x)
    low, high = np.quantile(lots, [0.025, 0.975])
    p = (1 + int(np.sum(lots >= share))) / (1 + LOTS)
    return Nearer(float(share), float(low), float(high), p, len(sample_x), each)


def _lots(counts: np.ndarray, each: int, rng: np.random.Generator) -> np.ndarray:
    """Sums of `counts` (2 each,) over `LOTS` random halves: only what is not 0 is drawn, a hypergeometric number at a time."""
    some = counts[counts > 0]
    drawn = rng.hypergeometric(len(some), len(counts) - len(some), each, LOTS)
    shuffled = rng.permuted(np.tile(some, (LOTS, 1)), axis=1).cumsum(1)
    return np.where(drawn > 0, shuffled[np.arange(LOTS), np.maximum(drawn - 1, 0)], 0)


def verdict(
    by_distance: float, whole: float, suspects: int, n: int, known: Membership | None, control: str = "held-out"
) -> str:
    """Say in words what was found."""
    others = "held-out items" if control == "held-out" else control
    heart = "" if known is None else f"by its loss the model knows its training items by heart (AUC {known.auc:.2f})"
    also = f" And {heart}." if known is not None and known.auc >= STRONG and known.p < FALSE_ALARMS / 3 else ""
    if by_distance < FALSE_ALARMS:
        return (
            f"Copying: samples lie nearer to training items than {others} do (p = {by_distance:.1g}; {suspects:,} nearer "
            f"than any of those).{also}"
        )
    if whole < FALSE_ALARMS:
        return f"Memorised: {heart}, though its samples lie no nearer to them than held-out items do."
    if n < 50:
        return f"No sign of copying, but {n} items to compare could not show much."
    return f"No sign of copying: samples lie no nearer to training items than {others} do."


def _upper(drawn: np.integer, ours: np.integer, total: int, samples: int) -> float:
    return float(hypergeom.sf(int(ours) - 1, total, samples, int(drawn)))


def _medians(rng: np.random.Generator, r: np.ndarray, resamples: int = 1000) -> np.ndarray:
    return np.median(r[rng.integers(len(r), size=(resamples, len(r)))], axis=1)
