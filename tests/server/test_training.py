"""Training as a job: stopped, gone on with, and the same as if it had not been."""

import io
import secrets
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from reverie.server.runner import runner
from reverie.server.settings import Settings
from tests.server.toys import Heard, job
from tests.toy import bars

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An upload, and a folder of runs."""
    home = tmp_path_factory.mktemp("training")
    (home / "runs").mkdir()
    items, labels = bars()
    np.savez(home / "upload.npz", images=items, labels=labels)
    return home


@pytest.fixture(scope="module")
def verbs(place):
    return runner(Settings(runs=place / "runs", device="cpu", threads=1, most_budget="1h"))


def training(place, id, model, **parameters):
    return job(place / "jobs", id, model=model, task="train", inputs={"data": place / "upload.npz"}, **parameters)


OPTIONS = {"steps": "6", "size": "tiny", "batch": 16, "seed": 3}


def test_a_stopped_run_goes_on_as_if_it_had_not_been(verbs, place):
    heard = Heard()
    (whole,) = verbs.run([training(place, "whole", "whole", **OPTIONS)], heard)
    assert whole.error is None
    assert whole.result["steps"] == 6
    assert [step for _, step, total in heard.steps if total == 6][-1] == 6
    assert Image.open(io.BytesIO(heard.previews[-1][1])).size[0] > 8

    stopping = Heard({"first": 2})
    assert verbs.run([training(place, "first", "cut", **OPTIONS)], stopping) == []
    assert max(step for _, step, _ in stopping.steps) == 2
    assert not (place / "runs" / "cut" / "model.json").exists()
    (rest,) = verbs.run([training(place, "second", "cut", resume=True)], Heard())
    assert rest.result["steps"] == 6
    mine, its = (load_file(place / "runs" / name / "weights.safetensors") for name in ("whole", "cut"))
    assert mine.keys() == its.keys()
    assert {k: float(abs(mine[k] - its[k]).max()) for k in mine if (mine[k] != its[k]).any()} == {}
    (drawn,) = verbs.run([job(place / "jobs", "draw", model="cut", n=1, steps=2)], Heard())
    assert drawn.error is None

    shutil.rmtree(place / "jobs" / "second")
    (again,) = verbs.run([training(place, "second", "cut", resume=True)], Heard())  # claimed again, with all done
    assert again.result["steps"] == 6
    (taken,) = verbs.run([training(place, "third", "cut", **OPTIONS)], Heard())
    assert "holds a run already" in taken.error


@pytest.mark.parametrize(
    ("model", "parameters", "word"),
    [
        ("../out", OPTIONS, "no name of a model"),
        ("new", {"budget": "2h"}, "1h at most"),
        ("new", {"init_from": "../whole"}, "no name of a model"),
        ("new", {"condition": "image:/etc", "steps": "2"}, "server's own"),
        ("new", {"resume": True}, "no run"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(verbs, place, model, parameters, word):
    (made,) = verbs.run([training(place, secrets.token_hex(4), model, **parameters)], Heard())
    assert word in made.error
    assert not (place / "runs" / "new").exists()
    assert not (place / "out").exists()


def test_a_run_of_steps_ends_saved_behind_the_longest_budget_there_is(place):
    hasty = runner(Settings(runs=place / "runs", device="cpu", threads=1, most_budget="2s"))
    (made,) = hasty.run([training(place, "long", "long", **OPTIONS | {"steps": "1000000"})], Heard())
    assert made.error is None
    assert "2s" in made.result["lines"][0]
    assert 0 < made.result["steps"] < 1_000_000
    (drawn,) = hasty.run([job(place / "jobs", "long-draw", model="long", n=1, steps=2)], Heard())
    assert drawn.error is None
    heard = Heard({"long-on": 1})
    assert hasty.run([training(place, "long-on", "long", resume=True)], heard) == []  # it goes on from there
    assert heard.steps[0][1] == made.result["steps"] + 1
