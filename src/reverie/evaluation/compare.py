"""Several models beside each other: same seeds, same held-out items, and which of their differences are real.

Each model is measured as `measure` does. For a pair A, B and a metric the difference A - B is taken on the same held-out items
and the samples of the same numbers; its spread is by half-sampling (see evaluate.py), the same halves for both, so that what the
held-out items and the noise do to both cancels:

    difference +- 1.96 sd(difference of halves),   p = 2 (1 - Phi(|difference| / sd))

Label agreement is a share of n; its difference is taken as of two independent shares, which is too careful where they go
together. All pairs and metrics are looked at, so some p are small by chance: a difference is called real where Holm's procedure
rejects at 5 % for all of them together. It is of these models: the same training with another seed gives another model.

Source: Holm 1979; half-sampling, Shao & Wu 1989, eq. 2.3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import norm

from reverie.core.samplers import Step
from reverie.data.dataset import Data
from reverie.data.split import digests
from reverie.errors import ReverieError
from reverie.evaluation.evaluate import LEVEL, Evaluation, all_metrics
from reverie.evaluation.measure import as_files_hold, measure
from reverie.metrics.base import Features, Metric
from reverie.metrics.features import choose
from reverie.model import Model
from reverie.registry import config, name_of
from reverie.samples import Samples

HALVES = 200
LABELS = "label-agreement"


@dataclass(frozen=True)
class Contender:
    """A model by the name it goes by, with its own training items and what it is measured on."""

    name: str
    model: Model
    train: Data
    held_out: Data


@dataclass(frozen=True)
class Difference:
    """One metric's value of a minus that of b, the better of the two first.

    low, high: 95 % interval of the difference alone. p: two-sided, of this difference alone. real: so by Holm at 5 % over
    all that were looked at.
    """

    metric: str
    title: str
    a: str
    b: str
    value: float
    low: float
    high: float
    p: float
    real: bool = False

    def line(self, n: int) -> str:
        """Return it in words."""
        figures = f"{_signed(self.value)} [{_signed(self.low)}, {_signed(self.high)}]"
        if self.real:
            return f"{self.a} is better than {self.b} in {self.title}: {figures}"
        chance = " (by itself it would be, but so many were looked at)" if self.p < 1 - LEVEL else ""
        return f"{self.a} and {self.b} in {self.title}: no difference that n = {n:,} shows{chance}: {figures}"


@dataclass(frozen=True)
class Comparison:
    """All models with their evaluations and samples in the order given, and every difference."""

    contenders: tuple[Contender, ...]
    evaluations: tuple[Evaluation, ...]
    samples: tuple[Samples, ...]
    differences: tuple[Difference, ...]
    n: int
    seed: int
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """What the models go by."""
        return [c.name for c in self.contenders]

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain JSON."""
        runs = [
            {"name": c.name, "sampling": s.settings.to_json(), **e.to_json()}
            for c, e, s in zip(self.contenders, self.evaluations, self.samples, strict=True)
        ]
        found = [dataclasses.asdict(d) for d in self.differences]
        return {"n": self.n, "seed": self.seed, "runs": runs, "differences": found, "notes": list(self.notes)}

    def lines(self) -> list[str]:
        """Return the differences and notes as lines for a person, the real ones first."""
        ranked = sorted(self.differences, key=lambda d: not d.real)
        return [*(d.line(self.n) for d in ranked), *(f"Note: {note}" for note in self.notes)]


def compare(
    contenders: Sequence[Contender],
    *,
    n: int = 500,
    seed: int = 0,
    features: Features | None = None,
    on_step: Callable[[int, Step], None] | None = None,
) -> Comparison:
    """Measure every model on the same n held-out items with the same seeds and labels, and find which differences are real.

    on_step: told which model is drawing, and its step. Raises ReverieError for fewer than two, for names that are not
    different, and for models of different kinds, shapes or held-out items.
    """
    check(contenders)
    first = contenders[0]
    size = min(n, len(first.held_out))
    places = np.sort(np.random.default_rng(seed).permutation(len(first.held_out))[:size])
    codec = first.model.codec
    real = codec.numbers(first.model.encode(first.held_out.subset(places).items))
    features = features or choose(real.shape[1:])
    evaluations, samples = [], []
    for k, one in enumerate(contenders):
        watch = None if on_step is None else lambda step, k=k: on_step(k, step)
        judged, drawn = measure(
            one.model, one.train, one.held_out.subset(places), n=size, features=features, seed=seed, on_step=watch
        )
        evaluations.append(judged)
        samples.append(drawn)
    held = features(real)
    made = [features(codec.numbers(as_files_hold(c.model, s))) for c, s in zip(contenders, samples, strict=True)]
    names = [c.name for c in contenders]
    metrics = [m for m in all_metrics() if name_of(type(m)) in {s.name for s in evaluations[0].scores}]
    found = differences(names, held, made, metrics, seed) + of_labels(names, evaluations)
    notes = [*_seen(contenders, places), *_audits(names, evaluations)]
    notes += dict.fromkeys(note for e in evaluations for note in e.notes)
    return Comparison(
        tuple(contenders), tuple(evaluations), tuple(samples), tuple(holm(found)), size, seed, tuple(notes)
    )


