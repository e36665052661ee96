"""Items whose values are unlike all others', by a rule that the outliers themselves cannot bend."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reverie.data.looks import Looks

FENCE = 3.0
FEWEST = 8  # items, below which quartiles say nothing
BLANK = 0.01
RULE = (
    f"an item's mean or contrast lies more than {FENCE:g} spreads outside the quartiles of all items, or its smallest value "
    "as far below or its largest as far above; a spread is the distance between the quartiles, at least a tenth of the "
    f"median item's range; or it is blank: its range is at most {BLANK:.0%} of the median item's; nothing is said of "
    f"fewer than {FEWEST} items"
)
_WORDS = {"low": "smallest value", "high": "largest value", "mean": "mean", "contrast": "contrast"}


class Outlier(NamedTuple):
    """One item: its place, whether its extreme values are what is wrong, so that clipping mends it, and why in words."""

    place: int
    extreme: bool
    why: str


def outliers(seen: Looks) -> list[Outlier]:
    """Find the outliers by RULE, in order; none among fewer than 8 items, where nothing can be said.

    Source: Tukey 1977, section 2E ("far out" beyond three hinge spreads), with a least spread, because the extremes of
    most 8-bit pictures are all alike.
    """
    if len(seen.low) < FEWEST:
        return []
    with np.errstate(over="ignore"):  # of values near the end of float64: an infinite range is a fair answer
        ranges = seen.high - seen.low
    usual = float(np.median(ranges))
    why: dict[int, list[str]] = {}
    extreme: set[int] = set()
    for name, words in _WORDS.items():
        values = getattr(seen, name)
        low, high = _fences(values, usual)
        expected = {"low": f"at least {low:.4g}", "high": f"at most {high:.4g}"}.get(name, f"{low:.4g} to {high:.4g}")
        low, high = -np.inf if name == "high" else low, np.inf if name == "low" else high
        for k in np.flatnonzero((values < low) | (values > high)).tolist():
            why.setdefault(k, []).append(f"{words} {values[k]:.4g}, usual is {expected}")
            if name in ("low", "high"):
                extreme.add(k)
    for k in np.flatnonzero(ranges <= BLANK * usual).tolist():
        why[k] = [f"blank: all values from {seen.low[k]:.4g} to {seen.high[k]:.4g}"]
    return [Outlier(k, k in extreme, "; ".join(why[k])) for k in sorted(why)]


def bounds(seen: Looks, found: list[Outlier]) -> tuple[float, float]:
    """The smallest and the largest value of the items that are no outliers, of all where none is left: what clipping leaves."""
    every = np.arange(len(seen.low))
    rest = np.setdiff1d(every, [o.place for o in found]) if len(found) < len(every) else every
    return float(seen.low[rest].min()), float(seen.high[rest].max())


def _fences(values: np.ndarray, usual: float) -> tuple[float, float]:
    first, third = np.quantile(values, [0.25, 0.75])
    spread = max(float(third - first), usual / 10)
    return float(first) - FENCE * spread, float(third) + FENCE * spread
