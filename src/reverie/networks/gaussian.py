"""What a Gaussian of the data's own mean and covariance would say: what a network of series need not learn, and starts from."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

_TOGETHER = 384  # entries, up to which all channels are one Gaussian; beyond, each channel is one of its own
_LEAST = 1e-4  # of the mean variance, added to each entry's: no entry is the sum of others to the last digit
_SURE = 1e-6  # variance of the noise of entries that are told
_UNSEEN = 1e3  # noise of what is not seen at all


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
        self._kept: tuple[Tensor | None, Tensor, Tensor, Tensor] | None = None

    def fit(self, x: Tensor) -> None:
        """Take the moments of windows (N, C, L)."""
        from sklearn.covariance import ledoit_wolf

        rows = x.double().reshape(len(x), self.groups, -1).transpose(0, 1)
        for k, group in enumerate(rows):
            found = torch.from_numpy(ledoit_wolf(group.numpy())[0])
            found += _LEAST * found.diagonal().mean() * torch.eye(len(found), dtype=found.dtype)
            self.mean[k], self.covariance[k] = group.mean(0).float(), found.float()
        self._kept = None

    def train(self, mode: bool = True) -> Self:
        """Forget what was kept: weights, and so moments, may have changed."""
        self._kept = None
        return super().train(mode)

    def forward(self, y: Tensor, n: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor]:
        """y: (B, C, L) less the data's mean, n: (B,), told: (B, *), NaN for nothing -> mean, less the data's, and deviation.

        Both (B, C, L); the deviation is 0 where an entry is told. Outside of training what does not change from step to step of a
        walk, on which the same object is told, is computed once.
        """
        seen = y.reshape(len(y), self.groups, -1)
        if self.training:
            value = torch.full_like(seen, torch.nan) if told is None else told.view(seen.shape).to(y) - self.mean
            mean, deviation = self._at_once(seen, n[:, None, None], value)
        else:
            mean, deviation = self._in_axes(seen, n[:, None, None], told)
        return mean.view(y.shape), deviation.view(y.shape)

    def _at_once(self, y: Tensor, n: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """By one factor of S + R, (B, G, D): the quicker way where it is asked once."""
        known = ~value.isnan()
        seen, r = torch.where(known, value, y), torch.where(known, _SURE, n.square())
        factor = torch.linalg.cholesky(self.covariance + torch.diag_embed(r))
        eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device).expand(factor.shape)
        inverse = torch.linalg.solve_triangular(factor, eye, upper=False)  # (S + R)^-1 = inverse^T inverse
        weights = inverse.mT @ (inverse @ seen[..., None])
        mean = torch.where(known, value, (self.covariance @ weights)[..., 0])
        variance = r * (1 - r * inverse.square().sum(-2))
        most = self.covariance.diagonal(dim1=-2, dim2=-1)
        return mean, torch.where(known, 0, variance.clamp(min=0).minimum(most).sqrt())

    def _in_axes(self, y: Tensor, n: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor]:
        """By the axes V of the covariance given what is told, V diag(l) V^T: g + V (l / (l + n^2)) V^T (y - g), for any n."""
        if self._kept is None or self._kept[0] is not told:
            self._kept = (told, *self._given(told))
        _, g, axes, spread = self._kept
        share = spread / (spread + n.square())
        across = ((y - g)[..., None, :] @ axes)[..., 0, :]
        mean = g + (axes @ (share * across)[..., None])[..., 0]
        variance = (axes.square() @ (share * n.square())[..., None])[..., 0]
        return mean, variance.clamp(min=0).sqrt()

    def _given(self, told: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (B, G, D), axes (B, G, D, D) and variances along them (B, G, D) given what is told; B = 1 where nothing is."""
        if told is None:
            spread, axes = torch.linalg.eigh(self.covariance[None].double())
            return torch.zeros_like(self.mean)[None], axes.to(self.mean), spread.clamp(min=0).to(self.mean)
        value = told.view(len(told), *self.mean.shape).to(self.mean) - self.mean
        known = ~value.isnan()
        far = torch.full_like(known, _UNSEEN, dtype=value.dtype)
        g, _ = self._at_once(torch.zeros_like(value), far, value)
        both = known[..., None] & known[..., None, :]
        eye = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)
        factor = torch.linalg.cholesky(torch.where(both, self.covariance, eye))
        half = torch.linalg.solve_triangular(factor, torch.where(known[..., None], self.covariance, 0), upper=False)
        left = torch.where(known[..., None] | known[..., None, :], 0, self.covariance - half.mT @ half)
        spread, axes = torch.linalg.eigh(left.double())  # in float32 it fails where most are told: all but a few are 0
        return torch.where(known, value, g), axes.to(g), spread.clamp(min=0).to(g)
