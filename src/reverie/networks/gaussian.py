"""What a Gaussian of the data's own mean and covariance would say: what a network of series need not learn, and starts from."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from reverie.networks.scales import held_out_lengths, mixture

SCALES = 4  # from calm windows to wild ones
_FEWEST = 32  # windows, for fewer than which there is one scale
_LEVELS = (0.3, 1.0, 3.0)  # of noise, in units of the windows' own spread, by which it is judged whether scales help
_TOGETHER = 384  # entries, up to which all channels are one Gaussian
_LEAST = 1e-4  # of the mean variance, added to each entry's: no entry is the sum of others to the last digit
_SURE = 1e-6  # variance of the noise of entries that are told


class Law(NamedTuple):
    """N windows' law: covariance (N, G, D, D) of G independent groups, of channels turned by `turn` (N, C, C) if any."""

    covariance: Tensor
    turn: Tensor | None


class _Given(NamedTuple):
    """What remains of windows given what is told: mean (B, G, D), axes (M, G, D, D), variances along them (M, G, D).

    M = B, or 1 where the same entries are told of all; turn (M, C, C) as in `Law`; log_shares (B or 1, K) of the scales.
    """

    mean: Tensor
    axes: Tensor
    spread: Tensor
    turn: Tensor | None
    log_shares: Tensor


