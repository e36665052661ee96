"""Series: gaps and futures drawn as the posterior says, however long; what is known stays; what cannot be is said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reverie.codecs.channels import Channel
from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_items import Axis
from reverie.conditions import Knowledge
from reverie.data.columns import Starts
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.tasks.augment import augment
from reverie.tasks.complete import complete
from reverie.tasks.decode import decode
from reverie.tasks.denoise import denoise
from reverie.tasks.detect import detect
from reverie.tasks.encode import encode
from reverie.tasks.interpolate import interpolate
from tests.tasks.series import LENGTH, covariance, exact_series, posterior, walk, windows

DRAWS = 300
HOURS = Axis("time", "date", None, "datetime64[us]", 3600.0)


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
    assert rows["value"].to_numpy() == pytest.approx(
        np.median(drawn, 0), abs=5.1e-6
    )  # six digits of the range are written
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


def test_a_long_series_is_denoised_part_by_part_and_comes_back_whole(model, tmp_path):
    """Of N(0, S) with noise sigma added the mean is S (S + sigma^2)^-1 y, within each part of 16 steps."""
    z = walk(40, seed=9) + 0.5 * np.random.default_rng(0).standard_normal((40, 1))
    given = held(model, from_z(model, z))
    made = denoise(model, given, sigma="0.5", samples=1, steps=4)
    assert [one.name for one in made.inputs.items.series] == ["0"]
    assert made.inputs.items.places[:, 1].tolist() == [0, 16, 24]  # the last one up to the end
    shrunk = covariance(LENGTH) @ np.linalg.inv(covariance(LENGTH) + 0.25 * np.eye(LENGTH))
    paths = made.save(tmp_path)
    whole = SeriesCodec.read(paths[0]).series[0].values
    for start in (0, 24):
        expected = shrunk @ z_of(model, from_z(model, z[start : start + LENGTH, 0]))
        assert z_of(model, whole[start : start + LENGTH, 0]) == pytest.approx(expected, abs=2e-3)
    assert len(whole) == 40


def test_a_series_is_carried_to_another_and_both_ends_are_what_was_given(model, tmp_path):
    ends = [tmp_path / "a.csv", tmp_path / "b.csv"]
    values = [from_z(model, walk(LENGTH, seed)) for seed in (1, 2)]
    for path, one in zip(ends, values, strict=True):
        model.codec.write(windows(one), path)
    made = interpolate(model, str(ends[0]), str(ends[1]), frames=3, steps=32)
    assert z_of(model, made.items.series[0].values) == pytest.approx(z_of(model, values[0]), abs=0.02)
    assert z_of(model, made.items.series[2].values) == pytest.approx(z_of(model, values[1]), abs=0.02)
    assert [len(one) for one in SeriesCodec.read(made.save(tmp_path / "way.csv")[0]).series] == [LENGTH] * 3


def told_start(model):
    """The same model, on hours, told when windows start, and what it was told."""
    given = windows(walk(200), axis=HOURS)
    dated = given.with_series([replace(one, times=one.times + 1.6e9) for one in given.series])
    data = Data(dated.cut(LENGTH), [str(k) for k in range(185)], kind="series", source="hours")
    start = Starts(np.array([one.times[0] for one in data.items]), 3600.0, LENGTH)
    heard = []

    class Hears(type(model.denoiser)):
        def forward(self, x_t, t, cond=None):
            heard.append((cond or {}).get("start"))
            return super().forward(x_t, t, {k: v for k, v in (cond or {}).items() if k != "start"})

    knowledge = Knowledge.fit({"start": start}, (1, LENGTH))
    return Model(SeriesCodec.fit(data.items), Hears().eval(), knowledge), heard


def test_a_way_between_series_is_told_when_each_begins_and_written_at_its_times(model):
    """Between two starts the predictions go over; frames are written with the nearer end's start, the ends with their own."""
    mine, heard = told_start(model)
    one = windows(walk(LENGTH, 1), walk(LENGTH, 2), axis=HOURS)
    ends = [
        one.with_series([replace(s, times=s.times + at)])
        for s, at in zip(one.series, (1.6e9, 1.6e9 + 7200), strict=True)
    ]
    made = interpolate(mine, ends[0], ends[1], frames=4, steps=4)
    assert [s.times[0] - 1.6e9 for s in made.items] == [0, 0, 7200, 7200]
    assert "told start" in made.lines()
    assert heard
    assert all(one is not None and one.present.all() for one in heard)
    alone = interpolate(mine, ends[0], "seed:3", frames=2, steps=4)
    assert [s.times[0] - 1.6e9 for s in alone.items] == [0, 0]


