"""Batches as a function of (seed, images seen): nothing to remember, so a resumed run goes on exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from reverie.codecs import Codec
from reverie.core.noise import Noise
from reverie.data.columns import Column
from reverie.data.dataset import taken
from reverie.data.hiding import told
from reverie.data.known import Known
from reverie.errors import ReverieError
from reverie.example import ENTRIES, Condition, Example, State, each, entries, of_arrays

_DROPOUT_KEY, _AUGMENT_KEY, _ENTRIES_KEY = 1, 3, 5
_CACHE_BYTES = 1 << 30  # encoded data up to this size is kept whole

AUGMENTATIONS = {
    "flip": "mirror left and right, half of the time",
    "vflip": "mirror top and bottom, half of the time",
    "rotate90": "turn by a random multiple of 90 degrees (square data)",
}


class Loader:
    """Cuts an endless, shuffled stream of training items into batches.

    Item k of the stream is item p_e(k mod N) of the data, p_e the permutation of epoch e = k // N, drawn from the seed.
    columns: what is known of the items, by name; known: how the network is told of it.
    dropout: share p of items that each condition is not told for, so that guidance works. Of several conditions, half of it
    is all of them together, which is what guidance compares with, and half each by itself, which is what leaving one open
    needs: none is told for p / 2 and each is dropped besides for p' = (p / 2) / (1 - p / 2), so that 1 - (1 - p / 2)(1 - p')
    = p. Source: Brooks et al. 2023 (InstructPix2Pix), section 3.2.1, who drop two conditions so.
    augment: names from AUGMENTATIONS, each drawn anew for every item of the stream, the same for an item and its pictures.
    entries: share of items that are told some of their own entries and learn the others, hidden as `Codec.hides` says.
    Entries that were not observed are neither told nor learned.
    """

    def __init__(
        self,
        items: Sequence[Any] | np.ndarray,
        codec: Codec,
        seed: int,
        columns: Mapping[str, Column] | None = None,
        known: Mapping[str, Known] | None = None,
        dropout: float = 0.1,
        augment: Sequence[str] = (),
        entries: float = 0.0,
    ) -> None:
        for name in augment:
            if name not in AUGMENTATIONS:
                raise ReverieError(f"There is no augmentation '{name}'; there are {', '.join(AUGMENTATIONS)}.")
        self.items, self.codec, self.seed = items, codec, seed
        self.columns, self.known = columns or {}, known or {}
        self.dropout, self.augment, self.entries = dropout, tuple(augment), entries
        self._pool = ThreadPoolExecutor(2)
        shapes = [field.shape for field in codec.fields.values()]
        small = self._is_small([sum(map(math.prod, shapes))])
        self._cache = self._encode(range(len(items))) if small else None
        self._whole: dict[str, Condition] = {}
        one = {name: self._told(name, [0]) for name in self.known}
        self._whole = {
            name: self._told(name, range(len(items))) for name in one if self._is_small(one[name].value.shape[1:])
        }
        shapes += [c.value.shape[1:] for c in one.values() if c.value.ndim == 4]
        if augment and any(len(shape) != 3 for shape in shapes):
            raise ReverieError(f"--augment {','.join(augment)} changes pictures; this data is none. Leave it out.")
        for shape in shapes:
            if "rotate90" in augment and shape[-1] != shape[-2]:
                raise ReverieError(f"rotate90 needs square data; this is {shape[-2]}x{shape[-1]}.")

    def _is_small(self, shape: Sequence[int]) -> bool:
        """Whether entries of this shape, one for each item, may be kept."""
        return len(self.items) * math.prod(shape) * 4 <= _CACHE_BYTES

    def __len__(self) -> int:
        """Items in one epoch."""
        return len(self.items)

    def batch(self, seen: int, size: int) -> Example:
        """The batch after `seen` items: x0 (B, C, *), each condition told or not, and each item's place in the stream."""
        index = torch.arange(seen, seen + size)
        chosen = [int(_order(self.seed, k // len(self), len(self))[k % len(self)]) for k in index.tolist()]
        x0, observed = self._read(chosen)
        noise = Noise(torch.full_like(index, self.seed), index)
        cond = {}
        for name, kept in zip(self.known, self._kept(noise).unbind(1), strict=True):
            value, present = self._told(name, chosen)
            cond[name] = Condition(self._augmented(value, noise) if value.ndim == 4 else value, present & kept)
        if self.entries and self.codec.hides is not None:
            known = told(self.codec.hides, self.entries, noise, _ENTRIES_KEY, x0)
            known = known if observed is None else each(torch.logical_and, known, observed)
            cond[ENTRIES] = entries(x0, known)
            left = each(torch.logical_not, known)
            left = left if observed is None else each(torch.logical_and, left, observed)
            return Example(x0, cond, left, index)
        return Example(self._augmented(x0, noise) if self.augment else x0, cond, observed, index)

    def _kept(self, noise: Noise) -> torch.Tensor:
        """Which conditions are told for each item, (B, K) bool."""
        count = len(self.known)
        u = noise.uniform(_DROPOUT_KEY, torch.empty(len(noise.index), count + 1))
        if count < 2:
            return u[:, :count] >= self.dropout
        together = self.dropout / 2
        return (u[:, :count] >= together / (1 - together)) & (u[:, count:] >= together)

    def _told(self, name: str, chosen: Sequence[int]) -> Condition:
        """A condition of some of the items by number, as far as it is known."""
        places = np.asarray(chosen, dtype=np.int64)
        if (whole := self._whole.get(name)) is None:
            return self.known[name].encode(self.columns[name].subset(places))
        return Condition(whole.value[places], whole.present[places])

    def encoded(self, chosen: Sequence[int]) -> State:
        """Some of the items by number, encoded and unchanged, (B, C, *)."""
        return self._read(chosen)[0]

    def _read(self, chosen: Sequence[int]) -> tuple[State, torch.Tensor | None]:
        """The same, and which of their entries were observed; None where all were."""
        if self._cache is None:
            return self._encode(chosen)
        (x, seen), places = self._cache, torch.as_tensor(list(chosen), dtype=torch.int64)
        return each(lambda field: field[places], x), None if seen is None else seen[places]

    def _encode(self, chosen: Sequence[int]) -> tuple[State, torch.Tensor | None]:
        """All at once where one object holds them; others two at a time, as pictures are slow to decode."""
        if self.codec.together:
            x, seen = self.codec.encode_observed(self._taken(chosen))
            return of_arrays(x), None if seen is None else torch.from_numpy(seen)
        return torch.from_numpy(
            np.stack(list(self._pool.map(lambda k: self.codec.encode(self.items[k]), chosen)))
        ), None

    def _taken(self, chosen: Sequence[int]) -> Any:
        return taken(self.items, np.asarray(chosen, dtype=np.int64))

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
