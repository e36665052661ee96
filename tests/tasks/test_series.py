"""Series: gaps and futures drawn as the posterior says, however long; what is known stays; what cannot be is said."""

import numpy as np
import pytest

from reverie.codecs.channels import Channel
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.tasks.complete import complete
from tests.tasks.series import LENGTH, exact_series, posterior, walk, windows

DRAWS = 300


@pytest.fixture(scope="module")
def model():
    return exact_series()


def held(model, *values):
    made = windows(*values)
    return Data(made, [one.name for one in made.series], kind="series", source="given")


def z_of(model, values):
    return Channel.of(model.codec.channels[0]).encode(values)


def from_z(model, z):
    return Channel.of(model.codec.channels[0]).decode(z)


@pytest.mark.parametrize(
    "hole",
    [
        pytest.param(np.arange(40) >= 35, id="a future within a window"),
        pytest.param(np.arange(40) >= 18, id="a future longer than a window"),
        pytest.param((np.arange(40) > 20) & (np.arange(40) < 25), id="a gap"),
        pytest.param((np.arange(40) % 7 == 3) | (np.arange(40) < 2), id="steps here and there"),
        pytest.param((np.arange(10) > 6), id="a series shorter than a window"),
    ],
)
def test_what_is_missing_is_drawn_from_the_posterior_given_all_that_is_known(model, hole):
    z = walk(len(hole), seed=3)
    known = from_z(model, z)
    given = np.where(hole[:, None], np.nan, known)
    made = complete(model, held(model, given), samples=DRAWS, batch=DRAWS)
    drawn = np.stack([made[k].series[0].values for k in range(DRAWS)])
    assert np.array_equal(drawn[:, ~hole], np.broadcast_to(known[~hole], (DRAWS, (~hole).sum(), 1)))
    found = z_of(model, drawn)[:, hole, 0]
    mean, cov = posterior(z_of(model, known), hole[:, None])
    sd = np.sqrt(np.diag(cov))
    assert (np.abs(found.mean(0) - mean) < 4.5 * sd / DRAWS**0.5).all()
    assert np.abs(found.std(0, ddof=1) / sd - 1).max() < 4.5 / np.sqrt(2 * DRAWS) + 0.02  # and the walk's own error
    if len(sd) > 1:
        step = np.corrcoef(found[:, 0], found[:, 1])[0, 1]
        assert step == pytest.approx(cov[0, 1] / (sd[0] * sd[1]), abs=4.5 / DRAWS**0.5)


def test_a_future_is_new_steps_at_their_times_and_its_spread_has_quantiles(model):
    made = complete(model, held(model, from_z(model, walk(30))), mask="future:3", samples=40)
    one = made.best.series[0]
    assert one.times.tolist() == list(range(33))
    assert not np.isnan(one.values).any()
    rows = made.spread.frame
    assert rows["time"].tolist() == [30, 31, 32]
    assert set(rows["channel"]) == {"x"}
    drawn = np.stack([made[k].series[0].values[30:, 0] for k in range(40)])
    assert rows["value"].to_numpy() == pytest.approx(np.median(drawn, 0))
    assert (rows["q05"] < rows["q50"]).all()
    assert (rows["q50"] < rows["q95"]).all()


def test_a_draw_is_the_same_however_many_series_and_draws_there_are(model):
    a, b = (np.where(np.arange(40)[:, None] > 30, np.nan, walk(40, s)) for s in (1, 2))
    alone = complete(model, held(model, a), samples=2, seed=5)
    both = complete(model, held(model, a, b), samples=3, seed=5)
    assert alone[1].series[0].values == pytest.approx(both[1].series[0].values, abs=1e-4)


def test_what_cannot_be_filled_is_said(model):
    whole = held(model, walk(30))
    with pytest.raises(ReverieError, match="no empty values"):
        complete(model, whole)
    with pytest.raises(ReverieError, match=r"future:x: say how many steps"):
        complete(model, whole, mask="future:x")
    with pytest.raises(ReverieError, match=r"no channel 'y'. The nearest: x"):
        complete(model, whole, mask="y")
    with pytest.raises(ReverieError, match="series 0 has no more than 30 steps"):
        complete(model, whole, mask="last:30")
    with pytest.raises(ReverieError, match=r"The mask is of shape \(3, 1\)"):
        complete(model, whole, mask=np.ones((3, 1), bool))
    assert LENGTH < 30
