"""A residual network of fully connected layers that sees all fields of a row at once: for tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from reverie.errors import ReverieError
from reverie.example import ENTRIES, Condition, Conditions
from reverie.networks.base import SIZES, Block, Blocks, Network
from reverie.networks.blocks import LevelFeatures, silent
from reverie.networks.conditions import Declared, Told

Fields = dict[str, Tensor]

_DIAL = {"tiny": (128, 2), "small": (128, 3), "base": (256, 4), "large": (512, 6)}  # width and residual blocks
_WAVES = 8  # periodic features of each number
_NEVER = -1e4  # logit of a class that an entry does not have: probability 0 in every precision


class MLP(Network):
    """Numbers and tokens -> one vector -> residual blocks, told noise level and conditions -> numbers and logits.

    Every token adds the row of its value to the vector, each entry having rows of its own; every number enters as itself and by
    sines and cosines, so that sharp features of a column can be told. Layers that end in an output start at zero, so that at
    first nothing is said and all classes are as likely.
    fields: by name, {"shape": [D], "classes": K, "states": S, "sizes": [K_1, ..., K_D]} as `Block` says. width: of the vector.
    depth: residual blocks. takes_entries: whether it can be told entries of the item itself, `example.entries`: numbers as
    further inputs beside the noisy ones, each with a flag; tokens in the noisy ones' place.
    Source: Gorishniy et al. 2021 (Revisiting Deep Learning Models for Tabular Data), section 3.2; Gorishniy et al. 2022 (On
    Embeddings for Numerical Features), section 3.3, for the periodic features.
    """

    name: ClassVar[str] = "mlp"
    reads: ClassVar[str] = "fields"

    def __init__(
        self,
        fields: Mapping[str, Mapping[str, Any]],
        width: int,
        depth: int,
        conditions: Declared | None = None,
        takes_entries: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = {name: _block(name, about) for name, about in fields.items()}
        self.told = Told(conditions or {}, width)
        if self.told.pictures:
            raise ReverieError("The network 'mlp' is told labels and numbers, no pictures. Leave these conditions out.")
        self.config: dict[str, Any] = {
            "fields": {name: dict(about) for name, about in fields.items()},
            "width": width,
            "depth": depth,
            "conditions": self.told.declared,
        }
        self.takes_entries = takes_entries
        if takes_entries:  # networks without are described as they always were
            self.config["takes_entries"] = True
        self.entry, self.exit = nn.ModuleDict(), nn.ModuleDict()
        for name, block in self.blocks.items():
            self.entry[name] = _NumbersIn(block, width) if block.classes is None else _TokensIn(block, width)
            self.exit[name] = _NumbersOut(block, width) if block.classes is None else _TokensOut(block, width)
        told = [name for name, block in self.blocks.items() if takes_entries and block.classes is None]
        self.seen = nn.ModuleDict({name: _NumbersSeen(self.blocks[name], width) for name in told})
        self.level = nn.Sequential(LevelFeatures(64), nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(_Residual(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    @classmethod
    def sized(cls, size: str, blocks: Blocks, conditions: Declared | None = None, takes_entries: bool = False) -> Self:
        """Choose width and depth: tiny, small, base or large."""
        if size not in SIZES:
            raise ReverieError(f"There is no size '{size}'; there are {', '.join(SIZES)}.")
        width, depth = _DIAL[size]
        return cls({name: _described(block) for name, block in blocks.items()}, width, depth, conditions, takes_entries)

    def forward(self, x: Fields, level: Tensor, cond: Conditions) -> Fields:
        """{field: (B, *)} -> {field: (B, *) of numbers, (B, K, *) of tokens}."""
        if not isinstance(x, dict) or x.keys() != self.blocks.keys():
            found = ", ".join(x) if isinstance(x, dict) else f"one tensor {tuple(x.shape)}"
            raise ReverieError(f"This network takes the fields {', '.join(self.blocks)}; found {found}.")
        seen: Fields = {}
        if self.takes_entries:
            seen = self._entries(cond.get(ENTRIES), x)
            cond = {name: told for name, told in cond.items() if name != ENTRIES}
            x = {k: v if k in self.seen else torch.where(seen[k].isnan(), v, seen[k].long()) for k, v in x.items()}
        self.told.check(cond, len(level))
        time = self.told.vector(cond, self.level(level))
        h = sum(self.entry[name](x[name]) for name in self.blocks) / math.sqrt(len(self.blocks))
        for name, entry in self.seen.items():
            h = h + entry(seen[name])
        for layer in self.layers:
            h = layer(h, time)
        h = self.norm(h)
        return {name: self.exit[name](h) for name in self.blocks}

    def _entries(self, told: Condition | None, x: Fields) -> Fields:
        """What is known of each field, NaN where nothing is."""
        if told is None:
            return {k: torch.full(v.shape, torch.nan, device=v.device) for k, v in x.items()}
        names = sorted(x)
        value = torch.where(told.present[:, None], told.value, torch.nan)
        parts = value.split([x[k][0].numel() for k in names], 1)
        return {k: part.view(x[k].shape) for k, part in zip(names, parts, strict=True)}


class _Residual(nn.Module):
    """h + W2 silu(W1 (scale LayerNorm(h) + shift)), scale and shift told by the noise level and the conditions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.told = nn.Linear(width, 2 * width)
        self.layers = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.told(nn.functional.silu(time)).chunk(2, 1)
        return h + self.layers(self.norm(h) * (1 + scale) + shift)


