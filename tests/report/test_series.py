"""The report of time series: its figures are true, fans hold what came as often as said, a copied set is called so."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.data.columns import Starts
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.evaluation.evaluate import evaluate
from reverie.evaluation.measure import measure
from reverie.metrics.series import autocorrelations, cross_correlations
from reverie.report import curves
from reverie.report.page import build
from reverie.report.panels.series import SeriesPanel, Sides, bands, maps, memory
from reverie.report.series_forecast import forecast
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.report.reading import Page
from tests.report.test_browser import CHROMIUM, PROBE, browse

HOSTILE = "</style><script>load"
STEPS, LENGTH = 400, 16
HOURS = Axis("hour", "date", None, "datetime64[s]", 3600.0, True)


def data(steps=STEPS, missing=False):
    """Two channels, each of which follows its own past, hourly, cut into windows."""
    rng = np.random.default_rng(0)
    x = np.zeros((steps, 2))
    for t in range(1, steps):
        x[t] = 0.9 * x[t - 1] + rng.standard_normal(2)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    one = Series("a", 1.6e9 + 3600 * np.arange(steps), np.round(10 + x, 3))
    windows = Windows.whole([one], [HOSTILE, "wind"], HOURS, Layout()).cut(LENGTH)
    begin = windows.places[:, 1]
    return Data(
        windows, [f"window {k}" for k in begin], kind="series", source="toy", held_out=0.3,
        spans=np.stack([begin, begin + LENGTH], 1) / steps, conditions={"start": Starts(one.times[begin], 3600.0, LENGTH)},
    )  # fmt: skip


@pytest.fixture(scope="session")
def run():
    """A model of windows that has learned nothing yet, and both sides of its data."""
    given = data()
    model = prepare(given, TrainSettings.of({"size": "tiny", "batch": 8, "seed": 0})).model
    cut = split(given)
    return SimpleNamespace(model=model, train=given.subset(cut.train), held=given.subset(cut.held_out))


@pytest.fixture(scope="session")
def judged(run):
    return measure(run.model, run.train, run.held, n=60, steps=3, likelihood_n=4)


def page(run, evaluation, samples):
    return build(
        model=run.model, samples=samples, evaluation=evaluation, train_items=run.train.items, held_items=run.held.items,
        run=None, command="reverie evaluate RUN",
    )  # fmt: skip


def sides(real, made):
    return Sides(["a", "b"], made, real, HOURS)


def points(path):
    return np.array([[float(v) for v in pair.split()] for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", path)])


def test_a_line_goes_through_its_values_and_stops_at_gaps():
    values = np.array([0.0, 1.0, np.nan, 2.0, np.nan, 3.0, 4.0])
    path = curves.line(values, 0.0, 4.0)
    x, y = points(path).T
    known = ~np.isnan(values)
    np.testing.assert_allclose(x, curves.WIDTH * np.flatnonzero(known) / 6, atol=0.05)
    np.testing.assert_allclose(curves.HEIGHT * (1 - values[known] / 4), y, atol=0.05)
    assert path.count("M") == 3  # three stretches, of which the middle one is a single step
    assert path.count("h0") == 1
    assert points(curves.line(np.array([9.0, -9.0]), 0.0, 4.0))[:, 1].tolist() == [
        0.0,
        curves.HEIGHT,
    ]  # beyond: on the edge
    assert curves.limits(np.full(5, 3.0)) == (1.5, 4.5)
    area = points(curves.band(values - 1, values + 1, -1.0, 5.0).replace("Z", ""))
    assert len(area) == 2 * known.sum()


def test_charts_show_the_statistics_themselves():
    rng = np.random.default_rng(2)
    real, made = rng.standard_normal((40, 2, 20)).cumsum(2), rng.standard_normal((30, 2, 20))
    shown = memory(sides(real, made))
    assert [c.name for c in shown] == ["a", "a, squares", "b", "b, squares"]
    r, m = autocorrelations(real)[0], autocorrelations(made)[0]
    assert shown[0].note == f"off by {np.abs(r - m).mean():.3f}"
    low, high = min(-0.1, r.min(), m.min()), max(0.2, r.max(), m.max())
    y = points(dict(shown[0].paths)["real"])[:, 1]
    np.testing.assert_allclose(high - y / curves.HEIGHT * (high - low), r, atol=0.002)
    first, second, third = maps(sides(real, made))
    assert [s.value for s in first.squares] == pytest.approx([cross_correlations(real)[0, 1]] * 2)
    assert third.squares[0].value == pytest.approx(second.squares[0].value - first.squares[0].value)
    of_real = bands(sides(real, made))[0]
    low, high = curves.limits(*(np.quantile(x[:, 0], [0.1, 0.25, 0.5, 0.75, 0.9], axis=0) for x in (real, made)))
    y = points(dict(of_real.paths)["line"])[:, 1]
    np.testing.assert_allclose(
        high - y / curves.HEIGHT * (high - low), np.median(real[:, 0], 0), atol=0.01 * (high - low)
    )


@pytest.mark.slow
def test_the_page_is_whole_escapes_names_and_says_what_was_measured(run, judged):
    evaluation, samples = judged
    html = page(run, evaluation, samples)
    parsed = Page(html)
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(a["href"][1:] in ids for a in parsed.all("a"))
    assert "<script" not in html
    assert HOSTILE in parsed.text
    assert all(a["role"] == "img" and len(a["aria-label"]) > 8 for a in parsed.all("svg"))
    assert not re.search(r"[\s\"LM](nan|inf)\b", html)
    for name, _ in SeriesPanel.nav:
        assert name in ids
    for score in ("channel-shapes", "increment-shapes", "autocorrelation-error", "cross-correlation-error"):
        found = evaluation.score(score)
        assert found.features == "values"
        assert f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}] 60 {found.floor:.3g}" in parsed.text
    assert evaluation.likelihood is not None
    assert "Label agreement was not measured" in parsed.text
    assert "come after those to train on" in parsed.text
    assert "16 steps = 16 hours" in parsed.text
    assert "The last 4 steps = 4 hours of held-out windows" in parsed.text
    assert "no differential privacy" in parsed.text
    assert "rows" not in parsed.text.split("Settings")[0]  # its items are windows


@pytest.mark.slow
def test_a_forecast_counts_what_lies_in_its_bands(run, judged, monkeypatch):
    """Draws that are known: bands, counts and errors are theirs."""
    held = run.held.items
    truth = [one.values for one in held]

    def drawn(model, items, mask, samples, **_):
        windows = items.items
        series = [
            Windows.whole(
                [Series(one.name, one.times, one.values + k - 9.5) for one in windows.series],
                windows.channels,
                HOURS,
                Layout(),
            )
            for k in range(20)
        ]
        return SimpleNamespace(draws=series, options={"method": "trained"})

    monkeypatch.setattr("reverie.report.series_forecast.complete", drawn)
    found = forecast(run.model, judged[1], held)
    assert (found.n, found.inner, found.outer) == (32, 32, 32)  # the truth is the median of the draws
    assert all(float(c.error) < 1e-12 for c in found.channels)
    chosen = [truth[k] for k in np.linspace(0, len(held) - 1, 4).round().astype(int)]
    still = np.mean([np.abs(x[-5] - x[-4:]) for x in chosen], axis=(0, 1))
    assert [c.still for c in found.channels] == [curves.told(v) for v in still]
    assert len(found.curves) == 8


@pytest.mark.slow
def test_samples_that_are_training_windows_are_called_copies(run, judged):
    codec = run.model.codec
    x, held = (codec.encode_all(side.items) for side in (run.train, run.held))
    found = evaluate(x, held, x[::3][:60], metrics=[], spans=run.train.spans)
    assert found.audit.copying


@pytest.mark.slow
def test_with_values_missing_a_likelihood_is_left_out_and_said_so(run):
    given = data(missing=True)
    cut = split(given)
    found, _ = measure(run.model, given.subset(cut.train), given.subset(cut.held_out), n=40, steps=2, likelihood_n=4)
    assert found.likelihood is None
    assert any("were not observed" in note for note in found.notes)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install -y chromium")
@pytest.mark.parametrize("width", [1280, 500])
def test_it_fits_the_width_and_the_console_is_silent(run, judged, tmp_path, width):
    html = page(run, *judged)
    dom, console = browse(tmp_path, html.replace("</body>", PROBE), "--dump-dom", width=width)
    assert console == []
    inner, scroll, _, bad = map(int, re.search(r"<title>([\d ]+)</title>", dom)[1].split())
    assert scroll <= inner <= width
    assert bad == 0
