"""Plans, learning rate, averages: each against its closed form."""

import math

import pytest
import torch
from torch import nn

from reverie.errors import ReverieError
from reverie.registry import registered
from reverie.training.ema import Average, Constant, Power
from reverie.training.pace import Pace
from reverie.training.plan import Plan, one_cycle, seconds
from reverie.training.settings import TrainSettings, parse_resolution, share_or_count


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("2m5s", 125), ("1d", 86400), (30, 30)],
)
def test_durations(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "10x", "-5m", "0s", "1..5m", "ten"])
def test_bad_durations_are_refused(text):
    with pytest.raises(ReverieError):
        seconds(text)


def test_progress_is_continuous_and_monotone_through_changes_of_mind():
    plan = Plan(((0, 100), (30, 60), (50, 200)))
    shares = [plan.progress(k) for k in range(201)]
    assert shares[0] == 0
    assert shares[200] == 1
    assert all(a < b for a, b in zip(shares, shares[1:], strict=False))
    assert shares[30] == pytest.approx(0.3)
    assert shares[50] == pytest.approx(0.3 + 0.7 * 20 / 30)
    assert max(b - a for a, b in zip(shares, shares[1:], strict=False)) < 0.024  # 0.7 / 30: no jump


def test_the_past_does_not_depend_on_later_changes():
    plan = Plan(((0, 100),))
    later = plan.replanned(40, 77)
    assert [plan.progress(k) for k in range(41)] == [later.progress(k) for k in range(41)]


@pytest.mark.parametrize("text", ["1200", "1200,400:1150", "9,3:5,4:80"])
def test_a_plan_reads_back(text):
    assert str(Plan.parse(text)) == text


@pytest.mark.parametrize("text", ["0", "-3", "1e3", "10,", "10,5:4", "10,5:9,5:8", "10,6:9,5:8", "x"])
def test_a_plan_that_cannot_be_is_refused(text):
    with pytest.raises(ReverieError):
        Plan.parse(text)


def test_learning_rate_equals_pytorchs_one_cycle():
    steps, peak = 400, 3e-3
    p = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([p], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak, total_steps=steps + 1, pct_start=(0.1 * steps + 1) / (steps + 1), div_factor=25,
        final_div_factor=1e4, cycle_momentum=False,
    )  # fmt: skip
    for k in range(steps + 1):
        assert one_cycle(k / steps, peak) == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        if k < steps:
            theirs.step()


