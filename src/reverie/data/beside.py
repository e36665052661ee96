"""Conditions of items in files: columns of a table among them, and folders or zips with a picture for each."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reverie.codecs.image import ImageCodec
from reverie.data import labels
from reverie.data.columns import Column, Labels, Numbers, Pictures
from reverie.data.known import picture_size
from reverie.data.members import Folder, Members, Zip
from reverie.data.wishes import COLUMN, WAYS, Untold, Wish
from reverie.errors import ReverieError, nearest

Decode = Callable[
    [Members, list[str], Callable[[set[tuple[int, int]]], tuple[int, int]]], tuple[np.ndarray, str, list[str]]
]


class Found(NamedTuple):
    """A condition as it was read: its column, what to say of it, and the table it was read from, if it was one."""

    column: Column
    notes: list[str]
    table: str | None


def read(wish: Wish, members: Members, names: list[str], size: tuple[int, int], decode: Decode) -> Found:
    """Read one condition of the items called `names`.

    size: (height, width) of the items. decode: pictures by name, brought to a size chosen from those that they have.
    Raises Untold for a column or folder that is not there, an item that it says nothing of, and what is no number.
    """
    try:
        if wish.kind == COLUMN:
            raise ReverieError(f"--condition {wish}: write {WAYS}.")
        return {"label": _label, "number": _number, "image": _image}[wish.kind](wish, members, names, size, decode)
    except ReverieError as error:
        raise Untold(str(error)) from error


def _label(wish: Wish, members: Members, names: list[str], size: tuple[int, int], decode: Decode) -> Found:
    if wish.place == "folder":
        told, table = labels.by_folder(names), None
        if told is None:
            raise ReverieError(
                f"--condition {wish}: {members.path} has not two class folders. Give a column, or leave it out."
            )
    else:
        told, table = labels.by_column(members, names, wish.place)
    empty = sum(told[n] == labels.NO_LABEL for n in names)
    notes = (
        [f"{empty:,} of {len(names):,} cells of '{wish.place}' are empty: made the class {labels.NO_LABEL}"]
        if empty
        else []
    )
    return Found(Labels.of([told[n] for n in names], wish.name), notes, table)


def _number(wish: Wish, members: Members, names: list[str], size: tuple[int, int], decode: Decode) -> Found:
    cells, table = labels.cells(members, names, wish.place)
    values = []
    for name in names:
        line, cell = cells[name]
        try:
            values.append(float(cell) if cell else math.nan)
        except ValueError as error:
            raise ReverieError(_no_number(table, line, wish, name, cell)) from error
        if cell and not math.isfinite(values[-1]):
            raise ReverieError(_no_number(table, line, wish, name, cell))
    column = Numbers(np.array(values, dtype=np.float64))
    empty = int(np.isnan(column.values).sum())
    notes = [f"{empty:,} of {len(names):,} cells of '{wish.place}' are empty: told as nothing known"] if empty else []
    return Found(column, notes, table)


def _no_number(table: str, line: int, wish: Wish, name: str, cell: str) -> str:
    return (
        f"{table}, row {line}, column '{wish.place}': '{cell}' of {name} is no finite number. Mend it, leave it empty where "
        f"none is known, or read the column as classes: label:{wish.place}."
    )


def _image(wish: Wish, members: Members, names: list[str], size: tuple[int, int], decode: Decode) -> Found:
    place = Path(wish.place).expanduser()
    if not place.exists():
        beside = [p.name for p in place.parent.iterdir() if not p.name.startswith(".")] if place.parent.is_dir() else []
        hint = f" Did you mean {nearest(place.name, beside)}?" if beside else ""
        raise ReverieError(f"--condition {wish}: there is no {place}.{hint}")
    other: Members = Folder(place) if place.is_dir() else Zip(place)
    pictures = [n for n in other.sizes if n.lower().endswith(ImageCodec.suffixes)]
    partner = _pairs(names, pictures, wish)
    items, colour, notes = decode(other, [partner[n] for n in names], lambda found: picture_size(found, size))
    if unused := len(set(pictures) - set(partner.values())):
        notes.append(f"{unused:,} pictures have no item of their name and are not used")
    return Found(Pictures(items, colour), [f"{wish.name}: {note}" for note in notes], None)


def _pairs(names: list[str], others: list[str], wish: Wish) -> dict[str, str]:
    """The file that goes with each item: of the same path, suffix aside, from the root or below the folder that all share."""
    best: dict[str, str] = {}
    for mine, theirs in ((0, 0), (len(_shared(names)), len(_shared(others)))):
        stems: dict[str, list[str]] = {}
        for other in others:
            stems.setdefault(_stem(other, theirs), []).append(other)
        found = {n: stems.get(_stem(n, mine), []) for n in names}
        if several := {n: o for n, o in found.items() if len(o) > 1}:
            name, options = next(iter(several.items()))
            raise ReverieError(f"--condition {wish}: {name} goes with {' and '.join(options)}. Keep one of them.")
        pairs = {n: o[0] for n, o in found.items() if o}
        best = max(best, pairs, key=len)
    if missing := [n for n in names if n not in best]:
        raise ReverieError(
            f"--condition {wish}: {len(missing):,} of {len(names):,} items have no file of the same name there "
            f"({labels.some(missing)}). Add them, or take these items away."
        )
    return best


def _stem(name: str, start: int) -> str:
    return posixpath.splitext(name[start:].lstrip("/"))[0]


def _shared(names: list[str]) -> str:
    return posixpath.commonpath([posixpath.dirname(n) for n in names]) if names else ""
