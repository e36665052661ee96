"""One U-Net for signals, pictures and volumes: `dims` = 1, 2 or 3."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from reverie.errors import ReverieError
from reverie.example import ENTRIES, Condition, Conditions
from reverie.networks.base import SIZES, Blocks, Network, the_only
from reverie.networks.blocks import (
    Attention,
    Down,
    LevelFeatures,
    Residual,
    Up,
    conv,
    groups_of,
    padded,
    silent,
)
from reverie.networks.conditions import Declared, Told
from reverie.networks.gaussian import SCALES, GaussianPosterior

_DIAL = {  # width of the first level, residual blocks per level
    "tiny": (16, 1),
    "small": (32, 1),
    "base": (96, 2),
    "large": (192, 3),
}
_ATTEND = 256  # positions: a level with more of them is left to convolutions
_SMALLEST = 8  # halving stops where no side is longer, but not before the second:
_HALVINGS = 2  # at 8x8, a third level bought 1.5 times the images per second at the same number of parameters
_LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}  # of weights; what passes through takes it on


class Block(nn.Module):
    """A residual block, with self-attention behind it where the level has any."""

    def __init__(self, dims: int, inputs: int, outputs: int, dropout: float, head_dim: int | None) -> None:
        super().__init__()
        self.outputs = outputs
        self.residual = Residual(dims, inputs, outputs, dropout)
        self.attention = nn.Identity() if head_dim is None else Attention(outputs, head_dim)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """x: (B, inputs, *), told: (B, 2 outputs) -> (B, outputs, *)."""
        return self.attention(self.residual(x, told))


class UNet(Network):
    """U-Net of residual blocks with self-attention at chosen levels, for data of 1, 2 or 3 dimensions and any size.

    Level i works at 1/2^i of the resolution with width * multipliers[i] channels and `blocks` blocks down, one more up;
    what every block and halving going down gives is joined to the way up. Sides that cannot be halved often enough are
    mirrored up to a multiple and the output cropped. The output layer starts at zero, so the network starts out
    saying 0.
    attention: the levels with self-attention. head_dim: dimensions of a head. out_channels: as `channels` if None.
    checkpoint: recompute blocks in the backward pass, which saves memory for a third more time. takes_entries: whether it
    can be told entries of the item itself, `example.entries`: as planes behind the input, with planes that say which they are.
    gaussian: channels and steps of data for which it begins as a Gaussian would say, whether that is of principal components,
    and how many scales it has (`GaussianPosterior`'s arguments): posterior mean and deviation of every entry, given what is
    noisy and what is told, are planes of the input, and the output is added to that mean in units of
    that deviation; where it is not EDM's F that is asked for, they are planes alone.
    Source: Ronneberger et al. 2015; Ho et al. 2020, appendix B; Dhariwal & Nichol 2021, section 3.
    """

    name: ClassVar[str] = "unet"
    sigma_data: Tensor
    edm: Tensor

    def __init__(
        self,
        channels: int,
        dims: int = 2,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (1, 2),
        head_dim: int = 64,
        conditions: Declared | None = None,
        out_channels: int | None = None,
        dropout: float = 0.0,
        checkpoint: bool = False,
        takes_entries: bool = False,
        gaussian: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "channels": channels,
            "dims": dims,
            "width": width,
            "multipliers": list(multipliers),
            "blocks": blocks,
            "attention": sorted(attention),
            "head_dim": head_dim,
            "conditions": dict(conditions or {}),
            "out_channels": out_channels,
            "dropout": dropout,
            "checkpoint": checkpoint,
        }
        self.takes_entries = takes_entries
        if takes_entries:  # networks without are described as they always were
            self.config["takes_entries"] = True
        self.gaussian = (
            GaussianPosterior(gaussian[0], gaussian[1], bool(sum(gaussian[2:3])), *gaussian[3:]) if gaussian else None
        )
        if gaussian:
            self.config["gaussian"] = list(gaussian)
            self.register_buffer("sigma_data", torch.ones(()))
            self.register_buffer("edm", torch.zeros(()))  # 1 where the output is EDM's F
        _check(self.config)
        widths = [width * m for m in multipliers]
        heads = [head_dim if i in attention else None for i in range(len(widths))]
        embedded = 2 * width

        self.told = Told(conditions or {}, embedded)
        self.level = nn.Sequential(
            LevelFeatures(width), nn.Linear(width, embedded), nn.SiLU(), nn.Linear(embedded, embedded)
        )
        seen = channels * 2 if takes_entries else 0
        self.first = conv(dims, channels + self.told.planes + seen, width, 3)
        joins, last = [width], width  # channels of what is kept for the way up
        self.down, self.halvings = nn.ModuleList(), nn.ModuleList()
        for i, wide in enumerate(widths):
            if i:
                self.halvings.append(Down(dims, last))
                joins.append(last)
            for _ in range(blocks):
                self.down.append(Block(dims, last, wide, dropout, heads[i]))
                joins.append(last := wide)
        self.middle = nn.ModuleList([Block(dims, last, last, dropout, h) for h in (heads[-1], None)])
        self.up, self.doublings = nn.ModuleList(), nn.ModuleList()
        for i, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(Block(dims, last + joins.pop(), wide, dropout, heads[i]))
                last = wide
            if i:
                self.doublings.append(Up(dims, wide))
        self.last = nn.Sequential(
            nn.GroupNorm(groups_of(width), width), nn.SiLU(), silent(conv(dims, width, out_channels or channels, 3))
        )
        self.shares = [2 * m.outputs for m in self.modules() if isinstance(m, Block)]
        self.modulate = nn.Linear(embedded, sum(self.shares))  # scale and shift of every block from one product
        if layout := _LAYOUT.get(dims):
            for weights in self.parameters():
                weights.data = weights.contiguous(memory_format=layout) if weights.ndim == dims + 2 else weights.data

    @classmethod
    def sized(cls, size: str, blocks: Blocks, conditions: Declared | None = None, takes_entries: bool = False) -> Self:
        """Choose width, levels, blocks and attention for data of shape (C, *): tiny, small, base or large."""
        shape = the_only(blocks, "unet").shape
        if size not in SIZES:
            raise ReverieError(f"There is no size '{size}'; there are {', '.join(SIZES)}.")
        width, depth = _DIAL[size]
        sides = shape[1:]
        if not 1 <= len(sides) <= 3:
            raise ReverieError(f"A U-Net takes data of 1, 2 or 3 dimensions (C, *); this is of shape {tuple(shape)}.")
        halvings = max(_HALVINGS, math.ceil(math.log2(max(sides) / _SMALLEST)))
        positions = [math.prod(math.ceil(side / 2**i) for side in sides) for i in range(halvings + 1)]
        return cls(
            channels=shape[0],
            dims=len(sides),
            width=width,
            multipliers=[1] + [2] * halvings,
            blocks=depth,
            attention=[i for i, n in enumerate(positions) if i and n <= _ATTEND],
            head_dim=min(64, max(32, width)),
            conditions=conditions,
            takes_entries=takes_entries,
            gaussian=_gaussian(shape[0], sides[0]) if takes_entries and len(sides) == 1 else None,
        )

    def begin(self, look: Callable[[], Tensor], sigma_data: float, edm: bool) -> None:
        """Take the moments of the Gaussian that it begins as."""
        if self.gaussian is not None:
            self.gaussian.fit(look())
            self.sigma_data.fill_(sigma_data)
            self.edm.fill_(float(edm))

    def forward(self, x: Tensor, level: Tensor, cond: Conditions) -> Tensor:
        """x: (B, C, *), level: (B,), cond: as declared, or empty for nothing told -> (B, out_channels, *)."""
        self._check_input(x)
        seen = self._entries(cond.get(ENTRIES), x, level) if self.takes_entries else []
        cond = {name: one for name, one in cond.items() if name != ENTRIES} if self.takes_entries else cond
        self.told.check(cond, len(x))
        told = self._modulations(level, cond)
        size = x.shape[2:]
        h = self.first(padded(torch.cat([self.told.joined(cond, x), *seen], 1), 2 ** len(self.halvings)))
        kept, blocks = [h], self.config["blocks"]
        for i, block in enumerate(self.down):
            if i and i % blocks == 0:
                kept.append(h := self.halvings[i // blocks - 1](h))
            kept.append(h := self._run(block, h, next(told)))
        for block in self.middle:
            h = self._run(block, h, next(told))
        for i, block in enumerate(self.up):
            if i and i % (blocks + 1) == 0:
                h = self.doublings[i // (blocks + 1) - 1](h)
            h = self._run(block, torch.cat([h, kept.pop()], dim=1), next(told))
        out = self.last(h)[(..., *(slice(n) for n in size))]
        return out if self.gaussian is None else self._on_gaussian(out, x, level, *seen)

    def _entries(self, told: Condition | None, x: Tensor, level: Tensor) -> list[Tensor]:
        """What is known of the item, and what it says of the rest, each (B, C, *)."""
        if self.gaussian is not None:
            n = torch.exp(4 * level)
            return list(self.gaussian(x * torch.hypot(n, self.sigma_data)[:, None, None], n, self._given(told)))
        value = torch.full_like(x, torch.nan) if told is None else told.value.view(x.shape).to(x)
        if told is not None:
            value = torch.where(told.present.view(-1, *[1] * (x.ndim - 1)), value, torch.nan)
        known = ~value.isnan()
        return [torch.where(known, value, 0), known.to(x)]

    def _given(self, told: Condition | None) -> Tensor | None:
        """What is told (B, *), NaN where nothing is; the same object at each step of a walk, by which what is kept is found."""
        if told is None or (not self.training and not bool(told.present.any())):
            return None
        if not self.training and bool(
            told.present.all()
        ):  # in training no value is asked for: memory is foretold without any
            return told.value
        return torch.where(told.present[:, None], told.value, torch.nan)

    def _on_gaussian(self, out: Tensor, x: Tensor, level: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """The F for which x0_hat = c_skip x_t + c_out F is mean + deviation * out; `out` itself where F is not asked for."""
        n, sd = torch.exp(4 * level)[:, None, None], self.sigma_data
        skipped = sd**2 * x / torch.hypot(n, sd)
        made = (mean - skipped + deviation * out) * torch.hypot(n, sd) / (n * sd)
        return torch.where(self.edm > 0, made, out)

    def _modulations(self, level: Tensor, cond: Conditions) -> Iterator[Tensor]:
        """What the level and the labels tell each block, (B, 2 outputs), in the order in which they run."""
        embedding = self.told.vector(cond, self.level(level))
        return iter(self.modulate(nn.functional.silu(embedding)).split(self.shares, dim=1))

    def _run(self, block: nn.Module, h: Tensor, told: Tensor) -> Tensor:
        if self.config["checkpoint"] and torch.is_grad_enabled():
            return recompute(block, h, told, use_reentrant=False)
        return block(h, told)

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != self.config["dims"] + 2 or x.shape[1] != self.config["channels"] or 0 in x.shape:
            axes = ", *" * self.config["dims"]
            raise ReverieError(
                f"This network takes data of shape (B, {self.config['channels']}{axes}), found {tuple(x.shape)}."
            )


def _gaussian(channels: int, steps: int) -> tuple[int, ...]:
    """What a new network begins as. Beyond what is one Gaussian there is one scale: so many entries tell one far too surely."""
    apart = GaussianPosterior.gains(channels, steps)
    return (channels, steps, apart, 1 if apart else SCALES)


def _check(about: dict[str, Any]) -> None:
    """Raise ReverieError for arguments that make no network."""
    width, levels = about["width"], len(about["multipliers"])
    if about["dims"] not in (1, 2, 3):
        raise ReverieError(f"dims = {about['dims']}: a U-Net has 1, 2 or 3.")
    if width < 8 or width % 8 or not levels or min(about["multipliers"]) < 1 or about["blocks"] < 1:
        raise ReverieError(
            f"width {width}, multipliers {about['multipliers']}, blocks {about['blocks']}: the width must be a "
            "multiple of 8 and the others whole numbers of at least 1."
        )
    for i in about["attention"]:
        if not 0 <= i < levels:
            raise ReverieError(f"attention at level {i}: there are levels 0 to {levels - 1}.")
        wide = width * about["multipliers"][i]
        if wide % min(about["head_dim"], wide):
            raise ReverieError(f"head_dim = {about['head_dim']} does not divide the {wide} channels of level {i}.")
