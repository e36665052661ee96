"""What a Gaussian of the data's own mean and covariance would say: what a network of series need not learn, and starts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_TOGETHER = 384  # entries, up to which all channels are one Gaussian; beyond, each channel is one of its own
_LEAST = 1e-3  # of the mean variance, added to each entry's: no entry is the sum of others to the last digit
_SURE = 1e-6  # variance of the noise of entries that are told


class GaussianPosterior(nn.Module):
    """Mean and standard deviation of each entry, were windows N(m, S), given entries with noise n^2 and others that are told.

    E = m + S (S + R)^-1 (y - m), Var_i = r_i (1 - r_i ((S + R)^-1)_ii), R = diag(r): r_i = n^2 where y_i = x_i + n eps_i is
    seen, and next to nothing where the entry itself is told. No other linear function of y has a smaller squared error,
    whatever the law. mean: (G, D), covariance: (G, D, D) of training windows, in G = 1 group of all entries, or G = C where these
    are more than 384.
    Source: Anderson 1958 (Introduction to Multivariate Statistical Analysis), section 2.5; the covariance shrunk as in Ledoit
    & Wolf 2004.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.groups = 1 if channels * steps <= _TOGETHER else channels
        size = channels * steps // self.groups
        self.register_buffer("mean", torch.zeros(self.groups, size))
        self.register_buffer("covariance", torch.eye(size).expand(self.groups, size, size).clone())

    def fit(self, x: Tensor) -> None:
        """Take the moments of windows (N, C, L)."""
        from sklearn.covariance import ledoit_wolf

        rows = x.double().reshape(len(x), self.groups, -1).transpose(0, 1)
        for k, group in enumerate(rows):
            found = torch.from_numpy(ledoit_wolf(group.numpy())[0])
            found += _LEAST * found.diagonal().mean() * torch.eye(len(found), dtype=found.dtype)
            self.mean[k], self.covariance[k] = group.mean(0).float(), found.float()

    def forward(self, y: Tensor, n: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """y: (B, C, L) less the data's mean, n: (B,), told: (B, C, L), NaN for nothing -> mean, less the data's, and deviation.

        Both (B, C, L); the deviation is 0 where an entry is told.
        """
        value = told.reshape(len(y), self.groups, -1) - self.mean
        known = ~value.isnan()
        seen = torch.where(known, value, y.reshape(value.shape))
        r = torch.where(known, _SURE, n.square()[:, None, None])
        factor = torch.linalg.cholesky(self.covariance + torch.diag_embed(r))
        eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device).expand(factor.shape)
        inverse = torch.linalg.solve_triangular(
            factor, eye, upper=False
        )  # of the factor: (S + R)^-1 = inverse^T inverse
        weights = inverse.mT @ (inverse @ seen[..., None])
        mean = torch.where(known, value, (self.covariance @ weights)[..., 0])
        variance = r * (1 - r * inverse.square().sum(-2))
        most = self.covariance.diagonal(dim1=-2, dim2=-1)
        deviation = torch.where(known, 0, variance.clamp(min=0).minimum(most).sqrt())
        return mean.view(y.shape), deviation.view(y.shape)
