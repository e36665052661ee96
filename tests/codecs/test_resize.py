"""Resizing against what it must leave unchanged: constants, straight lines, means, colours under transparency."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reverie.codecs.resize import cover, rounded

RNG = np.random.default_rng(0)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.integers(0, 65535))
def test_a_constant_stays_one_at_every_size(height, width, to_height, to_width, value):
    out = cover(np.full((height, width, 2), value, np.uint16), to_height, to_width)
    assert out.shape == (to_height, to_width, 2)
    assert (out == value).all()


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
def test_a_straight_line_stays_one_at_full_depth(dtype):
    """Any symmetric average reproduces straight lines; 8-bit arithmetic on the way would show as steps of 257."""
    line = np.broadcast_to(np.linspace(1000, 64000, 240).round(), (240, 240))
    out = cover(line[..., None].astype(dtype), 24, 24)[:, :, 0]
    centres = 1000 + 63000 * (np.arange(24) * 10 + 4.5) / 239
    np.testing.assert_allclose(out[:, 3:-3], np.broadcast_to(centres[3:-3], (24, 18)), atol=1)


def test_nothing_aliases():
    """A pattern finer than the target's pixels becomes its mean, where picking pixels would give black or white."""
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    out = cover(checks, 16, 16).astype(int)
    assert abs(out[2:-2, 2:-2] - 127.5).max() <= 3


def test_the_centre_is_kept_and_the_ratio_with_it():
    wide = np.zeros((8, 24, 1), np.uint8)
    wide[:, 8:16] = np.arange(64).reshape(8, 8, 1)
    np.testing.assert_array_equal(cover(wide, 8, 8), wide[:, 8:16])
    tall = wide.swapaxes(0, 1)
    np.testing.assert_array_equal(cover(tall, 8, 8), tall[8:16])


def test_many_bands_are_many_single_ones():
    bands = RNG.random((33, 21, 7)).astype(np.float32)
    alone = [cover(bands[..., k : k + 1], 9, 12) for k in range(7)]
    np.testing.assert_array_equal(cover(bands, 9, 12), np.concatenate(alone, -1))


def test_colour_under_transparency_does_not_bleed():
    """A red shape on transparent green: shrunk, whatever still shows is red."""
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[..., 1] = 255
    picture[5:27, 5:27] = [255, 0, 0, 255]
    out = cover(picture, 8, 8, alpha=True).astype(int)
    shows = out[..., 3] > 8
    assert (out[..., 3] < 255).sum() > 0
    assert (out[shows][:, :2] == [255, 0]).all()
    assert out[..., 3].mean() == pytest.approx(picture[..., 3].mean(), abs=4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.sampled_from(["uint8", "int16", "uint16", "int64"]))
def test_rounding_is_to_the_nearest_level_that_there_is(values, dtype):
    out = rounded(np.array(values), np.dtype(dtype))
    info = np.iinfo(dtype)
    assert out.tolist() == [min(max(round(v), info.min), info.max) for v in values]
