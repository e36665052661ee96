"""One U-Net for any number of dimensions: residual blocks, attention where it is affordable, skip connections."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reverie.errors import ReverieError
from reverie.example import Conditions
from reverie.networks.base import Network
from reverie.networks.conditions import Told

CONVS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_SIZES = {"tiny": (24, 1), "small": (48, 1), "base": (96, 2), "large": (192, 2)}  # width, blocks a level
_GROUP = 16  # channels that are normalised together


class UNet(Network):
    """The U-Net of diffusion models, n-dimensional by one `dims`.

    channels: of input and output. dims: 1, 2 or 3 axes of space. width: channels at full resolution; multipliers: of the
    width, one a level, each level half the size of the one above. blocks: residual blocks a level. attention: levels
    (0 = full size) with self-attention; the middle always has it. head_dim: channels a head; heads of 8 cost a quarter of a
    step, heads of 32 or more do not. dropout: inside blocks. conditions: see `Told`.
    Any size works: inputs are padded by their edge to what the levels need, and the output is cut back.
    Source: Ronneberger et al. 2015; Ho et al. 2020, appendix B; Dhariwal & Nichol 2021, section 3 (adaptive scale and shift).
    """

    name = "unet"

    def __init__(
        self,
        channels: int = 3,
        dims: int = 2,
        width: int = 64,
        multipliers: list[int] | tuple[int, ...] = (1, 2, 2),
        blocks: int = 2,
        attention: list[int] | tuple[int, ...] = (1, 2),
        head_dim: int = 32,
        dropout: float = 0.0,
        conditions: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        if dims not in CONVS:
            raise ReverieError(f"A U-Net has 1, 2 or 3 dimensions of space, not {dims}.")
        self.config = {
            "channels": channels, "dims": dims, "width": width, "multipliers": list(multipliers), "blocks": blocks,
            "attention": list(attention), "head_dim": head_dim, "dropout": dropout, "conditions": conditions or {},
        }  # fmt: skip
        emb = 4 * width
        self.multiple = 2 ** (len(multipliers) - 1)
        self.level = Sinusoids(width)
        self.embed = nn.Sequential(nn.Linear(width, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.told = Told(conditions or {}, emb)
        conv = CONVS[dims]

        def stage(c_in: int, c_out: int, attend: bool) -> Stage:
            return Stage(c_in, c_out, emb, dims, head_dim if attend else None, dropout)

        self.first = conv(channels + self.told.channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        skips, c = [width], width
        for k, m in enumerate(multipliers):
            if k > 0:
                self.down.append(Down(c, dims))
                skips.append(c)
            for _ in range(blocks):
                self.down.append(stage(c, width * m, k in attention))
                c = width * m
                skips.append(c)
        self.middle = nn.ModuleList([stage(c, c, True), stage(c, c, False)])
        self.up = nn.ModuleList()
        for k, m in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(stage(c + skips.pop(), width * m, k in attention))
                c = width * m
            if k > 0:
                self.up.append(Up(c, dims))
        self.norm = nn.GroupNorm(groups(c), c)
        self.last = zeroed(conv(c, channels, 3, padding=1))

    @classmethod
    def sized(cls, size: str, shape: tuple[int, ...], conditions: dict[str, dict[str, Any]] | None = None) -> UNet:
        """A U-Net for data (C, *) from one dial, tiny to large: levels halve the data down to 4, attention from 16 down."""
        if size not in _SIZES:
            raise ReverieError(f"There is no size '{size}'; there are {', '.join(_SIZES)}.")
        width, blocks = _SIZES[size]
        side = max(shape[1:])
        levels = max(1, min(4, int(math.log2(max(side, 4) / 4)) + 1))
        attention = [k for k in range(levels) if side / 2**k <= 16 and k > 0]
        return cls(shape[0], len(shape) - 1, width, [1, 2, 2, 2][:levels], blocks, attention, conditions=conditions)

    def forward(self, x: Tensor, level: Tensor, cond: Conditions) -> Tensor:
        """x: (B, C, *), level: (B,) -> (B, C, *)."""
        size = x.shape[2:]
        e = F.silu(self.told.embed(self.embed(self.level(level)), cond))
        h = self.first(padded(self.told.join(x, cond), self.multiple))
        skips = [h]
        for layer in self.down:
            h = layer(h, e)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, e)
        for layer in self.up:
            h = layer(h if isinstance(layer, Up) else torch.cat([h, skips.pop()], 1), e)
        out = self.last(F.silu(self.norm(h)))
        return out[(..., *(slice(0, n) for n in size))]


class Stage(nn.Module):
    """A residual block, and self-attention after it where head_dim is given."""

    def __init__(self, c_in: int, c_out: int, emb: int, dims: int, head_dim: int | None, dropout: float) -> None:
        super().__init__()
        self.block = Block(c_in, c_out, emb, dims, dropout)
        self.attention = Attention(c_out, dims, head_dim) if head_dim else None

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """x: (B, C, *), e: (B, emb)."""
        x = self.block(x, e)
        return x if self.attention is None else self.attention(x)


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))) scaled and shifted by the embedding)); starts as the identity."""

    def __init__(self, c_in: int, c_out: int, emb: int, dims: int, dropout: float) -> None:
        super().__init__()
        conv = CONVS[dims]
        self.norm1, self.conv1 = nn.GroupNorm(groups(c_in), c_in), conv(c_in, c_out, 3, padding=1)
        self.modulate = nn.Linear(emb, 2 * c_out)
        self.norm2, self.conv2 = nn.GroupNorm(groups(c_out), c_out), zeroed(conv(c_out, c_out, 3, padding=1))
        self.dropout = nn.Dropout(dropout)
        self.skip = conv(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """x: (B, C, *), e: (B, emb)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulate(e).view(len(x), -1, *[1] * (x.ndim - 2)).chunk(2, 1)
        h = self.conv2(self.dropout(F.silu(torch.addcmul(shift, self.norm2(h), 1 + scale))))
        return self.skip(x) + h


class Attention(nn.Module):
    """x + projection of softmax(q k^T / sqrt(d)) v over all positions; starts as the identity."""

    def __init__(self, c: int, dims: int, head_dim: int) -> None:
        super().__init__()
        self.heads = max(1, c // head_dim)
        self.norm = nn.GroupNorm(groups(c), c)
        self.qkv = nn.Linear(c, 3 * c)
        self.out = zeroed(nn.Linear(c, c))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, *)."""
        b, c = x.shape[:2]
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).view(b, -1, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, -1, c)
        return x + self.out(h).transpose(1, 2).reshape(x.shape)


