"""Lines over time as small charts: paths of SVG in the page's own colours, with the ends of their axes as text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 240.0, 72.0  # of a chart, in its own units
_POINTS = 480  # of a line: more than a chart has pixels for
_TAIL = 0.001  # of the values that may lie beyond a chart's upper or lower edge


class Curve(NamedTuple):
    """One chart. paths: (class, path), in that order. low, high, left, right: ends of the axes. words: for who cannot see it."""

    name: str
    paths: list[tuple[str, str]]
    low: str
    high: str
    left: str
    right: str
    words: str
    note: str = ""


def limits(*values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis that shows all but the outermost of some values."""
    every = np.concatenate([v.ravel() for v in values])
    every = every[np.isfinite(every)]
    if not len(every):
        return 0.0, 1.0
    low, high = (float(v) for v in np.quantile(every, [_TAIL, 1 - _TAIL]))
    room = 0.0 if high > low else 0.5 * abs(low) or 0.5
    return low - room, high + room


def line(values: np.ndarray, low: float, high: float) -> str:
    """A path through values (T,) from the left edge to the right; a gap where one is NaN, at the edge what lies beyond."""
    x, y = _places(values, low, high)
    known = np.isfinite(y)
    begins = known & ~np.append(False, known[:-1])
    alone = begins & ~np.append(known[1:], False)
    return "".join(
        f"{'M' if start else 'L'}{u:.1f} {v:.1f}{'h0' if single else ''}"
        for u, v, start, single in zip(x[known], y[known], begins[known], alone[known], strict=True)
    )


def band(below: np.ndarray, above: np.ndarray, low: float, high: float) -> str:
    """The area between two lines (T,), where both are known, as one path for each stretch."""
    (x, down), (_, up) = _places(below, low, high), _places(above, low, high)
    known = np.isfinite(down) & np.isfinite(up)
    parts = []
    for stretch in np.split(np.arange(len(x)), np.flatnonzero(np.diff(known)) + 1):
        if len(stretch) and known[stretch[0]]:
            there = [f"{x[k]:.1f} {up[k]:.1f}" for k in stretch]
            back = [f"{x[k]:.1f} {down[k]:.1f}" for k in stretch[::-1]]
            parts.append(f"M{'L'.join(there + back)}Z")
    return "".join(parts)


def level(value: float, low: float, high: float) -> str:
    """A line across at one value, empty where it lies beyond the edges."""
    if not low <= value <= high:
        return ""
    return f"M0 {HEIGHT * (high - value) / (high - low):.1f}h{WIDTH:g}"


def upright(share: float) -> str:
    """A line from top to bottom, at a share of the width."""
    return f"M{WIDTH * share:.1f} 0v{HEIGHT:g}"


def told(value: float) -> str:
    """A number as a person reads it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ends(low: float, high: float) -> tuple[str, str]:
    """The ends of an axis as a person reads them."""
    return told(low), told(high)


def _places(values: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    count = len(values)
    keep = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(np.int64))
    x = WIDTH * keep / max(count - 1, 1)
    return x, HEIGHT * (high - np.clip(values[keep], low, high)) / (high - low)
