"""What files of tables bring that is easily lost: letters of truths, time zones, names, cells of several values."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from reverie.codecs.cells import Number
from reverie.codecs.rows import Rows
from reverie.codecs.sheets import font
from reverie.codecs.table import TableCodec
from reverie.codecs.table_columns import fitted
from reverie.codecs.text_table import drawn
from reverie.data.kinds import guess
from reverie.data.source import read
from reverie.errors import ReverieError


def people(n=40):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.integers(18, 90, n), "sex": rng.choice(["F", "M"], n), "pay": rng.normal(size=n)})


def again(rows):
    codec = TableCodec.fit(rows)
    codec = TableCodec(tuple(json.loads(json.dumps(c.to_json())) for c in codec.cells))
    return codec.decode_all(codec.encode_all(rows)).frame


@pytest.mark.parametrize("words", [("true", "false"), ("TRUE", "FALSE"), ("True", "False")])
@pytest.mark.parametrize("gaps", [False, True])
def test_truths_are_written_back_as_they_are_spelt(tmp_path, words, gaps):
    place, out = tmp_path / "a.csv", tmp_path / "b.csv"
    frame = people().assign(member=np.where(np.arange(40) % 3 == 0, *words))
    if gaps:
        frame.loc[[3, 7], "member"] = None
    frame.to_csv(place, index=False)
    Rows(again(Rows.read(place))).write(out)
    assert [line.rsplit(",", 1)[1] for line in out.read_text().split()] == [
        line.rsplit(",", 1)[1] for line in place.read_text().split()
    ]


def test_dates_with_a_time_zone_come_back_with_it(tmp_path):
    place = tmp_path / "a.parquet"
    when = pd.date_range("2024-03-30", periods=40, freq="h", tz="Europe/Berlin")  # over the change to summer time
    people().assign(when=when).to_parquet(place)
    frame = again(Rows.read(place))
    assert frame["when"].dtype == pd.read_parquet(place)["when"].dtype
    assert (frame["when"] == when).all()


def test_cells_of_several_values_are_named(tmp_path):
    place = tmp_path / "a.parquet"
    people().assign(parts=[[1, 2]] * 40).to_parquet(place)
    with pytest.raises(ReverieError, match=r"row 1: column 'parts' holds several values in a cell \(\[1 2\]\)"):
        Rows.read(place)


def test_a_damaged_parquet_names_the_column_and_rows_that_cannot_be_read(tmp_path):
    place = tmp_path / "a.parquet"
    people(400).to_parquet(place, row_group_size=200)
    whole, chunk = place.read_bytes(), pyarrow.parquet.ParquetFile(place).metadata.row_group(1).column(2)
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    place.write_bytes(whole[:first] + bytes(chunk.total_compressed_size) + whole[first + chunk.total_compressed_size :])
    with pytest.raises(
        ReverieError, match=r"a\.parquet is a damaged Parquet file: the values of column 'pay' in rows 201 to 400 "
    ):
        Rows.read(place)


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx"])
def test_whatever_the_damage_a_file_is_read_or_refused_in_our_words(tmp_path, suffix):
    """Cut off anywhere, or with any stretch of zeros or noise: no library's error comes through, nor its words."""
    place, rng = tmp_path / f"a{suffix}", np.random.default_rng(0)
    Rows(people(60)).write(place)
    whole, said = place.read_bytes(), []
    for k in range(24):
        at, long = rng.integers(4, len(whole) - 1), rng.integers(1, len(whole) // 4)
        noise = bytes(rng.integers(0, 256, long, dtype=np.uint8)) if k % 3 else bytes(long)
        place.write_bytes(whole[:at] if k % 4 == 0 else (whole[:at] + noise + whole[at + long :])[: len(whole)])
        try:
            Rows.read(guess(place).place)
        except ReverieError as error:
            said.append(str(error))
    assert len(said) > 12
    for words in said:
        assert re.search(r"Copy it again|Save it again|Mend the|Rename one|Fill it", words)
        assert not re.search("(?i)arrow|snappy|thrift|base64|zip file|utf-8'", words)


def test_commas_between_thousands_are_not_taken_for_decimal_ones(tmp_path):
    place = tmp_path / "a.csv"
    people().assign(pay=[f"{947_404 + k:,}" for k in range(40)]).to_csv(place, index=False)
    with pytest.raises(ReverieError, match=r"row 2: column 'pay' has commas between thousands \('947,404'\)"):
        Rows.read(place)


def test_tiny_numbers_are_not_rounded_to_nothing():
    x = np.random.default_rng(0).random(50) * 1e-300
    column = Number.fit("x", "float64", x)
    assert column.decimals is None
    assert Number.fit("x", "float64", np.round(np.arange(50) * 0.1, 1)).decimals == 1


def test_integers_that_no_float_holds_are_said():
    big = pd.Series(np.random.default_rng(0).integers(2**60, 2**62, 50), name="x")
    assert "over 15 digits" in fitted(big)[1]
    assert fitted(big // 2**20)[1] == ""


def test_what_is_odd_about_names_is_said_and_a_plain_table_is_not_suspected(tmp_path):
    place = tmp_path / "a.csv"
    people().to_csv(place, index=False, header=False)
    assert "its first row looks like data" in guess(place).why
    people().rename(columns={"sex": ""}).to_csv(place, index=False)
    assert "a column without a name is called 'Unnamed: 1' here" in guess(place).why
    people().to_csv(place, index=False)
    assert guess(place).why == "a .csv file"
    years = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["2019", "2020"]).assign(who="ab" * 15)
    years.assign(who=["a", "b"] * 15).to_csv(place, index=False)
    assert guess(place).why == "a .csv file"


def test_sheets_that_are_not_read_are_said(tmp_path):
    place = tmp_path / "a.xlsx"
    with pd.ExcelWriter(place) as book:
        people().to_excel(book, sheet_name="one", index=False)
        people().to_excel(book, sheet_name="two", index=False)
    assert guess(place).why == "an Excel workbook, of whose 2 sheets the first, 'one', is read"


def test_a_window_for_a_table_is_refused(tmp_path):
    people().to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ReverieError, match=r"--window cuts time series, and .* is a table"):
        read(tmp_path / "a.csv", window="5")


