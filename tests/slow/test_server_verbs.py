"""Every verb that there is can be run as a job, on pictures, rows and series; or says in a sentence why a model has none."""

import numpy as np
import pandas as pd
import pytest

import reverie
from reverie.datasets import Digits
from reverie.server import schemas
from reverie.server.runner import runner
from reverie.server.settings import Settings
from reverie.tasks import tasks
from tests.server.toys import Heard, job
from tests.tasks.rows import table
from tests.tasks.series import walk

pytestmark = pytest.mark.slow
SMALL = {"n": 2, "samples": 1, "times": 1, "frames": 2, "draws": 1, "steps": 2, "fpr": 0.5, "strength": 0.5}
ONE = {"upscale": {"factor": 2}}  # what a verb needs beside its items, whatever the data
MASKS = {"digits": "right:0.5", "rows": None, "series": "last:4"}
NOT_OF = {  # what a model of a kind has not, and says so
    "rows": {"upscale", "restyle", "interpolate", "encode", "decode", "denoise"},
    "series": {"upscale"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """RUNS with a model of each kind, and files of each to work on."""
    home = tmp_path_factory.mktemp("served")
    data = Digits().load()
    np.save(home / "digits.npy", np.stack(data.items[:200]))
    np.save(home / "digits-few.npy", np.stack(data.items[:4]))
    np.save(home / "digits-half.npy", np.stack(data.items[:2])[:, ::2, ::2, 0])
    rows = table(200)
    rows.to_csv(home / "rows.csv", index=False)
    gaps = rows.head(6).copy()
    gaps.loc[::2, "z"] = np.nan
    gaps.to_csv(home / "rows-gaps.csv", index=False)
    rows.head(6).to_csv(home / "rows-few.csv", index=False)
    times = pd.date_range("2026-01-01", periods=400, freq="h")
    wave = pd.DataFrame({"time": times, "x": walk(400)[:, 0]})
    wave.to_csv(home / "series.csv", index=False)
    wave.head(64).to_csv(home / "series-few.csv", index=False)
    options = {"size": "tiny", "steps": 4, "batch": 16, "threads": 1, "device": "cpu"}
    reverie.train(home / "digits.npy", home / "runs" / "digits", **options)
    reverie.train(home / "rows.csv", home / "runs" / "rows", **options)
    reverie.train(home / "series.csv", home / "runs" / "series", window="16", **options)
    return home


def given(task, kind, place):
    """Small values of what a verb asks, and its inputs."""
    ending = "npy" if kind == "digits" else "csv"
    usual = place / f"{kind}-few.{ending}"
    special = {"upscale": "digits-half.npy"} | ({"complete": "rows-gaps.csv"} if kind == "rows" else {})
    file = place / special[task.command] if task.command in special else usual
    asked = schemas.asked_of(task.function)
    parameters = {p.name: SMALL[p.name] for p in asked if p.name in SMALL} | ONE.get(task.command, {})
    if any(p.name == "mask" for p in asked) and MASKS[kind] is not None:
        parameters["mask"] = MASKS[kind]
    if any(p.name == "label_from" for p in asked):
        parameters["label_from"] = "none"
    if task.command == "interpolate":
        return {"a": "seed:1", "b": "seed:2", "frames": 2, "steps": 2}, {}
    inputs = {p.name: file for p in asked if schemas.is_input(p) and p.default is schemas.REQUIRED}
    return parameters, inputs


@pytest.mark.parametrize("kind", ["digits", "rows", "series"])
def test_every_verb_runs_as_a_job(place, kind, tmp_path):
    verbs = runner(Settings(runs=place / "runs", device="cpu", threads=1, previews=1e9))
    latents, wrong = None, {}
    for task in sorted(tasks(), key=lambda t: t.command == "decode"):  # which needs what encode wrote
        parameters, inputs = given(task, kind, place)
        if task.command == "decode" and latents is not None:
            inputs = {"latents": latents}
        heard = Heard()
        (made,) = verbs.run([job(tmp_path, task.command, kind, task.command, inputs, **parameters)], heard)
        if made.error is not None:
            wrong[task.command] = made.error
            continue
        assert made.files[0].stat().st_size > 0
        assert made.result["lines"]
        assert heard.steps[-1][1] == heard.steps[-1][2], task.command  # all steps were told of
        if task.command == "encode":
            latents = next(path for path in made.files if path.suffix == ".npz")
    assert wrong.keys() == NOT_OF.get(kind, set()), wrong
