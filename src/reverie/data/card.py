"""What Reverie sees in a data set, as JSON and as a page to read: what `reverie info PATH` prints."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.data.dataset import Data
from reverie.data.split import digest

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 10  # of anything that may be long: shapes, classes, duplicates, broken files


def card(data: Data) -> dict[str, Any]:
    """Describe a data set as plain JSON.

    found: how many items there were of each size, colour and dtype, before any resizing; shape: what they are now,
    (H, W, C), or None where they differ. range: the smallest and largest value. duplicates: every group of items equal
    to the last bit, by name, and how many of these groups have members of different classes.
    """
    groups = _duplicates(data)
    shapes = {item.shape for item in data.items}
    classes = {}
    if data.labels is not None:
        counts = np.bincount(data.labels, minlength=len(data.classes))
        classes = {name: int(n) for name, n in zip(data.classes, counts, strict=True)}
    return {
        "kind": data.kind,
        "source": data.source,
        "count": len(data),
        "bytes": int(data.bytes),
        "found": data.found,
        "shape": list(shapes.pop()) if len(shapes) == 1 else None,
        "dtypes": sorted({str(item.dtype) for item in data.items}),
        "colour": data.colour,
        "range": [float(min(item.min() for item in data.items)), float(max(item.max() for item in data.items))],
        "classes": classes,
        "duplicates": {
            "groups": [[data.names[k] for k in group] for group in groups],
            "surplus": sum(len(group) - 1 for group in groups),
            "contradicting": sum(data.labels is not None and len(set(data.labels[group])) > 1 for group in groups),
        },
        "broken": [{"name": b.name, "reason": b.reason} for b in data.broken],
        "notes": list(data.notes),
        "held_out": data.held_out,
    }


def text(card: dict[str, Any]) -> RenderableType:
    """Lay a card out for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(card["source"]), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, words in _rows(card):
        table.add_row(name, Text(words))
    return table


def _rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    low, high = card["range"]
    rows = [
        (f"{card['kind']}s", f"{card['count']:,} ({_size(card['bytes'])})"),
        ("found", _lines([f"{n:,} of {what}" for what, n in card["found"].items()])),
        ("values", f"{low:g} to {high:g}, {' and '.join(card['dtypes'])}"),
    ]
    if card["shape"]:
        height, width, channels = card["shape"]
        rows.insert(2, ("as items", f"{height}x{width}, {channels} channel{'s' * (channels > 1)}"))
    if classes := card["classes"]:
        rows.append((f"{len(classes):,} classes", _lines([f"{name}: {n:,}" for name, n in classes.items()])))
    else:
        rows.append(("classes", "none"))
    rows += _duplicate_rows(card["duplicates"])
    if broken := card["broken"]:
        rows.append((f"{len(broken):,} broken, skipped", _lines([f"{b['name']}: {b['reason']}" for b in broken])))
    if notes := card["notes"]:
        rows.append(("notes", "\n".join(notes)))
    return rows


def _duplicate_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["groups"]:
        return [("duplicates", "none")]
    words = _lines([" = ".join(names[:4]) + (" = ..." if len(names) > 4 else "") for names in found["groups"]])
    if found["contradicting"]:
        words += f"\n{found['contradicting']:,} of these groups have members in different classes"
    return [(f"{found['surplus']:,} duplicates", words)]


def _duplicates(data: Data) -> list[list[int]]:
    """Places of items that are equal to the last bit, in groups of two or more."""
    groups = defaultdict(list)
    for k, item in enumerate(data.items):
        groups[digest(item)].append(k)
    return [group for group in groups.values() if len(group) > 1]


def _lines(parts: list[str]) -> str:
    more = [f"and {len(parts) - SHOWN:,} more"] if len(parts) > SHOWN else []
    return "\n".join([*parts[:SHOWN], *more])


def _size(number: float) -> str:
    """Bytes in words: 23.7 MB."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:,.0f} bytes" if units[0] == "bytes" else f"{number:,.1f} {units[0]}"
