"""Label agreement against exact intervals and against labels put wrong by hand."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from reverie.errors import ReverieError
from reverie.evaluation.classifier import clopper_pearson, label_agreement


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (1, 1), (497, 500), (30, 100)])
def test_the_interval_is_the_exact_one(k, n):
    theirs = binomtest(k, n).proportion_ci(method="exact")
    assert clopper_pearson(k, n) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@pytest.mark.parametrize("p", [0.02, 0.5, 0.99])
def test_the_interval_covers_at_its_level_or_above(p):
    inside = [low <= p <= high for low, high in (clopper_pearson(k, 50) for k in range(51))]
    assert np.sum(binom.pmf(np.arange(51), 50, p) * inside) >= 0.95


def test_held_out_digits_in_place_of_samples_agree_as_well_as_themselves(digits):
    train_x, train_y, held_x, held_y = digits
    found = label_agreement(train_x, train_y, held_x, held_y, held_x, held_y)
    assert found.held_out.value >= 0.98
    assert found.samples == found.held_out
    assert found.gap == pytest.approx(0)
    assert found.trained_on == 1297


def test_wrong_labels_lower_the_agreement_by_their_share(digits):
    train_x, train_y, held_x, held_y = digits
    asked = held_y.copy()
    asked[:150] = (asked[:150] + 1) % 10
    found = label_agreement(train_x, train_y, held_x, held_y, held_x, asked)
    assert found.samples.value == pytest.approx(0.7, abs=0.02)
    assert found.gap == pytest.approx(0.3, abs=0.02)


def test_the_gap_compares_with_held_out_items_of_the_classes_asked_for():
    """Class 0 lies apart; 1 and 2 cannot be told from each other. Asked for 0 alone, nothing is missing."""
    rng = np.random.default_rng(0)

    def items(y):
        return (np.where(y == 0, 1.0, -1.0)[:, None, None, None] + 0.2 * rng.standard_normal((len(y), 1, 4, 4))).astype(
            "f4"
        )

    y = np.repeat([0, 1, 2], 100)
    zeros = np.zeros(50, int)
    found = label_agreement(items(y), y, items(y), y, items(zeros), zeros, ["far", "near", "near too"])
    assert found.samples.value == 1
    assert found.held_out.value < 0.8
    assert (found.held_out_alike, found.gap) == (1, 0)
    assert list(found.by_class) == ["far"]


def test_large_colour_pictures_are_judged_quickly_on_averages():
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    x = (rng.standard_normal((60, 3, 64, 80)) + (2 * y - 1)[:, None, None, None]).astype(np.float32)
    assert label_agreement(x, y, x, y, x, y).samples.value == 1


def test_one_class_or_missing_labels_are_errors():
    x, y = np.zeros((4, 1, 2, 2), np.float32), np.zeros(4, int)
    with pytest.raises(ReverieError, match="two classes"):
        label_agreement(x, y, x, y, x, y)
    with pytest.raises(ReverieError, match="4 sample items and 3 sample labels"):
        label_agreement(x, y, x, y, x, y[:3])
