"""Windows of series to arrays and back: exact where observed, beyond the range in a straight line, said where it cannot be."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reverie import registry
from reverie.codecs import series_picture
from reverie.codecs.channels import Channel, fitted
from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.codecs.sheets import font
from reverie.errors import ReverieError

RNG = np.random.default_rng(0)


def some(*values, axis=Axis(), **more):
    series = [Series(str(n), axis.step * np.arange(len(v)), np.asarray(v, float)) for n, v in enumerate(values)]
    return Windows.whole(series, [f"c{k}" for k in range(np.shape(values[0])[1])], axis, Layout(), **more)


def test_an_encoded_channel_is_of_mean_0_and_variance_1_whatever_its_law():
    x = np.stack([RNG.standard_t(3, 5000), np.exp(RNG.normal(size=5000)), RNG.uniform(size=5000)], 1)
    z = SeriesCodec.fit(some(x)).encode_all(some(x))[0]
    assert np.abs(z.mean(1)).max() < 0.01
    assert np.abs(z.std(1) - 1).max() < 0.01
    assert np.abs((z**4).mean(1) - 3).max() < 0.3  # as a normal variable has it


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (12, 3), elements=st.floats(-1e6, 1e6).map(lambda v: round(v, 3)) | st.just(np.nan)))
def test_decoding_gives_back_what_was_encoded(values):
    values[0, 0], values[1, 0] = 0.0, 1.0  # so that a channel changes
    given_ = some(values)
    codec = SeriesCodec.fit(given_)
    back = codec.decode_all(codec.encode_all(given_)).series[0].values
    seen = ~np.isnan(values)
    reach = np.nanmax(np.abs(values)) + 1
    assert np.abs(back - values)[seen].max() <= 1e-5 * reach
    learned = [int(c.name[1:]) for c in codec.learned]
    observed = codec.observed(given_)
    assert seen[:, learned].all() if observed is None else np.array_equal(observed[0], seen[:, learned].T)


def test_beyond_the_range_of_training_a_channel_goes_on_in_a_straight_line():
    channel = Channel(fitted("x", "float64", RNG.normal(5, 2, 4000)))
    x = np.array([-40.0, channel.number.low - 1, channel.number.high + 1, 60.0])
    z = channel.encode(x)
    assert channel.decode(z) == pytest.approx(x, abs=1e-9)
    low, high = channel.encode(np.array([channel.number.low, channel.number.high]))
    assert z[0] < z[1] < low
    assert high < z[2] < z[3]
    assert (z[3] - high) / (60 - channel.number.high) == pytest.approx(z[2] - high)


def test_what_was_never_negative_is_never_drawn_negative():
    counts = RNG.poisson(2.0, 2000).astype(float)
    channel = Channel(fitted("n", "int64", counts))
    drawn = channel.decode(np.linspace(-9, 9, 200))
    assert drawn.min() == 0
    assert (drawn == drawn.round()).all()
    assert drawn.max() > counts.max()


def test_gaps_are_filled_along_the_line_between_neighbours_and_are_not_learned():
    z = np.sin(np.arange(50.0))[:, None]
    given_ = some(z)
    codec = SeriesCodec.fit(given_)
    full = codec.encode_all(given_)[0, 0]
    holed = z.copy()
    holed[[0, 10, 11, 49]] = np.nan
    x, seen = codec.encode_all(some(holed))[0, 0], codec.observed(some(holed))[0, 0]
    assert np.flatnonzero(~seen).tolist() == [0, 10, 11, 49]
    assert x[10] == pytest.approx((2 * full[9] + full[12]) / 3, abs=1e-5)
    assert x[0] == full[1]
    assert x[49] == full[48]


def test_shorter_series_go_on_behind_their_end_and_are_cut_to_the_length_that_is_told():
    given_ = some(RNG.normal(size=(9, 2)), RNG.normal(size=(5, 2)))
    codec = SeriesCodec.fit(given_)
    x = codec.encode_all(given_)
    assert x.shape == (2, 2, 9)
    assert np.allclose(x[1, :, 5:], x[1, :, 4:5], rtol=1e-6)
    assert codec.observed(given_)[1].all(0).tolist() == [True] * 5 + [False] * 4
    ends = np.isnan(codec.records(x)).all(1).argmax(1)
    assert ends.tolist() == [0, 5]  # of the whole one nothing is
    back = codec.with_conditions(codec.decode_all(x), codec.brought(given_))
    assert [len(one) for one in back] == [9, 5]
    assert back.series[1].values == pytest.approx(given_.series[1].values, abs=1e-5)


def test_windows_of_a_long_series_are_its_parts():
    given_ = some(RNG.normal(size=(40, 1)))
    cut = given_.cut(16, stride=5)
    codec = SeriesCodec.fit(cut)
    x = codec.encode_all(cut)
    assert cut.places[:, 1].tolist() == [0, 5, 10, 15, 20]
    assert x.shape == (5, 1, 16)
    assert np.array_equal(x[1, 0, :11], x[0, 0, 5:])
    assert len(set(cut.digests())) == 5


def test_uneven_steps_are_a_channel_and_come_back():
    times = np.cumsum(RNG.exponential(3.0, 200))
    one = Series("a", times - times[0], RNG.normal(size=(200, 1)))
    given_ = Windows.whole([one], ["x"], Axis(kind="number", regular=False), Layout()).cut(20)
    codec = SeriesCodec.fit(given_)
    x = codec.encode_all(given_)
    assert codec.fields["values"].shape == (2, 20)
    assert abs(x[:, 0].mean()) < 0.1
    back = codec.decode_all(x)
    for k in (0, 50):
        was = given_[k].times - given_[k].times[0]
        assert back.series[k].times == pytest.approx(was, abs=1e-3 * was[-1])


def test_a_channel_that_never_changes_is_kept_and_not_learned():
    x = np.stack([RNG.normal(size=30), np.full(30, 7.0), np.full(30, np.nan)], 1)
    codec = SeriesCodec.fit(some(x))
    assert codec.fields["values"].shape == (1, 30)
    assert "'c1' is always 7" in codec.rule
    assert "always empty" in codec.rule
    back = codec.decode_all(codec.encode_all(some(x))).series[0].values
    assert (back[:, 1] == 7).all()
    assert np.isnan(back[:, 2]).all()
    with pytest.raises(ReverieError, match="A series needs a channel that changes"):
        SeriesCodec.fit(some(x[:, 1:]))


def test_a_codec_is_json_and_what_is_no_codec_is_refused():
    codec = SeriesCodec.fit(some(RNG.normal(size=(30, 2)).round(2)))
    about = json.loads(json.dumps(registry.config(codec)))
    again = registry.from_config("codecs", about)
    x = RNG.normal(size=(3, 2, 30)).astype(np.float32)
    assert all(
        np.array_equal(a.values, b.values) for a, b in zip(codec.decode_all(x), again.decode_all(x), strict=True)
    )
    for broken in ({"length": 0}, {"channels": []}, {"channels": [{"kind": "category"}]}):
        with pytest.raises(ReverieError):
            registry.from_config("codecs", {**about, **broken})


def test_series_that_do_not_fit_are_said():
    codec = SeriesCodec.fit(some(RNG.normal(size=(30, 2))))
    with pytest.raises(ReverieError, match="has the channels c0; the model knows c0, c1"):
        codec.encode_all(some(RNG.normal(size=(30, 1))))
    with pytest.raises(ReverieError, match="is 31 steps long; the model knows windows of 30"):
        codec.encode_all(some(RNG.normal(size=(31, 2))))
    with pytest.raises(ReverieError, match=r"a step every 3600; the model learned one every 1\. Bring it"):
        codec.encode_all(some(RNG.normal(size=(30, 2)), axis=Axis(step=3600.0)))
    far = some(1e3 + RNG.normal(size=(30, 2)))
    first = [
        f"30 of 30 values of 'c{k}' (the first {far[0].values[0, k]:g}, step 1 of series {far[0].name})" for k in (0, 1)
    ]
    assert codec.remarks(far) == [f"beyond the range that training had: {', '.join(first)}"]


def test_uneven_steps_do_not_fit_a_model_of_even_ones():
    codec = SeriesCodec.fit(some(RNG.normal(size=(30, 2))))
    with pytest.raises(ReverieError, match=r"has steps of uneven length; the model learned even ones of 1"):
        codec.encode_all(some(RNG.normal(size=(30, 2)), axis=Axis(kind="number", regular=False)))


def test_a_picture_says_its_scale_its_times_and_what_each_line_is(monkeypatch):
    """What is written on it is in the channel's own units, in dates, and in letters that the font has."""
    from PIL import ImageDraw

    said = []
    write = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda pen, xy, text, **k: (said.append(text), write(pen, xy, text, **k))
    )
    axis = Axis("time", "date", "%d.%m.%Y", "str", 86400.0)
    x = np.random.default_rng(0).normal(50, 10, (400, 1)).round(1)
    one = Series("a", 19_723 * 86400.0 + 86400.0 * np.arange(400), x)
    made = Windows.whole([one], ["Žďár"], axis, Layout())
    codec = SeriesCodec.fit(made)
    codec.picture(one)
    assert {"Žďár", "01.01.2024", "03.02.2025"} <= set(said)
    assert [float(word) for word in said[:4] if word != "Žďár"] == pytest.approx(
        np.quantile(x, [0.977, 0.5, 0.023]), abs=2.5
    )
    said.clear()
    codec.picture(codec.decode(codec.encode(one)))
    assert {"step 1", "step 400"} <= set(said)
    said.clear()
    many = Windows.whole(
        [replace(one, values=np.tile(x, (1, 10)))], [f"a long name of a sensor {k}" for k in range(10)], axis, Layout()
    )
    SeriesCodec.fit(many).picture(many.series[0])
    assert {"+2 sd", "-2 sd", "+2"} <= set(said)
    assert [word[-1] for word in said if "…" in word] == [str(k) for k in range(8)]


