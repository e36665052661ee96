"""Pictures as tokens: the fewest levels, exact round trips, and what does not fit told with both sides."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reverie import registry
from reverie.codecs.image import ImageCodec
from reverie.datasets import Digits
from reverie.errors import ReverieError

RNG = np.random.default_rng(0)


def grey(*values, dtype="uint8"):
    values = np.array(values, dtype)
    return values.reshape(16 if values.size == 256 else 1, -1, 1)


def same(codec, items):
    """Every item comes back bit for bit, in its own dtype, by int64 tokens in [0, L)."""
    for item in items:
        x = codec.encode(item)
        assert x.dtype == np.int64
        assert x.shape == codec.field.shape
        assert 0 <= x.min() <= x.max() < codec.levels
        back = codec.decode(x)
        assert back.dtype == np.dtype(codec.dtype)
        assert np.array_equal(back, codec.conform(item))


def test_digits_have_17_levels_and_all_come_back():
    items = Digits().load().items
    codec = ImageCodec.fit(items, levels=True)
    assert (codec.levels, codec.field.classes) == (17, 17)
    same(codec, items)
    from sklearn.datasets import load_digits

    np.testing.assert_array_equal(codec.encode(items[7])[0], load_digits().images[7])  # the 0..16 they were made from


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([0, 255], "uint8", 2),
        ([0, 128, 255], "uint8", 3),
        ([0, 85, 255], "uint8", 4),
        ([0, 1, 255], "uint8", 172),  # the first at which round(255 / (levels - 1)) is 1
        (list(range(256)), "uint8", 256),
        ([0, 257, 65535], "uint16", 256),
        ([-5, -4, 3], "int16", 7),  # steps of 4 / 3, the first of them rounded to 1
        ([-1, 0, 1], "float32", 3),
        ([k / 255 for k in range(256)], "float32", 256),
        ([k / 255 for k in range(256)], "float64", 256),
        ([0, 16], "float64", 2),
        ([7, 7], "uint8", 36),  # the first at which round(255 / (levels - 1)) is 7
    ],
)
def test_the_fewest_levels_that_hold_every_value(values, dtype, levels):
    """Found by trying them one by one."""
    items = [grey(*values, dtype=dtype)]
    codec = ImageCodec.fit(items, levels=True)
    held = [n for n in range(2, 257) if set(items[0].ravel()) <= set(evenly(codec.low, codec.high, n, dtype))]
    assert codec.levels == min(held) == levels
    same(codec, items)


def evenly(low, high, n, dtype):
    exact = [low + k * (high - low) / (n - 1) for k in range(n)]
    return np.array(exact if np.dtype(dtype).kind == "f" else [round(v) for v in exact], dtype)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays("uint8", st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))), st.integers(2, 256))
def test_round_trip_at_any_number_of_levels(places, levels):
    """Whatever values lie on whatever levels."""
    item = evenly(0, 255, levels, "uint8")[places.astype(int) % levels]
    codec = ImageCodec.fit([item], levels=True)
    assert codec.levels <= levels
    same(codec, [item])


@given(hnp.arrays("uint8", (3, 4, 2)))
def test_what_is_no_level_goes_to_the_nearest(item):
    codec = ImageCodec(3, 4, "grey+alpha", 2, levels=18)  # levels 15 apart
    back = codec.decode(codec.encode(item)).astype(int)
    assert (back % 15 == 0).all()
    assert abs(back - item).max() <= 7


def test_resized_pictures_and_mixed_depths_have_256():
    codec = ImageCodec.fit([grey(0, 255, 0, 255), grey(0, 255)], resolution=(1, 4), levels=True)
    assert codec.levels == 256
    assert "256 even levels from 0 to 255" in codec.rule
    assert "resized to 1x4" in codec.rule
    deep = np.array([0, 65535, 257, 0], np.uint16).repeat(4).reshape(4, 4, 1)
    mixed = [RNG.integers(0, 256, (4, 4, 1), dtype=np.uint8), deep]
    codec = ImageCodec.fit(mixed, levels=True)
    assert (codec.dtype, codec.levels) == ("uint16", 256)
    same(codec, mixed)


@pytest.mark.parametrize(
    "item",
    [
        RNG.integers(0, 4096, (20, 20, 1)).astype("uint16"),
        RNG.standard_normal((5, 5, 1)).astype("float32"),
        RNG.integers(-900, 900, (20, 20, 1)).astype("int16"),
    ],
    ids=lambda item: str(item.dtype),
)
def test_deeper_data_is_refused_with_both_sides_and_a_way_out(item):
    with pytest.raises(
        ReverieError, match=rf"{item.dtype} values .* \(masked, uniform\) .* 256 at most.* --family edm"
    ):
        ImageCodec.fit([item], levels=True)


def test_the_rule_says_what_happens_and_numbers_stay_as_they_were():
    items = [grey(0, 128, 255)]
    codec = ImageCodec.fit(items, levels=True)
    assert codec.rule == "values as tokens, 3 even levels from 0 to 255: any other goes to the nearest"
    assert codec.notes == (codec.rule,)
    plain = ImageCodec.fit(items)
    assert (plain.levels, plain.field.classes, plain.rule) == (None, None, "")
    assert plain.encode(items[0]).dtype == np.float32


def test_tokens_beyond_the_ends_are_clipped_and_nan_is_refused():
    codec = ImageCodec(1, 3, "grey", 1, levels=17)
    np.testing.assert_array_equal(codec.decode(np.array([[[-3, 8, 99]]]))[0, :, 0], [0, 128, 255])
    with pytest.raises(ReverieError, match="diverged"):
        codec.decode(np.full((1, 1, 3), np.nan))


def test_the_codec_is_its_json():
    codec = ImageCodec.fit(Digits().load().items[:50], levels=True)
    assert registry.from_config("codecs", json.loads(json.dumps(registry.config(codec)))) == codec
    old = {k: v for k, v in registry.config(codec).items() if k != "levels"}  # as saved before there were levels
    assert registry.from_config("codecs", old).levels is None
    for levels in (1, 257):
        with pytest.raises(ReverieError, match="2 to 256"):
            registry.from_config("codecs", {**old, "levels": levels})
    with pytest.raises(ReverieError, match="not all different"):
        registry.from_config("codecs", {**old, "high": 9.0, "levels": 17})
