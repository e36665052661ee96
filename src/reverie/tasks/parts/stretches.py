"""Filling gaps of items that are longer than what a model sees at once: stretch by stretch, each draw going on from its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from reverie.codecs.gaps import LongGaps, Stretch
from reverie.core.samplers import Step
from reverie.tasks.parts.edits import APART, Draws
from reverie.tasks.parts.knowing import Window, knowing
from reverie.tasks.parts.told import wish
from reverie.tasks.parts.walk import walk

_ITEMS = 1 << 20  # items that a turn has noise for before the next one's begins


def in_stretches(
    asked: Draws, gaps: LongGaps, method: str, told: dict[str, list[Any]], on_step: Callable[[Step], None] | None
) -> list[Any]:
    """Each draw of all items with gaps, decoded.

    told: what each item tells of itself, by condition; what a stretch tells of itself, such as when it starts, comes before it.
    """
    places = gaps.places.tolist()
    z = {(place, draw): gaps.begun(place) for place in places for draw in range(asked.samples)}
    number = {place: k for k, place in enumerate(places)}
    turn = 0
    while due := [(key, at) for key, one in z.items() if (at := gaps.stretch(key[0], one)) is not None]:
        cuts = [gaps.cut(at, z[key]) for key, at in due]
        windows = Window(np.stack([x for x, _ in cuts]), np.stack([known for _, known in cuts]))
        own = _told(asked, gaps, [at for _, at in due], [number[key[0]] for key, _ in due], told)
        here = Draws(asked.model, asked.settings, len(due), 1, asked.seed, wish(asked.model, len(due), own))
        index = torch.tensor([(turn * _ITEMS + place) * APART + draw for (place, draw), _ in due])
        made = walk(
            asked.model, knowing(here, windows, method), len(due), asked.settings, seed=asked.seed, index=index,
            batch=asked.batch, on_step=on_step,
        ).numpy()  # fmt: skip
        for (key, at), x in zip(due, made, strict=True):
            z[key] = gaps.put(at, z[key], x)
        turn += 1
    return [gaps.decoded([z[place, draw] for place in places]) for draw in range(asked.samples)]


def _told(
    asked: Draws, gaps: LongGaps, stretches: list[Stretch], of: list[int], told: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """What each stretch is told: what a person states of its item, what the item tells, and what the stretch tells itself."""
    stated = {name: [values[k * asked.samples] for k in of] for name, values in asked.wish.values.items()}
    own = {name: [values[k] for k in of] for name, values in told.items()}
    brought = asked.model.codec.brought([gaps.part(at) for at in stretches])
    return stated | own | {name: values for name, values in brought.items() if name in asked.model.conditions}