def walk(law, steps):
    """The average of weights 1, 2, ..., K by the recursion of the class under test."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = Average(law, network)
    for k in range(1, steps + 1):
        with torch.no_grad():
            network.weight.fill_(float(k))
        average.update(network, k)
    return float(average.state["weight"])


def test_constant_ema_is_copies_then_its_closed_form():
    """After `start` copies: sum of (1 - r) r^(K - k) w_k, and r^(K - start) w_start."""
    rate, start, steps = 0.9, 5, 30
    assert walk(Constant(rate, start), start) == start
    expected = rate ** (steps - start) * start + sum(
        (1 - rate) * rate ** (steps - k) * k for k in range(start + 1, steps + 1)
    )
    assert walk(Constant(rate, start), steps) == pytest.approx(expected, rel=1e-5)
    assert Constant().decay(2000) == 0
    assert Constant().decay(2001) == 0.995


@pytest.mark.parametrize("std", [0.05, 0.1, 0.2])
def test_power_ema_has_the_width_it_names(std):
    """The weight of step k is (1 - b_k) prod_(j > k) b_j; its distribution over k / K has standard deviation std."""
    law, steps = Power(std), 4000
    weights, rest = [], 1.0
    for k in range(steps, 0, -1):
        weights.append(rest * (1 - law.decay(k)))
        rest *= law.decay(k)
    weights = torch.tensor(weights[::-1], dtype=torch.float64)
    place = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    assert float(weights.sum()) == pytest.approx(1)
    mean = float(weights @ place)
    assert math.sqrt(float(weights @ (place - mean) ** 2)) == pytest.approx(std, rel=0.01)
    assert mean == pytest.approx((law.gamma + 1) / (law.gamma + 2), rel=1e-3)  # of a density going as x^gamma


def test_power_ema_equals_its_recursion():
    law, expected = Power(0.1), 0.0
    for k in range(1, 51):
        b = (1 - 1 / k) ** (law.gamma + 1)
        expected = b * expected + (1 - b) * k
    assert walk(law, 50) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("law", registered("ema"))
def test_every_ema_follows_and_starts_with_the_weights(law):
    law = registered("ema")[law]()
    assert law.decay(1) == 0
    assert walk(law, 1) == 1
    assert 0 < walk(law, 40) <= 40


def test_batch_statistics_that_are_no_floats_are_copied():
    network = nn.BatchNorm1d(2)
    average = Average(Constant(0.5, 0), network)
    network(torch.randn(8, 2))
    average.update(network, 1)
    assert int(average.state["num_batches_tracked"]) == 1


def test_pace_fits_steps_and_pauses_into_the_budget():
    import time

    pace = Pace(budget=100.0, started=time.monotonic() - 10, step_time=0.5, cost={"look": 2.0}, finish=5)
    plan = pace.first_plan({"look": 5})
    assert plan.total == pytest.approx((100 - 10 - 10 - 5) / 0.5, abs=1)
    with pytest.raises(ReverieError, match="leaves room for"):
        Pace(budget=12.0, started=time.monotonic() - 10, step_time=0.5, finish=0).first_plan({})


def test_a_budget_that_plainly_cannot_be_met_is_refused_as_soon_as_that_is_known():
    import time

    def pace(spent, budget=100.0):
        return Pace(budget=budget, started=time.monotonic() - spent)

    pace(99).check("reading the data")
    with pytest.raises(ReverieError, match="over before the first step: reading the data takes 101 s"):
        pace(101).check("reading the data")
    slow = pace(5)
    slow.check_reading(1, 1000)  # the first says nothing of the rate
    slow._reading -= 10
    slow.check_reading(101, 1000)  # 0.1 s each, a tenth is done: 90 s more, of which half is sure
    slow.started -= 55
    with pytest.raises(ReverieError, match="reading the data takes"):
        slow.check_reading(101, 1000)
    again = pace(60)
    again._reading = again.started
    again.check_reading(1, 1000)  # the pictures of a condition: what came before is not their rate
    again.check_reading(20, 1000)
    pace(50).check_reading(2, 10**9)
    pace(90).check_steps([50.0], 5)  # the first step pays for all others
    pace(84).check_steps([50.0, 1.0], 5)
    with pytest.raises(ReverieError, match="timing steps of 1 s"):
        pace(86).check_steps([50.0, 1.0], 5)
    assert Pace.of(TrainSettings(steps="5"), 0.0) is None
    assert Pace.of(TrainSettings(), 0.0).budget == 600


def test_settings_refuse_what_cannot_be_and_name_the_nearest():
    for bad, word in [
        ({"buget": "3m"}, "budget"),
        ({"budget": "3m", "steps": 5}, "one of"),
        ({"size": "huge"}, "tiny"),
        ({"schedule": "cosin"}, "cosine"),
        ({"sampler": "heun:chrn=3"}, "churn"),
        ({"batch": 0}, "above 0"),
        ({"lr": math.inf}, "--lr inf: give a finite"),
        ({"weight_decay": math.nan}, "--weight-decay nan: give a finite"),
        ({"weight_decay": -1.0}, "at least 0"),
        ({"condition_dropout": 1.0}, "below 1"),
        ({"ema": "power:std=0.5"}, "0.288"),
    ]:
        with pytest.raises(ReverieError, match=word):
            TrainSettings.of(bad)
    assert TrainSettings.of({"steps": 5, "held_out": 500}).steps == "5"


def test_small_readers():
    assert share_or_count("10%", "x") == 0.1
    assert share_or_count("0.1", "x") == 0.1
    assert share_or_count("500", "x") == 500
    assert parse_resolution("64x128") == (64, 128)
    assert parse_resolution("32") == (32, 32)
    for bad in ("-1", "1.5", "many"):
        with pytest.raises(ReverieError):
            share_or_count(bad, "x")
    for bad in ("64x", "0x3", "axb", "1x2x3"):
        with pytest.raises(ReverieError):
            parse_resolution(bad)
