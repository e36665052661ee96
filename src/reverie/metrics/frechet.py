"""Frechet distance: two sets of features compared as if each were a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Metric


@dataclass(frozen=True)
class Frechet(Metric):
    """Squared 2-Wasserstein distance between the Gaussians that have the two sets' means and covariances.

    |m_r - m_g|^2 + tr(C_r + C_g - 2 (C_r C_g)^(1/2)), with unbiased covariances. In the squared units of the
    features. Biased upwards at finite n (by about 1 / n, more for more features), so only scores at the same n compare.

    Source: Dowson & Landau 1982; as a score of generators, Heusel et al. 2017, eq. 6.
    """

    title: ClassVar[str] = "Frechet distance"
    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    @property
    def least(self) -> int:
        """Two vectors are the fewest that have a covariance."""
        return 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> the distance; D may exceed N."""
        return between(real.mean(axis=0), factor(real), generated.mean(axis=0), factor(generated))


def factor(x: np.ndarray) -> np.ndarray:
    """Return R (min(N, D), D) with R^T R = the unbiased covariance of x (N, D), by QR: no square is ever formed."""
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    return np.linalg.qr(centred, mode="r") / np.sqrt(len(x) - 1)


def between(mean_a: np.ndarray, factor_a: np.ndarray, mean_b: np.ndarray, factor_b: np.ndarray) -> float:
    """Distance between two Gaussians given by mean (D,) and any factor F (*, D) of the covariance F^T F.

    The eigenvalues of C_a C_b = F_a^T F_a F_b^T F_b are the squared singular values of F_a F_b^T, so the trace of the
    square root is their plain sum (the nuclear norm): exact for singular covariances, and no root of a rounded zero.
    """
    cross = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    distance = np.sum((mean_a - mean_b) ** 2) + np.sum(factor_a**2) + np.sum(factor_b**2) - 2 * cross
    return max(0.0, float(distance))
