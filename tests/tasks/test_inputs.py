"""What a verb is given to work on: read as it is, or refused with what it is and what it should be."""

import numpy as np
import pytest
from PIL import Image

from reverie.codecs.image import ImageCodec
from reverie.errors import ReverieError
from reverie.tasks.parts.inputs import read_inputs, resized

CODEC = ImageCodec(8, 8, "grey", 1)


def picture(path, array):
    Image.fromarray(array).save(path)
    return path


def grey(height=8, width=8, count=None, seed=0):
    shape = (height, width) if count is None else (count, height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_file_an_item_an_array_a_list_and_a_folder_give_the_same_tensor(tmp_path):
    item = grey()
    picture(tmp_path / "a.png", item)
    np.save(tmp_path / "a.npy", item[None])
    ways = [tmp_path / "a.png", str(tmp_path), tmp_path / "a.npy", item, item[..., None], item[None], [item]]
    for way in ways[:1] + ways[2:]:
        found = read_inputs(CODEC, way)
        assert len(found) == 1
        assert np.array_equal(CODEC.decode(found.x[0].numpy())[..., 0], item)
    (tmp_path / "a.npy").unlink()
    assert np.array_equal(read_inputs(CODEC, tmp_path).x, read_inputs(CODEC, item).x)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (grey(16, 8), "16x8 grey uint8"),
        (np.stack([grey()] * 3, -1), "8x8 rgb uint8"),
        (grey().astype(np.uint16) * 257, "8x8 grey uint16"),
    ],
    ids=["size", "colour", "depth"],
)
def test_what_differs_in_size_colour_or_depth_is_refused_and_never_converted(tmp_path, item, words):
    for way in (picture(tmp_path / "odd.png", item), item[None]):
        with pytest.raises(ReverieError, match=f"1 of {words}, where 8x8 grey uint8 is needed"):
            read_inputs(CODEC, way)


def test_one_odd_item_among_many_is_counted(tmp_path):
    for k in range(3):
        picture(tmp_path / f"{k}.png", grey(seed=k))
    picture(tmp_path / "3.png", grey(12, 12))
    with pytest.raises(ReverieError, match=r"1 of 12x12 grey uint8"):
        read_inputs(CODEC, tmp_path)


def test_nan_names_the_item_and_an_empty_path_says_so():
    codec = ImageCodec(8, 8, "bands", 1, "float32", 0.0, 1.0)
    items = np.zeros((5, 8, 8, 1), np.float32)
    items[2, 1, 1] = np.nan
    with pytest.raises(ReverieError, match="item 2"):
        read_inputs(codec, items)
    with pytest.raises(ReverieError, match="empty"):
        read_inputs(codec, "")


def test_a_codec_of_another_size_keeps_range_and_colour():
    small = resized(CODEC, 2, 2)
    assert read_inputs(small, grey(2, 2)).x.shape == (1, 1, 2, 2)
    assert read_inputs(small, np.full((2, 2), 255, np.uint8)).x.max() == 1
    square = grey(4, 4, 3)[..., None]  # axes that look alike, but for the codec's
    assert np.array_equal(read_inputs(resized(CODEC, 4, 4), square).items, square)
