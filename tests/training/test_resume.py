"""A run that was killed, interrupted or met steps that are not finite: to the bit what the undisturbed one is."""

import json
import multiprocessing
import os
import shutil
import time

import numpy as np
import pytest
import torch
import torch._dynamo  # the optimiser would import it at its first use, in every process forked

import reverie.api
from reverie import files, storage
from reverie.errors import ReverieError
from reverie.training import checkpoint
from reverie.training.learner import Learner
from reverie.training.plan import LOWER, one_cycle
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from reverie.training.trackers import Event, Memory, Tracker, read_log
from tests.toy import Tiny, data, tiny

CLOCK = {"seconds", "elapsed", "left", "memory"}  # what a log says of the clock and the machine
PROCESSES = multiprocessing.get_context("forkserver")  # imports PyTorch once, then forks: a start costs no seconds
PROCESSES.set_forkserver_preload(["tests.training.test_resume"])
HARD = {"steps": 36, "batch": 8, "seed": 3, "threads": 1, "accumulate": 3, "ema": "power:std=0.1"}


class Faulty(Tiny):
    """Now and then, by what it sees and nothing else, it says what is no number."""

    def forward(self, x, level, cond):
        out = super().forward(x, level, cond)
        return out + torch.where((x[0, 0, 3, 3] > 1.5) & torch.tensor(self.training), torch.nan, 0.0)


def faulty():
    torch.manual_seed(0)
    return Faulty()


def begin_or_go_on(run, every):
    """What a person's script does: go on where there is something to go on with."""
    torch.set_num_threads(1)
    if storage.is_run(run):
        reverie.resume(run, data=data(), network=faulty())
    else:
        reverie.train(data(), run, network=faulty(), checkpoint_every=every, **HARD)


def end(run):
    """All that a run came to: weights, average, optimiser and counts as bytes, and its log but for the clock."""
    last = storage.newest_checkpoint(run)
    state = files.read_json(last / "state.json")
    found = {name: (last / name).read_bytes() for name in ("training.safetensors", "weights.safetensors")}
    found["state"] = {k: v for k, v in state.items() if k not in {"elapsed", "step_time"}}
    found["model"] = (run / "weights.safetensors").read_bytes()
    log = [e for e in read_log(run / "metrics.jsonl") if e["event"] not in {"checkpoint", "resumed"}]
    found["log"] = json.dumps([{k: v for k, v in e.items() if k not in CLOCK} for e in log], sort_keys=True)
    return found


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    begin_or_go_on(run, "1h")
    events = [e["event"] for e in read_log(run / "metrics.jsonl")]
    assert events.count("rollback") == 2, "the run that is to be repeated has all that there is to repeat"
    return run


@pytest.fixture(scope="module")
def undisturbed(undisturbed_run):
    return end(undisturbed_run)


def steps_of(run):
    """The step of the newest checkpoint, -1 where there is none."""
    newest = storage.newest_checkpoint(run)
    return -1 if newest is None else int(newest.name)


def kill(run, after, wait):
    """Go on with a run in a process of its own, and kill it some steps and seconds later; returns whether it ended before."""
    begun = steps_of(run)
    process = PROCESSES.Process(target=begin_or_go_on, args=(run, "0.001s"))
    process.start()
    while steps_of(run) < begun + after and process.exitcode is None:
        time.sleep(0.002)
    process.join(wait)
    process.kill()
    process.join()
    return process.exitcode == 0


def survives(folder, kills, seed, undisturbed):
    """So many kills, spread over runs that each end as the undisturbed one; checkpoints are made all the time.

    Most come a few steps on, at any moment between two or in a checkpoint; some before a process has done a single step.
    """
    rng, done, number = np.random.default_rng(seed), 0, 0
    while done < kills:
        run, finished = folder / f"run-{number}", False
        number += 1
        while not finished and done < kills:
            early = rng.uniform() < 0.2
            finished = kill(run, 0 if early else rng.integers(1, 16), rng.uniform(0, 0.3 if early else 0.04))
            done += not finished
            if (step := steps_of(run)) >= 0:
                assert reverie.load(run, network=faulty()).record["step"] == step
        while not finished:
            finished = kill(run, HARD["steps"] + 2, None)
        assert end(run) == undisturbed
        assert not list((run / "checkpoints").glob(".*")), "stray temporaries are swept"


