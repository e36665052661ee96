"""The image codec: bit-exact round trips, and each stated rule held to its words."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from reverie import registry
from reverie.codecs.image import ImageCodec
from reverie.codecs.pixels import Header
from reverie.errors import ReverieError

RNG = np.random.default_rng(0)
DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]


@st.composite
def pictures(draw, dtypes=tuple(DTYPES)):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **finite)))


@settings(max_examples=80, deadline=None)
@given(pictures())
def test_any_picture_comes_back_from_its_file_as_it_was(tmp_path_factory, item):
    codec = ImageCodec.fit([item])
    path = codec.write(item, tmp_path_factory.mktemp("p") / "item", {"reverie": "{}"})
    back = ImageCodec.read(path)
    assert path.suffix == codec.suffix
    assert back.dtype == item.dtype
    np.testing.assert_array_equal(back, item)


@given(pictures(("uint8", "uint16", "int8", "int16")))
def test_decode_undoes_encode_bit_for_bit(item):
    codec = ImageCodec.fit([item])
    x = codec.encode(item)
    assert x.shape == codec.field.shape
    assert x.dtype == np.float32
    assert abs(x).max() <= 1
    np.testing.assert_array_equal(codec.decode(x), item)


@given(pictures(("float32",)).filter(lambda a: abs(a).max() < 1e30))
def test_floats_come_back_within_a_millionth_of_their_range(item):
    codec = ImageCodec.fit([item])
    back = codec.decode(codec.encode(item)).astype(np.float64)
    assert abs(back - item).max() <= 1e-6 * (codec.high - codec.low)


@pytest.mark.parametrize(
    "values, dtype, low, high",
    [
        ([3, 9], "uint8", 0, 255),
        ([0, 9], "uint16", 0, 255),
        ([0, 4000], "uint16", 0, 4095),
        ([0, 4096], "uint16", 0, 8191),
        ([0, 65535], "uint16", 0, 65535),
        ([-1024, 3071], "int16", -1024, 3071),
        ([0, 16], "float64", 0, 16),
        ([0.25, 0.75], "float32", 0.25, 0.75),
        ([5, 5], "float32", 5, 10),
    ],
)
def test_the_range_follows_its_rule(values, dtype, low, high):
    codec = ImageCodec.fit([np.full((2, 2, 1), v, dtype) for v in values])
    assert (codec.low, codec.high) == (low, high)
    edges = codec.encode(np.array([[[low], [low]], [[low], [high]]], dtype))
    assert edges.min() == -1
    assert edges.max() == 1


def blank(*shape, dtype="uint8"):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    "shapes, resolution, size, words",
    [
        ([(7, 9)] * 3, None, (7, 9), ""),
        ([(480, 640)] * 2, None, (48, 64), "2 images of 480x640, resized to 48x64: longer side capped at 64"),
        ([(30, 40), (33, 44), (300, 90)], None, (32, 44), "3 images of 3 sizes, resized to 32x44: median size"),
        ([(100, 100), (400, 200), (300, 300)], None, (64, 44), "median size, longer side capped at 64"),
        ([(480, 640)], (100, 30), (100, 30), "1 image of 480x640, resized to 100x30: as asked for"),
        ([(48, 64)], (48, 64), (48, 64), ""),
    ],
)
def test_the_size_follows_its_rule_and_says_so(shapes, resolution, size, words):
    codec = ImageCodec.plan([Header(h, w, 1, "uint8", "grey") for h, w in shapes], resolution)
    assert (codec.height, codec.width) == size
    assert words in codec.rule
    assert bool(codec.notes) == bool(words)


def test_mixed_channels_lose_nothing():
    grey, veiled = RNG.integers(0, 256, (4, 4, 1), dtype=np.uint8), RNG.integers(0, 256, (4, 4, 2), dtype=np.uint8)
    colour = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    codec = ImageCodec.fit([grey, veiled, colour])
    assert (codec.colour, codec.channels) == ("rgba", 4)
    assert "1 grey, 1 grey+alpha, 1 rgb: all made rgba" in codec.rule
    np.testing.assert_array_equal(codec.conform(grey), np.concatenate([grey] * 3 + [np.full_like(grey, 255)], -1))
    np.testing.assert_array_equal(codec.conform(veiled), veiled[..., [0, 0, 0, 1]])
    np.testing.assert_array_equal(codec.conform(colour)[..., :3], colour)
    assert ImageCodec.fit([grey, veiled]).colour == "grey+alpha"
    assert ImageCodec.fit([grey, colour]).colour == "rgb"


def test_mixed_depths_go_to_the_deepest():
    shallow, deep = np.array([[[0], [128], [255]]], np.uint8), np.array([[[0], [5], [65535]]], np.uint16)
    codec = ImageCodec.fit([shallow, deep])
    np.testing.assert_array_equal(codec.conform(shallow)[0, :, 0], [0, 128 * 257, 65535])
    np.testing.assert_array_equal(codec.conform(deep), deep)


@pytest.mark.parametrize(
    "items, words",
    [
        ([], "no images"),
        ([blank(4, 4, 5), blank(4, 4, 3)], "no common channels"),
        ([blank(4, 4, 1), blank(4, 4, 1, dtype="float32")], "no common scale"),
        ([blank(4, 4, 1, dtype="float32"), np.full((4, 4, 1), np.nan, np.float32)], "Image 1 holds NaN"),
    ],
)
def test_what_has_no_common_ground_is_refused(items, words):
    with pytest.raises(ReverieError, match=words):
        ImageCodec.fit(items)


def test_what_a_codec_cannot_take_is_refused():
    grey = ImageCodec(4, 4, "grey", 1)
    for item in (blank(4, 4, 3), blank(4, 4, 1, dtype="float32"), blank(4, 4, 1, dtype="uint16"), blank(4, 4)):
        with pytest.raises(ReverieError):
            grey.encode(item)
    with pytest.raises(ReverieError, match="diverged"):
        grey.decode(np.full((1, 4, 4), np.nan))


def test_samples_beyond_the_range_are_clipped():
    codec = ImageCodec(1, 3, "grey", 1)
    np.testing.assert_array_equal(codec.decode(np.array([[[-1.7, 0.0, 1.3]]]))[0, :, 0], [0, 128, 255])


def test_settings_travel_inside_the_file(tmp_path):
    said = {"reverie": '{"seed": 3}', "word": "Größe"}
    png = ImageCodec(2, 2, "rgb", 3).write(blank(2, 2, 3), tmp_path / "deep" / "er" / "a", said)
    with Image.open(png) as image:
        assert image.text == said
    tif = ImageCodec(2, 2, "rgb", 3, "uint16", high=65535.0).write(
        blank(2, 2, 3, dtype="uint16"), tmp_path / "b.png", said
    )
    assert tif.suffix == ".tif"  # a PNG could not hold it
    with tifffile.TiffFile(tif) as file:
        assert json.loads(file.pages.first.description) == said


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReverieError, match="cannot be written"):
        ImageCodec(2, 2).write(blank(2, 2, 3), tmp_path / "file" / "a.png")
    with pytest.raises(ReverieError, match=r"nothing\.png cannot be opened"):
        ImageCodec.read(tmp_path / "nothing.png")


def test_how_a_person_sees_it():
    deep = np.array([[[0], [2048], [4095]]], np.uint16)
    codec = ImageCodec.fit([deep])
    np.testing.assert_array_equal(codec.picture(deep), np.repeat([[[0], [128], [255]]], 3, axis=2))
    see_through = blank(2, 2, 2)
    assert ImageCodec.fit([see_through]).picture(see_through).shape == (2, 2, 4)
    assert ImageCodec.fit([blank(2, 2, 7)]).picture(blank(2, 2, 7)).shape == (2, 2, 3)


def test_the_codec_is_its_json():
    codec = ImageCodec.fit([RNG.standard_normal((5, 4, 2)).astype(np.float32), blank(9, 9, 2, dtype="float32")])
    text = json.dumps(registry.config(codec))
    assert registry.from_config("codecs", json.loads(text)) == codec


@pytest.mark.parametrize("field", [{"channels": 2}, {"height": 0}, {"dtype": "O"}, {"colour": "pink"}, {"high": -1.0}])
def test_fields_that_describe_no_picture_are_refused(field):
    with pytest.raises(ReverieError):
        registry.from_config("codecs", {"name": "image", "height": 4, "width": 4, **field})


@pytest.mark.parametrize(
    ("given", "written"), [("a", "a.png"), ("img.v2-0", "img.v2-0.png"), ("a.jpg", "a.png"), ("a.PNG", "a.PNG")]
)
def test_a_name_keeps_what_stands_behind_a_dot_unless_it_is_a_picture_s_suffix(given, written, tmp_path):
    assert ImageCodec(2, 2).write(blank(2, 2, 1), tmp_path / given).name == written
