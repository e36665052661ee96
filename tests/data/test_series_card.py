"""The card of time series: planted seasons, gaps, flat stretches, drifts and outliers are what it says; and its page."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from reverie.codecs.series_frames import of_frame
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.data import series_card
from reverie.data.card import card, text
from reverie.data.dataset import Data
from reverie.data.series_card import season
from reverie.data.series_words import lasting, moment, steps
from reverie.metrics.series import autocorrelations
from reverie.report import data_page
from tests.report.reading import Page

HOURS = Axis("hour", "date", None, "datetime64[s]", 3600.0, True)
T = 600


def planted():
    """Hourly: a day's wave, a channel that drifts, one of flat stretches and outliers, one that never changes; and gaps."""
    rng = np.random.default_rng(0)
    t = np.arange(T)
    wave = 5 + np.sin(2 * np.pi * t / 24) + 0.3 * rng.standard_normal(T)
    drift = np.where(t < T // 2, 0.0, 4.0) + rng.standard_normal(T)
    odd = rng.standard_normal(T)
    odd[100:131] = 0.5
    odd[[7, 400]] = 50, -60
    values = np.stack([wave, drift, odd, np.full(T, 3.0)], 1)
    values[40, 0] = np.nan
    values[200:205] = np.nan
    values[300] = np.nan
    return values


def data(values, length=48, axis=HOURS, names=("wave", "drift", "<b>odd", "still"), start=1.6e9 - 1.6e9 % 86400):
    one = Series("a", start + axis.step * np.arange(len(values)), values)
    windows = Windows.whole([one], names[: values.shape[1]], axis, Layout()).cut(length)
    spans = np.stack([windows.places[:, 1], windows.places[:, 1] + length], 1) / len(values)
    return Data(
        windows, [f"window {k}" for k in range(len(windows))], kind="series", source="toy", spans=spans, held_out=0.2
    )


@pytest.fixture(scope="module")
def found():
    return card(data(planted()))


def test_what_was_planted_is_found(found):
    wave, drift, odd, still = found["channels"]
    values = planted()
    assert wave["season"]["lag"] == 24
    assert wave["season"]["words"] == "24 steps = a day"
    assert wave["missing"] == 1 + 5 + 1
    assert (wave["low"], wave["high"]) == (np.nanmin(values[:, 0]), np.nanmax(values[:, 0]))
    assert (wave["mean"], wave["sd"]) == pytest.approx((np.nanmean(values[:, 0]), np.nanstd(values[:, 0])))
    assert wave["autocorrelation"] == pytest.approx(autocorrelations(values[None, :, 0][None])[0, 0])
    assert drift["drift"] == pytest.approx(
        (np.nanmean(values[-200:, 1]) - np.nanmean(values[:200, 1])) / np.nanstd(values[:, 1])
    )
    assert abs(wave["drift"]) < 0.2 < 1.5 < drift["drift"]
    assert (odd["flat"], odd["outliers"]) == (31, 2)
    assert wave["flat"] == 1
    assert drift["season"] is None
    assert odd["season"] is None
    assert still["kind"] == "constant"


def test_gaps_times_and_how_a_run_would_cut_it(found):
    assert found["gaps"] == {
        "steps": 6,
        "count": 2,
        "longest": "5 steps = 5 hours",
        "longest_steps": 5,
    }  # no value at all
    assert found["time"]["first"] == "2020-09-13"
    assert found["series"] == {"count": 1, "least": T, "median": T, "most": T}
    cut = found["windows"]
    assert (cut["length"], cut["count"]) == (48, T - 47)
    border = 0.8 * T  # windows that end before it train, those that begin behind it are held out
    assert (cut["train"], cut["held_out"]) == (border - 47, T - border - 47)
    assert cut["words"] == "48 steps = 2 days"


def test_uneven_steps_are_told():
    axis = Axis("t", "number", None, "float64", 1.0, False)
    given = data(planted()[:, :2], axis=axis)
    times = np.cumsum(np.where(np.arange(T) % 10 == 0, 7.0, 1.0))
    one = Series("a", times, given.items.series[0].values)
    given.items = Windows.whole([one], ("wave", "drift"), axis, Layout()).cut(48)
    found = card(given)
    assert found["gaps"] == {"longest": "7", "times": 7.0}
    assert found["time"]["even"] == pytest.approx(0.9, abs=0.002)
    assert "not even: 90." in found["time"]["words"]


@pytest.mark.parametrize("period", [7, 24, 60])
def test_a_season_is_found_at_its_own_lag_and_none_where_there_is_none(period):
    rng = np.random.default_rng(1)
    t = np.arange(1000)

    def of(x):
        return season(autocorrelations(x[None, None], len(x) // 3)[0], Axis())

    waves = np.sin(2 * np.pi * t / period) + np.sign(np.sin(4 * np.pi * t / period)) / 3
    assert abs(of(waves + 0.7 * rng.standard_normal(1000))["lag"] - period) <= period // 20
    assert of(rng.standard_normal(1000)) is None
    assert of(np.cumsum(rng.standard_normal(1000))) is None


def test_words_of_time():
    said = [lasting(s) for s in (1, 60, 90 * 60, 3600, 86400, 3 * 86400, 604800, 30 * 86400, 365.25 * 86400, 0.25)]
    assert said == [
        "a second",
        "a minute",
        "90 minutes",
        "an hour",
        "a day",
        "3 days",
        "a week",
        "30 days",
        "a year",
        "0.25 seconds",
    ]
    assert steps(1, Axis()) == "1 step"
    assert steps(24, HOURS) == "24 steps = a day"
    assert moment(1.6e9, HOURS) == "2020-09-13 12:26"
    assert moment(0.5, Axis(kind="number")) == "0.5"


@pytest.mark.parametrize(
    ("dates", "count", "step", "ends"),
    [
        (pd.bdate_range("2020-01-01", periods=60), 5, "a step is a working day", "2020-01-01 to 2020-03-24"),
        (pd.date_range("1990-01-01", periods=30, freq="MS"), 12, "a step is a month", "1990-01-01 to 1992-06-01"),
        (pd.date_range("1990-01-31", periods=30, freq="ME"), 12, "a step is a month", "1990-01-31 to 1992-06-30"),
    ],
)
def test_a_calendar_is_told_by_its_own_dates(dates, count, step, ends):
    found = of_frame(pd.DataFrame({"date": dates, "y": np.sin(np.arange(len(dates)))}), "toy").windows
    made = card(Data(found, [one.name for one in found.series], kind="series", source="toy"))
    assert made["time"]["words"] == f"'date', {step}; {ends}"
    assert steps(count, found.axis) == f"{count} steps = " + ("5 working days" if count == 5 else "a year")


def test_it_is_plain_json_and_lays_itself_out(found, capsys):
    from rich.console import Console

    json.dumps(found, allow_nan=False)
    console = Console(width=300)
    console.print(text(found))
    out = capsys.readouterr().out
    for words in ("24 steps = a day", "flat for 31 steps", "2 outliers", "it drifts",
                  "always 3.0: kept, not learned", "6 steps without any value, in 2 gaps, the longest of 5 steps = 5 hours",
                  "433 to train, 73 held out"):  # fmt: skip
        assert words in out, words


def test_its_page_says_the_same_and_escapes_names(found):
    page = data_page.build(data(planted()), found)
    parsed = Page(page)
    assert "<b>odd" not in page
    assert "<b>odd" in parsed.text
    for words in ("24 steps = a day", "5 steps = 5 hours", "433 to train, 73 held out"):
        assert words in parsed.text, words
    assert all(a["role"] == "img" and len(a["aria-label"]) > 8 for a in parsed.all("svg"))
    assert not re.search(r"\b(nan|inf)\b", page, re.IGNORECASE)


def test_drift_is_of_time_and_not_of_the_hours_of_a_day():
    """Days as rows: the hours differ and say no drift; days that are dated say whether the later ones are higher."""
    hours = np.arange(24.0)
    days = [np.sin(hours / 8)[:, None] + 0.01 * k for k in range(60)]

    def drift(axis, layout, starts):
        series = [Series(str(k), s + axis.step * hours, x) for k, (s, x) in enumerate(zip(starts, days, strict=True))]
        windows = Windows.whole(series, ["x"], axis, layout)
        made = card(Data(windows, [one.name for one in series], kind="series", source="toy"))
        words = series_card.about(made["channels"][0])
        assert ("drift" in words or "third" in words) == (made["channels"][0]["drift"] is not None)
        return made["channels"][0]["drift"]

    number = Axis("step", "number", None, "float64", 1.0)
    assert drift(number, Layout("wide"), np.zeros(60)) is None
    assert drift(Axis(), Layout(), np.zeros(60)) is None
    dated = drift(HOURS, Layout(), 86400.0 * np.arange(60)[::-1])
    assert dated == pytest.approx(-0.4 / np.std(np.concatenate(days)))
    inside = drift(HOURS, Layout(), np.zeros(60))
    assert inside == pytest.approx((days[0][-8:].mean() - days[0][:8].mean()) / np.std(np.concatenate(days)))
