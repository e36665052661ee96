"""Any valid table goes in and comes back equal or within the stated precision; what cannot be learned is said."""

import datetime
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from reverie import registry
from reverie.codecs.cells import Category, Fixed, Number
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.errors import ReverieError

ROWS = 40


def column(draw, kind, missing):
    """One column of a kind, some of it missing where asked for."""
    cells = {
        "integer": st.integers(-(10**6), 10**6),
        "few": st.sampled_from([0, 1, 5]),
        "decimal": st.integers(-(10**5), 10**5).map(lambda k: k / 100),
        "float": st.floats(-1e6, 1e6, allow_subnormal=False),
        "heavy": st.floats(1e-3, 1e12, allow_subnormal=False),
        "word": st.sampled_from(["a", "Übel", "with, comma", '"quoted"', " "]),
        "bool": st.booleans(),
        "date": st.dates(datetime.date(1970, 1, 2), datetime.date(2100, 1, 1)).map(str),
    }[kind]
    values = draw(st.lists(cells, min_size=ROWS, max_size=ROWS))
    gone = draw(st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)) if missing else [False] * ROWS
    dtype = {"integer": "int64", "few": "int64", "decimal": "float64", "float": "float64", "heavy": "float64"}.get(kind)
    if not any(gone):
        return pd.Series(values, dtype=dtype or None)
    dtype = {"integer": "Int64", "few": "Int64", "bool": "boolean"}.get(kind, dtype)
    return pd.Series([None if g else v for v, g in zip(values, gone, strict=True)], dtype=dtype or "object")


@st.composite
def tables(draw):
    kinds = ["integer", "few", "decimal", "float", "heavy", "word", "bool", "date"]
    chosen = draw(st.lists(st.tuples(st.sampled_from(kinds), st.booleans()), min_size=1, max_size=6))
    frame = pd.DataFrame({f"{k}{i}": column(draw, k, missing) for i, (k, missing) in enumerate(chosen)})
    frame["always"] = np.arange(ROWS) % 2 == 0  # something to learn in every table
    return frame


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables())
def test_any_table_comes_back(frame):
    codec = TableCodec.fit(Rows(frame))
    codec = registry.from_config("codecs", json.loads(json.dumps(registry.config(codec))))  # as it is saved
    state = codec.encode_all(Rows(frame))
    back = codec.decode_all(state).frame
    kept = [c.name for c in codec.cells]
    assert list(back.columns) == [c for c in frame.columns if c in kept]
    for c in codec.cells:
        was, now = frame[c.name], back[c.name]
        assert (was.isna() == now.isna()).all(), c
        if isinstance(c, Number) and c.format is None:
            x, y = (s.dropna().to_numpy(dtype=float) for s in (was, now))
            v = np.array([k[0] for k in c.knots])
            gap = np.diff(v)[np.clip(np.searchsorted(v, x, side="right") - 1, 0, len(v) - 2)]
            before = np.diff(v)[np.clip(np.searchsorted(v, x, side="left") - 1, 0, len(v) - 2)]
            assert (np.abs(x - y) <= 1e-5 * np.maximum(gap, before) + 1e-9).all(), c
        else:
            assert (was.dropna().astype(str) == now.dropna().astype(str)).all(), c


def test_blocks_hold_all_columns_of_a_type_together():
    """Columns of numbers and of categories of any size up to 900 are seven fields, however many they are."""
    rng = np.random.default_rng(0)
    n, sizes = 1000, [2, 3, 4, 9, 16, 40, 64, 120, 256, 900]
    made = {f"x{k}": rng.standard_normal(n) for k in range(40)}
    made |= {f"c{k}": rng.permutation(np.arange(n) % sizes[k % 10]).astype(str) for k in range(20)}
    codec = TableCodec.fit(Rows(pd.DataFrame(made)))
    assert {k: f.shape for k, f in codec.fields.items()} == {
        "numbers": (40,), "classes2": (2,), "classes4": (4,), "classes16": (4,), "classes64": (4,), "classes256": (4,),
        "classes1024": (2,),
    }  # fmt: skip


