"""How good the samples are, and never a figure alone: with its n, an interval, the floor and the baselines.

Every score compares n generated with n held-out items. Beside it stand, at the same n and on the same held-out items:
- the floor: real training items in the place of the generated (mean and spread over repeated draws);
- a Gaussian fit: draws from one Gaussian with the mean and covariance of the encoded training items;
- noisy copies: training items with a little noise, which score well and are worth nothing (the audit is what tells).

The interval is by half-sampling. A bootstrap draws with replacement, and repeated items are what these scores take for
lack of variety (Frechet) or for close neighbours (the others). Half-samples hold no item twice, and the variance of a
mean over half-samples of n items is (n - n/2) / (n/2) = 1 times that of the mean of n. So, with scores of random halves
of both sets, value +- 1.96 (their standard deviation); the higher bias at n/2 is in their mean, which is not used.
It is an interval for the expected score *at this n*, over new samples and new held-out items alike. Where both sets are
of one law, Frechet and kernel distance are degenerate (their first-order term vanishes), and it is too wide by up to
sqrt(3). Measured over repeated draws (tests/evaluation): it covers in 91 % (density) to 96 % (Frechet) of trials where
the laws differ, and in 98 to 100 % where they do not. A metric that is slow says how few half-samples serve (`half_samples`).

Source: half-sampling, the delete-d jackknife with d = n / 2, Shao & Wu 1989, eq. 2.3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from reverie.errors import ReverieError
from reverie.evaluation.audit import Audit, audit
from reverie.evaluation.classifier import LabelAgreement, label_agreement
from reverie.evaluation.filling import Filling
from reverie.evaluation.likelihood import Likelihood
from reverie.evaluation.membership import Membership
from reverie.metrics.base import Comparison, Features, Metric, Test
from reverie.metrics.features import better, choose
from reverie.registry import config, name_of, registered

LEVEL = 0.95
NOISE = 0.1  # of the noisy copies, in standard deviations of the encoded training items
_AT_ONCE = 1 << 16  # training items that a Gaussian fit takes together
POOL = 4  # training items looked at, in units of n: the floor's repeats are drawn from them


@dataclass(frozen=True)
class Score:
    """One metric's value on n generated and n held-out items, with all that it takes to read it.

    low, high: 95 % interval of the value (half-sampling). floor, floor_sd: real training items in place of the
    generated, mean and standard deviation over repeated draws. gaussian: a Gaussian fit to the encoded training items.
    noisy_copies: training items with noise. options: the metric's own, by name. p: of a metric that is a test, how likely a
    value as bad would be, were samples and held-out items of one law; None of all others.
    """

    name: str
    title: str
    value: float
    low: float
    high: float
    n: int
    floor: float
    floor_sd: float
    gaussian: float
    noisy_copies: float
    better: str
    features: str
    features_hash: str
    options: dict[str, Any]
    notes: tuple[str, ...] = ()
    p: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """All that is known about a set of samples: scores, agreement with the labels asked for, the audit for copies.

    likelihood: of the model itself, on held-out items; None where samples alone were judged. filling: how well it says what it
    is not shown, where it can be asked.
    """

    n: int
    seed: int
    scores: tuple[Score, ...]
    labels: LabelAgreement | None
    audit: Audit
    notes: tuple[str, ...]
    likelihood: Likelihood | None = None
    filling: tuple[Filling, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain numbers, strings, lists and dictionaries."""
        return dataclasses.asdict(self)

    def score(self, name: str) -> Score:
        """Return the score called `name`; one that was not taken is an error that says which were."""
        found = {s.name: s for s in self.scores}
        if name not in found:
            raise ReverieError(
                f"There is no score '{name}' in this evaluation; there are: {', '.join(found) or 'none'}."
            )
        return found[name]

    def lines(self) -> list[str]:
        """Return the evaluation as lines for a person."""
        labels = [] if self.labels is None else [self.labels.line()]
        bits = [] if self.likelihood is None else [self.likelihood.line()]
        bits += [one.line() for one in self.filling]
        return [
            *map(format_score, self.scores),
            *labels,
            *bits,
            *self.audit.lines(),
            *(f"Note: {note}" for note in self.notes),
        ]


