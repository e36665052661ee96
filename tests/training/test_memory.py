"""No surprises: predicted memory against what processes come to hold, and what is chosen so that a run fits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import reverie
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.training import fitting, memory
from reverie.training.memory import _Living, training_memory
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from reverie.training.trackers import Memory
from tests.toy import Tiny, data, tiny


def test_the_count_of_living_tensors_is_exact():
    """Three vectors of 4,000 bytes live at once; views and work in place add nothing; what is let go of is gone."""
    with _Living() as living:
        a = torch.empty(1000, device="meta")
        b = a + 1
        c = (a * b).view(10, 100)
        assert living.now == living.peak == 12_000
        del b
        assert living.now == 8_000
        c.add_(1)
        d = c.exp()
        assert (living.now, living.peak) == (12_000, 12_000)
        del a, c, d
    assert (living.now, living.peak) == (0, 12_000)


def test_what_a_backward_pass_keeps_is_counted():
    """x, w x, exp and its sum's gradient: saved for the backward pass though nobody names them any more."""
    with _Living() as living:
        x = torch.empty(1000, device="meta", requires_grad=True)
        y = x
        for _ in range(5):
            y = y.exp()  # saves its result
        held = living.now
        y.sum().backward()
    assert held == 6 * 4000
    assert held < living.peak <= held + 4 * 4000


def job_of(**options):
    return prepare(data(), TrainSettings.of({"batch": 32, "threads": 1, "steps": 5, **options}), tiny())