def test_numbers_become_normal_and_ends_are_kept():
    rng = np.random.default_rng(0)
    heavy = rng.pareto(1.1, 20_000) + 1
    codec = TableCodec.fit(Rows(pd.DataFrame({"x": heavy})))
    z = codec.encode_all(Rows(pd.DataFrame({"x": heavy})))["numbers"][:, 0]
    from scipy.stats import kstest

    assert kstest(z, "norm").statistic < 0.005
    far = codec.decode_all({"numbers": np.array([[-30.0], [30.0]], np.float32)}).frame["x"]
    assert list(far) == [heavy.min(), heavy.max()]


def test_heavy_tails_come_back_from_normal_numbers_as_they_were():
    """Of Student's t with 3 degrees of freedom a few values make the spread: all but those between few knots."""
    x = np.random.default_rng(0).standard_t(3, 20_000)
    cells = Number.fit("x", "float64", x)
    u = (np.arange(200_000) + 0.5) / 200_000
    made = cells.decode((ndtri(u) - cells.mean) / cells.sd)
    assert made.std() == pytest.approx(x.std(), rel=0.005)
    for share in (0.0002, 0.001, 0.01, 0.99, 0.999, 0.9998):
        assert np.quantile(made, share) == pytest.approx(np.quantile(x, share), rel=0.05)


def test_a_dominant_value_is_drawn_as_often_as_it_stands_there():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(5000) < 0.87, 0.0, rng.lognormal(5, 1, 5000))
    codec = TableCodec.fit(Rows(pd.DataFrame({"x": x})))
    cell = codec.cells[0]
    z = (rng.standard_normal((100_000, 1)) - cell.mean) / cell.sd
    drawn = codec.decode_all({"numbers": z.astype(np.float32)}).frame["x"]
    assert float((drawn == 0).mean()) == pytest.approx((x == 0).mean(), abs=0.005)
    assert np.quantile(drawn, 0.95) == pytest.approx(np.quantile(x, 0.95), rel=0.05)


def test_what_each_column_is_taken_for():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 17,
            "name": [f"person {k}" for k in range(n)],
            "age": rng.integers(18, 90, n),
            "children": rng.integers(0, 5, n),
            "income": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(10, 1, n)),
            "sex": rng.choice(["F", "M"], n),
            "member": rng.random(n) < 0.3,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "country": "NL",
            "empty": [None] * n,
        }
    )
    codec = TableCodec.fit(Rows(frame))
    kinds = {c.name: type(c) for c in codec.cells}
    assert kinds == {
        "age": Number, "children": Category, "income": Number, "sex": Category, "member": Category, "since": Number,
        "country": Fixed, "empty": Fixed,
    }  # fmt: skip
    assert (
        "left out: 'id' (a running number), 'name' (400 different words in 400 rows: names or free text)" in codec.rule
    )
    back = codec.decode_all(codec.encode_all(Rows(frame))).frame
    for name in ("age", "children", "member", "since", "sex"):
        assert back[name].dtype == frame[name].dtype, name
        assert (back[name] == frame[name]).all()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            pd.DataFrame({"x": [1.0, np.inf, 2.0] * 20}),
            "the table, row 3, column 'x': 'inf' is infinite (20 such cells)",
        ),
        (
            pd.DataFrame({"x": [*map(str, range(50)), "many", None, "51.5"]}),
            "the table, row 52, column 'x': 'many' is no number, as 51 of its 52 cells are. Mend the cell, or empty it.",
        ),
        (pd.DataFrame({"x": ["same"] * 30}), "No column of the table can be learned: 'x' is always same"),
        (pd.DataFrame({"x": [None] * 30}), "'x' is always empty"),
    ],
)
def test_what_cannot_be_learned_is_refused(frame, words):
    with pytest.raises(ReverieError, match=re.escape(words)):
        TableCodec.fit(Rows(frame))


def test_rows_that_do_not_fit_the_model_are_named():
    frame = pd.DataFrame({"x": np.arange(100) ** 1.1, "c": ["a", "b"] * 50})
    codec = TableCodec.fit(Rows(frame))
    with pytest.raises(ReverieError, match="row 2, column 'c': 'z' was not in training, which had a, b"):
        codec.encode_all(Rows(pd.DataFrame({"x": [1.0], "c": ["z"]})))
    with pytest.raises(ReverieError, match="has no column 'c'"):
        codec.encode_all(Rows(pd.DataFrame({"x": [1.0]})))
    with pytest.raises(ReverieError, match=r"new\.csv, row 2, column 'x': 'many' is no number"):
        codec.encode_all(Rows(pd.DataFrame({"x": ["many"], "c": ["a"]}), "new.csv"))
    with pytest.raises(ReverieError, match=r"new\.csv, row 3, column 'x': '-inf' is infinite"):
        codec.encode_all(Rows(pd.DataFrame({"x": [1, -np.inf], "c": ["a", "b"]}), "new.csv"))


