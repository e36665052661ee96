"""Which items train and which are held out, decided by what the items are, not by where they stand."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from reverie.codecs.collection import Collection
from reverie.data.dataset import Data
from reverie.errors import ReverieError

FEW_HELD_OUT = 16  # below which copies cannot be told from chance: the thresholds of verdicts were set with no fewer
_THINGS = {"image": "image", "table": "row", "series": "window"}


class Split(NamedTuple):
    """Places of the items that train and of those held out, ascending int64, and 12 hex digits that name the split.

    The hash is over the contents on both sides, so it is the same for the same images in any order or under any names.
    """

    train: np.ndarray
    held_out: np.ndarray
    hash: str


def digest(item: np.ndarray) -> bytes:
    """SHA-256 of an item's dtype, shape and bytes: equal for equal items, and for no others."""
    head = f"{item.dtype.str} {item.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(item).tobytes()).digest()


def digests(items: Sequence[Any] | np.ndarray) -> list[bytes]:
    """What tells each item from others: its content; of the rows of a table, also which of several equal rows it is."""
    return items.digests() if isinstance(items, Collection) else [digest(item) for item in items]


def split(data: Data, held_out: float | int | None = None, seed: int = 0) -> Split:
    """Hold out a share (float, below 1) or an exact number (int) of the items, by the hash of their content.

    Each item has a number in [0, 1) hashed from the seed and its content. A share f holds out those below f, so an
    item's side does not change when data is added; if that leaves a side empty, the one content that lies nearest is
    moved over. A number k holds out the k items of lowest hash. Exact duplicates are one content and never
    part: where that makes exactly k impossible, the next content that fits is taken, and if none does it is an error.
    The hash is of the items as the model sees them: after resizing, so another resolution is another split.

    Where data has groups (a person, a scene), a group is what content is above: all its items are on one side, which is
    hashed from the seed and the group's name, so neither more items nor more groups move it. Only where equal items lie in
    different groups are these bound together: they take the side of the one with the lowest hash.

    Where items are stretches of time, the end of each series is held out, that share of it, and what lies across the border is on
    neither side, so that nothing that is held out is trained on in part. A number of items cannot be asked for there.

    Raises ReverieError for fewer than two different items or groups, and for a share or number that leaves a side empty.
    """
    wanted = data.held_out if held_out is None else held_out
    contents = digests(data.items)
    if data.spans is not None:
        return _in_time(data, data.spans, contents, wanted)
    units = contents if data.groups is None else _bound(contents, data.groups, seed)
    count = Counter(units)
    if len(count) < 2:
        raise ReverieError(_inseparable(data, len(set(contents))))
    ranked = sorted((_rank(seed, unit), unit) for unit in count)
    out = _number(ranked, count, wanted, data) if isinstance(wanted, int) else _share(ranked, wanted)
    mask = np.array([unit in out for unit in units])
    return _named(contents, np.flatnonzero(~mask), np.flatnonzero(mask))


def few_held_out(data: Data, cut: Split) -> list[str]:
    """What to say and do where so few series or windows are held out that little can be told by them."""
    if data.kind != "series" or len(cut.held_out) >= FEW_HELD_OUT:
        return []
    count = len(cut.held_out)
    what = "whole series" if data.spans is None else f"window{'s' * (count != 1)}"
    return [
        f"only {count:,} {what} held out, too few to tell copies and overfitting by, or to calibrate `detect` finely: a "
        f"{'' if data.spans is None else 'shorter '}--window, a larger --held-out or more data makes more"
    ]


def _named(contents: list[bytes], train: np.ndarray, held_out: np.ndarray) -> Split:
    sides = [sorted(contents[k] for k in side) for side in (train, held_out)]
    name = hashlib.sha256(b"".join(sides[0]) + b"|" + b"".join(sides[1])).hexdigest()[:12]
    return Split(train, held_out, name)