class GaussianPosterior(nn.Module):
    """Mean and standard deviation of each entry, were windows N(m, w S), given entries with noise n^2 and others that are told.

    Windows are calm or wild: w is w_k with probability p_k, k = 1..scales, measured in `fit` (one scale: w = 1). With
    R = diag(r), r_i = n^2 where y_i = x_i + n eps_i is seen, and next to nothing where the entry itself is told,

        E = sum_k q_k E_k,  E_k = m + w_k S (w_k S + R)^-1 (y - m),  q_k ~ p_k N(y; m, w_k S + R),

    and the deviation is that of the mean scale w = sum_k q_k w_k: Var_i = r_i (1 - r_i ((w S + R)^-1)_ii). Up to 384 entries S
    is the covariance of all of them. Beyond, with `principal`, it is sum_k v_k v_k^T (x) T_k: v_k are the principal axes of the
    channels, and each component v_k^T x has the covariance T_k of its own over time. Turned into them noise stays what it is,
    so that S falls apart into C groups, if all channels of a step are told or none; where they are not, and without
    `principal`, S has only each channel's own covariance over time.
    mean: (G, D), covariance: (G, D, D) of training windows, G = 1 group of all entries or C of one channel each.
    Source: Anderson 1958 (Introduction to Multivariate Statistical Analysis), section 2.5 and, for principal components, 11.2;
    the covariances shrunk as in Ledoit & Wolf 2004; the mixture of scales: Andrews & Mallows 1974.
    """

    mean: Tensor
    covariance: Tensor
    axes: Tensor
    along: Tensor
    scales: Tensor
    shares: Tensor

    def __init__(self, channels: int, steps: int, principal: bool = False, scales: int = 1) -> None:
        super().__init__()
        self.groups = 1 if channels * steps <= _TOGETHER else channels
        size = channels * steps // self.groups
        self.register_buffer("mean", torch.zeros(self.groups, size))
        self.register_buffer("covariance", torch.eye(size).expand(self.groups, size, size).clone())
        self.principal = principal
        if principal:
            self.register_buffer("axes", torch.eye(channels))  # v_k are its columns
            self.register_buffer("along", self.covariance.clone())
        self.register_buffer("scales", torch.ones(scales), persistent=scales > 1)
        self.register_buffer("shares", torch.eye(scales)[0], persistent=scales > 1)
        self._live = scales  # of them the first so many may have shares: known without a look at what lies in memory
        self._kept: tuple[Tensor | None, _Given] | None = None

    @staticmethod
    def gains(channels: int, steps: int) -> bool:
        """Whether windows have channels that only `principal` knows together."""
        return channels > 1 and channels * steps > _TOGETHER

    def fit(self, x: Tensor) -> None:
        """Take the moments of windows (N, C, L), in their order, and how calm and how wild they are where that helps.

        It helps where, measured on the first three quarters of them, it takes noise off the last quarter better: where what a
        window does here says how widely it swings there.
        """
        self._take(x)
        if len(self.scales) == 1 or len(x) < _FEWEST:
            return
        past, rest = x[: 3 * len(x) // 4], x[3 * len(x) // 4 :]
        self._take(past)
        single = self._error(rest)
        self._measure(past)
        helps = self._error(rest) < single
        self._take(x)
        if helps:
            self._measure(x)

    def _take(self, x: Tensor) -> None:
        """Moments of windows (N, C, L), of one scale."""
        rows = x.double().reshape(len(x), self.groups, -1)
        self.mean.copy_(rows.mean(0))
        self.covariance.copy_(_covariances(rows))
        if self.principal:
            rows = rows - rows.mean(0)
            axes = torch.linalg.eigh(torch.einsum("nct,ndt->cd", rows, rows))[1]
            self.axes.copy_(axes)
            self.along.copy_(_covariances(axes.T @ rows))
        self.scales.fill_(1)
        self.shares.copy_(torch.eye(len(self.shares))[0])
        self._live, self._kept = 1, None

    def _measure(self, x: Tensor) -> None:
        """The scales of windows (N, C, L), whose moments it has."""
        rows = x.double().reshape(len(x), self.groups, -1) - self.mean
        rows = self.axes.double().T @ rows if self.principal else rows
        found = mixture(held_out_lengths(rows, _covariances), rows[0].numel(), len(self.scales))
        self.scales.copy_(found.scales)
        self.shares.copy_(found.shares)
        self._live, self._kept = len(self.scales), None

    def _error(self, x: Tensor) -> float:
        """Mean log squared error of taking noise off windows (N, C, L), with nothing and with the first half told."""
        was, noise = self.training, torch.Generator().manual_seed(0)
        self.eval()
        x = x.to(self.mean) - self.mean.view(x.shape[1:])
        half = torch.where(
            torch.arange(x.shape[2]) < x.shape[2] // 2, x + self.mean.view(x.shape[1:]), torch.nan
        ).flatten(1)
        found = []
        for told in (None, half):
            for level in _LEVELS:
                n = level * x.square().mean().sqrt().expand(len(x))
                y = x + n[:, None, None] * torch.randn(x.shape, generator=noise).to(x)
                found.append((self(y, n, told)[0] - x).square().mean().log())
        self.train(was)
        return float(torch.stack(found).mean())

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
        """By a factor of w S + R, (B, G, D), of each scale: the quicker way where it is asked once."""
        known = ~value.isnan()
        covariance, turn = self.law(known)
        seen, r = _into(turn, torch.where(known, value, y)), torch.where(known, _SURE, n.square())
        noise = torch.diag_embed(r)
        means, logs = [], []
        for w in self.scales[: self._live]:
            factor = torch.linalg.cholesky(w * covariance + noise)
            white = torch.linalg.solve_triangular(factor, seen[..., None], upper=False)
            means.append(w * (covariance @ torch.linalg.solve_triangular(factor.mT, white, upper=True))[..., 0])
            logs.append(-white.square().sum((1, 2, 3)) / 2 - factor.diagonal(dim1=-2, dim2=-1).log().sum((1, 2)))
        share = (torch.stack(logs, 1) + self.shares[: self._live].log()).softmax(1)
        mean = _out(turn, torch.einsum("bk,kbgd->bgd", share, torch.stack(means)))
        if len(means) > 1:  # the factor of one is there
            covariance = (share @ self.scales[: self._live])[:, None, None, None] * covariance
            factor = torch.linalg.cholesky(covariance + noise)
        eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device).expand(factor.shape)
        inverse = torch.linalg.solve_triangular(factor, eye, upper=False)  # (w S + R)^-1 = inverse^T inverse
        variance = (r * (1 - r * inverse.square().sum(-2))).clamp(min=0)
        variance = _out(turn, variance.minimum(covariance.diagonal(dim1=-2, dim2=-1)), square=True)
        return torch.where(known, value, mean), torch.where(known, 0, variance)

    def _in_axes(self, y: Tensor, n: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor]:
        """By the axes V of the covariance given what is told, V diag(l) V^T: g + V (w l / (w l + n^2)) V^T (y - g), for any n."""
        if self._kept is None or self._kept[0] is not told:
            self._kept = (told, self._given(told))
        g, axes, spread, turn, log_shares = self._kept[1]
        across = _times(_into(turn, y) - g, axes)
        noise = n.square()
        total = self.scales[:, None, None, None] * spread  # (K, M, G, D)
        logs = -(across.square() / (total + noise) + (total + noise).log()).sum((2, 3)).T / 2
        share = (log_shares + logs).softmax(1)
        mean = g + _times(torch.einsum("bk,kbgd->bgd", share, total / (total + noise)) * across, axes.mT)
        spread = (share @ self.scales)[:, None, None] * spread
        variance = _times(spread / (spread + noise) * noise, axes.square().mT)
        return _out(turn, mean), _out(turn, variance, square=True)

    def _given(self, told: Tensor | None) -> _Given:
        """What is left of the law given what is told; what depends on its place alone is worked out once for each pattern."""
        if told is None:
            covariance, turn = self.law(torch.zeros_like(self.mean, dtype=torch.bool)[None])
            return _Given(torch.zeros_like(self.mean)[None], *_axes(covariance), turn, self.shares.log()[None])
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
            factor, pull, axes, spread = factor[which], pull[which], axes[which], spread[which]
            turn = None if turn is None else turn[which]
        value = _into(turn, value.nan_to_num(0))
        g = torch.where(masks[which], value, _times(value, pull))
        lengths = torch.linalg.solve_triangular(factor, value[..., None], upper=False).square().sum((1, 2))  # (B, 1)
        told_entries = masks[which].sum((1, 2))[:, None]
        log_shares = self.shares.log() - (lengths / self.scales + told_entries * self.scales.log()) / 2
        return _Given(g, axes, spread, turn, log_shares)


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