def test_words_of_which_many_are_numbers_are_names():
    """Ticket numbers: "A/5 21171" among "113803" is no fault."""
    words = [f"{k}" if k % 3 else f"A/{k}" for k in range(200)]
    codec = TableCodec.fit(Rows(pd.DataFrame({"ticket": words, "x": np.arange(200) % 7})))
    assert "left out: 'ticket' (200 different words" in codec.rule


def test_values_that_training_has_no_place_for_are_counted():
    """Below, above, and between two values that stand there so often that nothing lies between them."""
    x = pd.Series([0.1, 0.2, 0.5, 1.0] * 30)
    new = pd.DataFrame({"w": [0.05, 0.1, 0.3, 0.5, 2.0, 0.7, 1.0]})
    every = pd.DataFrame({"w": [*x, *new["w"]]})
    codec = TableCodec.fit(Rows(every.iloc[:120]), Rows(every))
    assert (
        "of the cells held out ('w') 2 are beyond training's range, and 2 stand where training has no value"
        in codec.rule
    )
    assert codec.remarks(Rows(new)) == [
        "'w': 2 cells beyond training's 0.1 to 1.0, the stranger the further off (the first 0.05, in row 2)",
        "'w': 2 cells where training had no value, taken for the nearest that it had (the first 0.3, in row 4)",
    ]
    assert not codec.remarks(Rows(every.iloc[:120]))
    smooth = TableCodec.fit(Rows(pd.DataFrame({"w": np.linspace(0, 1, 400)})))
    assert not smooth.remarks(Rows(pd.DataFrame({"w": [0.12345, 0.5, 0.99999]})))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(-(10**6), 10**6).map(lambda k: k / 100), min_size=2, max_size=60).filter(
        lambda v: len(set(v)) > 1
    ),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=20),
)
def test_beyond_the_range_numbers_go_on_finite_and_in_order(seen, asked):
    """And come back as the end: samples never leave the range."""
    cell = Number.fit("x", "float64", np.array(seen))
    x = np.sort(asked)
    z = cell.encode(x)
    assert np.isfinite(z.astype(np.float32)).all()
    assert (np.diff(z) >= 0).all()
    out = cell.beyond(x)
    assert (
        np.abs(cell.decode(z)[out] - x.clip(cell.low, cell.high)[out]) <= 1e-9 * max(abs(cell.low), abs(cell.high))
    ).all()


def test_beyond_the_range_the_unit_is_the_slope_of_the_tail():
    """Of a normal variable the encoding is the identity, beyond its extremes too, but for the curve between 90 % and the end."""
    x = ndtri((np.arange(2000) + 0.5) / 2000)
    cell = Number.fit("x", "float64", x)
    np.testing.assert_allclose(cell.encode(np.array([-9.0, -5.0, 5.0, 9.0])), [-9.0, -5.0, 5.0, 9.0], rtol=0.01)


FILES = {
    "empty.csv": (b"", "is empty"),
    "header.csv": (b"a,b\n", "has no rows"),
    "openquote.csv": (
        b'a,b\n1,2\n"3,4\n5,6\n7,8\n',
        "row 3: a quotation mark opens there, and the cell goes on to row 5",
    ),
    "headquote.csv": (b'"a\nb",c\n1,2\n"3,4\n5,6\n', "row 4: a quotation mark opens there"),
    "lastquote.csv": (b'a,b\n1,2\n3,"4\n5,6\n', "row 3: a quotation mark opens there, and the cell goes on to row 4"),
    "ragged.csv": (b"a,b\n1,2\n3\n", "row 3: 1 cells, but the header has 2"),
    "twice.csv": (b"a,b,a\n1,2,3\n", "row 1: two columns are called 'a'. Rename one"),
    "latin.csv": ("a,b\n1,x\n2,\xfcbel\n".encode("latin-1"), "row 3: byte 0xfc is not UTF-8"),
    "broken.parquet": (b"PAR1 nonsense", "is cut off, or damaged at its end.* 13 bytes are none. Copy it again"),
    "listless.parquet": (b"PAR1 nonsense PAR1", "the list of its columns, at its end, cannot be read. Copy it again"),
    "cut.xlsx": (b"PK\x03\x04 nonsense", "is cut off, or a damaged Excel workbook. Copy it again"),
    "broken.xlsx": (b"PK nonsense", "is cut off, or a damaged Excel workbook. Copy it again"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_table_are_named(tmp_path, name):
    data, words = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ReverieError, match=words) as caught:
        Rows.read(tmp_path / name)
    assert name in str(caught.value)


def test_columns_of_one_name_in_excel_are_named(tmp_path):
    path = tmp_path / "twice.xlsx"
    pd.DataFrame([[1, 2, 3], [4, 5, 6]], columns=["a", "b", "a"]).to_excel(path, index=False)
    with pytest.raises(ReverieError, match="row 1: two columns are called 'a'"):
        Rows.read(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".xlsx"])
