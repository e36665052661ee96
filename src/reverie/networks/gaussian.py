"""What a Gaussian of the data's own mean and covariance would say: what a network of series need not learn, and starts from."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

_TOGETHER = 384  # entries, up to which all channels are one Gaussian
_LEAST = 1e-4  # of the mean variance, added to each entry's: no entry is the sum of others to the last digit
_SURE = 1e-6  # variance of the noise of entries that are told


class Law(NamedTuple):
    """N windows' law: covariance (N, G, D, D) of G independent groups, of channels turned by `turn` (N, C, C) if any."""

    covariance: Tensor
    turn: Tensor | None


class _Given(NamedTuple):
    """What remains of windows given what is told: mean (B, G, D), axes (M, G, D, D), variances along them (M, G, D).

    M = B, or 1 where the same entries are told of all; turn (M, C, C) as in `Law`.
    """

    mean: Tensor
    axes: Tensor
    spread: Tensor
    turn: Tensor | None


class GaussianPosterior(nn.Module):
    """Mean and standard deviation of each entry, were windows N(m, S), given entries with noise n^2 and others that are told.

    E = m + S (S + R)^-1 (y - m), Var_i = r_i (1 - r_i ((S + R)^-1)_ii), R = diag(r): r_i = n^2 where y_i = x_i + n eps_i is
    seen, and next to nothing where the entry itself is told. No other linear function of y has a smaller squared error,
    whatever the law. Up to 384 entries S is the covariance of all of them. Beyond, with `principal`, it is
    sum_k v_k v_k^T (x) T_k: v_k are the principal axes of the channels, and each component v_k^T x has the covariance T_k of
    its own over time. Turned into them noise stays what it is, so that S falls apart into C groups, if all channels of a step
    are told or none; where they are not, and without `principal`, S has only each channel's own covariance over time.
    mean: (G, D), covariance: (G, D, D) of training windows, G = 1 group of all entries or C of one channel each.
    Source: Anderson 1958 (Introduction to Multivariate Statistical Analysis), section 2.5 and, for principal components, 11.2;
    the covariances shrunk as in Ledoit & Wolf 2004.
    """

    mean: Tensor
    covariance: Tensor
    axes: Tensor
    along: Tensor

    def __init__(self, channels: int, steps: int, principal: bool = False) -> None:
        super().__init__()
        self.groups = 1 if channels * steps <= _TOGETHER else channels
        size = channels * steps // self.groups
        self.register_buffer("mean", torch.zeros(self.groups, size))
        self.register_buffer("covariance", torch.eye(size).expand(self.groups, size, size).clone())
        self.principal = principal
        if principal:
            self.register_buffer("axes", torch.eye(channels))  # v_k are its columns
            self.register_buffer("along", self.covariance.clone())
        self._kept: tuple[Tensor | None, _Given] | None = None

    @staticmethod
    def gains(channels: int, steps: int) -> bool:
        """Whether windows have channels that only `principal` knows together."""
        return channels > 1 and channels * steps > _TOGETHER

    def fit(self, x: Tensor) -> None:
        """Take the moments of windows (N, C, L)."""
        rows = x.double().reshape(len(x), self.groups, -1)
        self.mean.copy_(rows.mean(0))
        self.covariance.copy_(_covariances(rows))
        if self.principal:
            rows = rows - rows.mean(0)
            axes = torch.linalg.eigh(torch.einsum("nct,ndt->cd", rows, rows))[1]
            self.axes.copy_(axes)
            self.along.copy_(_covariances(axes.T @ rows))
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
        seen, n = y.reshape(len(y), self.groups, -1), n[:, None, None]
        if self.training:
            value = torch.full_like(seen, torch.nan) if told is None else told.view(seen.shape).to(y) - self.mean
            mean, variance = self._at_once(seen, n, value)
        else:
            mean, variance = self._in_axes(seen, n, told)
        return mean.view(y.shape), variance.clamp(min=0).sqrt().view(y.shape)

    def law(self, known: Tensor) -> Law:
        """The law of windows of which `known` (N, G, D) is told."""
        if not self.principal:
            return Law(self.covariance[None], None)
        whole = (known == known[:, :1]).flatten(1).all(1)[:, None, None]
        eye = torch.eye(self.groups, dtype=self.axes.dtype, device=self.axes.device)
        return Law(torch.where(whole[..., None], self.along, self.covariance), torch.where(whole, self.axes, eye))

    def _at_once(self, y: Tensor, n: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """By one factor of S + R, (B, G, D): the quicker way where it is asked once."""
        known = ~value.isnan()
        covariance, turn = self.law(known)
        seen, r = _into(turn, torch.where(known, value, y)), torch.where(known, _SURE, n.square())
        factor = torch.linalg.cholesky(covariance + torch.diag_embed(r))
        eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device).expand(factor.shape)
        inverse = torch.linalg.solve_triangular(factor, eye, upper=False)  # (S + R)^-1 = inverse^T inverse
        weights = inverse.mT @ (inverse @ seen[..., None])
        mean = _out(turn, (covariance @ weights)[..., 0])
        variance = (r * (1 - r * inverse.square().sum(-2))).clamp(min=0)
        variance = _out(turn, variance.minimum(covariance.diagonal(dim1=-2, dim2=-1)), square=True)
        return torch.where(known, value, mean), torch.where(known, 0, variance)

    def _in_axes(self, y: Tensor, n: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor]:
        """By the axes V of the covariance given what is told, V diag(l) V^T: g + V (l / (l + n^2)) V^T (y - g), for any n."""
        if self._kept is None or self._kept[0] is not told:
            self._kept = (told, self._given(told))
        g, axes, spread, turn = self._kept[1]
        share = spread / (spread + n.square())
        across = _times(_into(turn, y) - g, axes)
        mean = g + _times(share * across, axes.mT)
        variance = _times(share * n.square(), axes.square().mT)
        return _out(turn, mean), _out(turn, variance, square=True)

    def _given(self, told: Tensor | None) -> _Given:
        """What is left of the law given what is told; what depends on its place alone is worked out once for each pattern."""
        if told is None:
            covariance, turn = self.law(torch.zeros_like(self.mean, dtype=torch.bool)[None])
            return _Given(torch.zeros_like(self.mean)[None], *_axes(covariance), turn)
        value = told.view(len(told), *self.mean.shape).to(self.mean) - self.mean
        masks, which = torch.unique(~value.isnan(), dim=0, return_inverse=True)
        covariance, turn = self.law(masks)
        here = masks[..., None]
        eye = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)
        factor = torch.linalg.cholesky(torch.where(here & here.mT, covariance, eye))
        half = torch.linalg.solve_triangular(factor, torch.where(here, covariance, 0), upper=False)
        pull = torch.linalg.solve_triangular(
            factor.mT, half, upper=True
        )  # S_kk^-1 S_k., of which rows that are not told are 0
        left = torch.where(here | here.mT, 0, covariance - half.mT @ half)
        axes, spread = _axes(left)
        if len(masks) > 1:
            pull, axes, spread = pull[which], axes[which], spread[which]
            turn = None if turn is None else turn[which]
        value = _into(turn, value.nan_to_num(0))
        g = torch.where(masks[which], value, _times(value, pull))
        return _Given(g, axes, spread, turn)


