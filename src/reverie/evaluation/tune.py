"""The cheapest way to sample a model that is as good as 1,000 steps: proposed on one set of seeds, shown on another.

Quality is the Frechet distance to held-out items, at one n for all. A way of sampling (sampler, grid, steps, guidance) is
judged by its ratio to the reference's distance, on the same seeds, labels and held-out items, so that what the two share
cancels. The interval of the ratio R = a / b of distances is by half-sampling (see evaluate.py), the same halves in both:

    R +- z sd(a_half - R b_half) / b,   z for 95 % over all the ways that may be tried on fresh seeds, one a rung

Half-samples have a higher distance, by about as much in a as in b, which their difference does not see and their ratio would.

1. Search, on few samples of the first seeds: rung by rung of evaluations a sample, every way at that cost; the worse half of
   them goes no further. The yardstick is the reference's own sampler in 64 steps, for 1,000 would cost more than all else.
2. Proof, on n samples of fresh seeds, against 1,000 steps: of the ways of a rung that looked good enough, the surest is taken
   where the upper end of its interval is within 1 + tolerance. If not, the search goes on to the next rung.

A choice made on the held-out items is a choice made on them: the seeds are fresh,
the items are not.

Source: halving, Jamieson & Talwalkar 2016; half-sampling, Shao & Wu 1989; the spread of a ratio, Fieller 1954.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from reverie.core.processes import Gaussian
from reverie.core.samplers import Step
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.evaluation.evaluate import LEVEL
from reverie.evaluation.measure import as_files_hold
from reverie.evaluation.tuned import RUNGS, Ratio, Trial, Tuning
from reverie.example import count
from reverie.metrics.base import Features
from reverie.metrics.features import choose
from reverie.metrics.frechet import Frechet
from reverie.model import Model
from reverie.registry import name_of
from reverie.samples import Settings, sampler_class

REFERENCE_STEPS, YARDSTICK_STEPS = 1000, 64
SAMPLERS = ("dpmpp-2m", "unipc", "heun", "ddim")  # that draw no noise on the way: few steps are enough for them
OF_TOKENS = ("ancestral", "confidence")
GRIDS, GRIDS_OF_TOKENS = ("karras", "log-snr"), ("uniform",)
SCALES = (1.0, 1.5)  # of guidance, beside the model's own
KEPT = 4  # ways that a rung keeps at least
HALVES, FEW_HALVES = 200, 40

# told: evaluations done, evaluations in all as far as is known, what is being done
Told = Callable[[float, float, str], None]


class Way(NamedTuple):
    """A way of sampling but for its steps, and what it costs: evaluations(steps) = first + more * steps."""

    settings: Settings
    first: float
    more: float

    def evaluations(self, steps: int) -> float:
        """Of the network, for each sample."""
        return self.first + self.more * steps

    def at(self, rung: int) -> Settings | None:
        """The settings with the most steps for that many evaluations; None where they buy fewer than two."""
        steps = math.floor((rung - self.first) / self.more + 1e-9)
        return dataclasses.replace(self.settings, steps=steps) if steps >= 2 else None


@dataclass(frozen=True)
class Drawn:
    """Samples of one way: their features (n, D), evaluations of the network for each, seconds for all."""

    settings: Settings
    features: np.ndarray
    evaluations: float
    seconds: float


def tune(
    model: Model,
    held_out: Data,
    *,
    tolerance: float = 0.05,
    n: int = 500,
    seed: int = 0,
    features: Features | None = None,
    told: Told | None = None,
) -> Tuning:
    """Find the cheapest way of sampling whose distance is within 1 + tolerance of the reference's; see the head of this file.

    n: samples, and held-out items they are compared with, at most as many as there are. seed: of the search; seed + 1 is of the
    proof. told: called as it goes. Changes nothing of the model. Raises ReverieError for too few held-out items, and where their
    classes are not the model's.
    """
    if not 0 < tolerance <= 1:
        raise ReverieError(f"tolerance = {tolerance:g}; give a share above 0 and up to 1, such as 0.05.")
    shape = model.codec.numbers(model.encode(held_out.subset([0]).items)).shape[1:]
    bench = Bench.of(model, held_out, n, seed, features or choose(shape), told or (lambda *_: None))
    ways = every_way(model)
    proof = Proof(bench, ways[0], seed + 1)
    tried: list[Trial] = []
    for proposed in search(bench, ways, tolerance, seed, ways[0].evaluations(REFERENCE_STEPS) * bench.n):
        tried.append(proof.of(proposed))
        if tried[-1].ratio.high <= 1 + tolerance:
            break
    good = bool(tried) and tried[-1].ratio.high <= 1 + tolerance
    return Tuning(
        chosen=tried[-1] if good else None,
        before=proof.of(model.defaults),
        reference=proof.of(proof.reference),
        tried=tuple(tried),
        tolerance=tolerance,
        n=bench.n,
        seeds=(seed, seed + 1),
        features=name_of(type(bench.measured_on)),
        features_hash=bench.measured_on.hash,
        notes=tuple(held_out.notes),
    )


@dataclass
class Bench:
    """The model with what its samples are measured against, in an order that means nothing, and how far the work has come."""

    model: Model
    real: np.ndarray
    asked: dict[str, list[Any]]
    measured_on: Features
    told: Told
    done: float = 0.0

    @classmethod
    def of(cls, model: Model, held_out: Data, n: int, seed: int, features: Features, told: Told) -> Bench:
        """Choose n held-out items, whose conditions are what samples are asked for; refuse what cannot be measured."""
        if model.classes and (held_out.labels is None or list(held_out.classes) != model.classes):
            raise ReverieError(
                f"The classes of {held_out.source} are not the model's. Give data with the same classes."
            )
        size = min(n, len(held_out))
        held = held_out.subset(np.random.default_rng(seed).permutation(len(held_out))[:size])
        real = features(model.codec.numbers(model.encode(held.items)))
        if size < (need := least(real.shape[1])):
            raise ReverieError(
                f"Tuning compares distances on {real.shape[1]} features, which takes {need:,} held-out items or more (half of "
                f"them above the features), and n is {size:,}. Hold out more (--held-out {need}), or ask for a larger -n."
            )
        model.check_told(held)
        asked = {name: values for name, values in held.told(range(size)).items() if name in model.conditions}
        return cls(model, real, asked, features, told)

    @property
    def n(self) -> int:
        """How many held-out items, and samples at the most."""
        return len(self.real)

    @property
    def few(self) -> int:
        """Samples of the search: half of n, but enough for half-samples of full rank."""
        return max(least(self.real.shape[1]), self.n // 2)

    def draw(self, settings: Settings, n: int, seed: int, words: str, cost: float, ahead: float = 0.0) -> Drawn:
        """Draw n samples and time them. cost: evaluations that are expected for each; ahead: that are to follow."""
        before = self.done
        self.done += n * cost

        def on_step(step: Step) -> None:
            self.told(before + n * cost * step.number / step.total, self.done + ahead, words)

        started = time.monotonic()
        with evaluations(self.model) as seen:
            made = sampled(self.model, settings, n, seed, self.asked, on_step)
        seconds = time.monotonic() - started
        return Drawn(settings, self.measured_on(self.model.codec.numbers(made)), sum(seen) / n, seconds)


def least(features: int) -> int:
    """Items that it takes for half of them to have a covariance of full rank."""
    return 2 * (features + 1)


def every_way(model: Model) -> list[Way]:
    """What may be chosen, the reference's own way first: samplers that treat the process, grids, scales of guidance."""
    process, own = model.process(model.defaults), model.defaults
    gaussian = isinstance(process, Gaussian)
    names = [s for s in (SAMPLERS if gaussian else OF_TOKENS) if isinstance(process, sampler_class(s).treats)]
    grids = dict.fromkeys(GRIDS if gaussian else GRIDS_OF_TOKENS)
    if own.build_grid().fixed_steps is None:
        grids[own.grid] = None
    found = []
    for scale in dict.fromkeys((own.guidance, *SCALES) if len(model.conditions) else (own.guidance,)):
        for name in names:
            few, more = (
                cost_of_one(model, own.given(sampler=name, grid=next(iter(grids)), guidance=scale, steps=k))
                for k in (4, 5)
            )
            for grid in grids:
                settings = own.given(sampler=name, grid=grid, guidance=scale, steps=4)
                found.append(Way(settings, few - 4 * (more - few), more - few))
    return found


