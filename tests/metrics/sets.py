"""Pairs of sets (real, generated) by Philox, the same on every machine; tools/metric_oracles.py took public figures of them."""

import numpy as np


def _pair(key, n, m, d, shift, scale):
    rng = np.random.Generator(np.random.Philox(key=key))
    mix = rng.standard_normal((d, d)) / np.sqrt(d)
    return rng.standard_normal((n, d)) @ mix, shift + scale * rng.standard_normal((m, d)) @ mix


SETS = {
    "apart": _pair(1, 300, 300, 16, 0.4, 1.2),
    "near": _pair(2, 400, 400, 8, 0.05, 1.0),
    "unequal sizes": _pair(3, 210, 90, 12, 0.3, 0.7),
}
