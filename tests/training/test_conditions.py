"""Conditions in training: a run that is cut off goes on exactly, and what is told is learned."""

import csv
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import reverie
from reverie import cli
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.training.loop import Interrupted
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.toy import StopAt

SIDE = 8
FAST = {"size": "tiny", "batch": 16, "threads": 1}


def bars(count=240, seed=0):
    """A bar on even ground: a row or a column at any place, told by `way`; faint or bright, told by `ink`; ground 2 age."""
    rng = np.random.default_rng(seed)
    way, ink, age = np.arange(count) % 2, (np.arange(count) // 2) % 2, rng.uniform(5, 35, count)
    items = np.empty((count, SIDE, SIDE), np.uint8)
    items[:] = 2 * age[:, None, None]
    for item, w, i in zip(items, way, ink, strict=True):
        place = rng.integers(SIDE)
        item[place if w == 0 else slice(None), slice(None) if w == 0 else place] = 130 + 110 * i
    words = {"way": [["row", "column"][w] for w in way], "ink": [["faint", "bright"][i] for i in ink]}
    return items, {**words, "age": age}


def pairs(count=240, seed=0):
    """A quarter of random shades, and the same at twice the size and inverted: what is to be drawn from it."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (count, SIDE // 4, SIDE // 4), dtype=np.uint8)
    large = np.kron(255 - small, np.ones((4, 4), np.uint8))
    return large, np.kron(small, np.ones((2, 2), np.uint8))


def everything(count=60):
    items, told = bars(count)
    told["age"] = [None if k % 4 == 0 else age for k, age in enumerate(told["age"])]
    return Data.from_arrays(items, conditions={**told, "same": items})


class Hears(nn.Module):
    """Two convolutions, told everything that `everything` tells."""

    def __init__(self, width=8):
        super().__init__()
        self.vectors, self.level = nn.Linear(6, width), nn.Linear(1, width)
        self.first, self.last = nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x, level, cond):
        told, picture = torch.zeros(len(x), 6), torch.zeros_like(x)
        for k, name in enumerate(("way", "ink", "age") if cond else ()):
            present = cond[name].present.float()
            told[:, 2 * k], told[:, 2 * k + 1] = cond[name].value * present, present
            picture = cond["same"].value * cond["same"].present.view(-1, 1, 1, 1)
        h = self.first(torch.cat([x, picture], 1)) + (self.vectors(told) + self.level(level[:, None]))[:, :, None, None]
        return self.last(nn.functional.silu(h))


def hears():
    torch.manual_seed(0)
    return Hears()


def weights(model):
    return model.denoiser.network.state_dict()


@pytest.mark.slow
def test_a_run_with_every_kind_of_condition_goes_on_exactly_and_the_same_data_says_so(tmp_path):
    options = {"steps": 8, "seed": 4, "batch": 8, "threads": 1, "augment": "flip", "sampler": "unipc"}
    whole = reverie.train(everything(), network=hears(), **options)
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        reverie.train(everything(), run, network=hears(), tracker=StopAt(3), **options)
    again = reverie.resume(run, data=everything(), network=hears())
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(again).values(), strict=True))
    assert again.conditions.to_json() == whole.conditions.to_json()
    assert list((run / "samples").glob("*-ema.png")), "pictures are drawn from what held-out items are told"
    with pytest.raises(ReverieError, match="number:age, label:ink, label:way where the model to start from has"):
        items, told = bars(60)
        reverie.train(items, conditions=told, network=hears(), init_from=str(run), **options)


def test_held_out_items_are_measured_with_what_they_are_told_and_numbers_are_those_of_the_training_part():
    data = everything()
    job = prepare(data, TrainSettings.of({"size": "tiny", "batch": 8}))
    told, held = job.held_out.cond, data.subset(job.split.held_out)
    there = torch.from_numpy(np.asarray(job.model.encode(held.items)))
    place = [int(torch.nonzero((there == one).flatten(1).all(1))) for one in job.held_out.x]  # of each item looked at
    assert sorted(place) == list(range(len(held)))
    held = held.subset(place)
    assert [job.model.conditions["way"].classes[k] for k in told["way"].value] == held.told(range(len(held)))["way"]
    assert torch.equal(told["same"].value, job.held_out.x)
    known = data.subset(job.split.train).columns["age"].values
    age = job.model.conditions["age"]
    assert age.mean == pytest.approx(np.nanmean(known))
    assert age.sd == pytest.approx(np.nanstd(known))
    assert told["age"].present.tolist() == [v is not None for v in held.told(range(len(held)))["age"]]


def test_settings_of_an_older_run_are_read_and_a_wish_is_checked_before_any_data():
    assert TrainSettings.of({"label_dropout": 0.2}).condition_dropout == 0.2
    with pytest.raises(ReverieError, match="label:COLUMN"):
        TrainSettings.of({"condition": "kind:style"})
    with pytest.raises(ReverieError, match="beside arrays give conditions"):
        reverie.train(bars(20)[0], condition="label:style", steps=1)
    with pytest.raises(ReverieError, match="belong into it"):
        reverie.train(everything(20), conditions={"way": list("ab")}, steps=1)
    with pytest.raises(ReverieError, match="condition='number:age'"):
        reverie.train("digits", conditions={"way": list("ab")}, steps=1)
    with pytest.raises(ReverieError, match="has nothing to read from"):
        reverie.train("digits", condition="label:style", steps=1)


@pytest.mark.slow
def test_the_command_line_trains_on_conditions_and_tells_them(tmp_path, monkeypatch, capsys):
    told = bars(40)[1]
    large, small = pairs(40)
    rows = [["file", "way", "age"]]
    for k in range(40):
        for folder, item in (("data", large[k]), ("low", small[k])):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(item).save(tmp_path / folder / f"{k}.png")
        rows.append([f"{k}.png", told["way"][k], k])
    with (tmp_path / "data" / "told.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    monkeypatch.chdir(tmp_path)

    def run(*command):
        monkeypatch.setattr(sys, "argv", ["reverie", *map(str, command)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    what = ["--condition", "label:way,number:age,image:low"]
    code, said = run("train", "data", "-o", "run", "--steps", 2, "--size", "tiny", "--batch", 8, "--threads", 1, *what)
    assert code == 0, said.err
    monkeypatch.chdir(tmp_path / "low")  # the folder of pictures is found from anywhere
    code, said = run("evaluate", tmp_path / "run", "-n", 4, "--steps", 1, "--threads", 1)
    assert code == 0, said.err
    code, said = run(
        "sample", tmp_path / "run", "-n", 2, "--steps", 1, "-o", tmp_path / "out", "--condition", "low=3.png,age=12"
    )
    assert code == 0, said.err
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    code, said = run("sample", tmp_path / "run", "-n", 2, "--condition", "low=3.png,way=up")
    assert code == 2
    assert said.err.startswith("reverie: There is no way 'up'")
    assert said.err.count("\n") == 1
    code, said = run("train", tmp_path / "data", "-o", "no", "--condition", "number:agee")
    assert code == 2
    assert "Did you mean age" in said.err


@pytest.fixture(scope="module")
def drawn_from():
    """A model of bars, told two labels and a number."""
    items, told = bars()
    return reverie.train(items, conditions=told, steps=300, seed=0, **FAST)


def seen(made):
    """Which way the bar of each sample lies, whether it is bright, and the age that its ground stands for."""
    x = np.stack(made.items)[..., 0].astype(float)
    columns = np.abs(np.diff(x, axis=2)).mean((1, 2)) > np.abs(np.diff(x, axis=1)).mean((1, 2))
    bright = np.maximum(x.mean(1).max(1), x.mean(2).max(1)) > 185
    return np.where(columns, "column", "row"), np.where(bright, "bright", "faint"), np.median(x, axis=(1, 2)) / 2


@pytest.mark.slow
def test_two_labels_and_a_number_at_once_are_obeyed(drawn_from):
    for way, ink, age in (
        ("row", "faint", 30),
        ("row", "bright", 10),
        ("column", "faint", 10),
        ("column", "bright", 30),
    ):
        made = drawn_from.sample(24, conditions={"way": way, "ink": ink, "age": age}, guidance=1.5, seed=1)
        w, i, _ = seen(made)
        assert (w == way).mean() >= 0.9, (way, ink, age)
        assert (i == ink).mean() >= 0.9, (way, ink, age)
        plain = drawn_from.sample(24, conditions={"way": way, "ink": ink, "age": age}, guidance=1, seed=1)
        assert seen(plain)[2].mean() == pytest.approx(age, abs=4), "in its own units; guidance would go beyond it"


@pytest.mark.slow
def test_what_is_left_open_is_drawn_and_obeyed_all_the_same(drawn_from):
    drawn = drawn_from.sample(40, conditions={"ink": "faint"}, guidance=1.5, seed=2)
    way, ink, age = seen(drawn)
    assert (way == np.array(drawn.conditions["way"])).mean() >= 0.9
    assert (ink == "faint").mean() >= 0.9
    assert np.corrcoef(age, drawn.conditions["age"])[0, 1] > 0.9
    assert drawn.conditions["way"].count("row") == pytest.approx(20, abs=3)


@pytest.mark.slow
def test_a_picture_told_at_half_the_size_is_drawn_from():
    large, small = pairs(600)
    model = reverie.train(large[:500], conditions={"low": small[:500]}, steps=250, seed=0, **FAST)
    made = np.stack(model.sample(24, conditions={"low": list(small[500:524])}, seed=1).items)[..., 0].astype(float)
    own = np.abs(made - large[500:524]).mean()
    other = np.abs(made - np.roll(large[500:524], 1, 0)).mean()
    assert own < 25
    assert own < other / 3