def search(bench: Bench, ways: list[Way], tolerance: float, seed: int, ahead: float) -> Iterator[Settings]:
    """Settings that look good enough on few samples, cheapest first, at most one a rung. ahead: what the proof will cost."""
    few, first = bench.few, ways[0]
    held = bench.real[:few]
    yard_steps = dataclasses.replace(first.settings, steps=YARDSTICK_STEPS)
    yard = bench.draw(yard_steps, few, seed, "yardstick", first.evaluations(YARDSTICK_STEPS), ahead)
    goal = Frechet()(held, yard.features)
    kept, seen = ways, {yard_steps}
    for rung in RUNGS:
        new = [(way, s) for way in kept if (s := way.at(rung)) is not None and s not in seen]
        seen |= {s for _, s in new}
        found = []
        for k, (way, settings) in enumerate(new, start=1):
            left = ahead + (len(new) - k) * few * rung
            drawn = bench.draw(settings, few, seed, f"{rung} evaluations", way.evaluations(settings.steps), left)
            found.append((Frechet()(held, drawn.features), way, drawn))
        found.sort(key=lambda one: one[0])
        kept = halved(kept, [way for _, way, _ in found], first)
        likely = [drawn for distance, _, drawn in found if distance <= (1 + tolerance) * goal]
        if likely:  # the least upper end, not the least distance, which is the luckiest as often as the best
            yield min(likely, key=lambda drawn: upper(held, drawn.features, yard.features, seed)).settings


