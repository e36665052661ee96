"""What a person holds in Python becomes Data, or is refused: nothing is guessed."""

import numpy as np
import pytest
import torch
from PIL import Image

from reverie.data.dataset import Data
from reverie.errors import ReverieError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "shape, becomes",
    [
        ((5, 8, 9), (5, 8, 9, 1)),
        ((5, 8, 9, 3), (5, 8, 9, 3)),
        ((5, 8, 8, 1), (5, 8, 8, 1)),
        ((5, 9, 8, 6), (5, 9, 8, 6)),
        ((5, 3, 8, 9), (5, 8, 9, 3)),
        ((5, 1, 8, 9), (5, 8, 9, 1)),
        ((5, 6, 9, 8), (5, 9, 8, 6)),
    ],
)
def test_axes_are_found_and_turning_them_is_noted(shape, becomes):
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    data = Data.from_arrays(array)
    turned = len(shape) == 4 and shape != becomes
    oracle = np.moveaxis(array, 1, -1) if turned else array.reshape(becomes)
    np.testing.assert_array_equal(data.items, oracle)
    assert bool(data.notes) == turned
    assert len(data) == 5


@pytest.mark.parametrize("shape", [(5, 3, 64, 3), (5, 8, 8, 8), (480, 640, 3), (8, 8), (2, 2, 2, 2, 2)])
def test_shapes_that_could_be_two_things_are_refused(shape):
    with pytest.raises(ReverieError, match=r"\(N, height, width"):
        Data.from_arrays(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_by_its_index(bad):
    array = np.zeros((6, 4, 4), np.float32)
    array[4, 1, 2] = bad
    with pytest.raises(ReverieError, match="item 4 holds NaN or infinite"):
        Data.from_arrays(array, name="mine")


@pytest.mark.parametrize("dtype", [object, complex, "U3", "datetime64[s]"])
def test_what_is_no_number_is_refused(dtype):
    with pytest.raises(ReverieError, match="numbers"):
        Data.from_arrays(np.zeros((2, 4, 4), dtype))


class Set:
    """A torch-style data set."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        return self.items[k]


def test_a_torch_data_set_brings_tensors_and_labels():
    tensors = torch.rand(6, 3, 8, 10)
    data = Data.from_arrays(Set([(t, k % 2 * 7) for k, t in enumerate(tensors)]))
    np.testing.assert_array_equal(data.items, tensors.permute(0, 2, 3, 1).numpy())
    assert data.classes == ["0", "7"]
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.notes == ["6 items: read as channels first, 3 channels of 8x10, and turned round"]


def test_a_list_may_mix_sizes_and_pillow_images():
    image = Image.fromarray(RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    data = Data.from_arrays([image, np.zeros((9, 5), np.uint8), np.ones((4, 6), bool)])
    assert [item.shape for item in data.items] == [(4, 6, 3), (9, 5, 1), (4, 6, 1)]
    np.testing.assert_array_equal(data.items[0], np.asarray(image))
    assert (data.items[2] == 255).all()
    assert data.found == {"4x6 rgb uint8": 1, "9x5 grey uint8": 1, "4x6 grey uint8": 1}


@pytest.mark.parametrize(
    "labels, classes",
    [([10, 9, 10], ["9", "10"]), (["b", "a", "b"], ["a", "b"]), (np.array([1.0, 0.0, 1.0]), ["0", "1"])],
)
def test_labels_are_numbered_in_the_order_of_their_classes(labels, classes):
    data = Data.from_arrays(np.zeros((3, 4, 4), np.uint8), labels)
    assert data.classes == classes
    assert data.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "items, labels, words",
    [
        (np.zeros((3, 4, 4)), [1, 2], "2 labels for 3 items"),
        (np.zeros((3, 4, 4)), [[1, 2]] * 3, "exactly one label"),
        (np.zeros((0, 4, 4)), None, "is empty"),
        ([], None, "is empty"),
        ([(np.zeros((4, 4)), 1), (np.zeros((4, 4)), None)], None, "exactly one label"),
        ([(np.zeros((4, 4)), 1, 2)], None, "gives 3 values"),
        ([(np.zeros((4, 4)), 1)], [1], "Give them once"),
    ],
)
def test_labels_that_do_not_fit_are_refused(items, labels, words):
    with pytest.raises(ReverieError, match=words):
        Data.from_arrays(items, labels)


def test_a_subset_keeps_what_belongs_together():
    items = np.arange(5 * 6 * 6, dtype=np.uint8).reshape(5, 6, 6, 1)
    data = Data.from_arrays(items, ["a", "b", "c", "b", "a"])
    part = data.subset([3, 0])
    np.testing.assert_array_equal(part.items, items[[3, 0]])
    assert part.names == [data.names[3], data.names[0]]
    assert [part.classes[k] for k in part.labels] == ["b", "a"]
    assert part.found == {"6x6 grey uint8": 2}
