"""The kernel distance against a plain double loop, and its expectation against a closed form."""

from math import comb

import numpy as np
import pytest

from reverie.metrics import distances
from reverie.metrics.kernel import Kernel


@pytest.mark.parametrize("entries", [7, 1 << 22])
def test_it_is_the_textbook_double_loop_whatever_the_blocks(entries, monkeypatch):
    monkeypatch.setattr(distances, "ENTRIES", entries)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 4)), 1 + rng.standard_normal((7, 4))

    def k(a, b):
        return (a @ b / 4 + 1) ** 3

    among_x = np.mean([k(x[i], x[j]) for i in range(9) for j in range(9) if i != j])
    among_y = np.mean([k(y[i], y[j]) for i in range(7) for j in range(7) if i != j])
    cross = np.mean([k(a, b) for a in x for b in y])
    assert Kernel()(x, y) == pytest.approx(among_x + among_y - 2 * cross, rel=1e-10)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.5, 1.3)])
def test_it_is_unbiased(mean, sd):
    """In one dimension (xy + 1)^3 = sum_j C(3, j) x^j y^j, so its mean is sum_j C(3, j) (E x^j - E y^j)^2."""
    rng = np.random.default_rng(1)
    found = [Kernel()(rng.standard_normal((20, 1)), mean + sd * rng.standard_normal((25, 1))) for _ in range(4000)]
    ours = [1, 0, 1, 0]
    theirs = [1, mean, mean**2 + sd**2, mean**3 + 3 * mean * sd**2]
    truth = sum(comb(3, j) * (ours[j] - theirs[j]) ** 2 for j in range(4))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error
    assert error < 0.1 + 0.03 * truth