def all_metrics() -> list[Metric]:
    """Return every registered metric with its default options."""
    return [cls() for cls in registered("metrics").values()]


def metrics_of(room: str, items: np.ndarray) -> list[Comparison]:
    """Return every metric registered in a room that suits such items, with its default options."""
    every: list[Comparison] = [cls() for cls in registered(room).values()]
    return [metric for metric in every if metric.suits(items)]


def scores(
    real_held_out: np.ndarray,
    real_train: np.ndarray,
    generated: np.ndarray,
    features: Features | None = None,
    metrics: Sequence[Comparison] | None = None,
    n: int | None = None,
    seed: int = 0,
    resamples: int = 200,
    repeats: int = 8,
) -> list[Score]:
    """Score generated against held-out items, all (*, ...) float32, pictures (*, C, H, W) in [-1, 1], on n of each.

    features: by the shape of the items unless given, see `choose`. n: as many as there are of the fewest, unless fewer are
    asked for. resamples: half-samples behind each interval, at most. repeats: draws of training items behind the floor.
    Raises ReverieError where n is too small for a metric (under twice its `least`, as half-samples must do).
    """
    features = features if features is not None else choose(generated.shape[1:])
    metrics = all_metrics() if metrics is None else metrics
    n, notes = _size(n, real_held_out, real_train, generated)
    for metric in metrics:
        if n < (need := 2 * metric.least):
            remedy = _remedy(need, len(real_held_out), len(generated))
            raise ReverieError(f"{metric.title} needs n = {need} or more, and n is {n}: {remedy}.")
    rng = np.random.default_rng(seed)
    sets = [_draw(rng, real_train, POOL * n), _draw(rng, real_held_out, n), _draw(rng, generated, n)]
    sets += [gaussian_fit(real_train, n, rng), noisy_copies(real_train, n, rng)]
    train, held, made, gaussian, copies = _measured(features, sets)
    draws = [rng.permutation(len(train))[:n] for _ in range(repeats)]
    if held.ndim > 1 and n <= held.shape[1]:  # of vectors
        notes += (
            f"n = {n} is not above the {held.shape[1]} features, so a Frechet distance is mostly bias: compare it with "
            "its floor alone.",
        )
    if advice := better(generated.shape[1:], features):
        notes += (advice,)

    found = []
    for metric in metrics:
        value = metric(held, made)
        low, high = interval(metric, held, made, resamples, rng)
        floors = [metric(held, train[draw]) for draw in draws]
        found.append(
            Score(
                name=name_of(type(metric)),
                title=features.titles.get(metric.title, metric.title),
                value=value,
                low=low,
                high=high,
                n=n,
                floor=float(np.mean(floors)),
                floor_sd=float(np.std(floors, ddof=1)) if repeats > 1 else 0.0,
                gaussian=metric(held, gaussian),
                noisy_copies=metric(held, copies),
                better=metric.better,
                features=name_of(type(features)),
                features_hash=features.hash,
                options={k: v for k, v in config(metric).items() if k != "name"},
                notes=notes,
                p=metric.p_value(held, made) if isinstance(metric, Test) else None,
            )
        )
    return found


