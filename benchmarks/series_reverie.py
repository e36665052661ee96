"""Reverie as a contender of series.py: trained once for each set and seed, as `reverie train FILE --size auto --budget 60s` does.

One model does all: it forecasts and imputes by `complete`, makes scenarios by `sample`, scores windows by `detect`. Nothing of
the task is told in training. Models are kept in --models FOLDER, where a later task finds them.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import reverie  # before torch: it sets GOMP_SPINCOUNT

# isort: split
import numpy as np
from series_contenders import Forecaster, Hide
from series_data import Cut, Set, write
from series_faults import Detector
from series_market import Drawn

from reverie.codecs.series_items import Series, Windows
from reverie.data.dataset import Data
from reverie.model import Model
from reverie.tasks.complete import complete
from reverie.tasks.detect import detect

KEPT = Path(tempfile.mkdtemp(prefix="series-models-"))  # unless --models says where
SIZE = "auto"  # unless --size says another
WALK = {"sampler": "deis", "steps": 12}  # of each draw: a third of the default's evaluations
GRID = "log-snr:n_min=0.01,n_max=50"  # by it exact denoisers of normal laws come to within 1 % of their spread


def trained(found: Set, seconds: float, seed: int) -> Model:
    """The model of a set, which all its tasks share; prints what the plan came to."""
    folder = KEPT / f"{found.name}-{seconds:g}s-{seed}"
    if not folder.exists():
        path, _ = write(found, KEPT / "files")
        window = None if found.length is None else str(found.length)
        threads, started = int(os.environ.get("OMP_NUM_THREADS", 2)), time.monotonic()
        budget = {"budget": f"{seconds:g}s", "size": SIZE, "threads": threads, "seed": seed}
        model = reverie.train(path, window=window, **budget)
        model.save(folder)
        print(f"{folder.name}: {plan(model)} in {time.monotonic() - started:.1f} s", flush=True)
    return reverie.load(folder)


def plan(model: Model) -> str:
    """What `--size auto` chose, and how many steps there was time for."""
    settings = model.record["settings"]
    return f"{settings['size']}, {model.parameters:,} weights, {model.record['step']} steps of {model.record['batch']}"


def windows(model: Model, cut: Cut) -> Data:
    """Windows as series of the model's axis."""
    step = model.codec.axis["step"]
    series = [
        Series(str(n), start + step * np.arange(length), values[:length])
        for n, (values, length, start) in enumerate(zip(cut.values, cut.lengths, cut.starts, strict=True))
    ]
    made: Windows = model.codec.joined([series])
    return Data(made, [one.name for one in series], kind="series", source="held-out windows")


class Reverie(Forecaster):
    """All that a window hides, drawn together given all that it shows."""

    name = "reverie"

    def fit(self, found: Set, hide: Hide, seconds: float, seed: int) -> None:
        self.model = trained(found, seconds, seed)

    def draws(self, given: Cut, k: int, seed: int) -> np.ndarray:
        made = complete(self.model, windows(self.model, given), samples=k, seed=seed, batch=256, time_grid=GRID, **WALK)
        drawn = np.repeat(given.values[None], k, axis=0)
        for j in range(k):
            for n, one in enumerate(made[j].series):
                drawn[j, n, : given.lengths[n]] = one.values
        return drawn


class ReverieMarket(Drawn):
    """Scenarios by `sample`, tomorrow by `complete`."""

    name = "reverie"
    forecaster = Reverie

    def scenarios(self, n: int, seed: int) -> np.ndarray:
        return np.stack([one.values for one in self.model.model.sample(n, seed=seed, grid=GRID, **WALK).items])


class ReverieDetector(Detector):
    """Errors of taking noise off."""

    name = "reverie"

    def fit(self, found: Set, seconds: float, seed: int) -> None:
        self.model, self.seed = trained(found, seconds, seed), seed
        self.normal = found.training(found.length or 1)

    def scores(self, cut: Cut) -> np.ndarray:
        normal = windows(self.model, self.normal)
        return detect(self.model, windows(self.model, cut), normal=normal, seed=self.seed, fpr=0.1).scores
