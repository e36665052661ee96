"""The parts of a U-Net in one, two or three dimensions: residual block, self-attention, and changes of resolution."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def conv(dims: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    """A convolution in 1, 2 or 3 dimensions that keeps the size (divided by `stride`) for an odd kernel."""
    return _CONV[dims](inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def silent(module: nn.Module) -> nn.Module:
    """Set a layer's weights to zero, so that what it ends says nothing at the start of training."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def groups_of(channels: int) -> int:
    """How many groups GroupNorm makes: at most 32, of at least 8 channels, so that one pixel still has a variance."""
    return math.gcd(32, channels // 8) if channels % 8 == 0 else 1


class LevelFeatures(nn.Module):
    """Fourier features of the noise level: cos(w_k level), sin(w_k level), w_k geometric from 1/2 to 32.

    level: (B,) of order one -> (B, width). For level = -log_snr / 8 the slowest feature does not repeat over the
    whole range |log_snr| <= 20 and the fastest tells 0.1 in log_snr apart.
    Source: Tancik et al. 2020, section 6.1; Ho et al. 2020, appendix B, with these frequencies.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, level: Tensor) -> Tensor:
        """(B,) -> (B, width)."""
        w = 0.5 * 64 ** torch.linspace(0, 1, self.width // 2, dtype=level.dtype, device=level.device)
        angle = level[:, None] * w
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class AdaptiveGroupNorm(nn.Module):
    """GroupNorm whose scale and shift are given per sample: h = scale * (x - mean) / std + shift.

    Source: Dhariwal & Nichol 2021, section 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.groups = groups_of(channels)

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """x: (B, C, *), scale and shift: (B, C) -> (B, C, *)."""
        h = F.group_norm(x, self.groups, eps=1e-5)
        scale, shift = (told.view(*told.shape, *[1] * (x.ndim - 2)) for told in (scale, shift))
        return torch.addcmul(shift, h, scale)


class Residual(nn.Module):
    """x + conv(silu(adapt(conv(silu(norm(x)))))), the level and labels telling scale and shift of the second norm.

    Source: Ho et al. 2020, appendix B; scale and shift from Dhariwal & Nichol 2021, section 3.
    """

    def __init__(self, dims: int, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups_of(inputs), inputs)
        self.conv1 = conv(dims, inputs, outputs, 3)
        self.norm2 = AdaptiveGroupNorm(outputs)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = conv(dims, outputs, outputs, 3)
        self.skip = nn.Identity() if inputs == outputs else conv(dims, inputs, outputs, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """x: (B, inputs, *), told: (B, 2 outputs) -> (B, outputs, *)."""
        scale, shift = told.chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu(self.norm2(h, 1 + scale, shift))))
        return self.skip(x) + h


class Attention(nn.Module):
    """x + W softmax(q k^T / sqrt(d)) v over all positions, in heads of d = head_dim dimensions.

    Heads of 8 dimensions were measured to cost a quarter of a training step, heads of 32 or more nothing.
    Source: Vaswani et al. 2017, eq. 1; in a U-Net, Ho et al. 2020, appendix B.
    """

    def __init__(self, channels: int, head_dim: int) -> None:
        super().__init__()
        self.heads = max(channels // head_dim, 1)
        self.norm = nn.GroupNorm(groups_of(channels), channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *) -> (B, C, *)."""
        rows = self.norm(x).flatten(2).transpose(1, 2)  # (B, N, C)
        q, k, v = self.qkv(rows).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.out(h).transpose(1, 2).view(x.shape)


class Down(nn.Module):
    """Half the resolution: a convolution of stride 2."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = conv(dims, channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *) -> (B, C, * / 2)."""
        return self.conv(x)


class Up(nn.Module):
    """Twice the resolution: each entry repeated, then a convolution."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = conv(dims, channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *) -> (B, C, 2 *)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def padded(x: Tensor, multiple: int) -> Tensor:
    """Mirror x (B, C, *) at its far ends until every side is a multiple; a side of 1 is repeated."""
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        if n % multiple:
            period = max(2 * (n - 1), 1)
            at = torch.arange(-(-n // multiple) * multiple, device=x.device) % period
            x = x.index_select(axis, torch.minimum(at, period - at))
    return x