def test_the_font_has_letters_of_all_europe():
    from PIL import Image, ImageDraw

    def seen(letter):
        page = Image.new("L", (40, 40))
        ImageDraw.Draw(page).text((5, 5), letter, fill=255, font=font(20))
        return page.tobytes()

    assert all(seen(letter) not in (seen("\uffff"), seen(" ")) for letter in "ŽžŁőğșßøΩЖ…")


def test_dates_proper_are_written_short():
    axis = Axis("time", "date", None, "datetime64[us, UTC]", 43_200.0)
    one = Series("a", 19_723 * 86400.0 + 43_200.0 * np.arange(30), RNG.normal(size=(30, 1)))
    codec = SeriesCodec.fit(Windows.whole([one], ["x"], axis, Layout()))
    assert series_picture.times(codec, one) == ["2024-01-01", "2024-01-15 12:00"]


def test_values_beyond_training_are_counted_with_the_first_ones_row(tmp_path):
    frame = pd.DataFrame(
        {"series": np.repeat(list("ab"), 40), "time": [*range(40)] * 2, "x": np.sin(np.arange(80) * 0.7)}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    codec = SeriesCodec.fit(SeriesCodec.read(tmp_path / "a.csv"))
    assert codec.remarks(SeriesCodec.read(tmp_path / "a.csv")) == []
    frame.loc[[47, 60], "x"] = [9.5, -7.0]
    frame.to_csv(tmp_path / "b.csv", index=False)
    odd = SeriesCodec.read(tmp_path / "b.csv")
    said = "beyond the range that training had: 2 of 80 values of 'x' (the first 9.5, "
    assert codec.remarks(odd) == [f"{said}row 49)"]
    assert codec.remarks(odd.with_series([replace(one, rows=None) for one in odd.series])) == [
        f"{said}step 8 of series b)"
    ]
