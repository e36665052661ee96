"""How calm and how wild windows are: the scales of a mixture of Gaussians of one shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_FOLDS = 4  # of windows in their order, each measured by the covariance of the others: they overlap
_STEPS = 200  # of EM: where windows are small their lengths say little, and it is slow


class Mixture(NamedTuple):
    """Scales w_k and their shares p_k, (K,) each."""

    scales: Tensor
    shares: Tensor


def held_out_lengths(rows: Tensor, covariances: Callable[[Tensor], Tensor]) -> Tensor:
    """x^T S^-1 x of windows (N, G, D), S = covariances(those that lie elsewhere), (G, D, D) -> (N,)."""
    found = []
    for fold in torch.arange(len(rows)).tensor_split(_FOLDS):
        others = torch.cat([rows[: fold[0]], rows[fold[-1] + 1 :]])
        factor = torch.linalg.cholesky(covariances(others))
        whitened = torch.linalg.solve_triangular(factor, rows[fold].permute(1, 2, 0), upper=False)
        found.append(whitened.square().sum((0, 1)))
    return torch.cat(found)


def mixture(lengths: Tensor, entries: int, count: int) -> Mixture:
    """The most likely `count` scales and shares for windows of so many entries, N(0, w S), by EM from x^T S^-1 x of each (N,).

    Source: Andrews & Mallows 1974; Dempster, Laird & Rubin 1977.
    """
    ratios = lengths / entries
    scales = ratios.quantile((torch.arange(count, dtype=lengths.dtype) + 0.5) / count)
    shares = torch.full_like(scales, 1 / count)
    for _ in range(_STEPS):
        q = (shares.log() - entries * (ratios[:, None] / scales + scales.log()) / 2).softmax(1)
        shares = q.mean(0)
        scales = ratios @ q / q.sum(0).clamp(min=1e-9)
    return Mixture(scales, shares)
