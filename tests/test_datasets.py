"""Packaged data is what its source says, to the last value."""

import numpy as np
from sklearn.datasets import load_digits

from reverie import registry
from reverie.codecs.image import ImageCodec


def test_digits_are_scikit_learns_and_their_levels_come_back():
    data, oracle = registry.find("datasets", "digits")().load(), load_digits()
    np.testing.assert_array_equal(np.rint(data.items[..., 0] * (16 / 255)), oracle.images)
    assert [data.classes[k] for k in data.labels] == [str(k) for k in oracle.target]
    assert data.items.shape == (1797, 8, 8, 1)
    assert data.held_out == 500


def test_a_digit_is_a_png_that_shows_it(tmp_path):
    data = registry.find("datasets", "digits")().load()
    codec = ImageCodec.fit(data.items)
    assert (codec.low, codec.high, codec.suffix) == (0, 255, ".png")
    back = ImageCodec.read(codec.write(data.items[0], tmp_path / "digit"))
    np.testing.assert_array_equal(back, data.items[0])
    assert (back.min(), back.max()) == (0, 239)
