"""Series as data: whole or in windows, what each is told, and where in its series a window stands."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_times import times_written
from reverie.data import loader
from reverie.data.card import card
from reverie.data.kinds import Guess
from reverie.data.known import KnownStart
from reverie.data.loader import Loader
from reverie.data.series import MOST, read_series, spans
from reverie.data.series_card import facts
from reverie.data.source import read
from reverie.data.split import few_held_out, split
from reverie.errors import ReverieError


def table(lengths, freq=None, **static):
    """Rows of a file of series a, b, ...; static: a value for each."""
    parts = []
    for k, n in enumerate(lengths):
        t = np.arange(n) if freq is None else pd.date_range("2024-01-01", periods=n, freq=freq)
        x = np.sin(np.arange(n) + k)
        parts.append(pd.DataFrame({"series": chr(97 + k), "time": t, "x": x, **{c: v[k] for c, v in static.items()}}))
    return pd.concat(parts, ignore_index=True)


def load(tmp_path, frame, **options):
    place = tmp_path / "a.csv"
    frame.to_csv(place, index=False)
    return read_series(Guess("series", place, "as you said"), **options)


def test_short_series_stay_whole_and_tell_their_lengths(tmp_path):
    data = load(tmp_path, table([8, 5, 8], freq="D"))
    assert data.names == ["a", "b", "c"]
    assert data.spans is None
    assert data.conditions["length"].values.tolist() == [8, 5, 8]
    starts = data.conditions["start"]
    assert (starts.step, starts.steps, starts.plain()[0]) == (86_400.0, 8, "2024-01-01T00:00:00.000")
    assert "length" not in load(tmp_path, table([8, 8])).conditions


def test_long_series_are_cut_and_what_is_shorter_is_counted(tmp_path):
    frame = table([300, 50, 97])
    data = load(tmp_path, frame)
    assert data.found == {"96 steps of 1 channel": 205 + 2}
    assert "1 of 3 series are shorter than the window and left out (b)" in data.notes
    assert data.names[0] == "a[0:96]"
    np.testing.assert_allclose(data.spans[-1], [1 / 97, 1])
    np.testing.assert_array_equal(data.items[3].values[:, 0], frame["x"][3:99])
    whole = load(tmp_path, frame, window="all")
    assert ([len(one) for one in whole.items], spans(whole.items)) == ([300, 50, 97], None)
    assert len(load(tmp_path, frame, window="40")) == 261 + 11 + 58


def test_windows_are_no_more_than_so_many_and_none_is_empty(tmp_path):
    frame = table([MOST + 500])
    frame.loc[1000:1499, "x"] = np.nan
    data = load(tmp_path, frame)
    assert any("2 steps apart" in note for note in data.notes)
    assert MOST / 2 - 250 < len(data) <= MOST
    assert f"{203:,} windows without any value left out" in data.notes
    assert not any(np.isnan(one.values).all() for one in data.items)


def test_the_end_of_each_series_is_held_out(tmp_path):
    data = load(tmp_path, table([400, 200]), window="20")
    sides = split(data, 0.25)
    last_trained = data.items.places[sides.train]
    first_held = data.items.places[sides.held_out]
    for k, n in ((0, 400), (1, 200)):
        assert (last_trained[last_trained[:, 0] == k, 1] + 20).max() == 0.75 * n
        assert first_held[first_held[:, 0] == k, 1].min() == 0.75 * n


def test_what_is_the_same_all_through_a_series_is_told(tmp_path):
    frame = table(
        [9, 9, 9, 9], age=[30, 41, 30, 52], size=[0.5, 1.5, 2.5, 1.0], word=["u", "v", "u", "u"], who=list("pqrs")
    )
    frame["place of birth"] = np.repeat([1, 1, 2, 2], 9)
    frame["length"] = np.repeat([1, 1, 2, 3], 9)
    data = load(tmp_path, frame)
    assert list(data.conditions) == ["age", "size", "word", "place_of_birth", "length_"]
    assert data.conditions["age"].plain() == ["30", "41", "30", "52"]
    assert data.conditions["size"].plain() == [0.5, 1.5, 2.5, 1.0]
    assert data.items.told["place of birth"] == "place_of_birth"
    assert "'who' is not told: another word for each series" in data.notes
    assert "'place of birth' is told as place_of_birth" in data.notes
    assert not load(tmp_path, frame, condition="none").conditions
    assert list(load(tmp_path, frame, condition="number:years=age").conditions) == ["years"]
    labelled = load(tmp_path, frame, label_from="csv:word", condition="none")
    assert [labelled.classes[k] for k in labelled.labels] == ["u", "v", "u", "u"]
    assert load(tmp_path, frame, condition="series", window="4").conditions["series"].plain()[5:7] == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": "500"}, "no series has 500 steps; the longest .a. has 200"),
        ({"window": "many"}, "give a number of steps"),
        ({"condition": "agee"}, "no column 'agee' that is the same .* There are age"),
        ({"condition": "x"}, "'x' changes in time"),
        ({"condition": "number:word"}, "holds words"),
        ({"condition": "image:word"}, "no pictures"),
    ],
)
def test_what_cannot_be_is_a_sentence(tmp_path, options, words):
    with pytest.raises(ReverieError, match=words):
        load(tmp_path, table([200, 30], age=[3, 4], word=["u", "v"]), **options)


def test_a_path_is_enough(tmp_path):
    frame = table([40], freq="h").drop(columns="series")
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = read(tmp_path / "a.csv", window="10")
    assert (data.kind, len(data)) == ("series", 31)
    assert data.notes[0] == "read as time series: a .csv file; the times in 'time' rise, most by the same step"
    frame.set_index("time").to_parquet(tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet").items.axis.name == "time"
    np.savez(tmp_path / "c.npz", values=np.zeros((3, 4)) + np.arange(4))
    assert len(read(tmp_path / "c.npz")) == 3


def test_few_windows_come_with_a_smaller_one_and_many_do_not(tmp_path):
    """An advised window is one that reads, and gives the number that was said."""
    for frame, words in ((table([130]), "only 35 windows to learn from: --window 24 makes 107"),
                         (table([60]), "only 1 whole series to learn from: --window 15 makes 46")):  # fmt: skip
        assert any(words in note for note in load(tmp_path, frame).notes)
    assert len(load(tmp_path, table([130]), window="24")) == 107
    for frame, options in ((table([200]), {}), (table([130]), {"window": "96"}), (table([9, 9]), {"window": "all"})):
        assert not any("--window" in note for note in load(tmp_path, frame, **options).notes)


@pytest.mark.parametrize(
    ("freq", "date", "wrong", "words"),
    [("B", "2024-02-05 00:00:00", "2024-02-03", "that is a working day"), ("D", "2024-02-05 00:00:00", "soon", "give a date"),
     ("ME", "2024-03-31", "2024-03-30", "the last of a month"), ("MS", "2024-03-01T00:00", "2024-03-02", "the 1. of a month")],
)  # fmt: skip
def test_a_start_that_is_stated_is_the_first_date_that_is_written(tmp_path, freq, date, wrong, words):
    """Monday was written as Tuesday by a model of working days, the last of March as that of April."""
    days = pd.date_range("2024-01-01", periods=60, freq=freq)
    data = load(tmp_path, pd.DataFrame({"time": days.strftime("%Y-%m-%d"), "x": np.sin(range(60))}), window="20")
    codec, starts = SeriesCodec.fit(data.items), data.conditions["start"]
    known = KnownStart.from_json(json.loads(json.dumps(KnownStart.fit(starts, "start", (1, 20)).to_json())))
    number = known.number(date, "start")
    assert number == known.number(
        codec.brought(data.items)["start"][int(np.argmin(abs(starts.values - number)))], "start"
    )
    made = codec.with_conditions(codec.decode_all(codec.encode_all(data.items[:1])), {"start": [date]})
    assert str(times_written(made.series[0].times, made.axis)[0]) == date[:10]
    assert starts.plain()[0] == codec.brought(data.items)["start"][0] == f"{days[0]:%Y-%m-%d}T00:00:00.000"
    with pytest.raises(ReverieError, match=words):
        known.number(wrong, "start")


def test_so_few_windows_held_out_are_said_beforehand(tmp_path):
    few = load(tmp_path, table([300]))
    assert "only 1 window held out" in few_held_out(few, split(few))[0]
    assert "only 1 window held out" in facts(card(few))[-1][1]
    many = load(tmp_path, table([300]), window="8")
    assert few_held_out(many, split(many)) == []
    assert "only" not in facts(card(many))[-1][1]


def test_series_of_nothing_are_refused_with_their_columns(tmp_path):
    frame = table([150]).assign(x=np.nan, y=np.nan)
    with pytest.raises(
        ReverieError, match=r"a\.csv: nothing was observed in any of 150 steps: 'x', 'y' are empty.*Fill in"
    ):
        load(tmp_path, frame)
    frame.loc[7, "y"] = 1.0
    assert len(load(tmp_path, frame, window="96")) == 8  # the windows that hold row 7


def test_series_that_are_not_kept_encoded_are_encoded_once_a_batch(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"time": np.arange(400), "load": rng.normal(size=400)})
    frame.loc[rng.choice(400, 60, False), "load"] = np.nan
    frame.to_csv(tmp_path / "a.csv", index=False)
    items = read(tmp_path / "a.csv", window="24").items
    codec = SeriesCodec.fit(items)
    kept = Loader(items, codec, 3, entries=0.5).batch(5, 16)
    monkeypatch.setattr(loader, "_CACHE_BYTES", 0)
    calls, encode = [], SeriesCodec.encode_known
    monkeypatch.setattr(SeriesCodec, "encode_known", lambda *given: calls.append(1) or encode(*given))
    anew = Loader(items, codec, 3, entries=0.5).batch(5, 16)
    assert len(calls) == 1
    assert torch.equal(anew.x0, kept.x0)
    assert torch.equal(anew.observed, kept.observed)
    assert not kept.observed.all()
