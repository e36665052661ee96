"""Reading ahead: while a GPU learns one batch, the next is read, encoded and pinned."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from reverie.data.loader import Loader
from reverie.example import Condition, Example, each


@dataclass
class Ahead:
    """The same batches as the loader's: what is read early is thrown away where another one is asked for.

    stride: how many items the stream goes on by in a step. early: whether the next batch is read while this one is used,
    which pays where the processor would wait for a GPU. pinned: memory from which a GPU copies without waiting.
    """

    loader: Loader
    stride: int
    early: bool
    pinned: bool
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ahead"))
    _next: tuple[tuple[int, int], Future[Example]] | None = None

    def batch(self, first: int, count: int) -> Example:
        """Items first .. first + count - 1 of the stream."""
        found = self._next[1].result() if self._next and self._next[0] == (first, count) else self._read(first, count)
        if self.early:
            following = (first + self.stride, count)
            self._next = (following, self._pool.submit(self._read, *following))
        return found

    def _read(self, first: int, count: int) -> Example:
        found = self.loader.batch(first, count)
        return pinned(found) if self.pinned else found


def pinned(example: Example) -> Example:
    """The batch in page-locked memory."""
    cond = {k: Condition(c.value.pin_memory(), c.present.pin_memory()) for k, c in example.cond.items()}
    observed = None if example.observed is None else each(torch.Tensor.pin_memory, example.observed)
    return Example(each(torch.Tensor.pin_memory, example.x0), cond, observed, example.index)
