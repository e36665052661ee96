"""Classifier two-sample test: can a classifier that has seen some of both sets tell the rest of them apart?

The classifier is kernel ridge regression on labels +1 (real) and -1 (generated), which has two properties that others lack:
the predictions of a cross-validation follow from one inverse, G = (K + ridge I)^-1, without a fit for each fold,

    f_F = y_F - (G_FF)^-1 (G y)_F     for the items F of a fold, fitted on all others,

and they are linear in the labels, so that a permutation test costs a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Test
from reverie.metrics.distances import squared
from reverie.metrics.gaussian_mmd import median_distance


@dataclass(frozen=True)
class ClassifierTest(Test):
    """Cross-validated accuracy of a classifier that tells generated from real: 0.5 where it cannot, 1 where it always can.

    Kernel ridge regression on labels +-1, Gaussian kernel of the median distance in both sets, over `folds` folds with equal
    shares of both sets. p: the share of `permutations` relabellings within folds (and the labels as they are) whose accuracy
    is as high; exact at every n where the laws are one. most: of each set, at most so many items are looked at, the first.

    Source: Lopez-Paz & Oquab 2017 (Revisiting Classifier Two-Sample Tests); the permutation test, Kim et al. 2021
    (Classification accuracy as a proxy for two-sample testing).
    """

    name = "classifier"
    title: ClassVar[str] = "Classifier accuracy"
    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    half_samples: ClassVar[int] = 50
    folds: int = 5
    ridge: float = 1.0
    permutations: int = 999
    most: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2 or self.permutations < 1 or self.most < self.folds or not self.ridge > 0:
            raise ValueError("folds must be 2 or more, most at least folds, permutations 1 or more, ridge above 0")

    @property
    def least(self) -> int:
        """Each fold needs one of both."""
        return self.folds

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> the accuracy, the mean of the two sets', in [0, 1]."""
        labels, fold, inverse = self._fit(real, generated)
        return float(self._accuracy(labels[:, None], fold, inverse)[0])

    def p_value(self, real: np.ndarray, generated: np.ndarray) -> float:
        """Probability of an accuracy as high, were the two sets of one law; from 1 / (permutations + 1) to 1."""
        labels, fold, inverse = self._fit(real, generated)
        rng = np.random.default_rng(self.seed)
        drawn = np.empty((len(labels), self.permutations + 1))
        drawn[:, 0] = labels
        for k in range(self.folds):  # within folds, so that every fold keeps its shares
            mine = np.repeat(labels[fold == k][:, None], self.permutations, axis=1)
            drawn[fold == k, 1:] = rng.permuted(mine, axis=0)
        found = self._accuracy(drawn, fold, inverse)
        return float(np.mean(found >= found[0] - 1e-12))

    def _fit(self, real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels (N,), the number of each item's fold (N,), and (K + ridge I)^-1."""
        sides = real[: self.most], generated[: self.most]
        rng = np.random.default_rng(self.seed)
        labels = np.concatenate([np.full(len(side), sign) for side, sign in zip(sides, (1.0, -1.0), strict=True)])
        fold = np.concatenate([rng.permutation(len(side)) % self.folds for side in sides])
        x = np.concatenate(sides)
        # the order of the two sets decides nothing here, so that relabelling is fair
        kernel = np.concatenate([d2 for _, d2 in squared(x, x)]) / (-2 * median_distance(x) ** 2)
        np.exp(kernel, out=kernel)
        kernel.flat[:: len(x) + 1] += self.ridge
        return labels, fold, np.linalg.inv(kernel)

    def _accuracy(self, labels: np.ndarray, fold: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        """Accuracy for each column of labels (N, P) -> (P,): the mean over the two labels of the share that is right."""
        pulled = inverse @ labels
        right = np.empty_like(labels)
        for k in range(self.folds):
            mine = np.flatnonzero(fold == k)
            said = labels[mine] - np.linalg.solve(inverse[np.ix_(mine, mine)], pulled[mine])
            right[mine] = np.sign(said) * labels[mine] > 0
        real = labels > 0
        return ((right * real).sum(0) / real.sum(0) + (right * ~real).sum(0) / (~real).sum(0)) / 2
