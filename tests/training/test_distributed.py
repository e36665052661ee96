"""A run in several processes is the run in one: the same batches, the same weights to rounding, the same samples, one writer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import reverie
from reverie import storage
from reverie.errors import ReverieError
from reverie.training.distributed import ALONE, Devices, Group, join
from reverie.training.trackers import Event, Memory, Tracker, read_log
from tests.toy import data, tiny
from tests.training.together import together

ROOT = Path(__file__).parent.parent.parent
STEPS = 20


def trained(options, run=None):
    """Final averaged weights and the losses of a run, as numpy."""
    memory = Memory()
    model = reverie.train(data(), run, network=tiny(), tracker=memory, **{"seed": 3, "threads": 1, "steps": STEPS, **options})
    weights = {k: v.numpy() for k, v in model.denoiser.network.state_dict().items()}
    return weights, [e.values["loss"] for e in memory.events if e.kind == "step"]


def apart(a, b):
    """Largest difference of any weight."""
    assert a.keys() == b.keys()
    return max(float(np.abs(a[k] - b[k]).max()) for k in a)


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 9},  # 4 and 5 items: each process counts for what it has
        {"batch": 9, "accumulate": 2},
        {"batch": 8, "family": "flow", "coupling": "optimal-transport"},  # paired over the whole batch
    ],
    ids=["uneven", "accumulated", "paired"],
)
def test_two_processes_agree_with_one_within_1e_5_over_20_steps(options):
    options = {**options, "lr": 1e-2, "ema": "constant:rate=0.5,start=0"}
    alone, losses = trained(options)
    (first, told), (second, silent) = together(2, trained, options)
    assert apart(first, second) == 0, "the processes hold the same bits"
    assert apart(alone, first) < 1e-5
    assert told == pytest.approx(losses, abs=1e-5)
    assert silent == [], "only the first process is followed"
    begun = {k: v.numpy() for k, v in tiny().state_dict().items()}
    assert apart(alone, begun) > 1e-2, "there is something to agree on"


def conversation():
    group = join()
    rank = group.rank
    jobs = [lambda k=k: torch.full((k + 1, 2), float(k)) if k < 3 else torch.tensor([k]) for k in range(5)]
    return (
        group.agree(lambda: f"décidé par {rank}"),
        group.agree(lambda: ""),
        group.any(rank == 1, False, True),
        group.mean(torch.tensor([0.1, 0.7][rank])),
        [x.tolist() for x in group.spread(jobs)],
        join() == group,
    )


def test_what_processes_tell_each_other():
    first, second = together(2, conversation)
    assert first == second
    parts = [torch.full((k + 1, 2), float(k)).tolist() for k in range(3)]
    assert first == ("décidé par 0", "", (True, False, True), pytest.approx(0.4), [*parts, [3], [4]], True)


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


class StopAt(Tracker):
    def __init__(self, step, rank):
        self.step, self.rank = step, rank

    def tell(self, event: Event) -> None:
        if event.kind == "step" and event.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def begun(run, stop):
    """Train until stopped, and go on where there is a run already."""
    from reverie.training.loop import Interrupted

    try:
        tracker = StopAt(stop, 0) if stop else None
        if storage.is_run(Path(run)):
            reverie.resume(run, data=data(), network=tiny(), tracker=tracker)
        else:
            options = {"batch": 9, "seed": 3, "threads": 1, "steps": STEPS, "lr": 1e-2}
            reverie.train(data(), run, network=tiny(), tracker=tracker, **options)
        return "done"
    except Interrupted:
        return "stopped"


def test_a_run_goes_on_in_1_then_2_then_1_processes_and_each_step_is_written_once(tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert begun(whole, None) == "done"
    assert begun(run, 6) == "stopped"
    assert together(2, begun, run, 13) == ["stopped", "stopped"], "one that is asked to stop stops all"
    assert begun(run, None) == "done"
    a, b = ({k: v.numpy() for k, v in storage.load_tensors(r / "weights.safetensors").items()} for r in (run, whole))
    assert apart(a, b) < 1e-5
    steps = [e["step"] for e in read_log(run / "metrics.jsonl") if e["event"] == "step"]
    assert steps == list(range(1, STEPS + 1))
    ours, theirs = together(2, drawn, run)
    alone = drawn(run)
    assert np.array_equal(ours, alone), "sampling shared by two gives the samples of one, bit for bit"
    assert np.array_equal(theirs, alone)


def test_what_devices_means():
    assert Devices.parse("4") == (4, False)
    assert Devices.parse("cpu:2") == (2, True)
    for wrong in ("cpu", "gpu:2", "0", "two", "cpu:"):
        with pytest.raises(ReverieError, match="give a number of processes"):
            Devices.parse(wrong)
    with pytest.raises(ReverieError, match="torchrun --nproc-per-node 2"):
        reverie.train(data(), network=tiny(), devices="cpu:2")
