"""Files of time series: what is read is written back, times are even where the calendar is, and each fault is a sentence."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reverie.codecs import series_files, series_frames, series_wide
from reverie.codecs.rows import Rows
from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_files import found, read, write
from reverie.codecs.series_grid import gridded
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.codecs.series_times import MONTH, WORKDAY, evened, parsed, times_read, times_written
from reverie.data.kinds import guess
from reverie.errors import ReverieError


def same(one, two):
    assert (one.channels, one.dtypes, one.axis) == (two.channels, two.dtypes, two.axis)
    assert [s.name for s in one.series] == [s.name for s in two.series]
    for a, b in zip(one.series, two.series, strict=True):
        np.testing.assert_array_equal(a.times, b.times)
        np.testing.assert_array_equal(a.values, b.values)
        assert a.static == b.static


def bare(windows):
    """The same series as a model draws them: of no file."""
    return replace(windows, frame=None, series=tuple(replace(one, rows=None) for one in windows.series))


def put(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def dated(n=40, freq="h", start="2020-03-28", **columns):
    t = pd.date_range(start, periods=n, freq=freq)
    return pd.DataFrame({"time": t, "x": np.arange(n) * 0.1, **columns})


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=6).map(str.strip)
values = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9).map(float))


def is_word(name):
    """Whether a CSV's cell is read as this word: not as a number, or as an empty cell."""
    kept = pd.read_csv(io.StringIO(pd.DataFrame({"a": [name], "b": 1}).to_csv(index=False)))["a"]
    return kept.tolist() == [name]


@st.composite
def files(draw):
    """Series of several channels and unequal lengths, with gaps, over dates or numbers, under any names."""
    many = draw(st.integers(1, 3))
    ids = draw(st.lists(names.filter(bool), min_size=many, max_size=many, unique=True))
    channels = draw(st.lists(names.filter(bool), min_size=1, max_size=3, unique=True))
    assume(not {"series", "time", "place"} & {c.lower() for c in channels})
    assume(all(map(is_word, ids)))
    date, step = draw(st.booleans()), draw(st.sampled_from([1, 7, 60, 3600, 86400]))
    made = []
    for name in ids:
        steps = np.array(sorted(draw(st.sets(st.integers(0, 11), min_size=3, max_size=9))))
        x = [[draw(values) for _ in channels] for _ in steps]
        x = np.array(x, dtype=np.float64)
        x[:2] = [
            [0.5] * len(channels),
            [1.5] * len(channels),
        ]  # a channel that never changes would be of the series as a whole
        made.append(Series(name, 1.6e9 * date + step * (steps - steps[0]), x, {"place": f"at {name}"}))
    axis = Axis("time", "date", "%Y-%m-%d %H:%M:%S", "str") if date else Axis("time", "number", None, "int64")
    grid, axis, _ = gridded(made, axis)
    return Windows.whole(grid, channels, axis, Layout("long", "series"))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(files(), st.sampled_from([".csv", ".tsv", ".parquet", ".npz"]))
def test_what_is_written_is_read_again(tmp_path_factory, windows, suffix):
    path = write(windows, tmp_path_factory.mktemp("round") / f"a{suffix}")
    again = read(path)
    if suffix == ".npz":
        assert again.channels == windows.channels
        for a, b in zip(windows.series, again.series, strict=True):
            np.testing.assert_array_equal(a.times, b.times)
            np.testing.assert_array_equal(a.values, b.values)
            assert (a.name, a.static) == (b.name, b.static)
        return
    if len(windows) == 1:  # one series has no column that is the same all through *several*
        windows = replace(windows, series=tuple(replace(s, static=again.series[0].static) for s in windows.series))
    same(windows, again)
    pd.testing.assert_frame_equal(again.frame, read(write(again, path.with_name(f"b{suffix}"))).frame)


