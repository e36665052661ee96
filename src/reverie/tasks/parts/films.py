"""Films: what the model saw and guessed on its way from noise to data, as an animation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reverie.codecs.sheets import grid
from reverie.core.samplers import Step
from reverie.errors import ReverieError
from reverie.files import write_whole
from reverie.model import Model
from reverie.samples import Settings

if TYPE_CHECKING:
    from PIL import Image

SHOWN = 16  # items
FRAMES = 60
_LAST = 1500  # milliseconds that the last frame stays


class _Stop(NamedTuple):
    """Where a step ended: the time, x_t there, and the guess it was made with."""

    s: float
    x: Tensor
    x0_hat: Tensor


class Recorder:
    """Watches a walk and keeps what a film needs; hands every step on to another watcher.

    rounds: batches that are walked. shown: which items of the first batch the film shows.
    """

    def __init__(self, rounds: int, shown: slice = slice(SHOWN), also: Callable[[Step], None] | None = None) -> None:
        self.rounds, self.shown, self.also = rounds, shown, also
        self.stops: list[_Stop] = []

    def __call__(self, step: Step) -> None:
        """Keep the steps of the first round of batches."""
        if self.also is not None:
            self.also(step)
        if step.number <= step.total // self.rounds and step.x0_hat is not None:
            self.stops.append(_Stop(step.s, step.x[self.shown].cpu(), step.x0_hat[self.shown].cpu()))

    def frames(self, model: Model, settings: Settings) -> list[Image.Image]:
        """A picture for each stop, evenly thinned to 60: x_t at the data's own contrast, and x0_hat to its right."""
        process, looks, codec = model.process(settings), model.denoiser, model.codec
        places = np.unique(np.linspace(0, len(self.stops) - 1, min(FRAMES, len(self.stops))).round().astype(int))
        found = []
        for stop in (self.stops[i] for i in places.tolist()):
            states = looks.look(stop.x, torch.tensor(stop.s, dtype=torch.float64), process)
            halves = [
                [codec.picture(codec.decode(x)) for x in part.numpy()] for part in (states, looks.guess(stop.x0_hat))
            ]
            found.append(beside(grid(halves[0]), grid(halves[1])))
        return found


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pictures of one height as one."""
    from PIL import Image

    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def film_place(path: str | Path) -> Path:
    """Where a film may go; raises ReverieError for what is there already or is no .gif."""
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ReverieError(f"{path}: a film is a GIF; give a name that ends in .gif.")
    if path.exists():
        raise ReverieError(f"{path} is there already; choose another place for the film.")
    return path


def save_film(frames: Sequence[Image.Image], path: Path, seconds: float = 3.0) -> Path:
    """Write an animated GIF that runs for ever: the frames in so many seconds, and a halt at the last."""
    each = max(20, round(1000 * seconds / len(frames)))
    times = [each] * (len(frames) - 1) + [_LAST]
    write_whole(
        path,
        lambda p: frames[0].save(
            p, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False
        ),
    )
    return path
