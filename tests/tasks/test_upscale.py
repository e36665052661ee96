"""Upscaling where the truth is known, and block means that are what was given."""

import numpy as np
import pytest
import torch

from reverie.core.guidance import Downsample
from reverie.errors import ReverieError
from reverie.tasks.upscale import consistent, upscale
from tests.core.exact import dense
from tests.tasks.field import SIDE, as_items, as_x, draw, field_model
from tests.toy import bars


def test_draws_are_the_posterior_s_given_the_block_means():
    """Of four block means: no more than mmps takes conjugate gradients, and so all of its covariance."""
    model, blocks, n = field_model(), Downsample(3), 150
    y = blocks.apply(draw(1))
    truth, covariance = model.denoiser.truth.given(dense(blocks, (1, SIDE, SIDE)), y, 0.0)
    x = as_x(upscale(model, as_items(y), factor=3, samples=n, batch=n, steps=64)[0])
    error = (x.mean(0) - truth[0]).square().sum() / (covariance.trace() / n)
    assert float(error) < 4
    assert float(x.var(0).sum() / covariance.trace()) == pytest.approx(1, abs=0.15)
    assert torch.allclose(blocks.apply(x), y.expand(n, -1, -1, -1), atol=1e-6)


@pytest.mark.parametrize("method", ["mmps", "pigdm", "dps"])
def test_block_means_of_8_bit_pictures_are_within_a_level(toy, method):
    """Of each of the four entries rounding takes half a level at most, and so of their mean."""
    small = bars(2, 4)[0]
    made = upscale(toy, small, factor=2, samples=2, method=method, steps=4)
    means = np.array(made.items).astype(float).reshape(2, 2, 4, 2, 4, 2, 1).mean((3, 5))
    assert np.abs(means - small[:, None]).max() <= 0.5 + 1e-6
    assert made.sheet() is not None


def test_block_means_hold_at_the_ends_of_the_range():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 1, 4, 4, generator=g), torch.rand(20, 1, 2, 2, generator=g) * 2 - 1
    y[:, 0, 0, 0], y[:, 0, 1, 1] = 1, -1
    found = consistent(x, y, Downsample(2))
    assert float(found.abs().max()) <= 1
    assert torch.allclose(Downsample(2).apply(found), y, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 3}, "divides the model's 8x8"),
        ({"factor": 1}, "from 2"),
        ({"factor": 2, "method": "magic"}, "there are mmps, pigdm, dps"),
    ],
    ids=str,
)
def test_bad_options_are_one_line(toy, options, words):
    with pytest.raises(ReverieError, match=words):
        upscale(toy, bars(1, 4)[0], **options)


def test_pictures_of_another_size_are_refused(toy):
    with pytest.raises(ReverieError, match=r"8x8 grey uint8, where 2x2 grey uint8 is needed"):
        upscale(toy, bars(1)[0], factor=4)


def test_tokens_are_refused(tokens):
    with pytest.raises(ReverieError, match="tokens"):
        upscale(tokens, bars(1, 4)[0], factor=2)