def check(contenders: Sequence[Contender]) -> None:
    """Refuse what cannot be set side by side, and say why."""
    if len(contenders) < 2:
        raise ReverieError("A comparison takes two runs or more: reverie compare RUN1 RUN2.")
    names = [c.name for c in contenders]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ReverieError(
            f"{twice[0]} is named twice; give each run once, and two folders of one name by longer paths."
        )
    first = contenders[0]
    for other in contenders[1:]:
        for what, mine, its in (
            ("makes", first.model.codec.kind, other.model.codec.kind),
            ("has items of", first.model.codec.shape_words, other.model.codec.shape_words),
            ("scales values as", _scale(first.model), _scale(other.model)),
        ):
            if mine != its:
                raise ReverieError(
                    f"{first.name} {what} {mine} and {other.name} {what} {its}, so their distances are not of one scale. Compare "
                    "runs of the same kind, size and range."
                )
        if digests(first.held_out.items) != digests(other.held_out.items):
            raise ReverieError(
                f"{first.name} and {other.name} do not hold out the same items: what one is tested on, the other may have "
                "learned from. Give data that none of them has seen: --data PATH."
            )


def differences(
    names: Sequence[str],
    held: np.ndarray,
    made: Sequence[np.ndarray],
    metrics: Sequence[Metric],
    seed: int = 0,
    halves: int = HALVES,
) -> list[Difference]:
    """Differences of every pair in every metric, features (n, D) of held-out items and of each model's samples; none real yet."""
    rng = np.random.default_rng(seed)
    half = min(len(held), *(len(x) for x in made)) // 2
    cuts = [(rng.permutation(len(held))[:half], rng.permutation(min(map(len, made)))[:half]) for _ in range(halves)]
    found = []
    for metric in metrics:
        values = [metric(held, x) for x in made]
        spread = np.array([[metric(held[i], x[j]) for x in made] for i, j in cuts])
        for a, b in combinations(range(len(made)), 2):
            sd = float(np.std(spread[:, a] - spread[:, b], ddof=1))
            title = (name_of(type(metric)), metric.title, metric.better)
            found.append(_difference(title, (names[a], values[a]), (names[b], values[b]), sd))
    return found


def of_labels(names: Sequence[str], evaluations: Sequence[Evaluation]) -> list[Difference]:
    """Differences of every pair in label agreement, where it was measured for both."""
    found = []
    shares = [(name, e.labels.samples) for name, e in zip(names, evaluations, strict=True) if e.labels is not None]
    for (a, one), (b, other) in combinations(shares, 2):
        sd = float(np.sqrt(sum(s.value * (1 - s.value) / s.n for s in (one, other))))
        found.append(_difference((LABELS, "Label agreement", "higher"), (a, one.value), (b, other.value), sd))
    return found


def holm(found: Sequence[Difference], level: float = 1 - LEVEL) -> list[Difference]:
    """Mark as real what Holm's procedure rejects: the k-th lowest p of m, from 0, at level / (m - k), until one is not.

    The chance of calling any difference real where there is none is at most `level`, however the p hang together.
    """
    marked = list(found)
    for k, place in enumerate(sorted(range(len(found)), key=lambda i: found[i].p)):
        if found[place].p > level / (len(found) - k):
            break
        marked[place] = dataclasses.replace(found[place], real=True)
    return marked


def _difference(what: tuple[str, str, str], a: tuple[str, float], b: tuple[str, float], sd: float) -> Difference:
    """Of two named values, the better first; what: the metric's name, its title, and which way is better."""
    name, title, better = what
    first, second = (b, a) if (b[1] > a[1] if better == "higher" else b[1] < a[1]) else (a, b)
    value, reach = first[1] - second[1], float(norm.ppf((1 + LEVEL) / 2)) * sd
    p = 1.0 if value == 0 else 0.0 if sd == 0 else 2 * float(norm.sf(abs(value) / sd))
    return Difference(name, title, first[0], second[0], value, value - reach, value + reach, p)


def _scale(model: Model) -> str:
    """What the codec does to values; numbers and tokens of one range are on one scale."""
    return ", ".join(f"{k} {v}" for k, v in config(model.codec).items() if k not in ("name", "rule", "levels"))


def _seen(contenders: Sequence[Contender], places: np.ndarray) -> list[str]:
    """Say of each model how many of the items it is measured on are among those it learned from."""
    notes = []
    for one in contenders:
        learned, held_out = set(digests(one.train.items)), digests(one.held_out.items)
        if seen := sum(held_out[k] in learned for k in places):
            notes.append(
                f"{one.name} learned from {seen:,} of the {len(places):,} items it is measured on, which favours it."
            )
    return notes


def _audits(names: Sequence[str], evaluations: Sequence[Evaluation]) -> list[str]:
    """Say which models copy: scores reward copying."""
    found = zip(names, evaluations, strict=True)
    return [
        f"{name}: {e.audit.verdict} Scores reward copies; look at its own report."
        for name, e in found
        if e.audit.copying
    ]


def _signed(value: float) -> str:
    """Three significant digits with the sign."""
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"