def test_what_is_found_goes_into_one_file_where_one_is_asked_for(model, tmp_path):
    given = held(model, from_z(model, walk(LENGTH * 2, 5)))
    made = detect(model, given, 0.1, normal=held(model, from_z(model, walk(LENGTH * 60, 6))), draws=1)
    paths = made.save(tmp_path / "x.csv", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "x.json"] == sorted(p.name for p in paths)
    rows = pd.read_csv(tmp_path / "x.csv")
    assert rows.columns.tolist()[-5:] == ["error", "score", "p", "flagged", "knn5"]
    assert rows["score"].to_numpy() == pytest.approx(np.repeat(made.scores, LENGTH))
    np.testing.assert_array_equal(rows["flagged"], np.repeat(made.flagged, LENGTH))
    with pytest.raises(ReverieError, match="is there already"):
        made.save(tmp_path / "x.csv", {})


def test_variations_stay_as_near_as_their_strength_says(model):
    given = held(model, from_z(model, walk(LENGTH, 3)))
    near, far = (augment(model, given, times=20, strength=s, steps=8).items for s in (0.2, 0.9))
    z = z_of(model, given.items.series[0].values)
    apart = [np.mean([np.square(z_of(model, one.values) - z).mean() for one in made]) for made in (near, far)]
    assert apart[0] < 0.3 < 1.0 < apart[1]


def test_a_jump_is_found_where_it_is(model):
    odd = walk(LENGTH * 8, 5)
    odd[70, 0] += 6
    given = held(model, from_z(model, odd))
    made = detect(model, given, 0.1, normal=held(model, from_z(model, walk(LENGTH * 60, 6))), draws=2)
    assert len(made) == 8
    assert int(np.argmax(made.scores)) == 70 // LENGTH
    assert made.flagged[70 // LENGTH]
    assert abs(int(np.argmax(made.errors.heat(made.calibration)[70 // LENGTH])) - 70 % LENGTH) <= 1


def test_a_forecast_says_what_else_it_fills_and_its_spread_is_rounded(model):
    """Gaps of before are filled with the future, which is said; statistics have one decimal more than the data."""
    codec = SeriesCodec.fit(windows(np.round(walk(5000), 2)).cut(LENGTH))
    rounded = replace(model, codec=codec)
    given = np.round(walk(20, seed=1), 2)
    given[[3, 4, 9]] = np.nan
    made = complete(rounded, held(rounded, given, given), "future:2", samples=4)
    assert "filled: 2 steps ahead of 2 series, and 6 empty values before" in made.lines()
    numbers = made.spread.frame[["value", "sd", "q05", "q95"]].to_numpy()
    np.testing.assert_array_equal(numbers, np.round(numbers, 3))
    assert (numbers != np.round(numbers, 2)).any()
    marked = complete(rounded, held(rounded, given), "last:2", samples=2)
    assert "filled: 2 known values of 1 series that the mask marks, and 3 empty values beside" in marked.lines()
    fine = complete(model, held(model, given), "future:2", samples=4).spread.frame["sd"].to_numpy()
    np.testing.assert_array_equal(fine, np.round(fine, 5))


def test_latents_come_back_as_one_file_of_series(model, tmp_path):
    """The exact model's ODE is linear: down and up again is where it began, to what 64 steps of two evaluations leave."""
    given = windows(*(from_z(model, walk(LENGTH, seed=k)) for k in (1, 2)))
    back = decode(model, encode(model, given))
    for one, was in zip(back, given.series, strict=True):
        assert one.values == pytest.approx(was.values, abs=2e-2)
    (path,) = back.save(tmp_path / "made.csv")
    assert len(pd.read_csv(path)) == 2 * LENGTH
