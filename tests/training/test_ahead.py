"""Reading ahead changes when a batch is read, and nothing else."""

import threading

import pytest
import torch

import reverie
from reverie.training.ahead import Ahead
from tests.toy import data, tiny


class Stream:
    """A loader that remembers what it was asked for, and by whom."""

    def __init__(self):
        self.asked = []

    def batch(self, first, count):
        self.asked.append((first, count, threading.current_thread().name.split("_")[0]))
        return list(range(first, first + count))


def test_the_next_batch_is_read_early_by_another_thread_and_a_wrong_guess_is_thrown_away():
    stream = Stream()
    ahead = Ahead(stream, stride=10, early=True, pinned=False)
    assert [ahead.batch(first, 4)[0] for first in (0, 10, 20, 7, 17)] == [0, 10, 20, 7, 17]
    ahead._pool.shutdown()
    by = dict.fromkeys([0, 7], "MainThread") | dict.fromkeys([10, 20, 30, 17, 27], "ahead")
    assert {first: name for first, _, name in stream.asked} == by
    assert len(stream.asked) == 7, "each is read once"


def test_without_a_gpu_nothing_is_read_early():
    stream = Stream()
    ahead = Ahead(stream, stride=10, early=False, pinned=False)
    assert ahead.batch(0, 2) == [0, 1]
    assert stream.asked == [(0, 2, "MainThread")]


def test_a_run_that_reads_ahead_is_the_run_that_does_not(monkeypatch):
    def weights():
        model = reverie.train(data(), network=tiny(), steps=4, batch=16, threads=1, device="cpu")
        return list(model.denoiser.network.state_dict().values())

    plain = weights()
    whole = Ahead.__init__
    monkeypatch.setattr(Ahead, "__init__", lambda self, *a, **k: whole(self, *a, **{**k, "early": True}))
    assert all(torch.equal(a, b) for a, b in zip(plain, weights(), strict=True))


@pytest.mark.slow
def test_a_compiled_network_is_the_same_network_to_rounding(tmp_path):
    """And its checkpoints carry the same names, so that a run may be compiled or not when it goes on."""

    def run(**options):
        return reverie.train(data(), network=tiny(), steps=6, batch=16, threads=1, device="cpu", **options)

    plain, compiled = run(), run(output=tmp_path / "run", compile=True)
    ours, theirs = (m.denoiser.network.state_dict() for m in (plain, compiled))
    assert list(ours) == list(theirs)
    assert max(float((ours[k] - theirs[k]).abs().max()) for k in ours) < 1e-5
    again = reverie.load(tmp_path / "run", network=tiny())
    assert torch.allclose(again.denoiser.network.first.weight, theirs["first.weight"])
