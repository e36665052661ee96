"""The small U-Net of the textbooks, plainly: what to read first, and what to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.errors import ReverieError
from reverie.example import Conditions
from reverie.networks.base import SIZES, Blocks, Network, the_only
from reverie.networks.blocks import padded, silent
from reverie.networks.conditions import Declared, Told

_WIDTHS = {"tiny": 8, "small": 16, "base": 64, "large": 128}
_ATTEND = 1024  # positions: attention over more would cost more than all the convolutions
_ENCODED = 256  # numbers in the time encoding
_STEPS = 200.0  # textbook steps per unit of level: |log_snr| <= 20 is |level| <= 2.5, which is their T = 1,000 steps


class DoubleConv(nn.Module):
    """Two 3x3 convolutions with normalisation between; with `residual`, what they give is added to what came in."""

    def __init__(self, inputs: int, outputs: int, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(1, outputs),
            nn.GELU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(1, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return F.gelu(x + self.body(x)) if self.residual else self.body(x)


class Encoded(nn.Module):
    """The encoded time, brought to so many channels and added at every pixel."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.SiLU(), nn.Linear(_ENCODED, outputs))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (B, C, H, W), time: (B, 256) -> (B, C, H, W)."""
        return x + self.layer(time)[:, :, None, None]


class DownStage(nn.Module):
    """Half the resolution by the maximum of 2x2 pixels, two double convolutions, and the time."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, inputs, True), DoubleConv(inputs, outputs))
        self.time = Encoded(outputs)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2)."""
        return self.time(self.body(x), time)


class UpStage(nn.Module):
    """Twice the resolution bilinearly, joined to what was kept on the way down, two double convolutions, and the time."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(DoubleConv(inputs, inputs, True), DoubleConv(inputs, outputs))
        self.time = Encoded(outputs)

    def forward(self, x: Tensor, kept: Tensor, time: Tensor) -> Tensor:
        """x: (B, C1, H / 2, W / 2), kept: (B, C2, H, W), C1 + C2 = inputs -> (B, outputs, H, W)."""
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.time(self.body(torch.cat([kept, x], dim=1)), time)


class SelfAttention(nn.Module):
    """Four heads of attention over all pixels, then a small MLP at each, both added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, 4, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        rows = x.flatten(2).transpose(1, 2)
        n = self.norm(rows)
        rows = rows + self.attention(n, n, n, need_weights=False)[0]
        return (rows + self.mlp(rows)).transpose(1, 2).reshape(x.shape)


def encode_time(level: Tensor, width: int = _ENCODED) -> Tensor:
    """Sinusoids of p = 200 level: sin(p / 10000^(2k/width)), then cos of the same; (B,) -> (B, width).

    level is of order one, so p covers -500 to 500 over |log_snr| <= 20, as a textbook's step number covers its 1,000.
    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = 10000 ** (-torch.arange(0, width, 2, dtype=level.dtype, device=level.device) / width)
    angle = _STEPS * level[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class PlainUNet(Network):
    """The plain small U-Net of textbooks: DoubleConv, Down, Up and SelfAttention stages and a sinusoidal time encoding.

    Three halvings, with width, 2, 4 and 4 times width channels, for pictures of any size: sides are mirrored up to a
    multiple of 8 and the output cropped. A class label is a row added to the time encoding; an image condition is resized
    bilinearly and joined to the input. The output layer starts at zero, where textbooks leave it random.
    attention: the levels (0 is the full resolution) with self-attention, of those that a textbook has: 1, 2, 3 on the way
    down and 2, 1, 0 on the way up.
    Source: Ho et al. 2020, appendix B, in the form of the "DDPM from scratch" tutorials; Ronneberger et al. 2015.
    """

    name: ClassVar[str] = "plain-unet"

    def __init__(
        self,
        channels: int,
        width: int = 64,
        attention: Sequence[int] = (0, 1, 2, 3),
        conditions: Declared | None = None,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "channels": channels,
            "width": width,
            "attention": sorted(attention),
            "conditions": dict(conditions or {}),
        }
        if width < 4 or width % 4 or set(attention) - {0, 1, 2, 3}:
            raise ReverieError(
                f"width {width}, attention {list(attention)}: the plain U-Net's four heads need a width that is a multiple "
                "of 4, and its levels are 0 to 3."
            )

        def attend(channels: int, level: int) -> nn.Module:
            return SelfAttention(channels) if level in attention else nn.Identity()

        c = width
        self.told = Told(conditions or {}, _ENCODED)
        self.first = DoubleConv(channels + self.told.planes, c)
        self.down = nn.ModuleList([DownStage(c, 2 * c), DownStage(2 * c, 4 * c), DownStage(4 * c, 4 * c)])
        self.down_attention = nn.ModuleList([attend(2 * c, 1), attend(4 * c, 2), attend(4 * c, 3)])
        self.middle = nn.Sequential(DoubleConv(4 * c, 8 * c), DoubleConv(8 * c, 8 * c), DoubleConv(8 * c, 4 * c))
        self.up = nn.ModuleList([UpStage(8 * c, 2 * c), UpStage(4 * c, c), UpStage(2 * c, c)])
        self.up_attention = nn.ModuleList([attend(2 * c, 2), attend(c, 1), attend(c, 0)])
        self.last = silent(nn.Conv2d(c, channels, 1))

    @classmethod
    def sized(cls, size: str, blocks: Blocks, conditions: Declared | None = None) -> Self:
        """Choose the width, and attention where there are no more than 1,024 positions; for data of shape (C, H, W)."""
        shape = the_only(blocks, "plain-unet").shape
        if size not in SIZES:
            raise ReverieError(f"There is no size '{size}'; there are {', '.join(SIZES)}.")
        if len(shape) != 3:
            raise ReverieError(f"The plain U-Net takes pictures (C, H, W); this is of shape {tuple(shape)}: use unet.")
        height, wide = (-(-side // 8) * 8 for side in shape[1:])
        levels = [i for i in range(4) if (height >> i) * (wide >> i) <= _ATTEND]
        return cls(channels=shape[0], width=_WIDTHS[size], attention=levels, conditions=conditions)

    def forward(self, x: Tensor, level: Tensor, cond: Conditions) -> Tensor:
        """x: (B, C, H, W), level: (B,), cond: as declared, or empty for nothing told -> (B, C, H, W)."""
        if x.ndim != 4 or x.shape[1] != self.config["channels"] or 0 in x.shape:
            raise ReverieError(
                f"This network takes pictures (B, {self.config['channels']}, H, W), found {tuple(x.shape)}."
            )
        self.told.check(cond, len(x))
        time = self.told.vector(cond, encode_time(level))
        h = self.first(padded(self.told.joined(cond, x), 8))
        kept = []
        for stage, attention in zip(self.down, self.down_attention, strict=True):
            kept.append(h)
            h = attention(stage(h, time))
        h = self.middle(h)
        for stage, attention in zip(self.up, self.up_attention, strict=True):
            h = attention(stage(h, kept.pop(), time))
        return self.last(h)[..., : x.shape[2], : x.shape[3]]
