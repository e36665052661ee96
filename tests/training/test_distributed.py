"""A run in several processes is the run in one: the same batches, the same weights to rounding, the same samples, one writer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

import reverie
from reverie import storage
from reverie.errors import ReverieError
from reverie.training import distributed, loop
from reverie.training.distributed import ALONE, Devices, Group, join
from reverie.training.trackers import Memory, read_log
from tests.toy import StopAt, data, tiny
from tests.training.together import together

ROOT = Path(__file__).parent.parent.parent
STEPS = 20


def trained(options):
    """Final averaged weights and the losses of a run, as numpy."""
    memory = Memory()
    fixed = {"seed": 3, "threads": 1, "steps": STEPS}
    with patch.object(loop, "LOOKS", (1.0,)):  # looks change nothing and cost most
        model = reverie.train(data(), network=tiny(), tracker=memory, **{**fixed, **options})
    weights = {k: v.numpy() for k, v in model.denoiser.network.state_dict().items()}
    return weights, [e.values["loss"] for e in memory.events if e.kind == "step"]


def apart(a, b):
    """Largest difference of any weight."""
    assert a.keys() == b.keys()
    return max(float(np.abs(a[k] - b[k]).max()) for k in a)


WAYS = {
    "uneven": {"batch": 9},  # 4 and 5 items: each process counts for what it has
    "accumulated": {"batch": 9, "accumulate": 2},
    "paired": {"batch": 8, "family": "flow", "coupling": "optimal-transport"},  # noise is paired over the whole batch
}


def in_each_way():
    """The run in every way, and a conversation: all that two processes are asked, so that they need be started once."""
    common = {"lr": 1e-2, "ema": "constant:rate=0.5,start=0"}
    return {name: trained({**options, **common}) for name, options in WAYS.items()}, conversation()


def conversation():
    group = join()
    rank = group.rank
    jobs = [lambda k=k: torch.full((k + 1, 2), float(k)) if k < 3 else torch.tensor([k]) for k in range(5)]
    return (
        group.agree(lambda: f"décidé par {rank}"),
        group.agree(lambda: ""),
        group.any(rank == 1, False, True),
        group.mean(torch.tensor([0.1, 0.7][rank % 2])),
        [x.tolist() for x in group.spread(jobs)],
        join() == group,
    )


@pytest.fixture(scope="module")
def alone():
    return in_each_way()


@pytest.fixture(scope="module")
def two():
    return together(2, in_each_way)


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_agree_with_one_within_1e_5_over_20_steps(way, alone, two):
    weights, losses = alone[0][way]
    (first, told), (second, silent) = (found[way] for found, _ in two)
    assert apart(first, second) == 0, "the processes hold the same bits"
    assert apart(weights, first) < 1e-5
    assert told == pytest.approx(losses, abs=1e-5)
    assert silent == [], "only the first process is followed"
    begun = {k: v.numpy() for k, v in tiny().state_dict().items()}
    assert apart(weights, begun) > 1e-2, "there is something to agree on"


def test_what_processes_tell_each_other(alone, two):
    first, second = two[0][1], two[1][1]
    assert first == second
    parts = [*(torch.full((k + 1, 2), float(k)).tolist() for k in range(3)), [3], [4]]
    assert first == ("décidé par 0", "", (True, False, True), pytest.approx(0.4), parts, True)
    assert alone[1] == ("décidé par 0", "", (False, False, True), pytest.approx(0.1), parts, True)


@pytest.mark.parametrize(("count", "size"), [(9, 2), (8, 3), (7, 7), (128, 5)])
def test_parts_of_a_batch_are_the_whole_of_it_in_order(count, size):
    parts = [Group(rank, size).part(count) for rank in range(size)]
    assert [k for part in parts for k in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sum(Group(0, size).weight(n, count) for n in sizes) / size == pytest.approx(1)


def test_a_batch_smaller_than_the_processes_is_refused_and_alone_is_alone():
    with pytest.raises(ReverieError, match="cannot be shared by 4 processes"):
        Group(0, 4).part(3)
    assert join() == ALONE
    assert (ALONE.part(5), ALONE.weight(5, 5), ALONE.any(True, False)) == (slice(0, 5), 1.0, (True, False))


def drawn(run):
    group = join()
    samples = reverie.load(run, network=tiny()).sample(22, seed=5, batch=4, steps=3, spread=group.spread)
    return samples.x


def begun(run, stop):
    """Train until stopped, and go on where there is a run already."""
    tracker = StopAt(stop) if stop else None
    try:
        with patch.object(loop, "LOOKS", (1.0,)):
            if storage.is_run(Path(run)):
                reverie.resume(run, data=data(), network=tiny(), tracker=tracker)
            else:
                options = {"batch": 9, "seed": 3, "threads": 1, "steps": STEPS, "lr": 1e-2}
                reverie.train(data(), run, network=tiny(), tracker=tracker, **options)
        return "done"
    except loop.Interrupted:
        return "stopped"


def begun_and_drawn(run, stop, whole):
    return begun(run, stop), drawn(whole)


def test_a_run_goes_on_in_1_then_2_then_1_processes_and_each_step_is_written_once(tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert begun(whole, None) == "done"
    assert begun(run, 6) == "stopped"
    (stopped, ours), (also, theirs) = together(2, begun_and_drawn, run, 13, whole)
    assert stopped == also == "stopped", "one that is asked to stop stops all"
    assert begun(run, None) == "done"
    a, b = ({k: v.numpy() for k, v in storage.load_tensors(r / "weights.safetensors").items()} for r in (run, whole))
    assert apart(a, b) < 1e-5
    steps = [e["step"] for e in read_log(run / "metrics.jsonl") if e["event"] == "step"]
    assert steps == list(range(1, STEPS + 1))
    by_one = drawn(whole)
    assert np.array_equal(ours, by_one), "sampling shared by two gives the samples of one, bit for bit"
    assert np.array_equal(theirs, by_one)


def test_what_devices_means():
    assert Devices.parse("4") == (4, False)
    assert Devices.parse("cpu:2") == (2, True)
    for wrong in ("cpu", "gpu:2", "0", "two", "cpu:"):
        with pytest.raises(ReverieError, match="give a number of processes"):
            Devices.parse(wrong)
    with pytest.raises(ReverieError, match="torchrun --nproc-per-node 2"):
        reverie.train(data(), network=tiny(), devices="cpu:2")


KILLED = """
import os, sys, reverie
from pathlib import Path
from tests.toy import data, tiny
from reverie.training import distributed, loop
loop.seconds = lambda text: 0.0  # a checkpoint after every step: kills land inside them too
name = os.environ["TORCHELASTIC_RESTART_COUNT"] + "-" + os.environ["RANK"]
(Path(sys.argv[1]).parent / f"{name}.pid").write_text(str(os.getpid()))
reverie.train(data(), sys.argv[1], network=tiny(), steps=120, batch=9, seed=3)
"""


def undisturbed(run):
    reverie.train(data(), run, network=tiny(), steps=120, batch=9, seed=3)


def state_of(run):
    """All that a finished run holds: weights, average, optimiser; and its log but for the clock."""
    last = storage.newest_checkpoint(run)
    tensors = {f: storage.load_tensors(last / f"{f}.safetensors") for f in ("weights", "training")}
    log = [(e["step"], e["loss"], e["lr"]) for e in read_log(run / "metrics.jsonl") if e["event"] == "step"]
    return {(f, k): v.numpy() for f, some in tensors.items() for k, v in some.items()}, log


@pytest.mark.slow
def test_a_rank_killed_at_a_random_moment_is_restarted_by_torchrun_and_ends_with_the_same_bits(tmp_path):
    """kill -9 within the steps; torchrun starts both processes anew, and nothing shows in weights, moments or log."""
    script, run, whole = tmp_path / "train.py", tmp_path / "run", tmp_path / "whole"
    script.write_text(KILLED)
    rng = np.random.default_rng(int(time.time()))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "3",
    ]
    with (tmp_path / "stderr").open("w") as said:
        engine = subprocess.Popen([*command, str(script), str(run)], cwd=ROOT, env=environment(), stderr=said)
    try:
        pid = tmp_path / f"0-{rng.integers(2)}.pid"
        wait_for(lambda: newest(run) > 0, engine)
        time.sleep(rng.uniform(0, 0.5))
        os.kill(int(pid.read_text()), signal.SIGKILL)
        killed_at = newest(run)
        assert engine.wait(80) == 0
    finally:
        engine.terminate()
    assert 0 < killed_at < 120, "killed on the way"
    assert len(list(tmp_path.glob("1-*.pid"))) == 2, "restarted"
    together(2, undisturbed, whole)
    (ours, log), (theirs, expected) = state_of(run), state_of(whole)
    assert apart(ours, theirs) == 0
    assert log == expected
    assert [step for step, *_ in log] == list(range(1, 121))


def newest(run):
    """Step of the newest checkpoint; 0 where there is none."""
    found = storage.newest_checkpoint(run)
    return int(found.name) if found else 0


def environment():
    return {**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}", "OMP_NUM_THREADS": "1"}


def wait_for(condition, engine, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert engine.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def spoken(*words):
    """The command line in this process; returns its exit code."""
    from reverie.cli import main

    sys.argv = ["reverie", *map(str, words)]
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_saved_and_resume_starts_as_many(tmp_path):
    """As a terminal does it: SIGINT to the launcher and to every process at once."""
    run = tmp_path / "run"
    words = ["train", "digits", "-o", run, "--devices", "cpu:2", "--steps", "60", "--size", "tiny", "--batch", "16"]
    command = [sys.executable, "-m", "reverie", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    engine = subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True, **pipes)
    log = run / "metrics.jsonl"
    wait_for(lambda: log.is_file() and any(e["event"] == "step" and e["step"] > 5 for e in read_log(log)), engine)
    os.killpg(engine.pid, signal.SIGINT)
    _, said = engine.communicate(timeout=60)
    assert engine.returncode == 130
    assert said == f"stopped and saved. Go on with: reverie train --resume {run}\n"
    assert newest(run) == [e["step"] for e in read_log(log) if e["event"] == "step"][-1] < 60, "saved where it stopped"
    with patch.object(distributed, "launch", return_value=7) as launch:
        assert spoken("train", "--resume", run) == 7
    assert launch.call_args.args[0] == Devices(2, cpu=True)


@pytest.mark.slow
def test_devices_starts_the_processes_and_the_first_alone_writes_and_speaks(tmp_path):
    run = tmp_path / "run"
    words = ["train", "digits", "-o", run, "--devices", "cpu:2", "--steps", "3", "--size", "tiny", "--batch", "16"]
    command = [sys.executable, "-m", "reverie", *map(str, words)]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("plan: 3 steps of 16") == ended.stdout.count("model: ") == 1
    assert [e["step"] for e in read_log(run / "metrics.jsonl") if e["event"] == "step"] == [1, 2, 3]
    assert json.loads((run / "run.json").read_text())["settings"]["devices"] == "cpu:2"
    ask = ["sample", run, "-n", "10", "--batch", "3", "--steps", "2", "-o"]
    assert together(2, spoken, *ask, tmp_path / "two") == [0, 0]
    assert spoken(*ask, tmp_path / "one") == 0
    files = [
        {p.relative_to(f): p.read_bytes() for p in sorted(f.rglob("*.png"))}
        for f in (tmp_path / "one", tmp_path / "two")
    ]
    assert len(files[0]) == 10
    assert files[0] == files[1]
    assert together(2, spoken, "train", "digits", "-o", tmp_path / "no", "--batch", "1", "--steps", "3") == [2, 2]
