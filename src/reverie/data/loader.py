"""Batches as a function of (seed, images seen): nothing to remember, so a resumed run goes on exactly."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from reverie.codecs import Codec
from reverie.core.noise import Noise
from reverie.errors import ReverieError
from reverie.example import Condition, Example

_DROPOUT_KEY, _AUGMENT_KEY = 1, 3
_CACHE_BYTES = 1 << 30  # encoded data up to this size is kept whole

AUGMENTATIONS = {
    "flip": "mirror left and right, half of the time",
    "vflip": "mirror top and bottom, half of the time",
    "rotate90": "turn by a random multiple of 90 degrees (square data)",
}


class Loader:
    """Cuts an endless, shuffled stream of training items into batches.

    Item k of the stream is item p_e(k mod N) of the data, p_e the permutation of epoch e = k // N, drawn from the seed.
    labels: (N,) class numbers or None. label_dropout: share of labels not told, so that guidance works.
    augment: names from AUGMENTATIONS, each drawn anew for every item of the stream.
    """

    def __init__(
        self,
        items: Sequence[Any] | np.ndarray,
        labels: np.ndarray | None,
        codec: Codec,
        seed: int,
        label_dropout: float = 0.1,
        augment: Sequence[str] = (),
    ) -> None:
        for name in augment:
            if name not in AUGMENTATIONS:
                raise ReverieError(f"There is no augmentation '{name}'; there are {', '.join(AUGMENTATIONS)}.")
        shape = codec.field.shape
        if "rotate90" in augment and shape[-1] != shape[-2]:
            raise ReverieError(f"rotate90 needs square data; this is {shape[-2]}x{shape[-1]}.")
        self.items, self.labels, self.codec, self.seed = items, labels, codec, seed
        self.label_dropout, self.augment = label_dropout, tuple(augment)
        self._pool = ThreadPoolExecutor(2)
        small = len(items) * int(np.prod(shape)) * 4 <= _CACHE_BYTES
        self._cache = self._encode(range(len(items))) if small else None

    def __len__(self) -> int:
        """Items in one epoch."""
        return len(self.items)

    def batch(self, seen: int, size: int) -> Example:
        """The batch after `seen` items: x0 (B, C, *), the label told or not, and each item's place in the stream."""
        index = torch.arange(seen, seen + size)
        chosen = [int(_order(self.seed, k // len(self), len(self))[k % len(self)]) for k in index.tolist()]
        x0 = self.encoded(chosen)
        noise = Noise(torch.full_like(index, self.seed), index)
        cond = {}
        if self.labels is not None:
            told = noise.uniform(_DROPOUT_KEY, torch.empty(size)) >= self.label_dropout
            cond["label"] = Condition(torch.from_numpy(self.labels[chosen]), told)
        return Example(self._augmented(x0, noise), cond, index=index)

    def encoded(self, chosen: Sequence[int]) -> torch.Tensor:
        """Some of the items by number, encoded and unchanged, (B, C, *)."""
        return self._encode(chosen) if self._cache is None else self._cache[list(chosen)]

    def _encode(self, chosen: Sequence[int]) -> torch.Tensor:
        return torch.from_numpy(np.stack(list(self._pool.map(lambda k: self.codec.encode(self.items[k]), chosen))))

    def _augmented(self, x: torch.Tensor, noise: Noise) -> torch.Tensor:
        if not self.augment:
            return x
        draws = noise.uniform(_AUGMENT_KEY, torch.empty(len(x), 3))
        if "flip" in self.augment:
            x = torch.where((draws[:, 0] < 0.5).view(-1, 1, 1, 1), x.flip(-1), x)
        if "vflip" in self.augment:
            x = torch.where((draws[:, 1] < 0.5).view(-1, 1, 1, 1), x.flip(-2), x)
        if "rotate90" in self.augment:
            x = torch.stack([torch.rot90(one, int(4 * u), (-2, -1)) for one, u in zip(x, draws[:, 2], strict=True)])
        return x


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> torch.Tensor:
    """The permutation of one epoch."""
    mixed = (seed * 0x9E3779B1 + epoch * 0x85EBCA77) & (2**63 - 1)
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed))