@pytest.mark.slow
def test_a_few_kills_and_the_end_is_the_same_to_the_bit(tmp_path, undisturbed):
    survives(tmp_path, 3, 0, undisturbed)


@pytest.mark.slow
def test_thirty_kills(tmp_path, undisturbed):
    survives(tmp_path, 30, 1, undisturbed)


class StopAt(Tracker):
    """Asks the run to stop, as Ctrl-C does, once a step is reached."""

    def __init__(self, step):
        self.step = step

    def tell(self, event: Event) -> None:
        if event.kind == "step" and event.step == self.step:
            os.kill(os.getpid(), 2)


@pytest.mark.slow
def test_ctrl_c_at_a_mark_and_between_two_steps_that_are_not_finite(tmp_path, undisturbed):
    """At the step that is remembered as good, after the first bad one of a pair, and after the return itself."""
    from reverie.training.loop import Interrupted

    log = json.loads(undisturbed["log"])
    back = next(e for e in log if e["event"] == "rollback")
    stops = sorted({undisturbed["state"]["good"], back["step"] - 1, back["step"]})
    run = tmp_path / "run"
    for stop in stops:
        with pytest.raises(Interrupted):
            if storage.is_run(run):
                reverie.resume(run, data=data(), network=faulty(), tracker=StopAt(stop))
            else:
                reverie.train(data(), run, network=faulty(), checkpoint_every="1h", tracker=StopAt(stop), **HARD)
    begin_or_go_on(run, "1h")
    assert end(run) == undisturbed


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_or_after_the_last(tmp_path, undisturbed_run, undisturbed):
    run = tmp_path / "run"
    shutil.copytree(undisturbed_run, run)
    kept = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(kept[:-1]) + '{"event": "do')  # the model is there, the last line is not
    begin_or_go_on(run, "1h")
    assert end(run) == undisturbed
    with pytest.raises(ReverieError, match="finished"):
        begin_or_go_on(run, "1h")
    shutil.rmtree(run / "checkpoints")
    (run / "model.json").unlink()
    (run / "metrics.jsonl").write_text("".join(kept[:3]))
    begin_or_go_on(run, "1h")
    assert end(run) == undisturbed


def test_without_a_folder_it_goes_back_to_the_same_states(undisturbed):
    memory = Memory()
    model = reverie.train(data(), network=faulty(), tracker=memory, **HARD)
    theirs = [e for e in json.loads(undisturbed["log"]) if e["event"] in {"step", "rollback"}]
    ours = [{"event": e.kind, "step": e.step, **e.values} for e in memory.events if e.kind in {"step", "rollback"}]
    ours = [{k: v for k, v in e.items() if k not in CLOCK} for e in ours]
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    assert model.record["skipped_steps"] == undisturbed["state"]["skipped"]


def learner(**options):
    settings = TrainSettings.of({"batch": 8, "seed": 3, "threads": 1, "steps": 9, **options})
    job = prepare(data(), settings, tiny())
    return job, Learner.of(job.model.denoiser, settings)


