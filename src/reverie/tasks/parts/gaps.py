"""Filling gaps of data that has gaps of its own, and what comes of it as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverie.codecs.gaps import Gaps, LongGaps
from reverie.core.samplers import Step
from reverie.example import to_arrays
from reverie.model import Model
from reverie.samples import Samples, Settings, free_file, write_item
from reverie.tasks.parts.edits import Draws
from reverie.tasks.parts.inputs import Inputs
from reverie.tasks.parts.knowing import knowing, method_for, untold, words_of
from reverie.tasks.parts.provenance import origin
from reverie.tasks.parts.stretches import in_stretches
from reverie.tasks.parts.walk import walk

if TYPE_CHECKING:
    from PIL.Image import Image


def drawn(
    asked: Draws, gaps: Gaps, method: str, told: dict[str, list[Any]], on_step: Callable[[Step], None] | None
) -> list[Any]:
    """Each draw of all inputs, decoded. told: what each input tells of itself, by condition."""
    if isinstance(gaps, LongGaps):
        return in_stretches(asked, gaps, method, told, on_step)
    x = asked.walk(knowing(asked, gaps, method), on_step)
    codec = asked.model.codec
    return [codec.decode_all({k: v[:, j].numpy() for k, v in x.items()}) for j in range(asked.samples)]


def sampled(
    model: Model, given: str, n: int, told: dict[str, Any], settings: Settings, seed: int, first: int, batch: int,
    on_step: Callable[[Step], None] | None,
) -> Samples:  # fmt: skip
    """New items of which something is given; conditions that are left open as `Model.sample` has them."""
    gaps, wish = model.codec.given(given, n, seed, first), model.conditions.ask(n, told, seed, first)
    asked = Draws(model, settings, n, 1, seed, wish, first, batch)
    method = method_for(model, None)
    x = walk(model, knowing(asked, gaps, method), n, settings, seed=seed, first=first, batch=batch, on_step=on_step)
    made = to_arrays(x)
    items = model.codec.with_conditions(gaps.filled(model.codec.decode_all(made)), wish.values)
    others = {k: v for k, v in wish.values.items() if k != "label"}
    notes = [*wish.notes, f"given {given}, the rest by {words_of(method)}"]
    return Samples(
        items, wish.values.get("label"), made, model.codec, settings, seed, first, others, notes, given=given
    )


@dataclass
class Fillings:
    """Items with their gaps filled, once for each draw, and with the one best guess: a sequence of the draws.

    inputs: those that have gaps. draws: decoded, of these. notes: what a person should read.
    """

    verb: str
    inputs: Inputs
    gaps: Gaps
    asked: Draws
    draws: list[Any]
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many draws."""
        return len(self.draws)

    def __getitem__(self, k: int) -> Any:
        """All the items, filled with draw k."""
        return self.gaps.filled(self.draws[k])

    @property
    def best(self) -> Any:
        """All the items, filled with the mean or the commonest of the draws."""
        return self.gaps.filled(self.gaps.best(self.draws))

    @property
    def spread(self) -> Any:
        """How far the draws differ, gap by gap."""
        return self.gaps.spread(self.draws)

    def save(self, folder: str | Path, about: dict[str, Any] | None = None) -> list[Path]:
        """Write the best guess, each draw (-1, -2, ... or all in -draws) and the spread; return the paths.

        folder: one to write to, or the file of the best guess itself, which the others then stand beside.
        """
        codec = self.asked.model.codec
        place = free_file(Path(folder), codec, "filled")
        table = self.gaps.drawn(self.draws)
        each = ["-draws"] if table is not None else [f"-{k + 1}" for k in range(len(self))]
        names = ["", *each, "-spread"]
        places = [free_file(place.with_name(f"{place.stem}{end}{place.suffix}"), codec) for end in names]
        made = {**origin(self.verb, self.asked.model), "seed": self.asked.seed, **self.asked.settings.to_json()}
        facts = {**made, **self.options, "samples": len(self), **(about or {})}
        paths = [write_item(codec, self.best, places[0], facts, self.gaps.write)]
        if table is not None:
            return [*paths, table.write(places[1]), self.spread.write(places[2])]
        paths += [self.gaps.write(self[k], place) for k, place in enumerate(places[1:-1])]
        return [*paths, self.spread.write(places[-1])]

    def lines(self) -> list[str]:
        """What was done, in words."""
        s, k, n = self.asked.settings, len(self), len(self.inputs)
        what = f"{self.gaps.count:,} {self.gaps.entries} of {n:,} {self.gaps.things}"
        drawn = f"filled {k} time{'s' * (k != 1)}, seed {self.asked.seed}"
        return [
            f"{self.verb}: {what} {drawn}, {s.steps} step{'s' * (s.steps != 1)} of {s.sampler}",
            *self.notes,
            *self.asked.wish.notes,
        ]

    def sheet(self) -> Image:
        """The first items, filled."""
        from PIL import Image

        return Image.fromarray(self.gaps.sheet(self.draws))


def filled(
    verb: str, model: Model, inputs: Inputs, gaps: Gaps, asked: Draws, method: str | None, names: Sequence[str],
    on_step: Callable[[Step], None] | None,
) -> Fillings:  # fmt: skip
    """Gaps drawn by a method; raises ReverieError for one that the model does not know. names: conditions that inputs tell."""
    method = method_for(model, method)
    notes = [words_of(method), *untold(model), *inputs.notes]
    made = drawn(asked, gaps, method, {name: inputs.told[name] for name in names}, on_step)
    return Fillings(verb, inputs, gaps, asked, made, {"method": method}, notes)