def test_parts_take_less_and_weights_count(monkeypatch):
    job = job_of()
    whole, parts = (training_memory(job.model.denoiser, job.loader.batch(0, 32 // n), n) for n in (1, 8))
    assert parts < whole
    monkeypatch.setattr(memory, "_SLACK", 1.0)
    small = training_memory(job.model.denoiser, job.loader.batch(0, 1))
    assert small >= 7 * 4 * job.model.parameters, "writing a checkpoint is the most that a batch of one takes"


def test_a_network_that_cannot_be_walked_without_numbers_is_not_judged():
    class Looks(Tiny):
        def forward(self, x, level, cond):
            out = super().forward(x, level, cond)
            return out if float(x.sum()) > 0 else out + 0

    job = prepare(data(), TrainSettings.of({"batch": 8, "steps": 5}), Looks())
    assert job.memory is None
    assert reverie.train(data(), network=Looks(), batch=8, steps=2, threads=1).record["step"] == 2


def room(monkeypatch, size):
    monkeypatch.setattr(fitting, "available_memory", lambda device: int(size / 0.85))


def test_a_batch_that_does_not_fit_is_computed_in_as_few_parts_as_do_and_gives_the_same(monkeypatch):
    options = {"batch": 32, "threads": 1, "steps": 5, "seed": 1}
    plain = reverie.train(data(), network=tiny(), **options)
    job, told = job_of(), Memory()
    needs = {n: training_memory(job.model.denoiser, job.loader.batch(0, 32 // n), n) for n in (1, 2, 4, 8)}
    for parts in (2, 4):
        room(monkeypatch, needs[parts] + 1)
        assert job_of().settings.accumulate == parts
    model = reverie.train(data(), network=tiny(), tracker=told, **options)
    assert any("in 4 parts, with the same result" in e.values["text"] for e in told.events if e.kind == "note")
    assert next(e for e in told.events if e.kind == "plan").values["accumulate"] == 4
    for a, b in zip(model.denoiser.parameters(), plain.denoiser.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)
    room(monkeypatch, needs[8] - 1)
    with pytest.raises(ReverieError, match="more --accumulate"):
        job_of(accumulate=8)
    assert job_of().settings.accumulate == 16


def test_looks_take_few_items_at_once_and_find_the_same():
    from dataclasses import replace

    from reverie.core.times import LogNormal
    from reverie.training.validation import bands, errors

    job = job_of(batch=20)
    assert job.held_out.at_once == 20
    times = bands(LogNormal(), job.model.denoiser)
    few, all_ = (errors(job.model.denoiser, replace(job.training, at_once=n), times) for n in (7, 128))
    assert few == pytest.approx(all_, rel=1e-5)
    assert len({round(e, 9) for e in few}) == len(times)


@pytest.mark.slow
def test_size_auto_is_small_where_it_fits_and_tiny_where_memory_or_time_are_short(monkeypatch):
    def chosen(**options):
        return prepare(data(), TrainSettings.of({"size": "auto", "batch": 4, "threads": 1, **options})).settings.size

    assert chosen(steps=5) == "small"
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "seconds", lambda text: 1e-3)
        assert chosen(budget="1m") == "tiny"
    small = prepare(data(), TrainSettings.of({"batch": 4, "steps": 5}))
    room(monkeypatch, training_memory(small.model.denoiser, small.loader.batch(0, 1)) // 2)
    assert chosen(steps=5) == "tiny"
    with pytest.raises(ReverieError, match="GiB are free"):
        prepare(data(), TrainSettings.of({"batch": 4, "steps": 5}))


@pytest.mark.slow
def test_a_dry_run_says_what_training_then_does_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from reverie.cli import app

    options = {"steps": 3, "size": "tiny", "batch": 16, "threads": 1, "accumulate": 2}
    said = CliRunner().invoke(app, ["train", "digits", "--dry-run", *(f"--{k}={v}" for k, v in options.items())])
    assert said.exit_code == 0, said.output
    assert not list(tmp_path.iterdir())
    found = reverie.outlook("digits", **options)
    assert not list(tmp_path.iterdir())
    for words in (
        f"{found['parameters']:,} weights",
        "16, in 2 parts",
        "1,297 to train, 500 held out",
        "family",
        "heun",
    ):
        assert words in said.output
    told = Memory()
    model = reverie.train("digits", tracker=told, **options)
    plan = next(e.values for e in told.events if e.kind == "plan")
    assert (found["steps"], found["batch"], found["accumulate"], found["lr"]) == (3, 16, 2, plan["lr"])
    assert found["parameters"] == model.parameters
    assert found["memory"] == pytest.approx(plan["memory"], rel=0.2)
    json.dumps(found)


def test_the_end_is_predicted_from_the_time_of_a_step(monkeypatch):
    """With the clock's own step time: what is left falls by a step's time with every step, to the looks, to nothing."""
    from reverie.training.learner import Learner
    from reverie.training.loop import LOOKS, Trainer
    from reverie.training.plan import Plan
    from reverie.training.trackers import Silent

    job = job_of()
    trainer = Trainer(
        job, job.settings, Silent(), None, Learner.of(job.model.denoiser, job.settings), Plan(((0, 100),))
    )
    trainer.step_time = 2.0
    left = []
    for trainer.learner.step in (10, 11, 99, 100):
        left.append(trainer.plan_facts()["left"])
    assert left[0] - left[1] == pytest.approx(2.0)
    look = 8 * 2 * (len(job.held_out.x) + len(job.training.x)) / (3 * 32) * 2.0
    assert left[2] == pytest.approx(2.0 + look)
    assert left[3] == 0
    trainer.learner.step = 0
    assert trainer.plan_facts()["left"] == pytest.approx(200 + (len(LOOKS) - 1) * look)


def waves(steps, channels, seed=0):
    """A long series of several channels, with a tenth of its values missing."""
    rng, t = np.random.default_rng(seed), np.arange(steps)
    x = np.sin(t[:, None] / 9 + np.arange(channels)) + 0.1 * rng.standard_normal((steps, channels))
    x[rng.random(x.shape) < 0.1] = np.nan
    made = Windows.whole([Series("all", t.astype(float), x)], [f"c{k}" for k in range(channels)], Axis(), Layout())
    made = made.cut(32)
    return Data(made, [str(k) for k in range(len(made))], kind="series", source="waves")


@pytest.mark.slow
def test_memory_of_series_is_foretold_and_grows_with_the_batch():
    """A network that is told entries can be walked without numbers; it held a batch at least: x0, eps, x_t and both entries."""
    job = prepare(waves(200, 2), TrainSettings.of({"batch": 16, "steps": 5, "threads": 1, "size": "tiny"}))
    one, many = (training_memory(job.model.denoiser, job.loader.batch(0, n)) for n in (1, 256))
    assert job.memory > one > 7 * 4 * job.model.parameters
    assert many - one > 255 * 5 * 4 * 2 * 32


MEASURED_SERIES = """
import json, resource, sys
import reverie
from reverie.training.looks import Looks
from reverie.training.trackers import Event, Memory
from tests.training.test_memory import waves
Looks.draw = lambda self, elapsed: Event("samples", self.learner.step, {})
size, channels, batch = sys.argv[1], *map(int, sys.argv[2:4])
told = Memory()
reverie.train(waves(2000, channels), sys.argv[4], size=size, batch=batch, steps=2, threads=1, tracker=told)
predicted = next(e.values["memory"] for e in told.events if e.kind == "plan")
print(json.dumps([predicted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "channels", "batch"), [("tiny", 1, 16), ("small", 16, 256)])
def test_predicted_memory_of_series_is_within_15_percent(tmp_path, size, channels, batch):
    words = [sys.executable, "-c", MEASURED_SERIES, size, *map(str, (channels, batch)), str(tmp_path / "run")]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, check=True)
    predicted, measured = json.loads(done.stdout.splitlines()[-1])
    print(f"{size}, {channels} channels, batch {batch}: {predicted / 2**20:.0f}, measured {measured / 2**20:.0f} MiB")
    assert predicted == pytest.approx(measured, rel=0.15)


MEASURED = """
import json, resource, sys
import numpy as np
import reverie
from reverie.training.looks import Looks
from reverie.training.trackers import Event, Memory
Looks.draw = lambda self, elapsed: Event("samples", self.learner.step, {})  # pictures take minutes here, and less memory
size, side, channels, batch = sys.argv[1], *map(int, sys.argv[2:5])
told = Memory()
items = np.random.default_rng(0).integers(0, 256, (3 * batch, side, side, channels), dtype=np.uint8)
reverie.train(items, sys.argv[5], size=size, batch=batch, steps=2, threads=1, tracker=told)
predicted = next(e.values["memory"] for e in told.events if e.kind == "plan")
print(json.dumps([predicted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "side", "channels", "batch"), [("tiny", 8, 1, 16), ("small", 32, 3, 64), ("base", 16, 3, 8)]
)
def test_predicted_memory_is_within_15_percent_of_what_the_process_came_to_hold(tmp_path, size, side, channels, batch):
    words = [sys.executable, "-c", MEASURED, size, *map(str, (side, channels, batch)), str(tmp_path / "run")]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, check=True)
    predicted, measured = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{size} {side}x{side}x{channels}, batch {batch}: predicted {predicted / 2**20:.0f}, measured {measured / 2**20:.0f} MiB"
    )
    assert predicted == pytest.approx(measured, rel=0.15)
