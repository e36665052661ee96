"""The verdict: on recorded traces of seeded faults and healthy runs, on figures made up for one rule each, and on live runs."""

import copy
import gzip
import importlib
import json
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import beta
from torch import nn

from reverie.data.split import FEW_HELD_OUT
from reverie.example import Condition
from reverie.training import signs, validation, verdict
from reverie.training.trackers import damage
from reverie.training.verdict import FAULTS, STATES, judge, of_run
from tests.toy import data

TRACES = Path(__file__).parent / "traces"
TOOLS = Path(__file__).parent.parent.parent / "tools"
LIVE = 3001  # first seed of the live runs
LABELS = {"labels shuffled", "labels ignored"}  # one fault: a network may well learn to ignore labels that say nothing
NAMED = {  # kind of trace -> what names it rightly; a run that diverges is named by its state, whatever the cause given
    "too-short": {"too short"},
    "overfitting": {"overfitting"},
    "memorising": {"copies of training data"},
    "diverging": {"diverging"},
    "lr-too-high": {"learning rate too high"},
    "lr-too-low": {"learning rate too low"},
    "ema-lagging": {"average lagging"},
    "labels-shuffled": LABELS,
    "labels-ignored": LABELS,
    "drift": {"drift in samples"},
    "dead-network": {"dead network"},
    "healthy": {"learning", "converged"},
}


@cache
def recorded():
    """Every trace, as its file holds it."""
    paths = sorted(TRACES.glob("*.jsonl.gz"))
    return [json.loads(line) for path in paths for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def traces(half=None):
    """(kind, seed, log) of the recorded runs; thresholds were set on the others and are tested on the half "test"."""
    for found in recorded():
        if half is None or found["half"] == half:
            yield found["kind"], found["seed"], unpacked(found["events"])


@pytest.fixture
def tool(monkeypatch):
    """The script that records traces."""
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("make_verdict_traces")


def unpacked(events):
    """A log as `read_log` gives it: one event a step."""
    columns, *others = events
    rows = zip(columns["loss"], columns["lr"], columns["grad_norm"], strict=True)
    steps = [
        {"event": "step", "step": k + 1, "loss": loss, "lr": lr, "grad_norm": norm, "images": columns["images"]}
        for k, (loss, lr, norm) in enumerate(rows)
    ]
    return sorted([*steps, *others], key=lambda e: e["step"])


def rightly(kind, found):
    named = {found.state} if kind == "diverging" else {found.name}
    return bool(named & NAMED[kind])


def interval(k, n, level=0.95):
    """Clopper & Pearson 1934: the exact interval of a share."""
    a = (1 - level) / 2
    return (beta.ppf(a, k, n - k + 1) if k else 0.0), (beta.ppf(1 - a, k + 1, n - k) if k < n else 1.0)


def share(k, n):
    low, high = interval(k, n)
    return f"{k} of {n} = {k / n:.1%} [{low:.1%}, {high:.1%}]"


def table(half):
    """Judge a half; returns (faults named rightly, faults, healthy accused, healthy) and prints all with intervals."""
    right, count, wrong = Counter(), Counter(), []
    for kind, seed, log in traces(half):
        found = judge(log)
        count[kind] += 1
        right[kind] += rightly(kind, found)
        if not rightly(kind, found):
            wrong.append(f"{kind} {seed}: {found.state} / {found.name}")
    for kind in count:
        print(f"{kind:16} {share(right[kind], count[kind])}")
    n = sum(v for k, v in count.items() if k != "healthy")
    good, accused = sum(v for k, v in right.items() if k != "healthy"), count["healthy"] - right["healthy"]
    print(f"faults named rightly, {half} half: {share(good, n)}; false alarms: {share(accused, count['healthy'])}")
    print("\n".join(wrong))
    return good, n, accused, count["healthy"]


def test_faults_are_named_and_healthy_runs_are_not_accused_on_the_half_that_set_no_threshold():
    """A blind figure, of rules that were committed before it was looked at: 26 of 27 faults named, 1 of 60 healthy accused.

    It is the second of its kind. The first ("first" here, judged once too) gave 64 of 66 faults [89.5 %, 99.6 %] and 5 of 60
    healthy runs accused [2.8 %, 18.4 %]: three of drift while flows were still learning fast, two of shuffled labels where
    little was learned. It was then added to what thresholds are set on, and these traces were recorded. Two earlier halves,
    whose faults had not been shown to take, had given 24 of 33 and 16 of 22, and no false alarm in 12 and 12.
    All are of small networks and 8x8 pictures; faults are few of each kind (1 to 3), so the interval is wide.
    """
    good, faults, accused, healthy = table("test")
    assert faults >= 27
    assert healthy >= 60
    assert good >= 0.9 * faults
    assert accused <= 0.05 * healthy


def test_every_seeded_fault_took_and_no_healthy_run_ails(tool):
    """By what the verdict never sees: items and samples apart from the run's, and the paired run without the fault."""
    halves = set()
    for found in recorded():
        if found["half"] in tool.HALVES:
            run, pair = (tool.Truth(**(found["truth"][k] or {})) for k in ("run", "pair"))
            assert tool.took(found["kind"], run, pair), (found["kind"], found["seed"])
            assert 0 <= found["seed"] - tool.HALVES[found["half"]] < 1000, "no seed of one half is in another"
            halves.add(found["half"])
    assert halves == tool.HALVES.keys()


def test_clopper_pearson_is_exact():
    """At its ends the binomial tail is 2.5 %; and the closed forms for none and for all."""
    from scipy.stats import binom

    low, high = interval(3, 20)
    assert binom.sf(2, 20, low) == pytest.approx(0.025)
    assert binom.cdf(3, 20, high) == pytest.approx(0.025)
    assert interval(0, 12) == (0.0, pytest.approx(1 - 0.025 ** (1 / 12)))
    assert interval(12, 12) == (pytest.approx(0.025 ** (1 / 12)), 1.0)


def damaged(tmp_path, lines, bad):
    """A run folder with a log of these events, some of its lines as `bad` has them."""
    text = [json.dumps(event).encode() + b"\n" for event in lines]
    for k, line in bad.items():
        text[k] = line
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(text))
    return tmp_path


