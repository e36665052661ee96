"""Which weights a run ends with: the last, or those of an earlier look at which the held-out loss was less."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from reverie import storage
from reverie.training.distributed import Group
from reverie.training.trackers import Event

_FILE = "kept.safetensors"


class Look(NamedTuple):
    """Held-out loss of averaged weights at a step, of each item (N,), which met the same noises at every look."""

    step: int
    by_item: tuple[float, ...]

    @property
    def loss(self) -> float:
        """The mean over items."""
        return float(np.mean(self.by_item))


@dataclass
class Keeper:
    """Keeps a copy of the averaged weights of the look with the least held-out loss; the rest is in checkpoints.

    best, last: the look with the least loss, and the latest. weights: of the best, on the CPU.
    """

    best: Look | None = None
    last: Look | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def see(self, event: Event, average: dict[str, Tensor]) -> None:
        """Take a look at averaged weights; one that is not finite, or from before the first step, is never the best."""
        look = Look(event.step, tuple(map(float, event.values["by_item"])))
        self.last = look
        if event.step and np.isfinite(look.loss) and (self.best is None or look.loss < self.best.loss):
            self.best = look
            self.weights = {k: v.detach().to("cpu", copy=True) for k, v in average.items()}

    def verdict(self, step: int) -> dict[str, Any]:
        """The best look, where the last, at this step, is worse by more than its paired standard error; else nothing.

        d_i = last_i - best_i over N items; the best is kept where mean(d) > sd(d) / sqrt(N), or the last is not finite.
        """
        if self.best is None or self.last is None or self.last.step != step or self.best.step == step:
            return {}
        if len(self.best.by_item) < 2:
            return {}
        apart = np.subtract(self.last.by_item, self.best.by_item)
        error = float(apart.std(ddof=1)) / len(apart) ** 0.5
        if float(apart.mean()) <= error:
            return {}
        return {"kept": self.best.step, "held_out": self.best.loss, "last": self.last.loss, "standard_error": error}

    def shared(self, group: Group, names: list[str]) -> dict[str, Tensor]:
        """The best weights, which the first process has, known to every one."""
        return {name: group.spread([lambda: self.weights[name]])[0] for name in names}  # noqa: B023

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the weights into a checkpoint that is being made, and return the rest as JSON."""
        if self.weights:
            storage.save_tensors(self.weights, folder / _FILE)
        return {"best": self.best, "last": self.last}

    @classmethod
    def read(cls, folder: Path, about: dict[str, Any]) -> Keeper:
        """What `write` wrote; nothing is kept where an older Reverie wrote the checkpoint."""
        best, last = (Look(one[0], tuple(one[1])) if one else None for one in (about.get("best"), about.get("last")))
        return cls(best, last, storage.load_tensors(folder / _FILE) if best else {})
