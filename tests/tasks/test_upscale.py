"""Upscaling where the truth is known, and block means that are what was given."""

import numpy as np
import pytest
import torch
from torch import nn

from reverie.codecs.image import ImageCodec
from reverie.conditions import Knowledge
from reverie.core.denoiser import NetworkDenoiser
from reverie.core.guidance import Downsample
from reverie.core.parameterisation import X0
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM
from reverie.data.columns import Pictures
from reverie.errors import ReverieError
from reverie.model import Model
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
        ({"factor": 2, "method": "magic"}, "there are auto, trained, mmps, pigdm, dps"),
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


class Echo(nn.Module):
    """Says the small picture that it is told, each pixel a block; black where it is told none."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(()))

    def forward(self, x, level, cond):
        if not cond:
            return x * 0 - 1 + self.p
        small = cond["small"]
        here = small.present.float()[:, None, None, None]
        return here * small.value.repeat_interleave(2, 2).repeat_interleave(2, 3) + here - 1 + self.p


def test_a_model_that_was_told_small_pictures_is_told_each_input_as_often_as_it_is_drawn():
    small = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8)
    process = Gaussian(EDM(), torch.zeros(1, 8, 8), torch.full((1, 8, 8), 0.25))
    known = Knowledge.fit({"small": Pictures(small, "grey")}, (8, 8))
    model = Model(ImageCodec(8, 8, "grey", 1), NetworkDenoiser(Echo(), process, X0(), 0.5), known)
    made = upscale(model, small, factor=2, samples=2, batch=4)
    assert "by trained" in " ".join(made.lines())
    for draws, item in zip(made.items, small, strict=True):
        for one in draws:
            assert np.array_equal(one, item.repeat(2, 0).repeat(2, 1))
    with pytest.raises(ReverieError, match="needs a model that was told pictures of this size"):
        upscale(model, small[:, ::2, ::2], factor=4, method="trained")