def test_files_come_back(tmp_path, suffix):
    frame = pd.DataFrame(
        {"n": [1, 2, 3], "x": [0.25, np.nan, -1e9], "word": ["a", 'b "c", d', "ü"], "yes": [True, False, True]}
    )
    path = Rows(frame).write(tmp_path / f"t{suffix}", {"reverie": '{"seed": 3}'})
    back = Rows.read(path)
    pd.testing.assert_frame_equal(back.frame, frame, check_dtype=suffix != ".xlsx")
    assert json.loads(path.with_suffix(".json").read_text()) == {"seed": 3}


def test_equal_rows_are_told_apart_and_order_does_not_matter():
    frame = pd.DataFrame({"a": [1, 2, 1, 1], "b": ["x", "y", "x", "x"]})
    found = Rows(frame).digests()
    assert len(set(found)) == 4
    turned = Rows(frame.iloc[::-1].reset_index(drop=True)).digests()
    assert set(turned) == set(found)
    assert set(Rows(pd.concat([frame, frame.iloc[[0]]], ignore_index=True)).digests()) > set(found)


def test_what_columns_hold_is_decided_by_all_rows_and_numbers_are_learned_from_some():
    rng = np.random.default_rng(0)
    every = pd.DataFrame(
        {"x": np.append(rng.random(199), np.nan), "c": ["a", "b"] * 99 + ["rare", "a"], "n": [1] * 199 + [2]}
    )
    train = every.iloc[:198]
    codec = TableCodec.fit(Rows(train), Rows(every))
    back = codec.decode_all(codec.encode_all(Rows(every))).frame
    assert (back["c"] == every["c"]).all()
    assert (back["n"] == every["n"]).all()
    assert back["x"].isna().equals(every["x"].isna())
    cell = codec.cells[0]
    assert (cell.low, cell.high) == (train["x"].min(), train["x"].max())


def test_floats_of_few_values_take_one_that_training_had_not():
    """Petal widths: 0.6 may stand among the rows held out, and is taken for the nearest that training had."""
    codec = TableCodec.fit(Rows(pd.DataFrame({"w": [0.1, 0.2, 0.5, 1.0] * 30})))
    back = codec.decode_all(codec.encode_all(Rows(pd.DataFrame({"w": [0.6, 0.2, 0.8]})))).frame["w"]
    assert list(back) == [0.5, 0.2, 1.0]


def test_digits_after_a_zero_are_letters_and_come_back(tmp_path):
    (tmp_path / "a.csv").write_text("zip,n,share\n" + "".join(f"0{k % 5}100,{k},0.{k}\n" for k in range(1, 60)))
    rows = Rows.read(tmp_path / "a.csv")
    assert rows.frame["zip"][0] == "01100"
    assert rows.frame["n"].dtype.kind == "i"
    assert rows.frame["share"].dtype.kind == "f"
    rows.write(tmp_path / "b.xlsx")
    again = Rows.read(tmp_path / "b.xlsx")
    assert again.frame["zip"][0] == "01100"
    assert again.frame["n"].dtype.kind == "i"
    codec = TableCodec.fit(rows)
    assert set(codec.decode_all(codec.encode_all(rows)).frame["zip"]) == set(rows.frame["zip"])


def test_decimal_commas_are_refused_with_row_and_column(tmp_path):
    (tmp_path / "a.csv").write_text("name;income\na;1.234,50\nb;99,1\n")
    with pytest.raises(ReverieError, match=r"row 2: column 'income' is written with decimal commas \('1\.234,50'\)"):
        Rows.read(tmp_path / "a.csv")
