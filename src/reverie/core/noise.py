"""Randomness that remembers nothing: every number is a function of (seed, index, stream, place).

A counter-based generator (Philox4x32-10) vectorised over the batch in plain torch. Sample `index` of `seed` gets the same
numbers alone or in any batch, on any device, and training resumes exactly because nothing has to be stored.
Source: Salmon et al. 2011 (Parallel Random Numbers: As Easy as 1, 2, 3).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.brownian import Node, weights
from reverie.core.shapes import time_of
from reverie.errors import ReverieError

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_STREAMS_PER_STEP = 16
_STEPS, _PARTS = 2**20, 2**8
_NUMBERS = 2**18  # that a Brownian increment draws at once, some 20 MB


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Philox4x32-10: four counter words and two key words, int64 tensors below 2^32 -> four random words.

    int64 products wrap modulo 2^64, whose upper 32 bits, masked, are the ones wanted.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Noise:
    """The noise of a batch: sample b draws from its own (seed[b], index[b]).

    seed, index: (B,) int64; a batch may mix seeds. step: which step of a loop is drawing, below 2^20. part: which field of
    a state of several is drawing, below 2^8.
    temperature: every normal number is scaled by it. For Gaussian data N(m, v) the samplers are linear in the noise,
    so samples have variance temperature^2 v about the same mean; elsewhere below 1 favours the likely over the varied.
    """

    seed: Tensor
    index: Tensor
    step: int = 0
    temperature: float = 1.0
    part: int = 0

    @classmethod
    def of(cls, seed: int, count: int, first: int = 0, temperature: float = 1.0) -> Noise:
        """The noise of samples first .. first + count - 1 of one seed."""
        index = torch.arange(first, first + count)
        return cls(torch.full((count,), seed, dtype=torch.int64), index, temperature=temperature)

    @classmethod
    def joined(cls, parts: Sequence[Noise]) -> Noise:
        """The noise of several batches as one, in that order; of one step, part and temperature."""
        seed, index = (torch.cat(words) for words in zip(*((p.seed, p.index) for p in parts), strict=True))
        return dataclasses.replace(parts[0], seed=seed, index=index)

    def some(self, rows: Tensor) -> Noise:
        """The noise of some of the samples, (M,) places among them."""
        return dataclasses.replace(self, seed=self.seed[rows], index=self.index[rows])

    def at(self, step: int) -> Noise:
        """The same samples at another step of the loop: fresh, independent numbers."""
        return dataclasses.replace(self, step=step)

    def of_part(self, part: int) -> Noise:
        """The same samples and step in another field of the state: independent numbers."""
        return dataclasses.replace(self, part=part)

    def normal(self, key: int, like: Tensor) -> Tensor:
        """Standard normal numbers times the temperature, of like's shape (B, *), dtype and device.

        Box-Muller on 32-bit words: |z| stays below 6.8.
        """
        u1, u2 = self._uniform(key, like).chunk(2, dim=1)
        radius, angle = torch.sqrt(-2 * torch.log(u1)), 2 * math.pi * u2
        z = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return (self.temperature * z[:, : like[0].numel()]).reshape(like.shape).to(like.dtype)

    def uniform(self, key: int, like: Tensor) -> Tensor:
        """Numbers in (0, 1), of like's shape (B, *), dtype and device."""
        return self._uniform(key, like)[:, : like[0].numel()].reshape(like.shape).to(like.dtype)

    def brownian(self, a: Tensor | float, b: Tensor | float, like: Tensor, key: int = 0) -> Tensor:
        """The increment B(b) - B(a) of one Brownian path an entry, of like's shape (B, *), dtype and device.

        One path for each (seed, index, step, part, key) and entry, of variance |b - a| times the temperature squared; a, b:
        (), clock values from 0. A function of the two clock values alone, so that a walk in more steps follows the same
        path, as long as it draws at one `step`. Costs some 50 draws of `normal`: two for each of the path's 24 halvings.
        """
        terms = list(weights(float(time_of(a)), float(time_of(b))).items())
        total = torch.zeros_like(like)
        together = max(1, _NUMBERS // max(1, like.numel()))  # many nodes of a small state, few of a large one
        for i in range(0, len(terms), together):
            nodes, found = zip(*terms[i : i + together], strict=True)
            z = self._of_nodes(nodes).normal(key, like.expand(len(nodes), *like.shape).flatten(0, 1))
            weight = torch.tensor(found, dtype=torch.float64).to(like)
            total += torch.tensordot(weight, z.reshape(len(nodes), *like.shape), dims=1)
        return total

    def _of_nodes(self, nodes: tuple[Node, ...]) -> Noise:
        """The same samples at each of the nodes of a Brownian path, one after the other: nodes are mixed into the seed."""
        count = len(self.index)
        c0, c1 = (word.repeat_interleave(count) for word in torch.tensor(nodes, device=self.index.device).T)
        index, seed = self.index.repeat(len(nodes)), self.seed.repeat(len(nodes))
        counter = (c0, c1, index & _MASK, (index >> 32) & _MASK)
        low, high, _, _ = philox(counter, (seed & _MASK, (seed >> 32) & _MASK))
        return dataclasses.replace(self, seed=(high << 32) | low, index=index)

    def _uniform(self, key: int, like: Tensor) -> Tensor:
        """(B, 4 * blocks) numbers in (0, 1): float64, or float32 where the device has no float64."""
        if not 0 <= key < _STREAMS_PER_STEP:
            raise ValueError(f"noise key {key} is outside 0..{_STREAMS_PER_STEP - 1}")
        if not (0 <= self.step < _STEPS and 0 <= self.part < _PARTS):
            raise ReverieError(
                f"Noise of step {self.step} and part {self.part}: there are {_STEPS:,} steps (inner ones counted) and {_PARTS} "
                "parts. Take fewer steps."
            )
        if len(self.index) != len(like):
            raise ReverieError(
                f"This noise is of {len(self.index)} samples and the state of {len(like)}; make it of as many: "
                f"Noise.of(seed, {len(like)})."
            )
        device = like.device
        seed, index = self.seed.to(device)[:, None], self.index.to(device)[:, None]
        blocks = -(-like[0].numel() // 4)
        place = torch.arange(blocks, device=device)[None]
        stream = torch.full_like(place, (self.part * _STEPS + self.step) * _STREAMS_PER_STEP + key)
        counter = (place, stream, index & _MASK, (index >> 32) & _MASK)
        words = torch.cat(torch.broadcast_tensors(*philox(counter, (seed & _MASK, (seed >> 32) & _MASK))), dim=1)
        return (words.to(torch.float32 if device.type == "mps" else torch.float64) + 0.5) * 2.0**-32
