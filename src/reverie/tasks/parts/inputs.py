"""What a person gives a trained model to work on: files, folders or arrays as the model's own tensors, nothing resized."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reverie import registry
from reverie.codecs import Codec
from reverie.codecs.gaps import Gaps
from reverie.data.dataset import Data, taken
from reverie.errors import ReverieError
from reverie.example import State, of_arrays, some_state
from reverie.model import Model


@dataclass
class Inputs:
    """Items as they were given and as the network sees them.

    items: N of them, as the codec's files hold them. names: what messages call them. x: (N, C, *) float32 in [-1, 1], or
    int64 tokens, or {field: (N, *)}. told: what the data says of each beside itself, N values by name, labels among it.
    notes: what a person should know of how they were read.
    """

    items: Any
    names: list[str]
    x: State
    told: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str] | None:
        """Class names, where the data has them."""
        return self.told.get("label")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.items)

    def some(self, index: np.ndarray) -> Inputs:
        """Those at some places, in that order."""
        told = {name: [values[k] for k in index] for name, values in self.told.items()}
        items, places = taken(self.items, np.asarray(index)), torch.as_tensor(index)
        return Inputs(items, [self.names[k] for k in index], some_state(self.x, places), told, self.notes)

    @classmethod
    def of(cls, data: Data, model: Model) -> Inputs:
        """Data that a model was fitted to."""
        return cls(data.items, data.names, of_arrays(model.encode(data.items)), data.told(range(len(data))))


def read_inputs(codec: Codec, given: Any, label_from: str = "none", condition: str | None = None) -> Inputs:
    """Read what a verb works on: a file, folder, zip, .npy or .npz, a packaged data set, an array, an item, a list, or Data.

    codec: the model's, or one like it of another size (`resized`). label_from, condition: as in training.
    Raises ReverieError for what cannot be read, for NaN, and for items of another size, colour or depth than the codec's:
    nothing is resized, recoloured or left out.
    """
    data = _read(codec, given, label_from, condition)
    if codec.together:
        x, notes = of_arrays(codec.encode_all(data.items)), codec.remarks(data.items)
        told = data.told(range(len(data))) | codec.brought(data.items)
        return Inputs(data.items, data.names, x, told, notes)
    if odd := {k: n for k, n in data.found.items() if k != codec.found_as}:
        words = ", ".join(f"{n:,} of {k}" for k, n in odd.items())
        raise ReverieError(
            f"{data.source}: {words}, where {codec.found_as} is needed (height x width, colour, depth). Convert the "
            f"file{'s' if len(data) > 1 else ''} first; nothing is resized or recoloured here."
        )
    x = np.stack([codec.encode(item) for item in data.items])
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        k = int(np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(1))[0])
        raise ReverieError(f"{data.names[k]} holds NaN or infinite values. Fill them in, or leave it out.")
    return Inputs(list(data.items), data.names, torch.from_numpy(x), data.told(range(len(data))))


def read_gaps(codec: Codec, given: Any, mask: Any, condition: str | None = None) -> tuple[Inputs, Gaps]:
    """Read data with gaps of its own: the items that have any, and all of them with their gaps."""
    data = given if isinstance(given, Data) else _read_together(codec, given, "none", condition, whole=True)
    gaps = codec.gaps(data.items, mask)
    if not gaps.count:
        raise ReverieError(
            f"{data.source} has no empty {gaps.entries}: there is nothing to fill in. Mark some with --mask."
        )
    part = data.subset(gaps.places)
    notes = [*codec.remarks(data.items, gaps=True), *gaps.notes]
    told = part.told(range(len(part))) | codec.brought(part.items)
    return Inputs(part.items, part.names, of_arrays(gaps.x), told, notes), gaps


def resized(codec: Codec, height: int, width: int) -> Codec:
    """The same codec for pictures of another size."""
    made: Codec = registry.from_config("codecs", {**registry.config(codec), "height": height, "width": width})
    return made


def _read(codec: Codec, given: Any, label_from: str, condition: str | None) -> Data:
    if isinstance(given, Data):
        return _tiled(codec, given)
    if codec.together:
        return _read_together(codec, given, label_from, condition)
    channels, *sides = codec.field.shape
    if isinstance(given, str | Path):
        if not str(given):
            raise ReverieError("The path of what to work on is empty; name a file, a folder or a packaged data set.")
        from reverie.data.source import read

        size = sides[0], sides[-1]
        return read(given, label_from=label_from, max_broken=0, resolution=size, condition=condition)
    if isinstance(given, np.ndarray) and given.shape[1:] == (*sides, channels) and sides[0] <= 4:
        # so few rows could be channels, but for the codec, which knows
        return Data(given, [f"input[{k}]" for k in range(len(given))], source="input")
    one = np.shape(given) in ((*sides,), (*sides, channels))
    return Data.from_arrays(np.asarray(given)[None] if one else given, name="input")


def _read_together(codec: Codec, given: Any, label_from: str, condition: str | None, whole: bool = False) -> Data:
    """Data whose items share a file: the file, or what `Codec.gathered` takes; whole, or as the model sees it."""
    if isinstance(given, str | Path):
        from reverie.data.source import read

        data = read(given, label_from=label_from, condition=condition, kind=codec.kind, window=codec.cut and "all")
        data = replace(data, items=codec.gathered(data.items))
    else:
        items = codec.gathered(given)
        data = Data(items, [f"input[{k}]" for k in range(len(items))], kind=codec.kind, source="input")
    return data if whole else _tiled(codec, data)


def _tiled(codec: Codec, data: Data) -> Data:
    """Items that are longer than what a model sees as parts of that length, each told what its item is."""
    items, of = codec.tiles(data.items)
    if len(items) == len(data):
        return data
    names = [f"{data.names[k]} {words}" for k, words in zip(of.tolist(), codec.part_words(items), strict=True)]
    return replace(data.subset(of), items=items, names=names)
