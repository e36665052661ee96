"""The card of a table counts what is there, says what each column is taken for and why, and reads well."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from reverie import cli
from reverie.data.card import card, refused, text
from reverie.data.source import read
from reverie.data.split import split
from reverie.data.table_card import rows
from reverie.report.data_page import build
from tests.report.reading import Page

HOSTILE = "</style><script>sex"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Every kind of column, with empty cells, a column of names, two that never change, and five rows that are there twice."""
    rng = np.random.default_rng(0)
    n = 200
    g = rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "name": [f"person {k}" for k in range(n)],
            "born": pd.Series(
                pd.to_datetime("1950-01-01") + pd.to_timedelta(rng.integers(0, 20000, n), unit="D")
            ).dt.strftime("%Y-%m-%d"),
            "age": rng.integers(18, 90, n),
            "income": np.where(np.arange(n) % 10 == 3, np.nan, np.round(np.exp(g), 3)),
            "score": np.round(3 * g + 0.5 * rng.standard_normal(n), 2),
            HOSTILE: np.where(np.arange(n) % 4, "F", "M"),
            "country": "NL",
            "note": np.nan,
        }
    )
    file = tmp_path_factory.mktemp("table") / "people.csv"
    pd.concat([frame, frame[:5]]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def data(place):
    return read(place)


@pytest.fixture(scope="module")
def about(data):
    return card(data)


def test_it_counts_what_is_there(data, about, place):
    frame = pd.read_csv(place)
    assert json.loads(json.dumps(about)) == about
    assert about["count"] == 205
    kinds = {c["name"]: c["kind"] for c in about["columns"]}
    assert kinds == {"name": "left out", "born": "date", "age": "integer", "income": "number", "score": "number",
                     HOSTILE: "category", "country": "constant", "note": "constant"}  # fmt: skip
    by_name = {c["name"]: c for c in about["columns"]}
    for name in frame:
        assert by_name[name]["distinct"] == frame[name].nunique()
        assert by_name[name]["missing"] == frame[name].isna().sum()
    assert (by_name["age"]["low"], by_name["age"]["high"]) == (frame["age"].min(), frame["age"].max())
    assert (by_name["born"]["low"], by_name["born"]["high"]) == (frame["born"].min(), frame["born"].max())
    assert by_name[HOSTILE]["commonest"] == [[k, n] for k, n in frame[HOSTILE].value_counts().items()]
    assert about["missing"] == {"cells": int(frame.isna().sum().sum()), "rows": 205}
    assert about["duplicates"] == {"groups": [[f"row {k}", f"row {k + 200}"] for k in range(2, 7)], "surplus": 5}


def test_the_strongest_pair_is_the_planted_one_and_its_tie_is_pearsons(about, place):
    first, frame = about["pairs"][0], pd.read_csv(place)
    assert {first["a"], first["b"]} == {"income", "score"}
    assert first["measure"] == "Pearson's r"
    assert first["tie"] == pytest.approx(frame["income"].corr(frame["score"]), abs=1e-4)
    ties = [abs(p["tie"]) for p in about["pairs"]]
    assert ties == sorted(ties, reverse=True)


def test_the_split_is_training_s_own_and_its_leaks_are_counted(data, about):
    cut = split(data)
    rows = [tuple(map(str, row.values())) for row in data.items]
    train = {rows[k] for k in cut.train}
    leaks = sum(rows[k] in train for k in cut.held_out)
    assert about["split"] == {"hash": cut.hash, "train": len(cut.train), "held_out": len(cut.held_out), "equal": leaks}


def test_a_person_reads_all_of_it(about):
    out = io.StringIO()
    Console(file=out, width=160).print(text(about))
    shown = out.getvalue()
    for words in ("205 (", "2 numbers", "name: 200 different words in 205 rows", "country: always NL", "note: always empty",
                  "5 duplicates", "row 2 = row 202", "correlation +0.", "F: 1", "read as a table"):  # fmt: skip
        assert words in shown, words


def test_a_column_that_cannot_be_read_is_named_and_the_others_are_still_told(tmp_path):
    file = tmp_path / "odd.csv"
    file.write_text("x,y\n" + "\n".join(f"{k % 7},{k * k}" for k in range(60)) + "\n1,inf\n")
    about = card(read(file))
    assert [c["kind"] for c in about["columns"]] == ["category", "unreadable"]
    assert about["columns"][1]["about"].startswith(f"{file}, row 62, column 'y': 'inf' is infinite")
    assert refused(about) == [about["columns"][1]["about"]]
    assert dict(rows(about))["columns"] == "2: 1 category, 1 that cannot be read"
    file.write_text("x,y\n" + "\n".join(f"{k % 7},{k * k}" for k in range(60)))
    assert refused(card(read(file))) == []


def test_info_of_what_training_refuses_shows_the_card_and_ends_as_training_does(tmp_path, monkeypatch, capsys):
    file = tmp_path / "odd.csv"
    file.write_text("x,y\n" + "\n".join(f"{k % 7},{k * k}" for k in range(60)) + "\n1,inf\n")
    monkeypatch.setattr("sys.argv", ["reverie", "info", str(file)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert end.value.code == 2
    assert "61 (" in said.out
    assert said.err.startswith(f"reverie: {file}, row 62, column 'y'")


def test_the_page_shows_every_column_and_escapes_what_it_names(data, about):
    html = build(data, about)
    page = Page(html)
    assert "<script" not in html
    for column in about["columns"]:
        assert column["name"] in page.text
    labels = [a["aria-label"] for a in page.all("svg")]
    assert [f"Distribution of {n}" for n in ("born", "age", "income", "score")] == labels[:4]
    assert len(page.all("rect")) == 5 * 4 + 1  # five columns that are learned, without the diagonal, and a frame
    assert not {"script", "link", "img"} & {tag for tag, _ in page.tags}
