"""Restyling: what strength means, in closed form; its two ends; labels; tokens."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from reverie.core.schedules import EDM, Cosine
from reverie.errors import ReverieError
from reverie.tasks.restyle import restyle
from tests.tasks.field import SD, SIDE, as_items, as_x, draw, field_model
from tests.toy import bars

WHITE = SD**2 * torch.eye(SIDE**2, dtype=torch.float64)


@pytest.mark.parametrize("schedule", [EDM(), Cosine()], ids=["edm", "cosine"])
def test_what_comes_out_correlates_with_the_input_by_the_cosine_of_strength(schedule):
    """On white Gaussian data the ODE ends at cos(a) x0 + sin(a) sd eps, a = strength 90 degrees."""
    x = draw(100, covariance=WHITE)
    model = field_model(WHITE, schedule)
    for strength in (0.2, 0.5, 0.8):
        out = as_x([own[0] for own in restyle(model, as_items(x), strength, steps=40).items])
        found = float((x * out).sum() / (x.square().sum() * out.square().sum()).sqrt())
        assert found == pytest.approx(math.cos(math.pi / 2 * strength), abs=0.05)
        assert float(out.std()) == pytest.approx(SD, rel=0.05)


def test_strength_0_is_the_item_and_1_a_fresh_sample(toy):
    items = bars(2)[0]
    made = restyle(toy, items, 0.0, samples=2)
    assert all(np.array_equal(one, item) for own, item in zip(made.items, items, strict=True) for one in own)
    fresh = restyle(toy, items, 1.0, label="1", steps=4, seed=3)
    assert np.array_equal(fresh[0][0], toy.sample(1, label="1", steps=4, seed=3)[0])
    assert not np.array_equal(fresh[0][0], fresh[1][0])


def test_tokens_keep_the_share_that_is_not_lost(tokens):
    items = (bars(40)[0] // 64) * 85
    same = [np.mean(restyle(tokens, items, s, steps=3).items == items[:, None]) for s in (0.0, 0.3, 0.9)]
    assert same[0] == 1
    assert same[1] >= 0.7 - 0.05
    assert same[2] < same[1]


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan])
def test_strength_outside_its_range_is_refused(toy, strength):
    with pytest.raises(ReverieError, match=r"from 0 \(the item itself\) to 1"):
        restyle(toy, bars(1)[0], strength)


def test_labels_are_cycled_over_the_draws(toy):
    made = restyle(toy, bars(2)[0], samples=2, label="0,2,1", steps=2)
    assert made.asked.labels == ["0", "2", "1", "0"]
    with pytest.raises(ReverieError, match="no label '9'"):
        restyle(toy, bars(1)[0], label="9")


def test_every_draw_of_a_file_with_dots_in_its_name_is_a_file_of_its_own(toy, tmp_path):
    Image.fromarray(bars(1)[0][0, ..., 0]).save(tmp_path / "img.v2.png")
    paths = restyle(toy, tmp_path / "img.v2.png", steps=2, samples=3).save(tmp_path / "out")
    assert [p.name for p in paths] == [f"00000-img.v2-{j}.png" for j in range(3)]
    assert all(p.is_file() for p in paths)