def test_names_that_no_letters_are_for_are_drawn():
    """Raqm, where Pillow has it, fails at emoji that DejaVu lacks; a picture must never end a run."""
    frame = people().rename(columns={"age": "😀", "sex": "new\nline", "pay": "🏴‍☠️ family"})
    assert drawn(frame).min() < 100
    assert font(10).layout_engine == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sex=F sex=M", "'sex' is given twice. Write sex=one|another, or a range"),
        ("age=40.5", "this column has no decimals"),
        ("sex=", "an empty cell cannot be asked for"),
        ("", "--given says nothing"),
    ],
)
def test_wishes_that_cannot_be_are_refused(text, words):
    frame = people(400).assign(age=np.arange(400) % 97)
    with pytest.raises(ReverieError, match=re.escape(words)):
        TableCodec.fit(Rows(frame)).given(text, 3, 0)


@pytest.mark.parametrize(
    ("words", "signs", "numbers"),
    [
        (["$1,200.50", "$3.20", "-$7"], "$", [1200.5, 3.2, -7]),
        (["12.5%", "3 %", None], "%", [12.5, 3, np.nan]),
        (["3,50 €", "1.204 €", "5€"], "€", [3.5, 1204, 5]),
        (["£5", "£6,000", "£7"], "£", [5, 6000, 7]),
        (["5%", "$6", "£7"], "$ % £", [5, 6, 7]),
    ],
)
def test_numbers_with_signs_are_named_and_the_advice_makes_numbers_of_them(tmp_path, words, signs, numbers):
    place = tmp_path / "a.csv"
    people(60).assign(price=words * 20).to_csv(place, index=False)
    _, note = read(place).notes
    assert f"'price' is taken for words: its numbers are written with {signs} ('{words[0]}', row 2)" in note
    t = pd.read_csv(place)
    exec(note.split("in pandas: ")[1][:-1])  # what a person is told to do
    np.testing.assert_array_equal(t["price"], numbers * 20)


@pytest.mark.parametrize("words", [["5 kg", "6 kg"], ["A$", "B$"], ["100% cotton", "5% wool"], ["x", "$5"]])
def test_other_words_are_left_alone(tmp_path, words):
    place = tmp_path / "a.csv"
    people(60).assign(price=words * 30).to_csv(place, index=False)
    assert len(read(place).notes) == 1


def test_what_was_filled_in_is_marked_and_nothing_else_is():
    """The picture differs from that of the plain table within the cells alone, and below, where a legend says what they are."""
    frame = people(5)
    marked = np.zeros(frame.shape, bool)
    marked[3, 1] = marked[4, 2] = True
    plain, shown = drawn(frame), drawn(frame, marked)
    legend = len(shown) - len(plain)
    assert legend > 0
    height = len(plain) - 14  # the margin below the last row
    changed = (shown[:height] != plain[:height]).any(2)
    rows = np.flatnonzero(changed.any(1))
    assert rows.min() >= 4 * 16
    left, right = (np.flatnonzero(changed[place].any(0)) for place in (slice(4 * 16, 5 * 16), slice(5 * 16 + 4, None)))
    assert 0 < left.min() < left.max() < right.min() < right.max()
    filled = (shown == (255, 232, 194)).all(2)
    assert filled[:height].sum() > 100
    assert filled[height:].sum() > 50
    assert not (plain == (255, 232, 194)).all(2).any()
