"""What a job's watchers are told of each step: how far it is, now and then a picture, and whether they still want it."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence
from itertools import accumulate

import torch
from PIL import Image

from reverie.core.samplers import Step
from reverie.errors import ReverieError
from reverie.example import State, count, some_state, to_arrays
from reverie.model import Model
from reverie.server.contract import Canceled, Told

_SHOWN = 16  # items of a job
_SHARE = 10  # pictures take a tenth of the time at most


class AllCanceled(Exception):
    """Nobody wants what is being computed any more."""


class Watch:
    """Watches a walk for several jobs whose rows lie one after the other, in batches of `batch`.

    ids, rows: the jobs and how many rows each has. a_second: pictures of each at most. most: seconds it may take.
    """

    def __init__(
        self,
        told: Told,
        ids: Sequence[str],
        rows: Sequence[int],
        model: Model,
        a_second: float,
        batch: int | None = None,
        most: float = math.inf,
    ) -> None:
        ends = list(accumulate(rows))
        self.told, self.model, self.live = told, model, dict.fromkeys(ids)
        self.rows = {id: slice(end - n, end) for id, n, end in zip(ids, rows, ends, strict=True)}
        self.batch, self.rounds = batch, -(-ends[-1] // batch) if batch else 1
        self.pause = 1 / a_second if a_second > 0 else None
        self.most, self._begun, self._next = most, time.monotonic(), 0.0

    def __call__(self, step: Step) -> None:
        """Tell each job that is still wanted; raises AllCanceled where none is, and ReverieError where it takes too long."""
        if time.monotonic() - self._begun > self.most:
            raise ReverieError(
                f"This took longer than the {self.most:g} seconds that a job may take here. Ask for less."
            )
        begun = time.monotonic()
        drawn = self.pause is not None and step.x0_hat is not None and begun >= self._next
        for id in list(self.live):
            shown = self._shown(id, step) if drawn else None
            try:
                self.told.step(id, step.number, step.total, None if shown is None else self._png(shown))
            except Canceled:
                del self.live[id]
        if drawn and self.pause is not None:
            ended = time.monotonic()
            self._next = ended + max(self.pause, (_SHARE - 1) * (ended - begun))
        if not self.live:
            raise AllCanceled

    def _shown(self, id: str, step: Step) -> State | None:
        """The first of a job's rows in the batch that is walked, or None where it has none there."""
        many = count(step.x0_hat)
        if self.batch is None:  # a verb by itself: all of them are its own
            return some_state(step.x0_hat, slice(_SHOWN))
        start = (step.number - 1) // (step.total // self.rounds) * self.batch
        first, last = max(self.rows[id].start - start, 0), min(self.rows[id].stop - start, many)
        return some_state(step.x0_hat, slice(first, min(last, first + _SHOWN))) if first < last else None

    def _png(self, x0_hat: State) -> bytes:
        """The model's guess as a person looks at it."""
        codec = self.model.codec
        with torch.no_grad():
            guess = to_arrays(self.model.denoiser.guess(x0_hat))
        file = io.BytesIO()
        Image.fromarray(codec.sheet(codec.decode_all(guess))).save(file, "PNG", compress_level=1)
        return file.getvalue()
