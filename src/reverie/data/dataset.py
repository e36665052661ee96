"""What every reader returns and every trainer takes: items, their names and labels, and what was seen on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from reverie.codecs import raster
from reverie.codecs.pixels import Header, colour_of
from reverie.errors import ReverieError


class Broken(NamedTuple):
    """A file that could not be read, and why."""

    name: str
    reason: str


class Indexed(Protocol):
    """A list, or a torch-style Dataset: len() and getitem, which gives an item or (item, label)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


@dataclass
class Data:
    """A data set in memory.

    items: an array (N, H, W, C), or a sequence of arrays (H, W, C) where sizes differ.
    names: N of them; what messages call the items.
    labels: (N,) int64, places in `classes`; None where there are none.
    colour: what the channels mean (see codecs.pixels.COLOURS), where files said so.
    found: what the items were before any resizing -> how many, as {"480x640 rgb uint8": 12}.
    held_out: the share (float) or number (int) that a split keeps from training unless asked otherwise.
    groups: N names of what must not be parted by a split (a person, a scene); None where every item stands for itself.
    """

    items: Sequence[np.ndarray] | np.ndarray
    names: list[str]
    labels: np.ndarray | None = None
    classes: list[str] = field(default_factory=list)
    kind: str = "image"
    source: str = ""
    broken: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    held_out: float | int = 0.1
    colour: str | None = None
    found: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    groups: list[str] | None = None

    def __post_init__(self) -> None:
        """Fill in what can be counted; refuse names or labels of another number than the items."""
        if len(self.names) != len(self.items):
            raise ReverieError(f"{self.source}: {len(self.names):,} names for {len(self.items):,} items.")
        if self.labels is not None and len(self.labels) != len(self.items):
            raise ReverieError(
                f"{self.source}: {len(self.labels):,} labels for {len(self.items):,} items. Give one label per item."
            )
        if self.groups is not None and len(self.groups) != len(self.items):
            raise ReverieError(
                f"{self.source}: {len(self.groups):,} groups for {len(self.items):,} items. Give one per item."
            )
        self.found = self.found or describe(Header.of(item, self.colour) for item in self.items)
        self.bytes = self.bytes or sum(item.nbytes for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def subset(self, index: Sequence[int] | np.ndarray) -> Data:
        """Return the items at some places, in that order; classes keep their numbers."""
        index = np.asarray(index, dtype=np.int64)
        items = self.items[index] if isinstance(self.items, np.ndarray) else [self.items[k] for k in index]
        labels = None if self.labels is None else self.labels[index]
        groups = None if self.groups is None else [self.groups[k] for k in index]
        names = [self.names[k] for k in index]
        return replace(self, items=items, names=names, labels=labels, groups=groups, found={}, bytes=0)

    @classmethod
    def from_arrays(cls, items: np.ndarray | Indexed, labels: Any = None, name: str = "array") -> Data:
        """Make a data set of what a person holds in Python.

        items: an array (N, H, W), (N, H, W, C) or, where it can be nothing else, channels first (N, C, H, W), which is
        turned round and noted; or a list, or torch-style Dataset, of arrays (H, W), (H, W, C) or (C, H, W), tensors or
        Pillow images, each alone or as (item, label). labels: N numbers or words.
        Raises ReverieError for shapes that could be read two ways, values that are no numbers, NaN or infinite (naming
        the index), and labels of another number than the items.
        """
        notes: list[str] = []
        colour = None
        if isinstance(items, np.ndarray):
            pixels: np.ndarray | list[np.ndarray] = _numbers(_channels_last(items, notes, name), name)
        else:
            pairs = [_pair(items[k]) for k in range(len(items))]
            if any(label is not None for _, label in pairs):
                if labels is not None:
                    raise ReverieError(f"{name}: labels come with the items and beside them. Give them once.")
                labels = [label for _, label in pairs]
            pixels, colour = _each([item for item, _ in pairs], notes, name)
        if len(pixels) == 0:
            raise ReverieError(f"{name} is empty. Give at least one image.")
        for k, item in enumerate(pixels):
            if item.dtype.kind == "f" and not np.isfinite(item).all():
                raise ReverieError(f"{name}: item {k} holds NaN or infinite values. Remove it, or fill them in.")
        names = [f"{name}[{k}]" for k in range(len(pixels))]
        numbered, classes = (None, []) if labels is None else number(np.asarray(labels).tolist(), name)
        return cls(pixels, names, numbered, classes, source=name, notes=notes, colour=colour)


def describe(headers: Iterable[Header]) -> dict[str, int]:
    """Count pictures by size, colour and dtype, the commonest first."""
    words = Counter(h.words for h in headers)
    return dict(words.most_common())


def number(labels: Sequence[Any], name: str) -> tuple[np.ndarray, list[str]]:
    """Turn labels into places (N,) int64 in a sorted list of classes; whole numbers sort as numbers."""
    if any(label is None or isinstance(label, list) for label in labels):
        raise ReverieError(f"{name}: every item needs exactly one label, a number or a word.")
    words = [str(int(label)) if isinstance(label, float) and label.is_integer() else str(label) for label in labels]
    numeric = all(word.lstrip("-").isdecimal() for word in words)
    key: Callable[[str], Any] = int if numeric else str
    classes = sorted(set(words), key=key)
    place = {word: k for k, word in enumerate(classes)}
    return np.array([place[word] for word in words], dtype=np.int64), classes


def _pair(element: Any) -> tuple[Any, Any]:
    """Split what a Dataset gives into item and label; an item alone has none."""
    if isinstance(element, tuple):
        if len(element) != 2:
            raise ReverieError(f"A data set must give an item, or (item, label); this one gives {len(element)} values.")
        return element
    return element, None


def _each(items: list[Any], notes: list[str], name: str) -> tuple[np.ndarray | list[np.ndarray], str | None]:
    """Turn separate pictures into one array where they are alike, or a list."""
    pixels, said, colours = [], Counter[str](), set()
    for k, item in enumerate(items):
        where: list[str] = []
        if isinstance(item, Image.Image):
            picture = raster.of_pillow(item)
            pixels.append(picture.pixels)
            colours.add(picture.header.colour)
            where.extend(picture.header.changes)
        else:
            array = np.asarray(item)
            pixels.append(_numbers(_channels_last(array[None], where, f"{name}[{k}]")[0], f"{name}[{k}]"))
            colours.add(colour_of(pixels[-1].shape[2], str(pixels[-1].dtype)))
        said.update(where)
    notes.extend(f"{n:,} items: {words}" for words, n in said.items())
    alike = len({(p.shape, p.dtype) for p in pixels}) == 1
    return (np.stack(pixels) if alike else pixels), (colours.pop() if len(colours) == 1 else None)


def _numbers(pixels: np.ndarray, name: str) -> np.ndarray:
    """Refuse what is no real number; booleans become 0 and 255."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind not in "uif":
        raise ReverieError(f"{name} holds {pixels.dtype} values; pixels must be whole numbers or floats.")
    return pixels


def _channels_last(array: np.ndarray, notes: list[str], name: str) -> np.ndarray:
    """Bring (N, H, W), (N, H, W, C) or (N, C, H, W) to (N, H, W, C); what could be two of them is refused.

    An axis can be the channels if it counts 1 to 4, or fewer than both others.
    """
    shape = array.shape
    if array.ndim == 3:
        if shape[2] <= 4 < min(shape[:2]):
            raise ReverieError(
                f"{name} of shape {shape} looks like one image, channels last, not {shape[0]} grey ones. "
                "A set of images is (N, height, width, channels): add the axis with array[None]."
            )
        return array[..., None]
    if array.ndim != 4:
        raise ReverieError(
            f"{name} of shape {shape} is no set of images. Give (N, height, width) or (N, height, width, channels)."
        )
    first = 1 <= shape[1] <= 4 or shape[1] < min(shape[2:])
    last = 1 <= shape[3] <= 4 or shape[3] < min(shape[1:3])
    if first == last:
        raise ReverieError(
            f"{name} of shape {shape}: cannot tell whether axis 1 or axis 3 are the channels. Give "
            "(N, height, width, channels), and, if these are channels, at most 4 or fewer than height and width."
        )
    if first:
        notes.append(f"read as channels first, {shape[1]} channels of {shape[2]}x{shape[3]}, and turned round")
        return np.ascontiguousarray(np.moveaxis(array, 1, -1))
    return array