def test_a_file_is_written_back_as_it_stood_and_what_was_filled_is_new(tmp_path):
    frame = dated(20, unit=3, word=["a", "b"] * 10).drop(index=[4, 5, 9]).astype({"unit": "int32"})
    frame.loc[7, "x"] = np.nan
    place = tmp_path / "a.parquet"
    frame.to_parquet(place, index=False)
    windows, notes = found(place)
    assert "3 steps of 1 hour that the file leaves out are missing values" in notes
    assert "columns that are no numbers, left out: 'word' (2 values)" in notes
    assert len(windows[0]) == 20
    pd.testing.assert_frame_equal(pd.read_parquet(write(windows, tmp_path / "b.parquet")), frame.reset_index(drop=True))
    one = windows.series[0]
    full = replace(windows, series=(replace(one, values=np.where(np.isnan(one.values), 7.0, one.values)),))
    now = pd.read_parquet(write(full, tmp_path / "c.parquet"))
    assert now["time"].tolist() == dated(20)["time"].tolist()
    assert now.loc[[4, 5, 7, 9], "x"].tolist() == [7.0] * 4
    assert now.loc[[4, 5, 9], "word"].isna().all()
    assert now["unit"].dtype == np.int32
    kept = [k for k in range(20) if k not in (4, 5, 7, 9)]
    pd.testing.assert_frame_equal(now.loc[kept, frame.columns], frame.loc[kept], check_dtype=False)


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_what_is_not_filled_comes_back_letter_by_letter_and_whole_numbers_stay_whole(tmp_path, layout):
    """79 among gaps is no 79.0, 1.50 no 1.5, NA no empty cell; what is filled is written as its column is."""
    if layout == "long":
        lines = ["time,count,x,note"]
        lines += [f"2024-01-{k + 1:02d},{'NA' if k in (3, 7) else 70 + k},{k}.50,00{k}" for k in range(12)]
        filled = {"NA": ["73", "77"]}
    else:
        lines = ["place," + ",".join(f"h{k}" for k in range(12))]
        lines += [
            f"{name}," + ",".join("" if k == 3 else f"0{k}" if k == 5 else str(9 + k) for k in range(12))
            for name in "ab"
        ]
        filled = {"": ["73", "73"]}
    windows = read(put(tmp_path, "\n".join(lines) + "\n"))
    assert write(windows, tmp_path / "same.csv").read_text().splitlines() == lines
    whole = [replace(one, values=np.where(np.isnan(one.values), 73.0, one.values)) for one in windows.series]
    if layout == "long":
        whole[0].values[7, 0] = 77.0
    written = write(windows.with_series(whole), tmp_path / "out.csv").read_text().splitlines()
    wanted = [line.split(",") for line in lines]
    ((gone, values),) = filled.items()
    values = iter(values)
    wanted = [[next(values) if cell == gone else cell for cell in row] for row in wanted]
    assert [line.split(",") for line in written] == wanted


def test_the_future_follows_each_series_of_a_file(tmp_path):
    rows = [(u, t, k + t) for t in range(6) for k, u in enumerate("ab")]
    place = tmp_path / "a.csv"
    pd.DataFrame(rows, columns=["unit", "t", "x"]).assign(kind=["red", "blue"] * 6).to_csv(place, index=False)
    windows = read(place)
    assert windows.layout.identity == "unit"  # of two columns that part the rows so, the first
    series = [
        Series(s.name, np.arange(8.0), np.append(s.values, [[50], [51]], 0), s.static, np.append(s.rows, [-1, -1]))
        for s in windows.series
    ]
    now = pd.read_csv(write(replace(windows, series=tuple(series)), tmp_path / "b.csv"))
    assert now[now["unit"] == "b"]["x"].tolist() == [1, 2, 3, 4, 5, 6, 50, 51]
    assert now[now["unit"] == "b"]["kind"].tolist() == ["blue"] * 8
    assert now[now["unit"] == "a"]["t"].tolist() == list(range(8))


@pytest.mark.parametrize(
    ("written", "calendar", "step"),
    [
        (["2019-11-01", "2019-12-01", "2020-01-01", "2020-03-01", "2020-04-01"], "months:1", MONTH),
        (["31.12.2019", "31.01.2020", "29.02.2020", "31.03.2020"], "months:31", MONTH),
        (["1991 Jul", "1991 Aug", "1991 Sep"], "months:1", MONTH),
        (["2001-01-01", "2002-01-01", "2003-01-01"], "months:1", 12 * MONTH),
        (["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-09", "2020-01-10"], "workdays", WORKDAY),
        (["2020-02-28", "2020-02-29", "2020-03-01"], "", 86_400.0),
        (["28/02/2020", "29/02/2020", "01/03/2020"], "", 86_400.0),
        (["2020-03-28T23:30:00+01:00", "2020-03-29T00:00:00+01:00", "2020-03-29T00:30:00+01:00"], "", 1800.0),
    ],
)
def test_steps_are_even_as_the_calendar_is_and_dates_come_back(written, calendar, step):
    times, axis = evened(*parsed(pd.Series(written, name="when"), "a.csv"))
    assert axis.calendar == calendar
    (one,), axis, _ = gridded([Series("a", times, np.ones((len(times), 1)))], axis)
    assert axis.regular
    assert axis.step == step
    np.testing.assert_allclose(np.diff(one.times), step)
    assert times_written(one.times[~np.isnan(one.values[:, 0])], axis).tolist() == written


def test_dates_are_seconds_since_1970_in_utc():
    times, _ = parsed(pd.Series(["1970-01-02T00:00:01+02:00"], name="t"), "a.csv")
    assert times.tolist() == [86_401 - 7200]
    stamps = pd.Series(pd.to_datetime(["2020-06-01", "2020-12-01"]).tz_localize("Europe/Berlin"), name="t")
    times, axis = parsed(stamps, "a.parquet")
    assert times.tolist() == [1590962400.0, 1606777200.0]
    pd.testing.assert_series_equal(times_written(times, axis), stamps)


