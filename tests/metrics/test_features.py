"""Features: the same on every machine, of the item alone, and good for what they are for."""

import numpy as np
import pytest
import safetensors
import torch

from reverie.data.split import split
from reverie.datasets import Digits
from reverie.errors import ReverieError
from reverie.metrics.features import WEIGHTS, DigitsCNN, Flat, RandomConv, _digit_net, choose
from reverie.metrics.frechet import Frechet


@pytest.fixture(scope="module")
def digits():
    data = Digits().load()
    x = np.moveaxis(np.asarray(data.items), -1, 1).astype(np.float32) / 127.5 - 1
    return data, x, split(data)


@pytest.mark.parametrize(
    ("shape", "name"),
    [((1, 28, 28), DigitsCNN), ((1, 33, 8), RandomConv), ((4, 8, 8), RandomConv), ((9,), Flat), ((2, 9), Flat)],
)
def test_the_shape_says_what_an_item_is_measured_on(shape, name):
    assert type(choose(shape)) is name
    x = np.zeros((2, *shape), np.float32)
    assert np.isfinite(choose(shape)(x)).all()


@pytest.mark.parametrize("features", [DigitsCNN(), RandomConv()])
def test_an_item_has_the_same_features_alone_and_among_others(features):
    x = np.random.default_rng(0).uniform(-1, 1, (40, 1, 12, 9)).astype(np.float32)
    np.testing.assert_allclose(features(x)[7:8], features(x[7:8]), rtol=1e-4, atol=1e-5)


def test_random_convolutions_are_those_of_every_other_machine():
    """Philox draws the same weights everywhere; these figures were taken when the map was made."""
    x = np.linspace(-1, 1, 2 * 3 * 10 * 7, dtype=np.float32).reshape(2, 3, 10, 7)
    found = RandomConv()(x)
    assert found.shape == (2, 96)
    np.testing.assert_allclose([*found[1, [50, 70, 95]], found[1].sum()], [0.346806, 0.0, 0.10291, 14.7263], rtol=1e-4)
    assert RandomConv().hash == "7cd0a9"
    assert RandomConv(seed=1).hash != RandomConv().hash
    assert np.abs(RandomConv(seed=1)(x) - found).max() > 0.1


def test_digit_weights_are_small_and_never_saw_the_held_out_digits(digits):
    file = WEIGHTS / "digits-cnn.safetensors"
    assert file.stat().st_size < 300_000
    with safetensors.safe_open(file, "pt") as content:
        assert content.metadata()["split"] == digits[2].hash, "the split has changed: tools/make_digits_features.py"


def test_digit_features_know_digits(digits):
    """The layer that follows them names at least 98 % of the held-out digits."""
    data, x, sides = digits
    with torch.no_grad():
        _, logits = _digit_net()[0](torch.from_numpy(x[sides.held_out]))
    assert np.mean(logits.argmax(1).numpy() == data.labels[sides.held_out]) >= 0.98


def test_larger_digits_are_brought_to_eight_pixels_by_areas(digits):
    x = digits[1][:5]
    larger = x.repeat(3, axis=2).repeat(3, axis=3)
    np.testing.assert_allclose(DigitsCNN()(larger), DigitsCNN()(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", [DigitsCNN(), RandomConv()])
def test_a_distance_on_them_grows_with_noise_and_with_blur(features, digits):
    _, x, sides = digits
    rng = np.random.default_rng(0)
    real, other = features(x[sides.held_out]), x[sides.train][:500]
    noise = rng.standard_normal(other.shape).astype(np.float32)
    found = [Frechet()(real, features(np.clip(other + s * noise, -1, 1))) for s in (0, 0.2, 0.4, 0.8)]
    assert found == sorted(found)
    blurred = torch.nn.functional.avg_pool2d(torch.from_numpy(other), 3, 1, 1).numpy()
    assert Frechet()(real, features(blurred)) > 3 * found[0]


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ReverieError, match="random-conv"):
        DigitsCNN()(np.zeros((2, 3, 8, 8), np.float32))


def test_flat_features_are_the_entries_themselves():
    x = np.random.default_rng(1).standard_normal((4, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(Flat()(x), x.reshape(4, 6))
    assert Flat.standardised
    assert not DigitsCNN.standardised
