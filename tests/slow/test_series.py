"""A person's way with time series, from the command line: a file of hours with a daily season, whose best forecast is known."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from reverie import cli
from reverie.metrics.forecast import covered, crps

pytestmark = pytest.mark.slow

PHI, DAYS, LONG, AHEAD = 0.9, 100, 24, 6
HOURS = 24 * DAYS


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """2 sin(2 pi hour / 24) + AR(1) of variance 1, a row an hour: the first 80 % a file to train on, and all of it."""
    rng, x = np.random.default_rng(0), np.zeros(HOURS)
    for k in range(1, HOURS):
        x[k] = PHI * x[k - 1] + np.sqrt(1 - PHI**2) * rng.standard_normal()
    season = 2 * np.sin(2 * np.pi * np.arange(HOURS) / 24)
    times = pd.date_range("2026-01-01", periods=HOURS, freq="h")
    frame = pd.DataFrame({"time": times, "power": (season + x).round(4)})
    folder = tmp_path_factory.mktemp("hours")
    frame[: HOURS * 4 // 5].to_csv(folder / "train.csv", index=False)
    return folder, frame


@pytest.fixture(scope="module")
def run(hours):
    """The run of `reverie train train.csv`."""
    folder, _ = hours
    options = ["--size", "tiny", "--window", LONG, "--steps", 80, "--threads", 1]
    command("train", folder / "train.csv", "-o", folder / "run", *options)
    return folder / "run"


def command(*words):
    """`reverie WORDS` in this process."""
    argv, sys.argv = sys.argv, ["reverie", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main()
    finally:
        sys.argv = argv
    assert not stop.value.code


def test_an_evaluation_says_that_futures_and_gaps_are_filled_better_than_by_those_who_know_little_of_time(run):
    command("evaluate", run, "-n", 40, "--threads", 1)
    ahead, amid = json.loads((run / "metrics.json").read_text())["filling"]
    assert ahead["high"] < min(ahead["naive"], ahead["marginal"])
    assert amid["crps"] < amid["naive"]  # between the ends of a gap, AR(1)'s mean is nearly the line itself
    assert amid["high"] < amid["marginal"]
    for way in (ahead, amid):
        assert 0.8 < way["covered"] < 0.97, way


def test_forecasts_of_held_out_days_come_near_the_best_there_are(hours, run):
    """The law of the future given the last value is normal, of variance 1 - phi^2h at h hours: its CRPS is sd / sqrt(pi)."""
    folder, frame = hours
    held = frame[HOURS * 4 // 5 :]
    starts = range(0, len(held) - LONG + 1, 24)
    pieces = [held[k : k + LONG].assign(series=f"d{k}") for k in starts]
    truth = np.stack([piece["power"].to_numpy()[-AHEAD:] for piece in pieces])
    known = pd.concat([piece[:-AHEAD] for piece in pieces])
    known[["series", "time", "power"]].to_csv(folder / "known.csv", index=False)
    walk = ["--samples", 19, "--sampler", "dpmpp-2m", "--steps", 16]
    options = ["--mask", f"future:{AHEAD}", *walk, "-o", folder / "ahead.csv"]
    command("complete", run, folder / "known.csv", *options)
    drawn = pd.read_csv(folder / "ahead-draws.csv")
    draws = drawn[[str(k) for k in range(1, 20)]].to_numpy().T.reshape(19, len(starts), AHEAD)

    best = np.sqrt((1 - PHI ** (2 * np.arange(1, AHEAD + 1))) / np.pi).mean()
    mine = crps(draws, truth).mean()
    last = np.stack([piece["power"].to_numpy()[-AHEAD - 1] for piece in pieces])[:, None]
    own = frame["power"].to_numpy()[: HOURS * 4 // 5]
    training = crps(np.random.default_rng(0).choice(own, (199, *truth.shape)), truth).mean()
    assert mine < 0.8 * min(np.abs(truth - last).mean(), training)
    assert mine < 1.25 * best + 0.05
    assert abs(covered(draws, truth).mean() - 0.9) < 0.08
