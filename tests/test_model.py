"""Sampling from a model: labels, seeds, batches, settings."""

import numpy as np
import pytest
from PIL import Image

import reverie
from reverie.codecs.sheets import grid, on_paper
from reverie.core.samplers import DPMSolverPP2M, Heun
from reverie.errors import ReverieError
from reverie.samples import Settings, safe_name, spelled
from reverie.tasks.generate import generate, parse_interval
from tests.toy import bars, data


@pytest.fixture(scope="module")
def model():
    return reverie.train(data(), size="tiny", batch=16, steps=100, lr=4e-3, threads=1)


def test_a_sample_is_the_same_at_batch_1_7_and_64(model):
    """Sample k of a seed: however many are drawn, and together with whichever."""
    whole = model.sample(64, steps=6, seed=5, batch=64).x
    assert np.allclose(model.sample(64, steps=6, seed=5, batch=7).x, whole, rtol=1e-5, atol=1e-5)
    assert np.allclose(model.sample(10, steps=6, seed=5, batch=1).x, whole[:10], rtol=1e-5, atol=1e-5)
    assert np.allclose(model.sample(4, steps=6, seed=5, first=30).x, whole[30:34], rtol=1e-5, atol=1e-5)
    assert not np.allclose(model.sample(4, steps=6, seed=6).x, whole[:4], atol=0.1)


def test_labels_in_training_proportions_unless_asked(model):
    labels = model.sample(90, steps=1).labels
    assert sorted(labels.count(c) for c in ("0", "1", "2")) == pytest.approx([30, 30, 30], abs=3)
    assert model.sample(5, label="2", steps=1).labels == ["2"] * 5
    assert model.sample(3, label=["0", 1, "2"], steps=1).labels == ["0", "1", "2"]
    for wrong in ("7", 3, -1):
        with pytest.raises(ReverieError, match=r"no label|nearest"):
            model.sample(2, label=wrong)
    with pytest.raises(ReverieError, match="2 labels were given for 3"):
        model.sample(3, label=["0", "1"])


def test_the_label_decides_the_picture(model):
    """Rows have equal columns, columns equal rows: the mean gradient across tells them apart."""
    rows, columns = model.sample(40, label="0", guidance=2).x, model.sample(40, label="1", guidance=2).x

    def across(x):
        return np.abs(np.diff(x, axis=3)).mean() / np.abs(np.diff(x, axis=2)).mean()

    assert across(rows) < 0.8 < 1.25 < across(columns)


def test_a_model_without_labels_refuses_one():
    made = reverie.train(bars()[0], size="tiny", batch=8, steps=1)
    assert made.sample(2, steps=1).labels is None
    with pytest.raises(ReverieError, match="trained without labels"):
        made.sample(2, label="cat")


def test_settings_refuse_what_cannot_be(model):
    for wrong, word in [
        ({"n": 0}, "from 1"),
        ({"steps": 0}, "from 1"),
        ({"guidance": -1}, "from 0"),
        ({"guidance": 1e308}, "1,000,000"),
        ({"guidance": float("nan")}, "from 0"),
        ({"temperature": -0.1}, "0 to 10"),
        ({"interval": (3.0, 1.0)}, "low < high"),
        ({"sampler": "hune"}, "heun"),
        ({"grid": "karas"}, "karras"),
    ]:
        with pytest.raises(ReverieError, match=word):
            model.sample(**{"n": 2, **wrong})


def test_choices_as_objects_and_as_text_are_the_same(model):
    assert spelled("samplers", Heun(churn=40)) == "heun:churn=40"
    assert spelled("samplers", DPMSolverPP2M()) == "dpmpp-2m"
    a = model.sample(2, steps=5, sampler=Heun(churn=20), seed=1).x
    assert np.array_equal(a, model.sample(2, steps=5, sampler="heun:churn=20", seed=1).x)


def test_settings_travel_with_every_file_and_repeat_it(model, tmp_path):
    samples = model.sample(3, label="1", steps=4, seed=11, guidance=1.5, interval=(0.2, 8.0))
    paths = samples.save(tmp_path, {"model": "m"})
    with Image.open(paths[2]) as picture:
        told = __import__("json").loads(picture.text["reverie"])
    assert told["seed"] == 11
    assert told["index"] == 2
    settings = Settings.from_json({k: told[k] for k in Settings().to_json()})
    assert settings == samples.settings
    again = model.sample(
        1, label=told["label"], seed=told["seed"], first=told["index"], steps=settings.steps, sampler=settings.sampler,
        guidance=settings.guidance, interval=settings.interval,
    )  # fmt: skip
    assert np.abs(again[0].astype(int) - samples[2].astype(int)).max() <= 1
    assert paths[0].parent.name == "1", "a class is a folder, so that samples read back as a data set"


def test_a_watcher_sees_every_step(model):
    seen = []
    model.sample(2, steps=5, on_step=seen.append)
    assert [s.number for s in seen] == [1, 2, 3, 4, 5]
    assert seen[-1].s == 0
    assert seen[0].x0_hat.shape == (2, 1, 8, 8)


def test_the_verb_cycles_labels_and_reports_a_random_seed(model):
    assert generate(model, 5, label="2,0", steps=1).labels == ["2", "0", "2", "0", "2"]
    drawn = generate(model, 2, steps=2, seed=-1)
    assert drawn.seed >= 0
    assert np.array_equal(generate(model, 2, steps=2, seed=drawn.seed).x, drawn.x)
    assert parse_interval("0.3:5") == (0.3, 5.0)
    assert parse_interval(":5") == (0.0, 5.0)
    with pytest.raises(ReverieError, match="LOW:HIGH"):
        parse_interval("5")


def test_labels_make_safe_folder_names():
    assert safe_name("../../etc") == "_.._etc"
    assert "/" not in safe_name("a/b")
    assert safe_name("..") == "_"
    assert safe_name("cat") == "cat"


def test_a_sheet_lays_out_every_picture():
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    sheet = np.asarray(grid([black, white, black], columns=2))
    dark = (sheet == 0).all(-1)
    assert dark[2:50, 2:50].all()
    assert not dark[2:50, 52:].any()
    assert dark[52:100, 2:50].all()
    clear = np.zeros((8, 8, 4), np.uint8)
    assert set(np.unique(on_paper(clear))) == {225, 250}, "transparency shows a board, not black"