class Down(nn.Module):
    """Half the size, by a strided convolution."""

    def __init__(self, c: int, dims: int) -> None:
        super().__init__()
        self.conv = CONVS[dims](c, c, 3, stride=2, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """x: (B, C, *) -> (B, C, * / 2)."""
        return self.conv(x)


class Up(nn.Module):
    """Twice the size, by repetition and a convolution."""

    def __init__(self, c: int, dims: int) -> None:
        super().__init__()
        self.conv = CONVS[dims](c, c, 3, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """x: (B, C, *) -> (B, C, * 2)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Sinusoids(nn.Module):
    """cos and sin of the level at frequencies from 1 to 256, evenly spaced in their logarithm: (B,) -> (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, level: Tensor) -> Tensor:
        """level: (B,) of order one."""
        half = self.width // 2
        f = torch.exp(torch.linspace(0, math.log(256.0), half, device=level.device, dtype=level.dtype))
        angle = level[:, None] * f
        return torch.cat([torch.cos(angle), torch.sin(angle)], 1)


def groups(channels: int) -> int:
    """Groups of normalisation: about _GROUP channels in each, a divisor of the channels."""
    return math.gcd(channels, max(1, channels // _GROUP))


def zeroed(module: nn.Module) -> nn.Module:
    """Start a layer at 0, so that what it belongs to starts as the identity."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def padded(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row, column ... until every axis of space is a multiple."""
    missing = [-n % multiple for n in x.shape[2:]]
    if not any(missing):
        return x
    return F.pad(x, [p for m in reversed(missing) for p in (0, m)], mode="replicate")
