"""The walk that verbs share is the one that sampling takes."""

import numpy as np
import pytest

import reverie
from reverie.core.samplers import Step, counted
from reverie.example import some_of
from reverie.tasks.parts.walk import walk
from tests.toy import data, tiny


@pytest.fixture(scope="module")
def model():
    return reverie.train(data(), network=tiny(), steps=2, batch=16, threads=1, device="cpu")


def test_with_nothing_bent_it_draws_what_the_model_draws(model):
    settings = model.defaults.given(steps=4)
    wanted = model.sample(5, label=1, steps=4, seed=3, first=2, batch=2).x
    cond = model.conditions.ask(5, {"label": 1}, seed=3, first=2).cond
    found = walk(
        model, lambda which: model.guided(some_of(cond, which), settings), 5, settings, seed=3, first=2, batch=2
    )
    assert np.array_equal(found.numpy(), wanted)


def test_it_starts_where_it_is_told_and_steps_are_counted_over_all_batches(model):
    settings, seen, begun = model.defaults.given(steps=6), [], []

    def start(which, denoiser, noise, t):
        begun.append((which.start, float(t)))
        return denoiser.process.prior(noise.normal(0, model.denoiser.process.mean.expand(2, -1, -1, -1)), noise, t)

    walk(model, lambda _: model.guided({}, settings), 4, settings, seed=0, batch=2, start=start, below=0.5,
         on_step=seen.append)  # fmt: skip
    assert begun == [(0, 0.5), (2, 0.5)]
    assert max(s.t for s in seen) == 0.5
    assert [s.number for s in seen] == list(range(1, len(seen) + 1))
    assert {s.total for s in seen} == {len(seen)}


def test_nobody_watches_for_nothing():
    assert counted(None, 0, 3) is None
    told = []
    counted(told.append, 2, 3)(Step(1, 4, 1.0, 0.5, None, None))
    assert (told[0].number, told[0].total) == (9, 12)
