"""The digits as every evaluation sees them."""

import numpy as np
import pytest

from reverie.data.split import split
from reverie.datasets import Digits


@pytest.fixture(scope="session")
def digits():
    """Training x (1297, 1, 8, 8) and labels, held-out x (500, 1, 8, 8) and labels."""
    data = Digits().load()
    x = np.moveaxis(np.asarray(data.items), -1, 1).astype(np.float32) / 127.5 - 1
    sides = split(data)
    return x[sides.train], data.labels[sides.train], x[sides.held_out], data.labels[sides.held_out]