def test_a_damaged_log_is_said_line_by_line_and_judged_without_them(tmp_path):
    log = next(log for kind, _, log in traces() if kind == "healthy")
    step = next(k for k, e in enumerate(log) if e["event"] == "step" and e["step"] == 7)
    whole = of_run(damaged(tmp_path, log, {}))
    assert not damage(tmp_path / "metrics.jsonl")
    bad = {step: b'{"event": "st\xff\xfe\n', step + 1: b"7\n"}
    found = of_run(damaged(tmp_path, log, bad))
    assert (found.state, found.next, found.evidence[1:]) == (whole.state, whole.next, whole.evidence)
    assert f"2 of {len(log):,} lines cannot be read (lines {step + 1}, {step + 2})" in found.evidence[0]
    # cut off by a kill: no damage
    assert not damage(damaged(tmp_path, log, {len(log) - 1: b'{"event": "do'}) / "metrics.jsonl")
    looks = {k: b"\0\n" for k, e in enumerate(log) if e["event"] == "validation"}
    none = of_run(damaged(tmp_path, log, looks))
    assert none.state == "unknown"
    assert f"{len(looks)} of" in none.evidence[0]
    odd = [{**e, "bands": 3} if e["event"] == "validation" else e for e in log]
    assert of_run(damaged(tmp_path, odd, {})).state == "unknown"


def test_every_verdict_has_evidence_with_figures_and_one_thing_to_do():
    seen = set()
    for _, _, log in traces():
        found = judge(log)
        assert found.state in STATES
        assert found.fault in (*FAULTS, "")
        assert any(c.isdigit() for line in found.evidence for c in line)
        assert found.next.endswith(".")
        assert "nan" not in " ".join(found.lines()).lower().split()
        seen |= {found.state, found.name}
    assert seen >= set(FAULTS), "every fault is in the traces"


@pytest.fixture(scope="module")
def healthy():
    """A recorded run with labels that is judged well."""
    return next(
        log
        for kind, _, log in traces()
        if kind == "healthy" and judge(log).fault == "" and _last(log, "validation")["labels"]
    )


def _last(log, kind):
    return [e for e in log if e["event"] == kind][-1]


def injected(log, kind, change):
    """A copy whose last event of a kind was changed in place."""
    log = copy.deepcopy(log)
    change(_last(log, kind))
    return log


