"""Do conditional samples show what was asked for? A classifier's word, beside how far it is right on real items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import beta
from sklearn.svm import SVC

from reverie.errors import ReverieError

SIDE = 16  # pixels a side, above which items are averaged down before they are classified
MOST = 5000  # training items: an SVC's time grows with their square


@dataclass(frozen=True)
class Share:
    """k of n, with the exact 95 % interval of the underlying probability."""

    k: int
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelAgreement:
    """How often a classifier sees in a sample the class that was asked for, and in a real held-out item its label.

    samples, held_out: the two shares. held_out_alike: the held-out share reweighted to the classes asked for (classes
    are not equally hard), which is what the samples' share should be compared with. gap = held_out_alike -
    samples.value. by_class: the samples' share for each class asked for. trained_on: training items the classifier saw.
    """

    samples: Share
    held_out: Share
    held_out_alike: float
    gap: float
    by_class: dict[str, Share]
    trained_on: int

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            f"Label agreement {self.samples.value:.1%}  [{self.samples.low:.1%}, {self.samples.high:.1%}], "
            f"n = {self.samples.n:,}   real held-out {self.held_out.value:.1%}  "
            f"[{self.held_out.low:.1%}, {self.held_out.high:.1%}], n = {self.held_out.n:,}   "
            f"classifier: SVC on raw values, {self.trained_on:,} training items"
        )


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a probability after k successes in n trials: it covers at `level` or more, at every n.

    Source: Clopper & Pearson 1934, through the beta distribution.
    """
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def share(hits: np.ndarray) -> Share:
    """Count the hits (N,) bool, with their interval."""
    k, n = int(hits.sum()), len(hits)
    return Share(k, n, k / n, *clopper_pearson(k, n))


def label_agreement(
    train_x: np.ndarray,
    train_y: np.ndarray,
    held_x: np.ndarray,
    held_y: np.ndarray,
    sample_x: np.ndarray,
    sample_y: np.ndarray,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> LabelAgreement:
    """Fit a classifier on training items and ask it about held-out items and samples; x (N, *), y (N,) integers.

    A support vector machine with a Gaussian kernel (C = 10, gamma = 1 / (entries * variance)) on entries, those of pictures
    averaged down to 16x16 where they are more, of at most 5,000 training items. Raises ReverieError where there are fewer
    than two classes or lengths differ.
    """
    for name, x, y in (("training", train_x, train_y), ("held-out", held_x, held_y), ("sample", sample_x, sample_y)):
        if len(x) != len(y) or not len(x):
            raise ReverieError(
                f"There are {len(x)} {name} items and {len(y)} {name} labels; each item needs one label."
            )
    if len(np.unique(train_y)) < 2:
        raise ReverieError(f"All training labels are {train_y[0]}: label agreement needs two classes or more.")
    chosen = np.random.default_rng(seed).permutation(len(train_x))[:MOST]
    classifier = SVC(C=10.0, gamma="scale").fit(_pixels(train_x[chosen]), train_y[chosen])
    held = classifier.predict(_pixels(held_x)) == held_y
    made = classifier.predict(_pixels(sample_x)) == sample_y

    asked = np.unique(sample_y)
    names = {c: classes[c] if classes is not None else str(c) for c in asked.tolist()}
    accuracy = {c: held[held_y == c].mean() if np.any(held_y == c) else held.mean() for c in asked.tolist()}
    alike = float(np.mean([accuracy[c] for c in sample_y.tolist()]))
    return LabelAgreement(
        samples=share(made),
        held_out=share(held),
        held_out_alike=alike,
        gap=alike - float(made.mean()),
        by_class={names[c]: share(made[sample_y == c]) for c in asked.tolist()},
        trained_on=len(chosen),
    )


def _pixels(x: np.ndarray) -> np.ndarray:
    """Pictures (N, C, H, W) -> (N, C * h * w), h, w <= 16; all else (N, *) -> (N, D) as it is."""
    if x.ndim != 4:
        return x.reshape(len(x), -1)
    size = (min(SIDE, x.shape[2]), min(SIDE, x.shape[3]))
    return F.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(x)), size).numpy().reshape(len(x), -1)
