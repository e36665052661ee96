"""The kind is decided by content: people with dates stay a table, what follows in time is series, and a person's word wins."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from reverie.data.kinds import guess
from reverie.data.series import read_series
from reverie.data.source import read
from reverie.errors import ReverieError


def kind_of(tmp_path, frame, name="a.csv"):
    place = tmp_path / name
    frame.to_csv(place, index=False) if name.endswith(".csv") else frame.to_parquet(place)
    return guess(place)


def people(n=200, seed=0):
    rng = np.random.default_rng(seed)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, n), "D")
    return pd.DataFrame(
        {
            "born": born.strftime("%Y-%m-%d"), "age": rng.integers(18, 80, n), "year": rng.integers(2003, 2010, n),
            "time": rng.exponential(3, n).round(2), "city": rng.choice(["a", "b"], n), "pay": rng.normal(size=n),
        }
    )  # fmt: skip


def bikes():
    """Hours of the days of a year, as parts of a date in columns of their own."""
    days, hours = np.meshgrid(np.arange(1, 60), np.arange(24), indexing="ij")
    return pd.DataFrame(
        {"mnth": "Jan", "day": days.ravel(), "hr": hours.ravel(), "bikers": days.ravel() * hours.ravel()}
    )


TABLES = {
    "people": people(),
    "people by birthday": people().sort_values("born"),
    "irregular dates": pd.DataFrame(
        {"signed": pd.to_datetime(np.cumsum(np.random.default_rng(1).integers(1, 400, 90)), unit="D"), "pay": range(90)}
    ),
    "hours": bikes(),
    "row numbers": people().rename_axis("index").reset_index().drop(columns=["time", "year"]),
    "features": pd.DataFrame(np.random.default_rng(2).normal(size=(40, 30)), columns=[f"V{k}" for k in range(30)]),
    "years": people().assign(Year=np.repeat([2001, 2002], 100)).drop(columns="born"),
}
SERIES = {
    "stocks": pd.DataFrame({"Date": pd.date_range("2020-01-01", periods=90, freq="B"), "A": range(90)}),
    "countries": pd.DataFrame(
        {"country": np.repeat(list("abc"), 9), "year": [*range(1990, 1999)] * 3, "gdp": range(27)}
    ),
    "numbered": pd.DataFrame({"series": np.repeat([1, 2], 20), "t": [*range(20)] * 2, "x": range(40)}),
    "glucose": pd.DataFrame(
        {"stamp": pd.date_range("2020-01-01", periods=90, freq="5min").delete([7, 8]), "x": range(88)}
    ),
    "one fault": pd.DataFrame({"time": [*range(50), 48, *range(51, 90)], "x": range(90)}),
    "hours": pd.DataFrame(np.random.default_rng(3).normal(size=(9, 24)), columns=[f"h{k}" for k in range(24)]),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_stays_a_table(tmp_path, name):
    assert kind_of(tmp_path, TABLES[name]).kind == "table"


@pytest.mark.parametrize("load", ["iris", "wine", "breast_cancer", "diabetes", "linnerud"])
def test_what_scikit_learn_ships_are_tables(tmp_path, load):
    assert kind_of(tmp_path, getattr(sklearn.datasets, f"load_{load}")(as_frame=True).frame).kind == "table"


@pytest.mark.parametrize("name", SERIES)
def test_what_follows_in_time_is_series(tmp_path, name):
    found = kind_of(tmp_path, SERIES[name])
    assert found.kind == "series"
    assert "rise" in found.why or "are steps" in found.why
    assert kind_of(tmp_path, SERIES[name], "a.parquet").kind == "series"


def test_times_that_are_no_columns_of_a_parquet_are_found(tmp_path):
    assert kind_of(tmp_path, SERIES["stocks"].set_index("Date"), "a.parquet").kind == "series"


def test_long_files_are_told_by_their_first_rows(tmp_path):
    frame = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=70_000, freq="min"), "x": 0.5})
    assert kind_of(tmp_path, frame).kind == "series"


def test_a_persons_word_wins(tmp_path):
    place = tmp_path / "a.csv"
    SERIES["stocks"].to_csv(place, index=False)
    assert guess(place, "table").kind == "table"
    TABLES["people"].to_csv(place, index=False)
    assert guess(place, "series") == ("series", place, "as you said")
    with pytest.raises(ReverieError, match="there are image, table, series"):
        guess(place, "video")


def test_a_folder_with_one_file_of_series_is_these(tmp_path):
    SERIES["stocks"].to_csv(tmp_path / "a.csv", index=False)
    found = guess(tmp_path)
    assert (found.kind, found.place.name) == ("series", "a.csv")


def test_arrays_are_series_by_their_names(tmp_path):
    np.savez(tmp_path / "a.npz", values=np.zeros((2, 3)))
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 3, 3)))
    assert guess(tmp_path / "a.npz").kind == "series"
    assert guess(tmp_path / "b.npz") is None


def test_what_cannot_be_read_is_left_to_the_reader(tmp_path):
    (tmp_path / "a.csv").write_text("time,x\n1,2\n3\n4,5,6\n")
    assert guess(tmp_path / "a.csv").kind == "table"


@pytest.mark.parametrize(
    ("row", "cell", "words"),
    [(5, "2024-02-30", "'2024-02-30' is no date, where 39 of 40"), (0, "soon", "'soon' is no date"), (7, "", "no time"),
     (39, "31.01.2024", "'31.01.2024' is no date written %Y-%m-%d")],
)  # fmt: skip
def test_an_impossible_date_leaves_series_series_with_a_fault_that_reading_names(tmp_path, row, cell, words):
    days = pd.date_range("2024-01-25", periods=40).strftime("%Y-%m-%d").tolist()
    days[row] = cell
    place = tmp_path / "a.csv"
    pd.DataFrame({"time": days, "x": range(40)}).to_csv(place, index=False)
    assert guess(place).kind == "series"
    with pytest.raises(ReverieError, match=f"a.csv, row {row + 2}, column 'time': {words}"):
        read(place)


def test_people_of_whom_one_has_no_birthday_stay_a_table(tmp_path):
    assert kind_of(tmp_path, people().assign(born=lambda p: p["born"].where(p.index != 3, "unknown"))).kind == "table"


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_is_named_by_its_mark(tmp_path, name, encoding):
    place = tmp_path / name
    place.write_bytes("time\tx\n1\t2\n2\t3\n".encode(encoding))
    with pytest.raises(
        ReverieError, match=f"{name} is written in {encoding.upper()}.*iconv -f {encoding.upper()} -t UTF-8"
    ):
        read(place)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.xlsx", "a.dat", "a"])
@pytest.mark.parametrize("form", ["to_csv", "to_parquet", "to_excel"])
def test_a_file_is_what_is_in_it_whatever_it_is_called(tmp_path, form, name):
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    frame = pd.DataFrame({"time": days, "x": np.arange(60.0)})
    place = tmp_path / {"to_csv": "w.csv", "to_parquet": "w.parquet", "to_excel": "w.xlsx"}[form]
    getattr(frame, form)(place, index=False)
    place = place.rename(tmp_path / name)
    if form == "to_csv" and name in ("a.parquet", "a.xlsx"):
        with pytest.raises(ReverieError, match=f"{name} is called .* and is no"):
            read(place)
        return
    assert guess(place).kind == "series"
    (found,) = read(place).items
    assert found.values[:, 0].tolist() == frame["x"].tolist()


def test_what_is_called_a_workbook_or_parquet_and_is_none_is_said(tmp_path):
    TABLES["people"].to_excel(tmp_path / "whole.xlsx")
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "whole.xlsx").read_bytes()[:900])
    (tmp_path / "a.xlsx").write_text("name,age\nAnn,3\n")
    (tmp_path / "a.parquet").write_bytes(b"hello")
    for name, form in (("cut.xlsx", "Excel workbook"), ("a.xlsx", "Excel workbook"), ("a.parquet", "Parquet file")):
        with pytest.raises(
            ReverieError, match=f"{name} is called {Path(name).suffix} and is no {form}, or a damaged one"
        ):
            guess(tmp_path / name)
    assert guess(tmp_path / "whole.xlsx").kind == "table"


def test_a_word_that_what_is_there_contradicts_is_refused(tmp_path):
    TABLES["people"].to_csv(tmp_path / "a.csv", index=False)
    np.save(tmp_path / "a.npy", np.arange(24.0).reshape(2, 6, 2))
    with pytest.raises(ReverieError, match=r"a\.csv is a table \(a .csv file\) and holds no images"):
        guess(tmp_path / "a.csv", "image")
    with pytest.raises(ReverieError, match=r"a\.npy holds arrays and no table"):
        guess(tmp_path / "a.npy", "table")
    windows = read_series(guess(tmp_path / "a.npy", "series")).items
    np.testing.assert_array_equal(windows.series[1].values, np.arange(12.0, 24).reshape(6, 2))


def test_a_folder_of_several_tables_names_some_and_asks_for_one(tmp_path):
    for name in ("c.csv", "b.csv", "d.csv", "a.parquet"):
        (SERIES["stocks"].to_parquet if "parquet" in name else SERIES["stocks"].to_csv)(tmp_path / name)
    with pytest.raises(
        ReverieError, match=rf"4 tables or series \(a.parquet, b.csv, c.csv, ...\). Name one, such as {tmp_path}/a.pa"
    ):
        guess(tmp_path)
    (tmp_path / "note.doc").write_bytes(b"hello")
    assert guess(tmp_path) is None, "what else is there may be meant"
