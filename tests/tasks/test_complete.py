"""Completion: known entries exactly, the rest as the posterior says, and masks read as they are meant."""

import numpy as np
import pytest
import torch
from PIL import Image

from reverie.codecs.base import Field
from reverie.core.guidance import Mask
from reverie.errors import ReverieError
from reverie.tasks.complete import complete
from reverie.tasks.parts.masks import read_mask
from tests.core.exact import dense
from tests.tasks.field import SIDE, as_items, as_x, draw, field_model
from tests.toy import bars

AXES = ("channel", "height", "width")


def test_draws_are_the_posterior_s_given_what_is_known():
    """Of five known entries: as many conjugate gradients as mmps takes, and so all of its covariance."""
    model, n, x = field_model(), 200, draw(1)
    known = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    known.view(-1)[[3, 10, 20, 24, 35]] = True
    a = dense(Mask(known), (1, SIDE, SIDE))[known.flatten()]
    truth, covariance = model.denoiser.truth.given(a, x[:, known], 0.0)
    found = as_x(complete(model, as_items(x), mask=~known[0].numpy(), samples=n, batch=n)[0])
    assert torch.equal(found.float()[:, known], x.float()[:, known].expand(n, -1))
    assert float((found.mean(0) - truth[0]).square().sum() / (covariance.trace() / n)) < 4
    assert float(found.var(0).sum() / covariance.trace()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("method", ["mmps", "known", "repaint"])
def test_known_entries_come_back_bit_for_bit_in_the_file(toy, tmp_path, method):
    items, fill = bars(2)[0], np.zeros((8, 8), bool)
    fill[2:5, 3:] = True
    made = complete(toy, items, mask=fill, samples=2, method=method, steps=6, label="1")
    for k, path in enumerate(made.save(tmp_path)):
        read = np.asarray(Image.open(path))
        assert np.array_equal(read[~fill], items[k // 3, ..., 0][~fill])
    assert not np.array_equal(made[0][0], items[0])
    assert made.sheet() is not None


def test_tokens_are_filled_in_and_the_known_ones_stay(tokens):
    items = (bars(3)[0] // 64) * 85
    made = complete(tokens, items, mask="left:0.5", samples=2, steps=4)
    assert np.array_equal(
        np.array(made.items)[..., 4:, :], np.broadcast_to(items[:, None], (3, 2, 8, 8, 1))[..., 4:, :]
    )
    assert set(np.unique(made.items)) <= {0, 85, 170, 255}
    with pytest.raises(ReverieError, match="there is known"):
        complete(tokens, items, mask="left:0.5", method="mmps")


@pytest.mark.parametrize(
    ("words", "corner", "share"),
    [
        ("left:0.25", (0, 0), 0.25),
        ("right", (0, 7), 0.5),
        ("top:0.5", (0, 7), 0.5),
        ("bottom:0.125", (7, 0), 0.125),
        ("centre:0.25", (4, 4), 0.25),
        ("border:0.75", (7, 7), 0.75),
    ],
)
def test_words_say_where_and_how_much(words, corner, share):
    mask = read_mask(words, Field((1, 8, 8), AXES), 3)
    assert mask.shape == (1, 1, 8, 8)
    assert mask[(0, 0, *corner)]
    assert mask.mean() == share


def test_a_picture_an_npy_and_an_array_mean_the_same(tmp_path):
    fill = np.zeros((8, 8), bool)
    fill[:3] = True
    Image.fromarray(fill.astype(np.uint8) * 255).save(tmp_path / "m.png")
    Image.fromarray(fill).save(tmp_path / "bits.png")
    Image.fromarray(np.repeat(fill[..., None] * np.uint8(255), 3, 2)).save(tmp_path / "rgb.png")
    np.save(tmp_path / "m.npy", fill)
    ways = [fill, fill.astype(np.uint8), *(str(tmp_path / n) for n in ("m.png", "bits.png", "rgb.png", "m.npy"))]
    for way in ways:
        assert np.array_equal(read_mask(way, Field((1, 8, 8), AXES), 2)[0, 0], fill)
    each = np.stack([fill, ~fill])[..., None]
    assert np.array_equal(read_mask(each, Field((1, 8, 8), AXES), 2)[:, 0], each[..., 0])


def _grey(path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return str(path)


def test_masks_that_mean_nothing_are_one_line(tmp_path):
    field = Field((1, 8, 8), AXES)
    cases = [
        (np.zeros((8, 8), bool), "nothing to fill"),
        (np.ones((8, 8), bool), "use `reverie sample`"),
        (np.ones((8, 9), bool), r"8x9; the model's items are 8x8"),
        (np.full((8, 8), np.nan), "64 of 64 values are neither"),
        (_grey(tmp_path / "grey.png"), "neither 0 nor 255"),
        ("centre:1.5", "between 0 and 1"),
        ("middle", "Did you mean"),
        (str(tmp_path / "none.png"), "cannot be opened"),
        (str(tmp_path / "none.npy"), "cannot be read as a mask"),
    ]
    for mask, words in cases:
        with pytest.raises(ReverieError, match=words):
            read_mask(mask, field, 1)


def test_bad_input_is_one_line(toy):
    with pytest.raises(ReverieError, match="8x8 grey uint8 is needed"):
        complete(toy, bars(1, 10)[0], mask="left")
    with pytest.raises(ReverieError, match="there are mmps, repaint and known"):
        complete(toy, bars(1)[0], mask="left", method="paint")