def _measured(features: Features, sets: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The features of each set, (N, D); where they ask for it, in the mean and spread of the first, the training items."""
    found = [features(x) for x in sets]
    if not features.standardised:
        return found
    mean, sd = found[0].mean(axis=0), found[0].std(axis=0)
    return [(x - mean) / np.where(sd > 0, sd, 1) for x in found]


def interval(
    metric: Comparison, real: np.ndarray, generated: np.ndarray, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % interval of metric(real, generated) by half-sampling both sets; see the head of this file."""
    value = metric(real, generated)
    count = min(resamples, metric.half_samples)
    halves = [metric(_half(rng, real), _half(rng, generated)) for _ in range(count)]
    reach = norm.ppf((1 + LEVEL) / 2) * float(np.std(halves, ddof=1))
    least, most = metric.bounds
    return max(least, value - reach), min(most, value + reach)


def gaussian_fit(train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n items (n, *) from the Gaussian with the mean and covariance of `train` (N, *), in its range.

    mean + z^T X / sqrt(N - 1), z ~ N(0, I_N), X the centred items: this has exactly the sample covariance, and no
    matrix of pixels by pixels is formed. What lies outside the range of `train` is cut to it.
    """
    flat = train.reshape(len(train), -1)
    mean, scale = flat.mean(axis=0), np.float32(np.sqrt(max(1, len(train) - 1)))
    drawn = np.tile(mean, (n, 1))
    for first in range(0, len(flat), _AT_ONCE):  # z of a million items is no matrix to hold
        some = flat[first : first + _AT_ONCE]
        drawn += rng.standard_normal((n, len(some)), dtype=np.float32) / scale @ (some - mean)
    return np.clip(drawn, flat.min(), flat.max()).reshape(n, *train.shape[1:]).astype(np.float32)


def noisy_copies(train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n items of `train` with replacement and add noise of `NOISE` of its standard deviation, cut to its range."""
    drawn = train[rng.integers(len(train), size=n)]
    noise = rng.standard_normal(drawn.shape, dtype=np.float32) * np.float32(NOISE * train.std())
    return np.clip(drawn + noise, train.min(), train.max()).astype(np.float32)


def format_score(score: Score) -> str:
    """Write a score in one line, with everything that it takes to read it."""
    return (
        f"{score.title} {_number(score.value)}  [{_number(score.low)}, {_number(score.high)}], n = {score.n:,}   "
        f"floor (real vs real) {_number(score.floor)}   Gaussian fit {_number(score.gaussian)}   "
        f"{'' if score.p is None else f'p = {score.p:.2g}   '}features: {score.features} {score.features_hash}"
    )


def labels_like(y: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Return n labels (n,) in the proportions of y (N,), by largest remainder, shuffled: what to ask a model for.

    Samples in other proportions than the data's are measured as if the model had got the classes wrong.
    """
    classes, counts = np.unique(y, return_counts=True)
    exact = n * counts / len(y)
    share = np.floor(exact).astype(np.int64)
    share[np.argsort(share - exact, kind="stable")[: n - share.sum()]] += 1
    return np.random.default_rng(seed).permutation(np.repeat(classes, share))


def evaluate(
    train_x: np.ndarray,
    held_x: np.ndarray,
    samples_x: np.ndarray,
    train_y: np.ndarray | None = None,
    held_y: np.ndarray | None = None,
    sample_y: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    features: Features | None = None,
    metrics: Sequence[Metric] | None = None,
    n: int | None = None,
    seed: int = 0,
    resamples: int = 200,
    membership: Membership | None = None,
    likelihood: Likelihood | None = None,
    own: tuple[str, Features] | None = None,
    spans: np.ndarray | None = None,
) -> Evaluation:
    """Evaluate samples against the data they should be like: x (N, *) float32, pictures (N, C, H, W) in [-1, 1], y (N,) integers.

    membership, likelihood: what a model says of the data, where there is one; see `measure`. own: of a kind that has metrics of
    its own, their room in the registry and what gives the items as these take them. spans: see `audit`.

    Metrics that n is too small for are left out, and a note says so. Labels are judged where all three sets have them.
    """
    metrics = all_metrics() if metrics is None else metrics
    size, notes = _size(n, held_x, train_x, samples_x)
    enough, every_one = [metric for metric in metrics if size >= 2 * metric.least], list[Comparison](metrics)
    found = scores(held_x, train_x, samples_x, features, enough, size, seed, resamples) if enough else []
    if own is not None:
        room, values = own
        its = metrics_of(room, values(held_x[:1]))
        of_kind, every_one = [metric for metric in its if size >= 2 * metric.least], [*its, *every_one]
        found = scores(held_x, train_x, samples_x, values, of_kind, size, seed, resamples) + found
    labels = None
    if train_y is not None and held_y is not None and sample_y is not None:
        labels = label_agreement(train_x, train_y, held_x, held_y, samples_x, sample_y, classes, seed)
        notes += _class_balance(held_y, sample_y)
    copying = audit(train_x, held_x, samples_x, held_y, sample_y, seed, membership, spans)
    every = (
        notes
        + _left_out(every_one, size, len(held_x), len(samples_x))
        + tuple(note for score in found for note in score.notes)
        + copying.notes
    )
    return Evaluation(size, seed, tuple(found), labels, copying, tuple(dict.fromkeys(every)), likelihood)


def _size(n: int | None, held: np.ndarray, train: np.ndarray, generated: np.ndarray) -> tuple[int, tuple[str, ...]]:
    """Settle n, and say why where it is lower than asked for or than there are samples."""
    if not (held.shape[1:] == train.shape[1:] == generated.shape[1:]):
        raise ReverieError(
            f"Held-out items {held.shape[1:]}, training items {train.shape[1:]} and samples {generated.shape[1:]} "
            "differ in shape, so they cannot be compared."
        )
    for name, x in (("held-out item", held), ("training item", train), ("sample", generated)):
        if not np.isfinite(x).all():
            bad = int(np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))[0])
            raise ReverieError(f"A {name} (number {bad}) holds NaN or infinity, so nothing can be measured.")
    asked = len(generated) if n is None else n
    there = {"held-out items": len(held), "training items": len(train), "samples": len(generated)}
    fewest = min(there, key=lambda k: there[k])
    if there[fewest] >= asked:
        return asked, ()
    return there[fewest], (f"n is {there[fewest]:,} rather than {asked:,}, as there are only so many {fewest}.",)


def _class_balance(held_y: np.ndarray, sample_y: np.ndarray, most: float = 0.1) -> tuple[str, ...]:
    """Say so where the samples' labels are in other proportions than the data's (total variation above `most`)."""
    classes = np.union1d(held_y, sample_y)
    gap = 0.5 * sum(abs(np.mean(held_y == c) - np.mean(sample_y == c)) for c in classes)
    if gap <= most:
        return ()
    return (
        f"The samples' labels are in other proportions than the held-out items' ({gap:.0%} would have to change), "
        "which all distances count as error: ask for labels in the data's proportions.",
    )


def _left_out(metrics: Sequence[Comparison], n: int, held: int, drawn: int) -> tuple[str, ...]:
    """What n is too small for, and what to do, a note for each remedy."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        if n < (need := 2 * metric.least):
            found.setdefault(_remedy(need, held, drawn), []).append(f"{metric.title} (needs {need})")
    return tuple(
        f"Left out, as n is {n}: {', '.join(titles)}. To have them, {remedy}." for remedy, titles in found.items()
    )


def _remedy(need: int, held: int, drawn: int) -> str:
    """How to come by so many items to compare."""
    if held < need:  # of which no more samples are drawn than there are
        return "hold out more items (--held-out), of more data, or of series by a shorter --window"
    return "draw more samples" if drawn < need else "ask for a larger n"


def _draw(rng: np.random.Generator, x: np.ndarray, n: int) -> np.ndarray:
    """Return n of the rows of x without replacement, or all of them."""
    return x if n >= len(x) else x[np.sort(rng.permutation(len(x))[:n])]


def _half(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return x[rng.permutation(len(x))[: len(x) // 2]]


def _number(value: float) -> str:
    """Three significant digits, without an exponent down to 0.001."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
