"""The channels of time series: numbers that become normal variables, and go on in straight lines beyond the range seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reverie.codecs.cells import Cells, Fixed, Number, from_json


@dataclass(frozen=True)
class Channel:
    """A number over time: within the range seen as `cells.Number` has it, beyond it in a straight line.

    z = (Phi^-1(F(x)) - mean) / sd for x in [low, high];  z = z(high) + (x - high) / s above, s the mean slope dx/dz from the 90 %
    quantile to the highest value; so below. The future of a series may leave its past, where the rows of a table may not.
    What was never negative is never drawn negative.
    """

    number: Number

    @classmethod
    def of(cls, about: dict[str, Any]) -> Channel:
        """Read what `Number.to_json` wrote."""
        number = from_json(dict(about))
        if not isinstance(number, Number):
            raise ValueError(f"a channel of kind {about.get('kind')}")
        return cls(number)

    @property
    def name(self) -> str:
        """The channel's column."""
        return self.number.name

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Values as normal variables, float64, NaN where NaN."""
        n = self.number
        z_low, below, z_high, above = n.tails
        z = np.where(x > n.high, z_high + (x - n.high) / above, n.encode(x))
        z = np.where(x < n.low, z_low + (x - n.low) / below, z)
        return np.where(np.isnan(x), np.nan, z)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Normal variables as values, float64, rounded as the data is."""
        n = self.number
        z = z.astype(np.float64)
        z_low, below, z_high, above = n.tails
        x = np.where(z > z_high, n.high + (z - z_high) * above, n.decode(z))
        x = np.where(z < z_low, n.low + (z - z_low) * below, x)
        x = np.maximum(x, 0.0) if n.low >= 0 else x
        return x if n.decimals is None else np.round(x, n.decimals)


def fitted(name: str, dtype: str, values: np.ndarray) -> Cells:
    """What a channel holds, from all its values (N,), NaN where missing: a Number, or Fixed where it never changes."""
    seen = values[~np.isnan(values)]
    if not len(seen):
        return Fixed(name, dtype, None)
    if seen.min() == seen.max():
        return Fixed(name, dtype, float(seen[0]))
    return Number.fit(name, dtype, values)
