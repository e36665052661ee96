"""Jobs done together are done as alone; what is canceled stops, and what is wrong hurts nobody else."""

import io

import numpy as np
import pytest
from PIL import Image

from reverie.server import schemas
from reverie.server.runner import runner
from reverie.server.settings import Settings
from tests.server.toys import Heard, job


@pytest.fixture(scope="module")
def verbs(runs):
    return runner(Settings(runs=runs, device="cpu", threads=1, padded=4))


def pixels(outcome):
    return [np.asarray(Image.open(path)).astype(int) for path in outcome.files if path.name.startswith("seed")]


def alone(verbs, place, works):
    return [verbs.run([job(place, f"{w.id}x", **w.parameters)], Heard())[0] for w in works]


def several(place, **more):
    """Jobs that are not alike but for how they walk, cut by batches of 4."""
    own = [{"n": 1, "seed": 7}, {"n": 3, "label": "2", "seed": 1}, {"n": 2, "label": "0,1"}, {"n": 5, "seed": 2**40}]
    return [job(place, f"job{k}", steps=4, batch=4, **one, **more) for k, one in enumerate(own)]


def test_jobs_of_one_batch_give_what_each_gives_alone(verbs, tmp_path):
    works = several(tmp_path)
    assert len({schemas.batch_key(w.model, w.task, w.parameters) for w in works}) == 1
    made, by_itself = verbs.run(works, Heard()), alone(verbs, tmp_path / "alone", works)
    assert [len(pixels(one)) for one in made] == [1, 3, 2, 5]
    for mine, its in zip(made, by_itself, strict=True):
        assert mine.error is None
        assert [p.relative_to(p.parents[2]).name for p in mine.files] == [p.name for p in its.files]
        for a, b in zip(pixels(mine), pixels(its), strict=True):
            assert np.abs(a - b).max() <= 1
    assert np.abs(pixels(made[3])[0] - pixels(made[3])[1]).max() > 1  # and they are not all the same


def test_deterministic_jobs_give_the_same_bytes_each_time_and_for_any_n(verbs, tmp_path):
    same = [job(tmp_path, f"a{k}", n=2, steps=4, seed=5, deterministic=True) for k in range(2)]
    more = job(tmp_path, "more", n=6, steps=4, seed=5, deterministic=True)
    assert schemas.batch_key("toy", "sample", same[0].parameters) is None
    first, second, third = (verbs.run([one], Heard())[0] for one in (*same, more))
    assert first.files[0].read_bytes() == second.files[0].read_bytes()
    for a, b in zip(pixels(first), pixels(third), strict=False):
        assert (a == b).all()


def test_a_canceled_job_stops_within_a_step_and_the_others_go_on(verbs, tmp_path):
    heard = Heard({"job1": 3, "job2": 1})
    made = verbs.run(several(tmp_path), heard)
    assert [one.id for one in made] == ["job0", "job3"]
    assert max(step for id, step, _ in heard.steps if id == "job1") == 3
    assert max(step for id, step, _ in heard.steps if id == "job3") == heard.steps[0][2]
    whole = verbs.run([one for one in several(tmp_path / "all") if one.id in ("job0", "job3")], Heard())
    for mine, its in zip(made, whole, strict=True):
        for a, b in zip(pixels(mine), pixels(its), strict=True):
            assert np.abs(a - b).max() <= 1


def test_what_nobody_wants_any_more_is_not_computed(verbs, tmp_path):
    heard = Heard({"one": 2})
    assert verbs.run([job(tmp_path, "one", n=1, steps=9)], heard) == []
    assert [step for _, step, _ in heard.steps] == [1, 2]
    assert not list((tmp_path / "one").iterdir())


def test_what_is_wrong_with_one_of_a_batch_is_its_own_error(verbs, tmp_path):
    works = [job(tmp_path, "good", n=1, steps=2), job(tmp_path, "bad", n=1, steps=2, label="9")]
    good, bad = verbs.run(works, Heard())
    assert good.error is None
    assert len(pixels(good)) == 1
    assert "9" in bad.error
    assert bad.files == []


def test_previews_are_pictures_of_the_jobs_own_rows(runs, tmp_path):
    often = runner(Settings(runs=runs, device="cpu", threads=1, previews=1e9))
    heard = Heard()
    made = often.run(several(tmp_path), heard)
    last = dict(heard.previews)
    assert last.keys() == {one.id for one in made}
    for one in made:
        size = Image.open(io.BytesIO(last[one.id])).size
        assert size[0] * size[1] > 0
    few = Heard()
    runner(Settings(runs=runs, device="cpu", threads=1, previews=1e-9)).run([job(tmp_path, "few", n=1, steps=6)], few)
    assert len(few.previews) == 1


def test_a_seed_by_chance_comes_back_and_gives_the_same_again(verbs, tmp_path):
    first = verbs.run([job(tmp_path, "a", n=1, steps=2, seed=-1)], Heard())[0]
    seed = first.result["parameters"]["seed"]
    again = verbs.run([job(tmp_path, "b", n=1, steps=2, seed=seed)], Heard())[0]
    assert first.files[0].read_bytes() == again.files[0].read_bytes()


def test_a_sample_is_drawn_again_by_its_file_and_says_its_seed(verbs, tmp_path):
    first = verbs.run([job(tmp_path, "a", n=1, steps=2, seed=11)], Heard())[0]
    again = verbs.run([job(tmp_path, "b", inputs={"like": first.files[0]})], Heard())[0]
    assert again.result["parameters"]["seed"] == 11
    assert (pixels(again)[0] == pixels(first)[0]).all()


def test_models_are_kept_and_dropped_on_wish_and_evaluations_are_counted(runs, tmp_path):
    own = runner(Settings(runs=runs, device="cpu", threads=1))
    own.keep("toy", True)
    own.keep("none", True)  # is not there: nobody is hurt
    assert own.loaded == ["toy"]
    assert own.evaluations == 0
    own.run([job(tmp_path, "a", n=2, steps=4, sampler="heun")], Heard())
    assert own.evaluations == 7  # Heun's: two a step, one in the last
    own.keep("toy", False)
    assert own.loaded == []


@pytest.mark.parametrize(
    ("task", "parameters", "word"),
    [
        ("sample", {"n": 10**6}, "n"),
        ("sample", {"film": "/tmp/a.gif"}, "film"),
        ("sample", {"steps": 2.5}, "steps"),
        ("restyle", {"items": "tests"}, "cannot be had here"),
        ("restyle", {"items": "../a"}, "items"),
        ("augment", {"items": "digits", "condition_from": "image:a=/etc"}, "inputs.told"),
    ],
)
def test_a_worker_checks_again_what_the_server_took(verbs, tmp_path, task, parameters, word, monkeypatch):
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    made = verbs.run([job(tmp_path, "a", task=task, **parameters)], Heard())[0]
    assert word in made.error
    assert made.files == []