class _NumbersIn(nn.Module):
    """x and the sines and cosines of w_k x, w_k from 1/2 to 32 half turns, as one linear map."""

    waves: Tensor

    def __init__(self, block: Block, width: int) -> None:
        super().__init__()
        self.register_buffer("waves", _waves(), persistent=False)
        self.linear = nn.Linear(math.prod(block.shape) * (1 + 2 * _WAVES), width)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        angle = (x[:, :, None] * self.waves).flatten(1)
        return self.linear(torch.cat([x, angle.sin(), angle.cos()], 1))


class _NumbersSeen(nn.Module):
    """Known numbers, NaN where none is, with sines, cosines and a flag each, as one linear map that is 0 at first."""

    waves: Tensor

    def __init__(self, block: Block, width: int) -> None:
        super().__init__()
        self.register_buffer("waves", _waves(), persistent=False)
        self.linear = silent(nn.Linear(math.prod(block.shape) * (2 + 2 * _WAVES), width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        known = (~x.isnan()).to(x)
        x = x.nan_to_num(0.0)
        angle = x[:, :, None] * self.waves
        parts = [x, known, *((wave * known[:, :, None]).flatten(1) for wave in (angle.sin(), angle.cos()))]
        return self.linear(torch.cat(parts, 1))


class _TokensIn(nn.Module):
    """The sum of a row for each token, from a table of (entries x states) rows."""

    first: Tensor

    def __init__(self, block: Block, width: int) -> None:
        super().__init__()
        entries, self.states = math.prod(block.shape), block.states or 0
        self.register_buffer("first", torch.arange(entries) * self.states, persistent=False)
        self.rows = nn.EmbeddingBag(entries * self.states, width, mode="sum")
        nn.init.normal_(self.rows.weight, std=1 / math.sqrt(entries))

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.numel() and not 0 <= int(x.min()) <= int(x.max()) < self.states:
            raise ReverieError(
                f"Tokens from {int(x.min())} to {int(x.max())}; this network knows 0 to {self.states - 1}."
            )
        return self.rows(x.flatten(1) + self.first)


class _NumbersOut(nn.Module):
    """A number for each entry."""

    def __init__(self, block: Block, width: int) -> None:
        super().__init__()
        self.shape = block.shape
        self.linear = silent(nn.Linear(width, math.prod(block.shape)))

    def forward(self, h: Tensor) -> Tensor:
        return self.linear(h).unflatten(1, self.shape)


class _TokensOut(nn.Module):
    """A number for each class that each entry has, (B, K, *)."""

    there: Tensor

    def __init__(self, block: Block, width: int) -> None:
        super().__init__()
        self.shape, self.classes = block.shape, block.classes or 0
        entries = math.prod(block.shape)
        sizes = block.sizes or (self.classes,) * entries
        there = [k * entries + d for k in range(self.classes) for d in range(entries) if k < sizes[d]]
        self.register_buffer("there", torch.tensor(there), persistent=False)
        self.linear = silent(nn.Linear(width, len(there)))

    def forward(self, h: Tensor) -> Tensor:
        out = h.new_full((len(h), self.classes * math.prod(self.shape)), _NEVER)
        out = out.index_copy(1, self.there, self.linear(h).to(out.dtype))
        return out.unflatten(1, (self.classes, *self.shape))


def _waves() -> Tensor:
    return math.pi * 0.5 * 64 ** torch.linspace(0, 1, _WAVES)


def _described(block: Block) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in block._asdict().items() if v is not None}


def _block(name: str, about: Mapping[str, Any]) -> Block:
    """A field's description, checked: it may come from a file."""
    shape, sizes = tuple(int(n) for n in about["shape"]), about.get("sizes")
    block = Block(shape, about.get("classes"), about.get("states"), None if sizes is None else tuple(map(int, sizes)))
    tokens = block.classes is not None
    if (
        not name.isidentifier()
        or min(shape, default=0) < 1
        or (tokens and not 2 <= (block.classes or 0) <= (block.states or 0))
        or (
            block.sizes
            and (
                len(block.sizes) != math.prod(shape)
                or not 1 <= min(block.sizes) <= max(block.sizes) <= (block.classes or 0)
            )
        )
    ):
        raise ReverieError(f"The field '{name}' cannot be {dict(about)}: see reverie.networks.base.Block.")
    return block
