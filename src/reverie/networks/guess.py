"""The best linear guess of entries that are hidden, from those that are told: what a network of series need not learn itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_TOGETHER = 256  # entries, up to which all channels are one Gaussian; beyond, each channel is one of its own
_LEAST = 1e-3  # of the mean variance, added to each entry's: no entry is the sum of others to the last digit


class LinearGuess(nn.Module):
    """E and standard deviation of hidden entries given the told ones, were windows (C, L) Gaussian: m_h + S_hk S_kk^-1 (x_k - m_k).

    No other linear function of the told entries has a smaller squared error, whatever the law. mean: (G, D), covariance:
    (G, D, D) of training windows, in G = 1 group of all entries, or G = C where these are more than 256.
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

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """value: (B, C, L), NaN where nothing is told -> guess and its standard deviation, (B, C, L); the latter 0 where told."""
        x = value.reshape(len(value), self.groups, -1)
        known = ~x.isnan()
        told = torch.where(known, x - self.mean, 0)[..., None]
        both = known[..., None] & known[..., None, :]
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        factor = torch.linalg.cholesky(
            torch.where(both, self.covariance, eye)
        )  # hidden entries stand apart, and weigh nothing
        across = torch.where(known[..., None], self.covariance, 0)  # S_k., (B, G, D, D)
        half = torch.linalg.solve_triangular(factor, torch.cat([across, told], -1), upper=False)
        gain, rest = half[..., :-1], half[..., -1:]
        guess = self.mean + (gain.mT @ rest)[..., 0]
        variance = self.covariance.diagonal(dim1=-2, dim2=-1) - gain.square().sum(-2)
        guess = torch.where(known, x, guess)
        deviation = torch.where(known, 0, variance.clamp(min=0).sqrt())
        return guess.view(value.shape), deviation.view(value.shape)