@pytest.mark.parametrize("coupling", ["independent", "optimal-transport"])
@pytest.mark.parametrize("parts", [2, 3, 8, 50])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(coupling, parts):
    """8 items in 3 parts are 3, 3 and 2: a mean of means would be wrong by a tenth."""
    (job, whole), (_, split) = learner(coupling=coupling), learner(coupling=coupling, accumulate=parts)
    found = [ln.advance(job.loader.batch(16, 8), 0.0) for ln in (whole, split)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    for a, b in zip(whole.denoiser.parameters(), split.denoiser.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=2e-6 * float(a.grad.abs().max()))


def test_going_back_forgets_all_moments_and_averages_that_came_after():
    job, ln = learner()
    fresh = [{k: v.clone() for k, v in found.items()} for found in (ln.tensors(), ln.average.state)]
    ln.advance(job.loader.batch(0, 8), 1e-2)
    assert ln.tensors().keys() > fresh[0].keys()
    ln.restore(*fresh)
    for now, then in zip((ln.tensors(), ln.average.state), fresh, strict=True):
        assert now.keys() == then.keys()
        assert all(torch.equal(now[k], then[k]) for k in then)


class Greedy(Tiny):
    """As much memory as three items take."""

    most = 3

    def forward(self, x, level, cond):
        if self.training and x.device.type != "meta" and len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return super().forward(x, level, cond)


@pytest.mark.slow
def test_out_of_memory_halves_the_parts_and_changes_nothing_else():
    torch.manual_seed(0)
    memory, options = Memory(), {"batch": 8, "seed": 3, "threads": 1, "steps": 12}
    small = reverie.train(data(), network=Greedy(), tracker=memory, **options)
    wished = reverie.train(data(), network=tiny(), accumulate=4, **options)
    told = next(e.values for e in memory.events if e.kind == "plan")
    assert told["accumulate"] == 4
    assert told["batch"] == 8
    for a, b in zip(small.denoiser.parameters(), wished.denoiser.parameters(), strict=True):
        assert torch.equal(a, b)


def test_out_of_memory_in_the_middle_is_told_and_one_item_that_does_not_fit_is_the_end():
    class Later(Greedy):
        calls = 0

        def forward(self, x, level, cond):
            self.calls += self.training
            self.most = 3 if self.calls > 8 else 8
            return super().forward(x, level, cond)

    memory, options = Memory(), {"batch": 8, "seed": 3, "threads": 1, "steps": 12}
    reverie.train(data(), network=Later(), tracker=memory, **options)
    assert any("in 4 parts" in e.values["text"] for e in memory.events if e.kind == "note")
    assert [e.values["images"] for e in memory.events if e.kind == "step"] == [8] * 12

    class Never(Greedy):
        most = 0

    with pytest.raises(ReverieError, match="single item"):
        reverie.train(data(), network=Never(), **options)


def test_a_loss_that_is_not_finite_changes_nothing_though_its_gradient_is():
    job, ln = learner()
    before = {k: v.clone() for k, v in ln.tensors().items()}
    real = ln.denoiser.loss
    ln.denoiser.loss = lambda *given: real(*given) + torch.inf
    loss, norm = ln.advance(job.loader.batch(0, 8), 1e-2)
    assert loss == float("inf")
    assert np.isfinite(norm)
    assert all(torch.equal(v, before[k]) for k, v in ln.tensors().items())
    assert (ln.step, ln.seen, ln.skipped, ln.bad) == (1, 8, 1, 1)


class Sick(Tiny):
    """No number in chosen steps of training, counted by its calls."""

    def __init__(self, bad):
        super().__init__()
        self.calls, self.bad = -2, bad  # two trial steps come before

    def forward(self, x, level, cond):
        out = super().forward(x, level, cond)
        if self.training and x.device.type != "meta":
            self.calls += 1
            return out * torch.nan if self.calls in self.bad else out
        return out


def sick(bad, tracker, **options):
    torch.manual_seed(0)
    return reverie.train(data(), network=Sick(bad), tracker=tracker, batch=8, seed=3, threads=1, steps=40, **options)


def test_one_bad_step_is_skipped_and_counted_two_running_go_back_with_less_learning_rate():
    memory = Memory()
    sick({4, 10, 11, 30, 31}, memory)
    steps = {e.step: e.values for e in memory.events if e.kind == "step"}
    back = [e for e in memory.events if e.kind == "rollback"]
    assert [(e.step, e.values["to"], e.values["left"]) for e in back] == [(11, 0, 2), (31, 25, 1)]
    peak = next(e.values["lr"] for e in memory.events if e.kind == "plan")
    for step, power in ((11, 0), (12, 1), (31, 1), (32, 2), (40, 2)):
        assert steps[step]["lr"] == pytest.approx(one_cycle((step - 1) / 40, peak) * LOWER**power)
    assert memory.events[-1].values["skipped"] == 5
    first = steps[12]["loss"]
    assert first == pytest.approx(steps[1]["loss"], rel=0.3), "back at the untrained weights"


def test_it_stops_after_three_returns_and_says_what_to_do(tmp_path):
    memory = Memory()
    with pytest.raises(ReverieError, match=r"after 3 returns to .* Try --lr .*reverie info"):
        sick(set(range(5, 99)), memory, output=tmp_path / "run")
    back = [(e.step, e.values["left"]) for e in memory.events if e.kind == "rollback"]
    assert back == [(6, 2), (8, 1), (10, 0)]
    assert memory.events[-1].step == 12
    assert reverie.load(tmp_path / "run", network=tiny()).record["step"] == 0, "what was good is kept"


def test_the_last_checkpoints_are_kept_and_the_one_to_go_back_to(tmp_path):
    run = tmp_path / "run"
    reverie.train(data(), run, network=tiny(), steps=28, batch=8, threads=1, checkpoint_every="0.001s", keep=2)
    assert [p.name for p in sorted((run / "checkpoints").iterdir())] == ["00000025", "00000027", "00000028"]


def hold(folder, seconds):
    with files.locked(folder):
        (folder / "held").touch()
        time.sleep(seconds)


@pytest.mark.slow
def test_a_run_folder_has_one_writer_and_is_free_again_when_that_dies(tmp_path):
    run = tmp_path / "run"
    reverie.train(data(), run, network=tiny(), steps=2, batch=8, threads=1)
    before = sorted(p.name for p in run.iterdir())
    process = PROCESSES.Process(target=hold, args=(run, 60))
    process.start()
    while not (run / "held").exists():
        time.sleep(0.01)
    (run / "held").unlink()
    for attempt in (
        lambda: reverie.resume(run, data=data(), network=tiny()),
        lambda: reverie.train(data(), run, network=tiny(), steps=2, batch=8, threads=1, overwrite=True),
    ):
        with pytest.raises(ReverieError, match=rf"written to by process {process.pid} on "):
            attempt()
    assert sorted(p.name for p in run.iterdir()) == before
    process.kill()
    process.join()
    reverie.train(data(), run, network=tiny(), steps=3, batch=8, threads=1, overwrite=True)
    assert reverie.load(run, network=tiny()).record["step"] == 3


def test_strays_are_swept_and_a_checkpoint_that_does_not_fit_is_named(tmp_path):
    from reverie.training.loop import Interrupted

    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        reverie.train(data(), run, network=tiny(), steps=9, batch=8, threads=1, tracker=StopAt(4))
    (run / "checkpoints" / ".00000009.abc.tmp").mkdir()
    with pytest.raises(ReverieError, match="does not fit this run"):
        reverie.resume(run, data=data(), network=tiny(width=4))
    assert not list((run / "checkpoints").glob(".*"))
    assert checkpoint.place(run, 4).is_dir()


@pytest.mark.slow
def test_a_u_net_goes_on_to_the_bit_whatever_the_layout_of_its_weights(tmp_path):
    """Files hold tensors in the usual order; a fused step over weights and moments that lie differently mixes them up."""
    from reverie.training.loop import Interrupted

    options = {"size": "tiny", "batch": 8, "steps": "4", "threads": 1, "seed": 3}
    whole = reverie.train(data(), tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        reverie.train(data(), tmp_path / "cut", tracker=StopAt(2), **options)
    rest = reverie.resume(tmp_path / "cut", data=data())
    mine, its = (model.denoiser.network.state_dict() for model in (whole, rest))
    assert all(torch.equal(mine[k], its[k]) for k in mine)