def test_one_figure_changed_in_a_healthy_trace_changes_the_verdict_to_its_fault(healthy):
    look, drawn = _last(healthy, "validation"), _last(healthy, "samples")["compared"]
    told = look["labels"]["told"]
    assert judge(healthy).state in ("learning", "converged")

    def with_look(**values):
        return judge(injected(healthy, "validation", lambda e: e.update(values))).name

    def with_drawn(**values):
        return judge(injected(healthy, "samples", lambda e: e.update(compared=drawn | values))).name

    assert with_look(labels={"told": told, "untold": told, "wrong": told}) == "labels ignored"
    assert with_look(labels={"told": told, "untold": 0.99 * told, "wrong": 1.005 * told}) == "labels shuffled"
    assert with_look(held_out_raw=look["held_out"] / 1.5) == "average lagging"
    assert with_drawn(copies=0.8, near=0.2) == "copies of training data"
    few = injected(healthy, "samples", lambda e: e.update(compared=drawn | {"copies": 0.8, "near": 0.2}))
    assert judge(injected(few, "validation", lambda e: e.update(items=FEW_HELD_OUT))).state == "memorising"
    assert judge(injected(few, "validation", lambda e: e.update(items=1))).state in ("learning", "converged")
    assert "--augment" in judge(few).next
    assert "--augment" not in judge(injected(few, "plan", lambda e: e.update(kind="series"))).next
    assert with_drawn(shift=0.8, shift_z=30.0) == "drift in samples"
    assert with_drawn(shift=0.8, shift_z=1.0) not in FAULTS, "an offset within what so few samples vary by"
    assert with_look(held_out=float("nan")) in ("diverging", "learning rate too high")
    n2, v = np.square(look["noise"]), look["baseline"]
    nothing = {k: list(v * n2 / (v + n2)) for k in look["bands"]}
    shuffled = {"told": told, "untold": told, "wrong": told}
    begun = next(e for e in healthy if e["event"] == "validation")["held_out"]
    little = {"labels": shuffled, "bands": nothing, "held_out": begun, "held_out_raw": begun}
    assert with_look(**little) not in FAULTS, "who has learned little has not learned labels yet"
    bands = look["bands"] | {"train": [v / 2 for v in look["bands"]["held_out"]]}
    assert with_look(bands=bands, held_out=2 * look["held_out"], held_out_raw=2 * look["held_out"]) == "overfitting"


def test_what_chance_alone_makes_of_few_held_out_items_is_not_called_overfitting(healthy):
    """Items whose errors are alike on both sides, but differ from one to the next: 18 held out err more by who they are.

    Of 200 such runs two in a hundred or so lie beyond two standard errors above; a run that errs twice as much does, too.
    """
    look, rng = _last(healthy, "validation"), np.random.default_rng(0)

    def judged(by_item, **more):
        far = [v * np.mean(by_item) for v in look["bands"]["train"]]
        change = {"bands": look["bands"] | {"held_out": far}, "by_item": list(by_item), "items": len(by_item)}
        return judge(injected(healthy, "validation", lambda e: e.update(change | more)))

    names = Counter(judged(rng.lognormal(-0.32, 0.8, 18)).state for _ in range(200))
    assert names["overfitting"] <= 10
    assert names["cannot say: few held out"] > 20
    worse = judged(1.6 * rng.lognormal(-0.125, 0.5, 128))
    assert worse.state == "overfitting"
    assert "n = 128" in " ".join(worse.evidence)
    assert judged([1.5]).state == "cannot say: few held out"
    unsure = judged(rng.lognormal(-0.32, 0.8, 18) + 0.3)
    assert unsure.heading == "cannot say: few held out"
    assert "--held-out" in unsure.next


def test_an_unfinished_log_is_judged_and_an_empty_one_is_too_short(healthy):
    """At any step of a healthy run: no fault that only its end could show."""
    assert judge([]).state == "too short"
    for stop in (1, 5, 40, 150):
        found = judge([e for e in healthy if e["step"] <= stop])
        assert found.name in ("too short", "learning"), (stop, found)
        assert "--resume" in found.next or "first look" in found.next


def test_skill_is_nothing_for_the_best_linear_guess_and_half_for_half_its_error():
    """E[x0 | x_t] of a Gaussian errs by v n^2 / (v + n^2): Monte Carlo, for one v and n, and the formula at eight."""
    v, n = 0.3, np.geomspace(0.05, 3, 8)
    rng = np.random.default_rng(0)
    x0 = rng.normal(0, v**0.5, 400_000)
    x_t = x0 + n[4] * rng.normal(size=len(x0))
    error = np.mean((x0 - v / (v + n[4] ** 2) * x_t) ** 2)
    assert error == pytest.approx(v * n[4] ** 2 / (v + n[4] ** 2), rel=0.01)
    linear = v * n**2 / (v + n**2)
    look = {"baseline": v, "noise": list(n), "measures": {"error": "mean squared error of x0"}}
    assert signs._skill(look | {"bands": {"held_out": list(linear)}}) == pytest.approx(0, abs=1e-12)
    assert signs._skill(look | {"bands": {"held_out": list(linear / 2)}}) == pytest.approx(0.5)
    tokens = {"baseline": 2.0, "measures": {"error": "nats per token"}, "bands": {"held_out": [0.5] * 8}}
    assert signs._skill(tokens) == pytest.approx(0.75)


