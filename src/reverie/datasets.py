"""Real data that ships inside installed packages, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from reverie.data.dataset import Data


class Packaged(ABC):
    """A data set that needs no download: `reverie train NAME`."""

    @abstractmethod
    def load(self) -> Data:
        """Return all of it, with labels, classes and how many to hold out."""


@dataclass(frozen=True)
class Digits(Packaged):
    """1,797 handwritten digits, 8 x 8 pixels, with their classes 0 to 9.

    Their 17 levels v = 0..16 are stored as the grey p = round(255 v / 16), so that the PNGs can be looked at;
    v = round(16 p / 255) gives them back exactly. 500 are held out.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (test part), as in scikit-learn.
    """

    def load(self) -> Data:
        """Return all of it, in scikit-learn's order."""
        from sklearn.datasets import load_digits

        found = load_digits()
        items = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
        names = [f"digits[{k}]" for k in range(len(items))]
        labels = found.target.astype(np.int64)
        return Data(items, names, labels, [str(k) for k in range(10)], source="digits", held_out=500)