def test_a_month_that_is_counted_stays_near_its_date():
    days = pd.date_range("1900-01-01", "2100-12-01", freq="MS").to_series().dt.strftime("%Y-%m-%d").rename("t")
    seconds, axis = parsed(days, "a.csv")
    assert np.abs(evened(seconds, axis)[0] - seconds).max() < 3 * 86_400
    work = pd.date_range("1960-01-01", "2060-01-01", freq="B").to_series().dt.strftime("%Y-%m-%d").rename("t")
    seconds, axis = parsed(work, "a.csv")
    assert np.abs(evened(seconds, axis)[0] - seconds).max() < 2 * 86_400


def test_times_near_the_grid_are_moved_and_counted_and_far_ones_stay():
    rng = np.random.default_rng(0)
    even = 300.0 * np.delete(np.arange(200), [7, 8, 100])
    near = even + rng.uniform(-5, 5, len(even))
    near[0] = 0
    (one,), axis, notes = gridded([Series("a", near, np.ones((197, 1)))], Axis("t", "number", None, "float64", 1.0))
    assert (axis.regular, len(one)) == (True, 200)
    assert np.flatnonzero(np.isnan(one.values[:, 0])).tolist() == [7, 8, 100]
    assert any("times moved" in note for note in notes)
    far = np.sort(rng.uniform(0, 1000, 100))
    (one,), axis, notes = gridded([Series("a", far, np.ones((100, 1)))], Axis("t", "number", None, "float64", 1.0))
    assert not axis.regular
    np.testing.assert_array_equal(one.times, far)
    holed = np.array([0.0, 1, 2, 3, 500])
    (one,), axis, _ = gridded([Series("a", holed, np.ones((5, 1)))], Axis("t", "number", None, "float64", 1.0))
    assert (axis.regular, len(one)) == (False, 5)


def test_integers_booleans_and_what_many_series_share_keep_their_types(tmp_path):
    frame = pd.DataFrame(
        {
            "series": np.repeat(["b, c", 'd"e'], 4), "t": [0, 1, 2, 4, 0, 1, 2, 3], "on": [True, False] * 4,
            "count": range(8), "age": np.repeat([30, 41], 4), "y": np.float32(0.1) * np.arange(8, dtype=np.float32),
        }
    )  # fmt: skip
    place = tmp_path / "a.parquet"
    frame.to_parquet(place, index=False)
    windows = read(place)
    assert windows.channels == ("on", "count", "y")
    assert windows.dtypes == ("bool", "int64", "float32")
    assert [one.static for one in windows.series] == [{"age": 30}, {"age": 41}]
    again = read(write(bare(windows), tmp_path / "b.parquet"))
    assert [len(one) for one in again.series] == [5, 4]
    assert again.dtypes == ("boolean", "Int64", "float32")  # a step that was left out is empty now
    pd.testing.assert_frame_equal(read(write(windows, tmp_path / "c.parquet")).frame, frame)


@pytest.mark.parametrize(
    "columns",
    [
        [f"t{k}" for k in range(9)],
        [str(k) for k in range(1990, 1999)],
        [f"{h:02d}:{m:02d}" for h in range(5) for m in (0, 30)],
        [f"2020-{m:02d}" for m in range(1, 10)],
    ],
)
def test_wide_tables_are_read_and_written_with_their_own_columns(tmp_path, columns):
    walk = np.random.default_rng(1).normal(size=(30, len(columns))).cumsum(1).round(3)
    frame = pd.DataFrame(walk, columns=columns).assign(name=[f"s{k}" for k in range(30)], kind=["u", "v"] * 15)
    frame.loc[3, columns[2]] = np.nan
    place = tmp_path / "a.csv"
    frame.to_csv(place, index=False)
    windows = read(place)
    assert (windows.layout.kind, len(windows), windows.channels) == ("wide", 30, ("value",))
    np.testing.assert_array_equal(np.stack([one.values[:, 0] for one in windows]), frame[columns])
    assert windows[1].static == {"name": "s1", "kind": "v"}
    assert windows[1].name == "s1"
    pd.testing.assert_frame_equal(pd.read_csv(write(windows, tmp_path / "b.csv")), frame)
    same(windows, read(write(bare(windows), tmp_path / "c.csv")))
    one, step = windows.series[0], windows.axis.step
    longer = replace(one, times=np.append(one.times, one.times[-1] + step), values=np.append(one.values, [[1.0]], 0))
    drawn = replace(windows, series=(replace(longer, rows=None),), frame=None, places=windows.places[:1])
    now = pd.read_csv(write(drawn, tmp_path / "d.csv"))
    assert series_wide.steps_of(list(now.columns)).times.tolist() == longer.times.tolist()


