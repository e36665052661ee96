"""The report of a table: its figures are true, a copied set is called so, and it asks for nothing from outside."""

import dataclasses
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

import reverie
from reverie import api
from reverie.codecs.cells import Category
from reverie.codecs.rows import Rows
from reverie.evaluation.evaluate import Score, evaluate
from reverie.evaluation.measure import measure
from reverie.evaluation.sides import both_sides
from reverie.report import closest, marginals, pairs
from reverie.report import words as words_of
from reverie.report.page import build
from tests.report.reading import Page
from tests.report.test_browser import CHROMIUM, PROBE, browse

HOSTILE = "</style><script>sex"


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A model of a table with every kind of column, hardly trained, and both sides of its data."""
    place = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    n = 400
    g = rng.standard_normal(n)
    born = pd.to_datetime("1950-01-01") + pd.to_timedelta(rng.integers(0, 20000, n), unit="D")
    frame = pd.DataFrame(
        {
            "born": pd.Series(born).dt.strftime("%Y-%m-%d"),
            "age": rng.integers(18, 90, n),
            "income": np.where(rng.random(n) < 0.2, np.nan, np.round(np.exp(g), 3)),
            "score": np.round(3 * g + 0.5 * rng.standard_normal(n), 2),
            HOSTILE: rng.choice(["F", "M", "<b>other</b>"], n),
            "country": "NL",
        }
    )
    frame.to_csv(place / "people.csv", index=False)
    run = place / "run"
    model = api.train(place / "people.csv", run, steps=2, size="tiny", batch=16, held_out=120, threads=1)
    train, held = both_sides(run, model)
    return SimpleNamespace(run=run, model=model, train=train, held=held, frame=frame)


@pytest.fixture(scope="session")
def judged(table):
    return measure(table.model, table.train, table.held, n=100, steps=3)


@pytest.fixture(scope="session")
def shown(table, judged):
    return page(table, *judged)


def page(table, evaluation, samples):
    return build(
        model=table.model, samples=samples, evaluation=evaluation, train_items=table.train.items,
        held_items=table.held.items, run=table.run, command="reverie evaluate RUN",
    )  # fmt: skip


def test_records_are_the_rows_themselves(table):
    codec, frame = table.model.codec, table.train.items.frame
    found = codec.records(codec.numbers(codec.encode_all(Rows(frame))))
    assert found.dtype.names == tuple(c for c in frame.columns if c != "country")
    for name in ("age", "income", "score"):
        np.testing.assert_allclose(found[name], frame[name], atol=1e-9)
    sex = next(c for c in codec.cells if c.name == HOSTILE)
    assert [sex.values[k] for k in found[HOSTILE]] == frame[HOSTILE].tolist()
    days = (pd.to_datetime(frame["born"]) - pd.Timestamp(0)).dt.days
    np.testing.assert_array_equal(found["born"], days)


def test_it_is_whole_asks_for_nothing_and_escapes_names(shown):
    parsed = Page(shown)
    for _, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert re.match(r"data:image/|#|$", attributes.get(name) or "")
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(a["href"][1:] in ids for a in parsed.all("a"))
    assert "<script" not in shown
    assert HOSTILE in parsed.text
    assert all(a["role"] == "img" and len(a["aria-label"]) > 10 for a in parsed.all("svg"))
    for words in (
        "no differential privacy",
        "Rare rows are the most exposed",
        "Treat the folder as you treat the data",
    ):
        assert words in parsed.text
    assert "tables" not in parsed.text.split("Settings")[0]  # its items are rows


def test_every_figure_of_columns_is_the_evaluations_own(table, judged, shown):
    evaluation, samples = judged
    text = Page(shown).text
    shapes = evaluation.score("column-shapes")
    assert text.index("Column shapes") < text.index("Column pair trends") < text.index("Recall")
    assert f"{shapes.value:.3g} [{shapes.low:.3g}, {shapes.high:.3g}] 100 {shapes.floor:.3g}" in text
    assert evaluation.score("column-pair-trends").features == "values"
    real, made = table.held.items.frame["score"], samples.items.frame["score"]
    codec = table.model.codec
    held, mine = (codec.records(codec.numbers(x)) for x in (codec.encode_all(table.held.items), samples.x))
    found = marginals.marginals(codec.cells, held, mine)
    score = next(m for m in found if m.name == "score")
    assert score.score == pytest.approx(1 - ks_2samp(real, made).statistic, abs=1e-9)
    assert f"score {score.score:.3f}" in text
    assert [m.score for m in found] == sorted(m.score for m in found)
    income = next(m for m in found if m.name == "income")
    assert income.missing == pytest.approx(table.held.items.frame["income"].isna().mean())
    assert income.made_missing == pytest.approx(samples.items.frame["income"].isna().mean())
    bars = {b.name: (b.real, b.made) for b in next(m for m in found if m.name == HOSTILE).bars}
    for value in ("F", "M"):
        shares = [100 * (f[HOSTILE] == value).mean() for f in (table.held.items.frame, samples.items.frame)]
        assert bars[value] == pytest.approx(shares)


def test_the_closest_records_are_those_of_brute_force(table, judged, shown):
    evaluation, samples = judged
    codec = table.model.codec
    made, held, train = (
        codec.numbers(x) for x in (samples.x, *(codec.encode_all(d.items) for d in (table.held, table.train)))
    )
    for x in (made, held):
        d = np.linalg.norm(x[:, None] - train[None].astype(np.float64), axis=2).min(1)
        found = closest.closest(x, train)
        assert (found.least, found.low, found.median) == pytest.approx(
            (d.min(), *np.quantile(d, [0.05, 0.5])), abs=1e-6
        )
    each = evaluation.audit.nearer.each
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(20):  # the audit draws as many training rows as there are held out
        some = train[rng.permutation(len(train))[:each]]
        to_train, to_held = (np.linalg.norm(made[:, None] - y[None], axis=2).min(1) for y in (some[:each], held))
        shares.append((to_train < to_held).mean())
    assert abs(evaluation.audit.nearer.share - np.mean(shares)) < 4 * np.std(shares)
    words = f"{evaluation.audit.nearer.share:.1%} of the samples are nearer to a training row than to a held-out one"
    assert words in Page(shown).text


def test_samples_that_are_training_rows_are_called_copies(table, judged, shown):
    codec = table.model.codec
    x = codec.encode_all(table.train.items.take(np.arange(100)))
    copied = reverie.samples.Samples(codec.decode_all(x), None, x, codec, judged[1].settings, 0, 0, {}, [])
    numbers = (codec.numbers(codec.encode_all(d.items)) for d in (table.train, table.held))
    found = evaluate(*numbers, codec.numbers(x), n=100, resamples=10, metrics=[])
    text = Page(page(table, found, copied)).text
    assert "The model has memorised training items" in text
    assert "samples 100 0.000 0.000 0.000 100.0%" in text
    assert text.count("training, 6 of 6 cells equal") == 6
    honest = Page(shown).text
    assert "No sign of copying" in honest
    assert "samples 100 0.000 0.000 0.000" not in honest


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install -y chromium")
def test_evaluate_writes_a_page_that_fits_the_width_of_a_browser(table, tmp_path):
    done = api.evaluate(table.run, n=60, steps=3, threads=1)
    figures = json.loads(done.figures.read_text())
    assert {"column-shapes", "column-pair-trends"} < {s["name"] for s in figures["scores"]}
    assert 0 <= figures["audit"]["nearer"]["share"] <= 1
    html = done.page.read_text().replace("</body>", PROBE)
    for width in (1280, 500):
        dom, console = browse(tmp_path, html, "--dump-dom", width=width)
        assert console == []
        inner, scroll, _, bad = map(int, re.search(r"<title>([\d ]+)</title>", dom)[1].split())
        assert scroll <= inner
        assert bad == 0


def told_apart(value, low, floor=0.5, n=200):
    return Score(
        name="classifier", title="Classifier accuracy", value=value, low=low, high=2 * value - low, n=n, floor=floor,
        floor_sd=0.01, gaussian=1.0, noisy_copies=0.5, better="lower", features="records", features_hash="", options={}, p=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (told_apart(0.53, 0.50), "close to real ones"),
        (told_apart(0.62, 0.57), "usable, with a weakness: see classifier accuracy"),
        (told_apart(0.95, 0.92), "not good yet: see classifier accuracy"),
    ],
)
def test_the_headline_follows_what_a_classifier_makes_of_whole_rows(score, words):
    """Shapes and trends as good as real rows' own do not make whole rows good."""
    shape = dataclasses.replace(
        score, name="column-shapes", title="Column shapes", value=0.96, low=0.95, high=0.97, floor=0.96, gaussian=0.8,
        better="higher",
    )  # fmt: skip
    recall = dataclasses.replace(shape, name="recall", title="Recall")
    nearer = SimpleNamespace(share=0.5, low=0.4, high=0.6)
    audit = SimpleNamespace(
        n=200, held_out_n=200, membership=None, nearer=nearer, control="held-out", memorised=False, median=1.0, p=0.5,
        held_out_median=1.0, low=-0.1, high=0.1, verdict="No sign of copying.", suspects=(), ratios=(1.0,),
    )  # fmt: skip
    found = words_of.cards(SimpleNamespace(scores=(shape, recall, score), labels=None, audit=audit, notes=()))
    assert words in words_of.summary(found, [])
    assert (found[-1].tone, found[-1].value) == ("good", "no sign")
    audit.held_out_n = 20
    untold = words_of.cards(SimpleNamespace(scores=(), labels=None, audit=audit, notes=()))[-1]
    assert (untold.tone, untold.value) == ("none", "not judged")


def test_names_that_have_no_room_on_an_axis_are_numbered_and_told_in_full():
    long = Category("job", "object", ("1. Industrial", "2. Information", "3. Government", "4. None at all"), False)
    brief = Category("sex", "object", ("F", "M"), False)
    axis = pairs._axis(long, np.zeros(3), True)
    assert [name for _, name in axis.ticks] == ["1", "2", "3", "4"]
    assert axis.legend == "1 1. Industrial, 2 2. Information, 3 3. Government, 4 4. None at all"
    assert [name for _, name in pairs._axis(brief, np.zeros(3), True).ticks] == ["F", "M"]
    assert pairs._axis(brief, np.zeros(3), False).legend == ""