def upper(held: np.ndarray, way: np.ndarray, yard: np.ndarray, seed: int) -> float:
    """Upper end of a ratio on the few samples of the search, as wide as the proof's will be, with the same halves for every way.

    The proof has twice the samples. A narrower one would prefer ways of low distance to ways that follow the reference closely,
    and these are what can be proven.
    """
    return ratio(held, way, yard, np.random.default_rng(seed), deviations() / math.sqrt(2), FEW_HALVES).high


def deviations() -> float:
    """How many standard deviations the interval of a trial reaches: 95 % over all that may be tried."""
    return float(norm.ppf(1 - (1 - LEVEL) / 2 / len(RUNGS)))


def halved(kept: list[Way], ranked: list[Way], first: Way) -> list[Way]:
    """The better half of those ranked, those that had no turn, the best of each guidance, and the reference's own way."""
    best: dict[float, Way] = {}
    for way in ranked:
        best.setdefault(way.settings.guidance, way)
    stay = [*ranked[: max(KEPT, len(ranked) // 2)], *best.values(), first]
    return [way for way in kept if way in stay or way not in ranked]


@dataclass
class Proof:
    """The fresh seeds: the reference's samples, drawn when first asked for, and trials beside them."""

    bench: Bench
    way: Way
    seed: int
    drawn: dict[Settings, Drawn] = field(default_factory=dict)

    @property
    def reference(self) -> Settings:
        """1,000 steps of the reference's way."""
        return dataclasses.replace(self.way.settings, steps=REFERENCE_STEPS)

    def of(self, settings: Settings) -> Trial:
        """n samples of a way on the fresh seeds, beside the reference's."""
        reference, drawn = self._drawn(self.reference, "reference"), self._drawn(settings, "proof")
        rng = np.random.default_rng(self.seed)
        found = ratio(self.bench.real, drawn.features, reference.features, rng, deviations(), HALVES)
        distance = Frechet()(self.bench.real, drawn.features)
        return Trial(settings, distance, found, drawn.evaluations, drawn.seconds)

    def _drawn(self, settings: Settings, words: str) -> Drawn:
        if settings not in self.drawn:
            known = settings == self.reference
            cost = self.way.evaluations(settings.steps) if known else cost_of_one(self.bench.model, settings)
            self.drawn[settings] = self.bench.draw(settings, self.bench.n, self.seed, words, cost)
        return self.drawn[settings]


def ratio(
    held: np.ndarray, way: np.ndarray, reference: np.ndarray, rng: np.random.Generator, z: float, halves: int
) -> Ratio:
    """Distance of a way's features (n, D) to held (n, D) over the reference's, with z standard deviations."""
    over, under = (Frechet()(held, x) for x in (way, reference))
    if way is reference or under == 0:
        alike = 1.0 if over == under else math.inf
        return Ratio(alike, alike, alike)
    value, half = over / under, len(held) // 2
    gaps = []
    for _ in range(halves):
        items, drawn = (rng.permutation(len(held))[:half] for _ in range(2))
        gaps.append(Frechet()(held[items], way[drawn]) - value * Frechet()(held[items], reference[drawn]))
    reach = z * float(np.std(gaps, ddof=1)) / under
    return Ratio(value, max(0.0, value - reach), value + reach)


def sampled(
    model: Model,
    settings: Settings,
    n: int,
    seed: int,
    asked: dict[str, list[Any]],
    on_step: Callable[[Step], None] | None,
) -> np.ndarray:
    """n encoded samples of a way, (n, C, *)."""
    first = {name: values[:n] for name, values in asked.items()}
    made = model.sample(
        n, conditions=first, steps=settings.steps, sampler=settings.sampler, grid=settings.grid,
        guidance=settings.guidance, seed=seed, on_step=on_step,
    )  # fmt: skip
    return as_files_hold(model, made)


@contextlib.contextmanager
def evaluations(model: Model) -> Iterator[list[int]]:
    """Count what the network is asked while this is open: a list with the number of items of each call."""
    seen: list[int] = []
    hook = model.denoiser.network.register_forward_pre_hook(lambda module, given: seen.append(count(given[0])))
    try:
        yield seen
    finally:
        hook.remove()


def cost_of_one(model: Model, settings: Settings) -> float:
    """Evaluations of the network for one sample, counted."""
    with evaluations(model) as seen:
        sampled(model, settings, 1, 0, {name: [None] for name in model.conditions}, None)
    return float(sum(seen))