def test_columns_in_no_order_are_no_series():
    rng = np.random.default_rng(2)
    noise, scale = rng.normal(size=(60, 40)), rng.uniform(1, 100, 40)
    level = 5 * rng.normal(size=(60, 1))
    assert series_wide.reason(pd.DataFrame(noise * scale + level, columns=[f"V{k}" for k in range(40)])) is None
    walk = pd.DataFrame(noise.cumsum(1), columns=[f"V{k}" for k in range(40)])
    assert "neighbours are alike" in series_wide.reason(walk)
    assert series_wide.reason(walk[[f"V{k}" for k in rng.permutation(40)]]) is None


def test_arrays_are_read_as_they_are_called_and_written_again(tmp_path):
    x = np.random.default_rng(3).normal(size=(3, 5, 2))
    x[0, 1, 1] = np.nan
    place = tmp_path / "a.npz"
    days = np.datetime64("2020-01-01") + np.arange(5)
    np.savez(
        place,
        values=x,
        times=days,
        lengths=[5, 3, 4],
        names=["p", "q", "r"],
        channels=["u", "v"],
        age=[1, 2, 3],
        z=x[0],
    )
    windows, notes = found(place)
    assert notes == ["arrays not read: z"]
    assert [(one.name, len(one), one.static) for one in windows] == [
        ("p", 5, {"age": 1}),
        ("q", 3, {"age": 2}),
        ("r", 4, {"age": 3}),
    ]
    np.testing.assert_array_equal(windows[1].values, x[1, :3])
    assert windows.axis.step == 86_400
    same(windows, read(write(windows, tmp_path / "b")))
    np.savez(place, values=x[:, :, 0])
    assert read(place).axis.kind == "index"


def test_steps_that_nobody_wrote_down_are_counted(tmp_path):
    place = put(tmp_path, "x,y\n1,2\n2,4\n3,7\n")
    windows = read(place)
    assert windows.axis.kind == "index"
    assert windows[0].times.tolist() == [0, 1, 2]
    assert write(bare(windows), tmp_path / "b.csv").read_text() == "x,y\n1,2\n2,4\n3,7\n"


def test_windows_and_draws_have_a_name_each(tmp_path):
    frame = dated(6)
    frame.to_csv(tmp_path / "a.csv", index=False)
    cut = read(tmp_path / "a.csv").cut(4)
    again = read(write(cut, tmp_path / "b.csv"))
    assert again.layout.identity == "series"
    assert [one.values[0, 0] for one in again.series] == [0, 0.1, 0.2]
    told = replace(
        bare(cut), layout=Layout("long", "x2"), series=(replace(cut.series[0], rows=None, static={"x2": "u"}),)
    )
    assert read(write(told, tmp_path / "c.csv")).layout.identity == "series"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,x\n2020-01-01,1\n2020-01-03,2\n2020-01-02,3\n", "row 4, column 'time': 2020-01-02 comes after .*-03 in row 3"),
        ("time,x\n2020-01-01,1\n2020-01-02,2\n2020-01-02,3\n", "row 4, column 'time': 2020-01-02 stands there already, in row 3"),
        ("series,time,x\na,1,1\na,2,2\nb,1,1\nb,1,2\n" + "".join(f"b,{k},{k}\n" for k in range(2, 40)),
         "row 5, column 'time' of series b: 1 stands there already, in row 4"),
        ("time,variable,x\n1,u,1\n1,v,2\n2,u,3\n2,v,2\n2,v,2\n", "pivot the table"),
        ("time,x\n2020-01-01,1\n01/02/2020,2\n", "row 3, column 'time': '01/02/2020' is no date written %Y-%m-%d"),
        ("time,x\n2020-01-01,1\nsoon,2\n", "row 3, column 'time': 'soon' is no date"),
        ("time,x\n2020-01-01 00:00+01:00,1\n2020-01-01 01:00,2\n",
         "row 3, column 'time': '2020-01-01 01:00' is no date .* in row 2 is.* in one time zone"),
        ("time,x\n2020-01-01 00:00+01:00,1\n2020-01-01 01:00+02:00,2\n", "row 3, .*02:00 stands there already, in row 2"),
        ("time,variable,x\n" + "".join(f"{t},{v},{t}\n" for t in range(1, 30) for v in "uv") + "7,v,3\n",
         "row 60: 'variable' v at 7 stands there already, in row 15 .rows like this: 1"),
        ("time,x\n2020-01-01,1\n,2\n", "row 3, column 'time': no time"),
        ("time,x\n1,1\ninf,2\n", "row 3, column 'time': inf is no time"),
        ("time,x\n1,1\n2,oops\n3,4\n4,5\n", "row 3, column 'x': 'oops' stands among numbers"),
        ("time,x\n1,1\n2,inf\n3,4\n", "row 3, column 'x': inf is infinite"),
        ("time,x,x\n1,1,1\n2,2,2\n", "two columns are called 'x'"),
        ("time,x\n1,1\n", "one time stamp"),
        ("series,time,x\na,1,1\nb,1,2\n", "row 3, column 'time': 1 stands there already"),
        ("time,x\n1,a\n2,b\n", "no column of numbers"),
        ("time,x\n1,1\n2\n", "row 3: 1 cells, but the header has 2"),
        ("", "is empty"),
        ("series,time,x\na,1,1\n,2,2\na,3,1\n", "no series' name"),
    ],
)  # fmt: skip
def test_each_fault_names_its_place(tmp_path, text, words):
    place = put(tmp_path, text)
    with pytest.raises(ReverieError, match=words) as error:
        series_files.found(place) if "no series'" not in words else series_frames.of_frame(
            pd.read_csv(place), str(place), identity="series"
        )
    assert str(place) in str(error.value)


