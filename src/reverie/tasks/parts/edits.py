"""What a verb makes of each input: what it is told, some draws for every one of them, and how they are written and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from reverie.codecs import Codec
from reverie.conditions import Asked
from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.samplers import Step
from reverie.errors import ReverieError
from reverie.example import State, each, some_of
from reverie.model import Model
from reverie.samples import Settings, free_file, picked, told_plainly, write_item
from reverie.tasks.parts.inputs import Inputs
from reverie.tasks.parts.items import plain_name
from reverie.tasks.parts.many import check_many
from reverie.tasks.parts.provenance import origin
from reverie.tasks.parts.told import stated, wish
from reverie.tasks.parts.walk import Start, walk

if TYPE_CHECKING:
    from PIL.Image import Image

_ROWS, _DRAWS = 24, 8  # of a sheet, at most: what a person still looks at
APART = 2**32  # draws that an input has of its own before the next one's begin


@dataclass(frozen=True)
class Draws:
    """What is drawn: `samples` draws for each of some inputs, draw k of all being of input k // samples.

    wish: what each draw is told. first: number of the first input. batch: how many are computed at once. index: which sample
    of the seed each draw is; draw j of the i-th input is the same however many inputs and draws there are.
    """

    model: Model
    settings: Settings
    inputs: int
    samples: int
    seed: int
    wish: Asked
    first: int = 0
    batch: int = 128

    @classmethod
    def of(
        cls,
        model: Model,
        settings: Settings,
        inputs: int,
        samples: int = 1,
        seed: int = 0,
        label: str | None = None,
        condition: str | None = None,
        batch: int = 128,
        pictures: Mapping[str, Sequence[Any]] | None = None,
    ) -> Draws:
        """Read a person's words: labels and conditions are cycled over the draws, a seed of -1 picks one.

        Raises ReverieError for fewer than one draw, for more than may be (see `many`), and for a label or condition that the
        model does not know.
        """
        if samples < 1:
            raise ReverieError(f"{samples} samples of each input; give a whole number from 1.")
        if not model.codec.together:  # whose items share a file for each draw
            check_many(inputs, samples)
        said, own = stated(model, inputs * samples, label, condition), pictures or {}
        if twice := sorted(said.keys() & own.keys()):
            raise ReverieError(f"--condition {twice[0]}=...: that is what the inputs are. Leave it out.")
        told = wish(model, inputs * samples, {**said, **own})
        return cls(model, settings, inputs, samples, picked(seed), told, batch=batch)

    @property
    def index(self) -> Tensor:
        """(inputs * samples,) int64."""
        number = torch.arange(self.first, self.first + self.inputs)
        return (number[:, None] * APART + torch.arange(self.samples)).flatten()

    @property
    def noise(self) -> Noise:
        """The noise of all draws."""
        index = self.index
        return Noise(torch.full_like(index, self.seed), index)

    @property
    def labels(self) -> list[str] | None:
        """The label of each draw."""
        return self.wish.values.get("label")

    def sources(self, which: slice) -> Tensor:
        """The input of each draw of a slice."""
        return torch.arange(which.start, which.stop) // self.samples

    def part(self, which: slice) -> Draws:
        """The same of some of the inputs."""
        here = slice(which.start * self.samples, which.stop * self.samples)
        return replace(self, inputs=which.stop - which.start, wish=self.wish.some(here), first=self.first + which.start)

    def once(self) -> Draws:
        """The first draw of each input alone."""
        return replace(self, samples=1, wish=self.wish.some(slice(None, None, self.samples)))

    def denoiser(self, which: slice) -> Denoiser:
        """The denoiser of some draws, told what they are told and guided by it."""
        return self.model.guided(some_of(self.wish.cond, which), self.settings)

    def walk(
        self,
        bend: Callable[[slice], Denoiser],
        on_step: Callable[[Step], None] | None,
        start: Start | None = None,
        below: float | None = None,
    ) -> State:
        """All draws, encoded, (inputs, samples, C, *) on the CPU; arguments as `walk` has them."""
        x = walk(
            self.model, bend, self.inputs * self.samples, self.settings, seed=self.seed, index=self.index, batch=self.batch,
            start=start, below=below, on_step=on_step,
        )  # fmt: skip
        return each(lambda v: v.unflatten(0, (self.inputs, self.samples)), x)


def choose(
    model: Model,
    told: str | None,
    guidance: float | None,
    steps: int | None = None,
    sampler: str | None = None,
    grid: str | None = None,
) -> Settings:
    """The model's own settings with what a person asked for; with nothing told nothing guides, and asking for it is refused."""
    if guidance is not None and told is None:
        raise ReverieError(f"--guidance {guidance:g} guides towards what is told; add --label or --condition.")
    scale = 1.0 if told is None else guidance
    return model.defaults.given(steps=steps, sampler=sampler, grid=grid, guidance=scale)


