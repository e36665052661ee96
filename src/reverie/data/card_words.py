"""How cards write what may be long, and what may be large."""

from __future__ import annotations

SHOWN = 10  # of anything that may be long: shapes, classes, duplicates, broken files


def lines(parts: list[str], most: int = SHOWN) -> str:
    """The first of many lines, and how many more there are."""
    more = [f"and {len(parts) - most:,} more"] if len(parts) > most else []
    return "\n".join([*parts[:most], *more])


def size(number: float) -> str:
    """Bytes in words: 23.7 MB."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:,.0f} bytes" if units[0] == "bytes" else f"{number:,.1f} {units[0]}"
