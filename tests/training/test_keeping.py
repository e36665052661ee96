"""Which weights a run ends with: those of the look that is known to be the best, to the bit, resumed or not."""

import numpy as np
import pytest
import torch

import reverie
from reverie.errors import ReverieError
from reverie.training import looks
from reverie.training.keeping import Keeper
from reverie.training.trackers import Event, Memory
from reverie.training.verdict import judge
from tests.toy import StopAt, data, tiny
from tests.training.test_verdict import traces

RUN = {"batch": 8, "seed": 3, "threads": 1, "steps": 20}
TURN = 10  # the step from which the loss that is looked at rises


@pytest.fixture
def turning(monkeypatch):
    """Looks that find 1 + |step - TURN| / 100 for each item, and something of its own."""
    real = looks.Looks.measure

    def measure(self, elapsed):
        found = real(self, elapsed)
        own = np.random.default_rng(0).random(len(self.job.held_out))
        found.values["by_item"] = (own + 1 + abs(self.learner.step - TURN) / 100).tolist()
        return found

    monkeypatch.setattr(looks.Looks, "measure", measure)


def weights(model):
    return {k: v.clone() for k, v in model.denoiser.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def averages(monkeypatch):
    """The averaged weights of each step of the latest run, as they were then; of the steps tried before it none."""
    from reverie.training.learner import Learner

    advance, found = Learner.advance, {}

    def watched(learner, *given):
        result = advance(learner, *given)
        found[learner.step] = {k: v.clone() for k, v in learner.average.state.items()}
        return result

    monkeypatch.setattr(Learner, "advance", watched)
    return found


@pytest.mark.slow
def test_the_weights_of_the_least_loss_are_kept_to_the_bit_resumed_or_not(turning, averages, tmp_path):
    from reverie.training.loop import Interrupted

    told = Memory()
    model = reverie.train(data(), tmp_path / "run", network=tiny(), tracker=told, **RUN)
    then, end = averages[TURN], averages[RUN["steps"]]
    assert not same(then, end)
    assert same(weights(model), then)
    assert same(weights(reverie.load(tmp_path / "run", network=tiny())), then)
    (said,) = [e.values for e in told.events if e.kind == "kept"]
    assert said == model.record["weights"] == reverie.load(tmp_path / "run", network=tiny()).record["weights"]
    assert said["kept"] == TURN
    assert said["last"] - said["held_out"] == pytest.approx(0.1)
    assert said["standard_error"] < 1e-9, "paired: what items have of their own is in both looks"

    with pytest.raises(Interrupted):
        reverie.train(data(), tmp_path / "again", network=tiny(), tracker=StopAt(17), **RUN)
    resumed = reverie.resume(tmp_path / "again", data=data(), network=tiny())
    assert same(weights(resumed), then)
    assert resumed.record["weights"] == said

    last = reverie.train(data(), network=tiny(), weights="last", **RUN)
    assert same(weights(last), end)
    assert "weights" not in last.record


def look(step, by_item):
    return Event("validation", step, {"by_item": list(by_item)})


@pytest.mark.parametrize(("rise", "kept"), [(0.9, False), (1.1, True), (-1, False)])
def test_the_last_is_left_where_it_is_worse_by_more_than_the_paired_standard_error(rise, kept):
    rng = np.random.default_rng(1)
    own, noise = 10 * rng.random(64), rng.standard_normal(64)
    noise = (noise - noise.mean()) / noise.std(ddof=1)  # the standard error of the difference is 1/8
    keeper = Keeper()
    for step, loss in ((0, own - 9), (10, own + 1), (20, own), (30, own + noise + rise / 8)):
        keeper.see(look(step, loss), {"w": torch.full((2,), float(step))})
    found = keeper.verdict(30)
    assert found.get("kept") == (20 if kept else None), "nothing of before the first step is the best"
    if kept:
        assert found["standard_error"] == pytest.approx(1 / 8)
        assert keeper.weights["w"].tolist() == [20, 20]
    assert keeper.verdict(31) == {}, "the last look must be at the end"


def test_what_is_kept_is_a_copy_and_a_diverged_end_is_left():
    keeper, w = Keeper(), torch.ones(2)
    keeper.see(look(5, [1.0, 2.0]), {"w": w})
    w += 1
    keeper.see(look(9, [np.nan, 1.0]), {"w": w})
    assert keeper.weights["w"].tolist() == [1, 1]
    assert keeper.verdict(9)["kept"] == 5


def test_a_verdict_of_overfitting_says_which_weights_the_model_has():
    log = next(log for kind, _, log in traces() if kind == "overfitting" and judge(log).state == "overfitting")
    assert "has the weights" not in judge(log).next
    kept = {"event": "kept", "step": 90, "kept": 60, "held_out": 1.0, "last": 1.1, "standard_error": 0.01}
    found = judge([*log, kept])
    assert found.state == "overfitting"
    assert "The model has the weights of step 60 of" in found.next


def test_there_are_best_and_last():
    with pytest.raises(ReverieError, match="--weights mean: there are best and last"):
        reverie.train(data(), network=tiny(), weights="mean", **RUN)