def items(count, seed, channels=2):
    return np.random.default_rng(seed).normal(0, 1, (count, channels, 4, 4)).astype(np.float32)


def test_sample_facts_tell_copies_from_unseen_items_and_measure_a_shift():
    train, held = items(200, 0), items(64, 1)
    copies = validation.sample_facts(train[:48], held, train)
    assert copies["near"] == 0
    assert copies["copies"] == 1
    unseen = validation.sample_facts(items(48, 2), held, train)
    assert unseen["near"] == pytest.approx(1, abs=0.05)
    assert unseen["copies"] < 0.25
    assert unseen["shift_z"] < 4
    moved = train.copy()
    moved[:, 1] += 0.7
    sd = train[:, 1].std()
    facts = validation.sample_facts(moved, held, train)
    assert facts["shift"] == pytest.approx(0.7 / sd, rel=1e-5)
    assert facts["shift_z"] > 20
    assert validation.sample_facts(2 * train, held, train)["spread"] == pytest.approx(2)


def test_a_rare_word_that_none_of_the_items_compared_with_has_is_no_drift():
    """One of 48 drawn rows has what 200 of 200,000 rows have and none of those looked at: it was 4e10 standard deviations."""
    train, held = items(200, 0), items(64, 1)
    drawn = items(48, 2)
    for one in (train, held, drawn):
        one[:, 1] = 0
    drawn[7, 1] = 1
    facts = validation.sample_facts(drawn, held, train)
    assert facts["shift"] < 0.25
    assert facts["shift_z"] < 3.5
    drawn[:, 1] = 1
    assert validation.sample_facts(drawn, held, train)["shift_z"] > 1e6, "what all are and no item of the data is"


class Naming(nn.Module):
    """Answers by the label alone, so that what each telling should cost is known."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(()))
        self.hears = True

    def forward(self, x, level, cond):
        told = cond["label"].value.float() if "label" in cond and self.hears else torch.full((len(x),), -1.0)
        return x * 0 + told[:, None, None, None] + self.p


def test_label_errors_tell_the_right_label_none_and_a_wrong_one():
    """The network's output is the label: told, untold (-1) and wrong answers differ by what arithmetic says."""
    from reverie.core.times import LogNormal
    from reverie.training.settings import TrainSettings
    from reverie.training.setup import prepare

    job = prepare(data(120), TrainSettings.of({"device": "cpu", "batch": 8, "held_out": 40}), Naming())
    denoiser, held = job.model.denoiser, job.held_out
    times = validation.bands(LogNormal(), denoiser)
    found = validation.label_errors(denoiser, held, times)
    half = held.first(max(16, len(held.x) // 2))
    assert found["told"] == validation.weighted(validation.errors(denoiser, half, times), denoiser, times)
    labels = half.cond["label"].value
    untold = validation.Items(half.x, {"label": Condition.of(torch.full_like(labels, -1))})
    assert found["untold"] == pytest.approx(
        validation.weighted(validation.errors(denoiser, untold, times), denoiser, times)
    )
    assert len({round(v, 6) for v in found.values()}) == 3
    assert validation.label_errors(denoiser, validation.Items(held.x), times) == {}
    alike = {"label": Condition.of(held.cond["label"].value * 0)}
    assert validation.label_errors(denoiser, validation.Items(held.x, alike), times) == {}
    denoiser.network.hears = False
    assert len(set(validation.label_errors(denoiser, held, times).values())) == 1, "who does not hear errs alike"


def test_a_run_folder_is_judged_by_its_log_alone_and_told_by_its_name(tmp_path, healthy):
    """Events written as JSON lines and read back judge the same; RUN in the advice becomes the folder."""
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in healthy[: len(healthy) // 4]))
    found, same = verdict.of_run(tmp_path), judge(healthy[: len(healthy) // 4])
    assert (found.state, found.fault, found.evidence) == (same.state, same.fault, same.evidence)
    assert found.next == same.next.replace("RUN", str(tmp_path))
    assert str(tmp_path) in found.next


@pytest.mark.slow
def test_ten_live_runs(tool):
    """Runs that no trace recorded, trained here, each fault in a dose that takes: at least nine named rightly."""
    torch.set_num_threads(1)
    kinds = [k for k in tool.KINDS if k not in ("overfitting", "memorising")]
    runs = {k: next(filter(None, (tool.record(k, seed) for seed in range(LIVE, LIVE + 9)))) for k in kinds}
    found = {k: judge(unpacked(run["events"])) for k, run in runs.items()}
    wrong = {k: v.name for k, v in found.items() if not rightly(k, v)}
    assert len(found) == 10
    assert len(wrong) <= 1, wrong