def test_channels_that_never_change_are_said_and_stay(tmp_path):
    place = put(tmp_path, "time,x,flat,none\n1,1,5,\n2,2,5,\n3,1,5,\n")
    windows, notes = found(place)
    assert "channels that never change: 'flat' is always 5, 'none' is always empty" in notes
    assert windows.channels == ("x", "flat", "none")


def test_a_file_in_another_encoding_is_a_sentence(tmp_path):
    (tmp_path / "a.csv").write_bytes("time,höhe\n1,2\n2,3\n".encode("latin-1"))
    with pytest.raises(ReverieError, match="is not UTF-8"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"values": np.array([[1, "a"]], dtype=object)}, "Python objects"),
        ({"values": np.zeros(4)}, r"shape \(4,\); values are \(series, steps, channels\)"),
        ({"values": np.full((2, 3), np.inf)}, "series 0, step 0, channel 0 is infinite"),
        ({"values": np.zeros((2, 3)), "names": ["a"]}, "names has shape"),
        ({"values": np.zeros((2, 3)), "names": ["a", "a"]}, "two names are 'a'"),
        ({"values": np.zeros((2, 3, 2)), "channels": ["a", "b", "c"]}, "channels has shape"),
        ({"values": np.zeros((2, 3)), "lengths": [3, 4]}, "length of series 1 is 4; give 1 to 3"),
        ({"values": np.zeros((2, 3)), "times": np.zeros(4)}, r"times are float64 of shape \(4,\)"),
        ({"values": np.zeros((2, 3)), "times": [0, 2, 1]}, "times, series 0: step 2 is not after step 1"),
        ({"values": np.zeros((2, 3)), "times": [[0, 1, 2], [0, 1, np.nan]]}, "times, series 1, step 2: no time"),
        ({"values": np.zeros((2, 1))}, "one time stamp"),
        ({"times": np.zeros(3)}, "It needs 'values'"),
    ],
)
def test_each_fault_of_arrays_is_a_sentence(tmp_path, arrays, words):
    place = tmp_path / "a.npz"
    np.savez(place, **arrays)
    with pytest.raises(ReverieError, match=words):
        read(place)


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx", ".tsv"])
def test_days_without_a_time_of_day_keep_their_type(tmp_path, suffix):
    days = pd.date_range("2020-02-27", periods=6, freq="D")
    frame = pd.DataFrame({"date": days.date if suffix == ".parquet" else days, "x": np.arange(6.0)}).drop(index=3)
    place = tmp_path / f"a{suffix}"
    Rows(frame.reset_index(drop=True)).write(place)
    windows = read(place)
    one = windows.series[0]
    assert len(one) == 6
    full = replace(windows, series=(replace(one, values=np.arange(6.0)[:, None]),))
    now = read(write(full, tmp_path / f"b{suffix}")).frame
    was = read(place).frame
    assert now["date"].dtype == was["date"].dtype
    assert now["date"].map(type).nunique() == 1
    assert now["date"].drop(index=3).tolist() == was["date"].tolist()
    assert pd.Timestamp(now["date"][3]) == days[3]


def test_dates_in_time_zones_go_into_no_workbook(tmp_path):
    frame = dated(5)
    frame["time"] = frame["time"].dt.tz_localize("Europe/Berlin")
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ReverieError, match="Excel has no dates with time zones"):
        write(read(tmp_path / "a.parquet"), tmp_path / "b.xlsx")


