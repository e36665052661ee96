"""augment: on Gaussian classes the law of a variation given its item is known, and what is written trains a model."""

import math

import numpy as np
import pytest

from reverie.conditions import Knowledge
from reverie.data.source import read
from reverie.errors import ReverieError
from reverie.tasks.augment import augment
from reverie.tasks.parts.inputs import read_inputs
from reverie.tasks.parts.strength import noise_of
from tests.tasks.exact import MEANS, SD, exact_model, token_model
from tests.toy import bars


@pytest.fixture(scope="module")
def model():
    return exact_model(dtype="float32")


def low(count=40, seed=0):
    return np.random.default_rng(seed).normal(MEANS["low"], 0.1, (count, 8, 8, 1)).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("strength", [0.3, 0.5, 0.8])
def test_a_variation_is_the_ode_of_the_noised_item_told_its_label(model, strength):
    """x = m + sd / sqrt(sd^2 + n^2) (x0 - m + n eps), told m of its class: mean and spread about the item follow."""
    items = low()
    made = np.stack(augment(model, items, labels=["low"] * 40, times=2, strength=strength, steps=48).items)
    n, kept = noise_of(model, strength), math.cos(0.5 * math.pi * strength)
    assert n == pytest.approx(SD * math.tan(0.5 * math.pi * strength))
    expected = MEANS["low"] + kept * (np.repeat(items, 2, 0) - MEANS["low"])
    error = made - expected
    assert error.mean() == pytest.approx(0, abs=0.01)
    assert error.std() == pytest.approx(kept * n, rel=0.03)  # 5,120 pixels: 1 % by chance


def test_strength_1_is_a_fresh_sample_of_the_label(model):
    made = np.stack(augment(model, low(), labels=["high"] * 40, times=1, strength=1.0).items)
    assert made.mean() == pytest.approx(MEANS["high"], abs=0.02)


def test_a_variation_is_the_same_however_many_there_are(model):
    one = augment(model, low(4), labels=["low"] * 4, times=1, steps=4, seed=7)
    more = augment(model, low(6), labels=["low"] * 6, times=3, steps=4, seed=7)
    np.testing.assert_allclose(one[2], more[2 * 3], atol=1e-5)
    assert not np.allclose(more[6], more[7], atol=0.05)


def test_what_is_written_reads_back_as_the_same_data_set_with_its_labels(tmp_path):
    model, (items, _) = exact_model(), bars(5)
    labels = ["low", "high", "low", "high", "high"]
    made = augment(model, items, labels=labels, times=2, steps=2, with_originals=True)
    paths = made.save(tmp_path / "more", {"model": "here"})
    assert len(set(paths)) == 15
    found = read(tmp_path / "more")
    assert [found.classes[k] for k in found.labels].count("low") == 6
    again = {item.tobytes() for item in found.items}
    assert all(item.tobytes() in again for item in items)
    once_more = augment(model, str(tmp_path / "more"), times=1, steps=2)  # and as what augment itself works on
    assert len(once_more) == 15
    assert set(once_more.folders) == {"low", "high"}


def test_a_model_without_labels_keeps_those_of_the_data_and_is_told_none(model):
    plain = exact_model()
    plain.conditions = Knowledge()
    items = bars(4)[0]
    made = augment(plain, items, labels=["a", "b", "a", "b"], times=1, steps=2)
    assert made.folders == ["a", "b", "a", "b"]
    assert made.lines()[1] == "told nothing"
    assert augment(plain, items, times=1, steps=2).folders is None
    assert read_inputs(plain.codec, items).labels is None


def test_what_does_not_fit_is_one_message(model):
    items = low(2)
    bad = items.copy()
    bad[0, 0, 0] = np.inf
    for words, act in {
        "times 0": lambda: augment(model, items, labels=["low"] * 2, times=0),
        "strength 0": lambda: augment(model, items, labels=["low"] * 2, strength=0.0),
        "strength 1.5": lambda: augment(model, items, labels=["low"] * 2, strength=1.5),
        "strength nan": lambda: augment(model, items, labels=["low"] * 2, strength=math.nan),
        "no labels": lambda: augment(model, items),
        "no label 'mid'": lambda: augment(model, items, labels=["low", "mid"]),
        "batch 0": lambda: augment(model, items, labels=["low"] * 2, batch=0),
        "infinite": lambda: augment(model, bad, labels=["low"] * 2),
        "6x6": lambda: augment(model, items[:, :6, :6], labels=["low"] * 2),
        "Gaussian process": lambda: augment(token_model(), bars(2)[0]),
    }.items():
        with pytest.raises(ReverieError, match=words):
            act()