def _in_time(data: Data, spans: np.ndarray, contents: list[bytes], wanted: float | int) -> Split:
    """The end of each series is held out: at least one stretch of each that is long enough for two."""
    if isinstance(wanted, int) or not 0 < wanted < 1:
        raise ReverieError(
            f"--held-out {wanted:g}: of series the last share of time is held out. Give one, such as 0.2."
        )
    border = np.minimum(1 - wanted, 1 - (spans[:, 1] - spans[:, 0]))  # what is held out is at least as long as an item
    train, held = np.flatnonzero(spans[:, 1] <= border + 1e-9), np.flatnonzero(spans[:, 0] >= border - 1e-9)
    if not (len(train) and len(held)):
        raise ReverieError(
            f"{data.source}: no series is long enough to train on its begin and to be tested on its end, {len(data):,} "
            "windows in all. Give more data, or a smaller --window."
        )
    return _named(contents, train, held)


def _rank(seed: int, unit: bytes) -> bytes:
    return hashlib.sha256(f"{seed} ".encode() + unit).digest()


def _bound(contents: list[bytes], groups: list[str], seed: int) -> list[bytes]:
    """What each item may not be parted from: the name of its group or, where equal items bind groups, of the first by hash."""
    ranked = sorted(set(groups), key=lambda group: _rank(seed, _unit(group)))
    place = {what: k for k, what in enumerate([*ranked, *dict.fromkeys(contents)])}
    ties = ([place[g] for g in groups], [place[c] for c in contents])
    tied = coo_matrix((np.ones(len(groups), bool), ties), shape=(len(place), len(place)))
    _, parts = connected_components(tied, directed=False)
    first: dict[int, str] = {}
    for group in ranked:
        first.setdefault(int(parts[place[group]]), group)
    return [_unit(first[int(parts[place[g]])]) for g in groups]


def _unit(group: str) -> bytes:
    return f"group {group}".encode(errors="surrogateescape")


def _inseparable(data: Data, different: int) -> str:
    """Why there is nothing to hold out."""
    if different > 1:
        return (
            f"{data.source} is all one group, or groups bound by equal images, so it cannot be split without a group on both "
            "sides. Add images of another group, or prepare it again without --split-by."
        )
    return (
        f"{data.source} has {len(data):,} {_THINGS[data.kind]}{'s' * (len(data) != 1)}"
        + (", all the same" if len(data) > 1 else "")
        + f". Training needs at least two different ones: one to learn from, one to be tested on. Add {_THINGS[data.kind]}s"
        + (", or cut what there is into shorter ones with --window." if data.kind == "series" else ".")
    )


def _share(ranked: list[tuple[bytes, bytes]], share: float) -> set[bytes]:
    if not 0 < share < 1:
        raise ReverieError(f"A held-out share of {share:g} leaves nothing on one side. Give one between 0 and 1.")
    below = [int.from_bytes(key[:8], "big") < share * 2**64 for key, _ in ranked]
    number = min(max(sum(below), 1), len(ranked) - 1)
    return {unit for _, unit in ranked[:number]}


def _number(ranked: list[tuple[bytes, bytes]], count: Counter[bytes], wanted: int, data: Data) -> set[bytes]:
    if not 0 < wanted < len(data):
        raise ReverieError(
            f"{wanted:,} of {len(data):,} {_THINGS[data.kind]}s cannot be held out. Give a number from 1 to {len(data) - 1:,}."
        )
    out: set[bytes] = set()
    left = wanted
    for _, unit in ranked:
        if count[unit] <= left:
            out.add(unit)
            left -= count[unit]
    if left:
        grouped = "and those of one group " if data.groups is not None else ""
        raise ReverieError(
            f"Exactly {wanted:,} images cannot be held out, because identical images {grouped}stay together. "
            f"Hold out {wanted - left:,}, or remove duplicates (`reverie info` names them)."
        )
    return out