@pytest.mark.parametrize("freq", ["D", "B"])
@pytest.mark.parametrize("format", ["%Y-%m-%d", "%Y-%m-%d 00:00:00", "%d.%m.%Y 00:00"])
def test_few_days_are_counted_as_the_model_counts_them_and_midnights_are_days(tmp_path, freq, format):
    """Monday to Friday, and two weeks without their weekends, for a model of days and one of working days."""
    days = pd.date_range("2024-01-01", periods=60, freq=freq)
    codec = SeriesCodec.fit(
        read(put(tmp_path, pd.DataFrame({"time": days, "x": np.sin(range(60))}).to_csv(index=False)))
    )
    for n in (5, 10):
        weeks = pd.date_range("2024-03-04", periods=n, freq="B")
        place = put(
            tmp_path, pd.DataFrame({"time": weeks.strftime(format), "x": range(n)}).to_csv(index=False), "b.csv"
        )
        given = codec.gathered(read(place))
        codec.check(given)
        one = given.series[0]
        written = times_written(one.times, given.axis)
        seen = ~np.isnan(one.values[:, 0])
        assert written[seen].tolist() == weeks.strftime(format).tolist()
        assert len(one) == (n if freq == "B" else (weeks[-1] - weeks[0]).days + 1)


@pytest.mark.parametrize("form", ["{y}Q{q}", "{y}-Q{q}", "Q{q} {y}"])
def test_quarters_are_steps_of_three_months_and_come_back(tmp_path, form):
    written = [form.format(y=2020 + k // 4, q=k % 4 + 1) for k in range(12)]
    text = pd.DataFrame({"quarter": written, "x": np.arange(12) ** 2}).to_csv(index=False)
    place = put(tmp_path, text)
    assert guess(place).kind == "series"
    windows = read(place)
    assert (windows.axis.step, windows.axis.calendar) == (3 * MONTH, "months:1")
    assert write(windows, tmp_path / "b.csv").read_text() == text
    following = windows.series[0].times[-1] + windows.axis.step * np.arange(1, 3)
    assert times_written(following, windows.axis).tolist() == [form.format(y=2023, q=q) for q in (1, 2)]
    wide = pd.DataFrame(np.arange(24).reshape(2, 12) ** 2, columns=written)
    assert read(put(tmp_path, wide.to_csv(index=False), "w.csv")).series[0].times[1] == windows.series[0].times[1]


@pytest.mark.parametrize("order", [["id", "time", "variable"], ["variable", "id", "time"]])
def test_rows_that_name_their_variable_are_channels_and_come_back(tmp_path, order):
    """Whichever way the rows are sorted; a value that is not there is missing; it is written row by row again."""
    days = pd.date_range("2024-01-01", periods=12).strftime("%d.%m.%Y").tolist()
    rows = [
        {"id": i, "time": t, "variable": v, "value": 100 * n + k + 0.5 * c}
        for n, i in enumerate("ba") for k, t in enumerate(days) for c, v in enumerate(["heat", "damp"])
    ]  # fmt: skip
    frame = pd.DataFrame(rows).drop(index=[7]).reset_index(drop=True)
    sorting = {"id": {"b": 0, "a": 1}, "time": {t: k for k, t in enumerate(days)}, "variable": {"heat": 0, "damp": 1}}
    shuffled = frame.sort_values(order, key=lambda c: c.map(sorting[c.name]))
    place = put(tmp_path, shuffled.to_csv(index=False))
    why = guess(place)
    assert why.kind == "series"
    assert "'variable' names 2 channels" in why.why
    windows = read(place)
    assert windows.channels == ("heat", "damp")
    assert [one.name for one in windows.series] == ["b", "a"]
    assert np.isnan(windows.series[0].values[3]).tolist() == [False, True]
    np.testing.assert_array_equal(windows.series[1].values[:, 1], 100.5 + np.arange(12))
    pd.testing.assert_frame_equal(pd.read_csv(write(windows, tmp_path / "b.csv")), frame)
    same(read(write(bare(windows), tmp_path / "c.csv")), windows)
    codec = SeriesCodec.fit(windows)
    drawn = codec.write(codec.decode_all(codec.encode_all(windows)), tmp_path / "d.csv")
    assert pd.read_csv(drawn).columns.tolist() == ["id", "time", "variable", "value"]


def test_two_columns_that_name_a_series_together_are_told_to_be_joined(tmp_path):
    rows = [(s, i, d, k) for s in "ab" for i in "xyz" for k, d in enumerate(pd.date_range("2024-01-01", periods=9))]
    place = put(tmp_path, pd.DataFrame(rows, columns=["shop", "item", "date", "sold"]).to_csv(index=False))
    assert guess(place).kind == "series"
    with pytest.raises(ReverieError, match=r"'shop' and 'item' together say which series .* Join them"):
        read(place)


def test_two_columns_of_evenly_spaced_series_are_found_where_one_nearly_does(tmp_path):
    """Few products of one shop only: within shops 39 in 40 rows rise, and no one row is at fault."""
    rows = [("a", "x", d, k) for k, d in enumerate(pd.date_range("2024-01-01", periods=40))]
    rows += [
        (s, "y" if s == "a" else "x", d, k)
        for s in "bcda"
        for k, d in enumerate(pd.date_range("2024-01-01", periods=40))
    ]
    frame = pd.DataFrame(rows, columns=["series", "product", "date", "sold"])
    with pytest.raises(ReverieError, match="'series' and 'product' together say which series"):
        read(put(tmp_path, frame.to_csv(index=False)))
    once = frame[(frame["series"] != "a") | (frame["product"] == "x")].reset_index(drop=True)
    once.loc[len(once)] = ["d", "y", once["date"].iloc[-1], 3]
    with pytest.raises(
        ReverieError, match=f"row {len(once) + 1}, .* of series d: .* stands there already, in row {len(once)}"
    ):
        read(put(tmp_path, once.to_csv(index=False)))


def test_a_word_that_changes_in_one_series_is_named_with_its_row(tmp_path):
    frame = pd.DataFrame({"series": np.repeat(list("abcd"), 9), "day": [*range(9)] * 4, "x": np.arange(36) % 7})
    frame["region"], frame["size"] = np.repeat(["n", "s", "n", "s"], 9), np.repeat([1, 2, 1, 2], 9)
    assert not any("region" in note for note in found(put(tmp_path, frame.to_csv(index=False))).notes)
    frame.loc[[21, 22], "region"], frame.loc[30, "size"] = "s", 5
    notes = found(put(tmp_path, frame.to_csv(index=False))).notes
    assert sum("in series c it changes in row 23, from n to s" in note for note in notes) == 1
    assert sum("in series d it changes in row 32, from 2 to 5" in note for note in notes) == 1
    assert not any("'x' is the same" in note for note in notes)


@pytest.mark.parametrize(("style", "utc"), [("%z", "+0000"), ("colon", "+00:00")])
def test_offsets_that_change_are_instants(tmp_path, style, utc):
    hours = pd.date_range("2024-03-30T20:00", periods=200, freq="h", tz="Europe/Berlin")
    words = hours.strftime("%Y-%m-%dT%H:%M:%S%z")
    words = words if style == "%z" else words.str.replace(r"(\d\d)$", r":\1", regex=True)
    place = put(tmp_path, pd.DataFrame({"time": words, "x": np.sin(np.arange(200))}).to_csv(index=False))
    assert guess(place).kind == "series"
    windows, notes = found(place)
    assert windows.series[0].times.tolist() == [hour.timestamp() for hour in hours]
    assert windows.axis.step == 3600
    assert windows.axis.regular
    assert any("offsets" in note and "in UTC" in note for note in notes)
    drawn = read(write(bare(windows), tmp_path / "b.csv"))
    np.testing.assert_array_equal(drawn.series[0].times, windows.series[0].times)
    assert pd.read_csv(tmp_path / "b.csv")["time"][0] == f"2024-03-30T19:00:00{utc}"


@pytest.mark.parametrize(("freq", "count"), [("h", 48), ("D", 100), ("7D", 53)])
def test_wide_columns_whose_offsets_change_through_the_year_are_steps_and_come_back(tmp_path, freq, count):
    """Instants are Python's own; a day at the change of clocks lasts 23 or 25 hours and stays a step."""
    first = {"h": "2024-03-30", "D": "2024-02-01", "7D": "2024-01-01"}[freq]
    t = pd.date_range(first, periods=count, freq=freq, tz="Europe/Berlin")
    x = np.cumsum(np.ones((4, count)), 1).round(1)  # rising, so that each column rises, too
    frame = pd.DataFrame(x + np.arange(4)[:, None], columns=[one.isoformat() for one in t])
    frame.insert(0, "site", list("abcd"))
    place = put(tmp_path, frame.to_csv(index=False))
    assert guess(place).kind == "series"
    windows, notes = found(place)
    assert len(windows.series) == 4
    off = windows.series[0].times - np.array([one.timestamp() for one in t])
    assert set(off.tolist()) == ({0.0} if freq == "h" else {0.0, 3600.0})
    assert windows.axis.step == {"h": 3600, "D": 86400, "7D": 604800}[freq]
    assert windows.axis.regular
    assert "columns are written with the offsets +01:00, +02:00: read as instants; new ones are written in UTC" in notes
    assert write(windows, tmp_path / "out.csv").read_text() == place.read_text()
    one = windows.series[0]
    later = replace(
        one, times=np.append(one.times, one.times[-1] + windows.axis.step), values=np.append(one.values, [[9.0]], 0)
    )
    later = replace(later, rows=np.append(one.rows, -1))
    names = write(windows.with_series([later]), tmp_path / "later.csv").read_text().splitlines()[0].split(",")
    assert names[1 : count + 1] == list(frame.columns[1:])
    assert pd.Timestamp(names[-1]).timestamp() == one.times[-1] + windows.axis.step


@pytest.mark.parametrize("form", ["int64", "float64"])
@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("step", [0.25, 3600.0])
def test_seconds_since_1970_are_dates_that_come_back_letter_by_letter(tmp_path, form, unit, step):
    """Known letters: 1700000000 is 2023-11-14 22:13:20 UTC. A gap in the middle and two rows out of the file are new times."""
    if form == "int64" and unit == 1 and step < 1:
        step = 2.0
    times = (1_700_000_000 * unit + np.arange(50) * step * unit).astype(form)
    kept = np.delete(np.arange(50), [20, 48, 49])
    frame = pd.DataFrame({"Timestamp": times, "x": np.arange(50) * 0.1}).iloc[kept]
    frame.to_csv(tmp_path / "sensor.csv", index=False)
    made = found(tmp_path / "sensor.csv")
    one = made.windows.series[0]
    assert guess(tmp_path / "sensor.csv").kind == "series"
    assert (made.windows.axis.kind, made.windows.axis.step, one.name) == ("date", step, "sensor")
    assert "'Timestamp' is " + "milli" * (unit > 1) + "seconds since 1970: 2023-11-14 22:13 to" in made.notes[0]
    assert "call the column 'step'" in made.notes[0]
    assert not any("moved" in note for note in made.notes)
    assert times_read(one.times[:1], made.windows.axis) == ["2023-11-14 22:13:20"]
    longer = replace(
        one,
        times=np.append(one.times, one.times[-1] + step * np.array([1, 2])),
        values=np.append(one.values, [[7.0], [8.0]], 0),
        rows=np.append(one.rows, [-1, -1]),
    )
    longer.values[20] = 9.0
    whole = write(made.windows.with_series([longer]), tmp_path / "out.csv").read_text().splitlines()
    wanted = pd.DataFrame({"Timestamp": times}).to_csv(index=False).splitlines()
    assert [line.split(",")[0] for line in whole] == wanted
    anew = write(bare(made.windows.with_series([longer])), tmp_path / "new.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in anew] == wanted


@pytest.mark.parametrize(
    ("name", "first", "kind"),
    [
        ("step", 1_700_000_000, "number"),
        ("time", 17_000_000, "number"),
        ("time", 1_700_000_000, "date"),
        ("date", 20_240_101, "date"),
        ("event_time", 999_999_000_000, "date"),
        ("time", 17_000_000_000_000, "number"),
    ],
)
def test_numbers_are_dates_where_name_and_size_say_so(name, first, kind):
    axis = parsed(pd.Series([first, first + 1, first + 4], name=name), "t")[1]
    assert axis.kind == kind
    assert (axis.format in series_frames.SINCE_1970) == (kind == "date" and first > 1e8)


def test_the_only_series_of_a_file_is_called_as_the_file_and_split_whatever_that_is(tmp_path):
    for name in ("load.csv", "again.csv"):
        dated().to_csv(tmp_path / name, index=False)
    one, two = read(tmp_path / "load.csv"), read(tmp_path / "again.csv")
    assert (one.series[0].name, two.series[0].name) == ("load", "again")
    assert one.digests() == two.digests()


def test_sums_of_money_are_named_with_what_to_do(tmp_path):
    dated(price=[f"${1000 + k:,}.50" for k in range(40)]).to_csv(tmp_path / "a.csv", index=False)
    (note,) = [note for note in found(tmp_path / "a.csv").notes if "price" in note and "left out" not in note]
    assert "'price' is taken for words: its numbers are written with $ ('$1,000.50', row 2)" in note
    dated().drop(columns="x").assign(share="5 %").to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(
        ReverieError, match=r"no column of numbers.*'share' is taken for words: its numbers are written with %"
    ):
        read(tmp_path / "b.csv")


def test_what_is_found_of_series_stands_beside_the_file_s_own_letters(tmp_path):
    """Also beside what is not learned, and under another name where a column is called so."""
    lines = ["id,time,count,word,p"]
    lines += [f"{one},2024-01-{k + 1:02d},{'' if k == 3 else 70 + k},w{k},0.{k}0" for one in "ab" for k in range(9)]
    windows = read(put(tmp_path, "\n".join(lines) + "\n"))
    error = np.arange(18.0).reshape(2, 9)
    made = SeriesCodec.fit(windows).annotated(windows, {"error": error, "p": 2 * error})
    written = write(made, tmp_path / "out.csv").read_text().splitlines()
    assert [line.rsplit(",", 2)[0] for line in written] == lines
    assert written[0].endswith(",error,p_found")
    assert [[float(x) for x in line.split(",")[-2:]] for line in written[1:]] == [[k, 2 * k] for k in range(18)]