@dataclass
class Edits:
    """What a verb made of each input: a sequence, over inputs, of lists of items, as the codec's files hold them.

    items: N lists of K draws. means: N items, where their mean tells something, or None. seen: each input as a picture of
    the outputs' size. options: what the verb was told, JSON-plain; each: the same of every input, such as an estimate.
    notes: lines that a person should read.
    """

    verb: str
    inputs: Inputs
    codec: Codec
    asked: Draws
    items: list[list[Any]]
    seen: list[np.ndarray]
    options: dict[str, Any]
    means: list[Any] | None = None
    each: list[dict[str, Any]] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many inputs there were."""
        return len(self.items)

    def __getitem__(self, k: int) -> list[Any]:
        """The draws of one input."""
        return self.items[k]

    def _facts(self, i: int) -> dict[str, Any]:
        """What made the draws of an input, JSON-plain."""
        own = {} if self.each is None else dict(self.each[i])
        settings = self.asked.settings.to_json()
        about = {"input": self.inputs.names[i], "input_number": i, "seed": self.asked.seed}
        return {**about, **settings, **self.options, **own}

    def save(self, folder: str | Path, about: dict[str, Any] | None = None) -> list[Path]:
        """Write every draw and mean as a file of its own, named by its input, the settings inside; return the paths."""
        made, paths = origin(self.verb, self.asked.model), []
        if self.codec.together:
            return self._save_together(Path(folder), {**made, **(about or {})})
        for i, name in enumerate(self.inputs.names):
            for end, item, what in self._outputs(i):
                facts = {**made, **self._facts(i), "draw": end, **what, **(about or {})}
                paths.append(write_item(self.codec, item, Path(folder) / f"{plain_name(i, name)}-{end}", facts))
        return paths

    def _save_together(self, folder: Path, about: dict[str, Any]) -> list[Path]:
        """Items that share a file: one of their means, and one for each draw."""
        made = {f"-{j}": [draws[j] for draws in self.items] for j in range(self.asked.samples)}
        if self.means is not None:
            made = {"": self.means, **made}
        place, paths = free_file(folder, self.codec, f"{self.verb}d"), []
        for end, items in made.items():
            facts = {**about, **self._facts(0), "draw": end or "mean", "inputs": self.inputs.names}
            path = free_file(place.with_name(f"{place.stem}{end}{place.suffix}"), self.codec)
            paths.append(write_item(self.codec, self.codec.rejoined(self.inputs.items, items), path, facts))
        return paths

    def _outputs(self, i: int) -> Iterator[tuple[int | str, Any, dict[str, Any]]]:
        """Each draw of an input and their mean: what its file's name ends in, the item, and what is its own."""
        here, labels = slice(i * self.asked.samples, (i + 1) * self.asked.samples), self.asked.labels
        for j, (draw, index) in enumerate(zip(self.items[i], self.asked.index[here].tolist(), strict=True)):
            yield j, draw, {"index": index, **told_plainly(self.asked.wish.at(here.start + j))}
        if self.means is not None:
            yield "mean", self.means[i], {} if labels is None else {"labels": labels[here]}

    def lines(self) -> list[str]:
        """What was done, in words."""
        s, n, k = self.asked.settings, len(self), self.asked.samples
        drawn = f"{n} input{'s' * (n != 1)}, {k} draw{'s' * (k != 1)} of each, seed {self.asked.seed}"
        first = f"{self.verb}: {drawn}, {s.steps} step{'s' * (s.steps != 1)} of {s.sampler}, guidance {s.guidance:g}"
        cut = [f"the sheet shows the first {_ROWS} inputs and {_DRAWS} draws at most"] * (n > _ROWS or k > _DRAWS)
        return [first, *self.notes, *self.asked.wish.notes, *cut]

    def sheet(self) -> Image:
        """A row for each input: itself, its draws, their mean."""
        from reverie.codecs.sheets import grid

        draws, told = min(self.asked.samples, _DRAWS), self.asked.labels
        pictures: list[np.ndarray] = []
        words: list[str] = []
        for i, items in enumerate(self.items[:_ROWS]):
            labels = [f"draw {j}" for j in range(draws)]
            if told is not None:
                labels = [f"{j}: {told[i * len(items) + j]}" for j in range(draws)]
            row = [self.seen[i], *(self.codec.picture(item) for item in items[:draws])]
            if self.means is not None:
                row, labels = [*row, self.codec.picture(self.means[i])], [*labels, "mean"]
            pictures, words = [*pictures, *row], [*words, "input", *labels]
        return grid(pictures, len(pictures) // min(len(self), _ROWS), words)


def decoded(codec: Codec, x: Tensor) -> list[list[Any]]:
    """Items of encoded draws (N, K, C, *)."""
    return [[codec.decode(one) for one in draws] for draws in x.numpy()]


def mean_of(codec: Codec, x: Tensor) -> list[Any] | None:
    """The mean over the draws (N, K, C, *) of each input; None for a single draw, and for tokens, which have none."""
    if x.shape[1] < 2 or codec.field.classes is not None:
        return None
    x = x.clamp(-1, 1) if codec.bounded else x
    return [codec.decode(one) for one in x.mean(1).numpy()]