def _covariances(rows: Tensor) -> Tensor:
    """Covariances (G, D, D) of rows (N, G, D), shrunk, and no entry the sum of others."""
    from sklearn.covariance import ledoit_wolf

    found = torch.stack([torch.from_numpy(ledoit_wolf(group.numpy())[0]) for group in rows.transpose(0, 1)])
    least = _LEAST * found.diagonal(dim1=-2, dim2=-1).mean(-1)
    return found + least[:, None, None] * torch.eye(found.shape[-1], dtype=found.dtype)


def _axes(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Axes and variances along them, in float64: in float32 it fails where most is told, and all but a few are 0."""
    spread, axes = torch.linalg.eigh(covariance.double())
    return axes.to(covariance), spread.clamp(min=0).to(covariance)


def _times(x: Tensor, by: Tensor) -> Tensor:
    """(B, G, D) times each group's own (M, G, D, D), M = B or 1, without a copy for each window."""
    return (x.transpose(0, 1) @ by[0]).transpose(0, 1) if len(by) == 1 else (x[..., None, :] @ by)[..., 0, :]


def _into(turn: Tensor | None, x: Tensor) -> Tensor:
    """Channels (B, C, L) -> components along `turn`."""
    return x if turn is None else turn.mT @ x


def _out(turn: Tensor | None, z: Tensor, square: bool = False) -> Tensor:
    """Components (B, C, L) -> channels; variances of independent ones with `square`."""
    return z if turn is None else (turn.square() if square else turn) @ z
