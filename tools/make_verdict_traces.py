"""Record the traces on which the verdict is set and judged: small healthy runs, and runs with one seeded fault each.

    python tools/make_verdict_traces.py [KIND ...] [--half set|first|test] [--count N] [-o tests/training/traces]

Each run is drawn anew by its kind and seed: data (handwritten digits, bars, colour blobs; 8x8), network (perceptron,
convolutions, U-Net, of several widths), family (edm, flow), labels or none, learning rate, batch, length, and the dose of
the fault. A file is HALF-KIND.jsonl.gz, one trace a line: {"kind", "seed", "half", "about", "truth", "events"}, events as in
metrics.jsonl, rounded, the steps' figures as columns. Thresholds are set on "set", on "first", which was the test half until
it was judged, and on "earlier", which an earlier version of this script made, without pairs; they are tested on "test".

A seeded fault counts where it took, and a run as healthy where nothing ails it. What says so (`took`) is nothing that the
verdict sees: `Truth` is measured after the run on items that it never saw and by samples of its own, and compared with the
paired run of the same seed, data and plan without the fault. `err` is the weighted error of the averaged weights on 256 such
items, `known` on as many trained on, `nothing` that of the untrained network or of one that says 0, whichever is less:

    healthy          err <= 0.95 nothing, err <= 1.1 known, at most 10 % copies
    too-short        err >= 1.25 of the pair's, which had ten times the steps
    overfitting      err >= 1.2 known, and >= 1.1 of the pair's, which had more items; at most 10 % copies
    memorising       at least a third are copies: nearer to one training item than to any other by 3 to 1 (Yoon et al. 2023)
    diverging        stopped as nothing was finite, or err >= 2 nothing
    lr-too-high      err >= 1.2 of the pair's, which had the usual rate
    lr-too-low       less than half of what the pair gained on nothing, which had the usual rate
    ema-lagging      err >= 1.2 of the pair's, which had the usual average of the same weights
    labels-shuffled  wrong labels cost the pair, which had right ones, >= 5 % of its err, and the run a fourth of that or less
    labels-ignored   the same, of a pair that hears them
    drift            a channel's mean, of samples from the same noise, off the pair's by 20 of 255 levels
    dead-network     at most a tenth of what the pair gained on nothing

Where a fault has not taken it is seeded anew with a stronger dose (healthy runs: drawn anew), up to DOSES times; then its seed
is left out. Dose, truth and the pair's are in the trace. About 10 s a trace on one core, pair and doses included.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from verdict_runs import KINDS, draw, network, paired, recipe

import reverie
from reverie import registry
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.metrics.distances import nearest
from reverie.model import Model
from reverie.training import validation
from reverie.training.settings import TrainSettings
from reverie.training.trackers import Event, Memory
from reverie.training.validation import Items

HALVES = {"set": 0, "first": 1000, "test": 2000}  # first seed of each
COUNTS = {"set": (2, 6), "first": (6, 60), "test": (3, 60)}  # traces of each fault, about, and of healthy runs
DOSES, STRANGERS, DRAWN = 4, 256, 64  # doses of a fault; items that a run never saw; items drawn of it
STEP_COLUMNS = ("loss", "lr", "grad_norm")
UNREAD = ("raw", "ema", "elapsed", "items", "memory", "left", "plan", "images", "skipped", "accumulate")


class Silent(nn.Module):
    """Says 0 for everything, in the place of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, C, H, W) -> 0."""
        return 0 * x


@dataclass(frozen=True)
class Truth:
    """What came of a run, by what it never saw; see the top of this file. worth: what wrong labels cost, a share of err.

    mean: of each channel of items drawn, in levels of 255. stopped: why it ended early, if it did.
    """

    stopped: str = ""
    err: float = math.inf
    known: float = math.inf
    nothing: float = math.inf
    copies: float = 0.0
    worth: float = 0.0
    mean: tuple[float, ...] = ()

    @classmethod
    def of(cls, model: Model, first: float, strangers: Items, trained: Items, times: str) -> Truth:
        """Measure a trained model; first: the error of the untrained network."""
        denoiser = model.denoiser
        at = validation.bands(registry.build("times", times), denoiser)

        def err(items: Items) -> float:
            return validation.weighted(validation.errors(denoiser, items, at), denoiser, at)

        labels = validation.label_errors(denoiser, strangers, at)
        try:
            drawn = model.sample(DRAWN, seed=1).x
        except ReverieError:  # a network so far off that its walk ends in infinity
            drawn = np.full((DRAWN, *strangers.x.shape[1:]), 1e3)
        near = nearest(drawn.reshape(DRAWN, -1), trained.x.numpy().reshape(len(trained.x), -1), 2)[0]
        found = cls(
            err=err(strangers),
            known=err(trained),
            copies=float(np.mean(3 * near[:, 0] < near[:, 1])),
            worth=labels["wrong"] / labels["told"] - 1 if labels else 0.0,
            mean=tuple(float(v) for v in 127.5 * drawn.clip(-1, 1).mean((0, 2, 3))),
        )
        denoiser.network = Silent(denoiser.network)
        return replace(found, nothing=min(first, err(strangers)))


def took(kind: str, run: Truth, pair: Truth) -> bool:
    """Whether the run has what its kind says, by the table at the top of this file."""
    gained, gain = run.nothing - run.err, run.nothing - pair.err
    match kind:
        case "healthy":
            return run.err <= 0.95 * run.nothing and run.err <= 1.1 * run.known and run.copies <= 0.1
        case "overfitting":
            return run.err >= max(1.2 * run.known, 1.1 * pair.err) and run.copies <= 0.1
        case "memorising":
            return run.copies >= 1 / 3
        case "diverging":
            return not run.err < 2 * run.nothing
        case "too-short":
            return run.err >= 1.25 * pair.err
        case "lr-too-high" | "ema-lagging":
            return not run.err < 1.2 * pair.err
        case "lr-too-low":
            return gained <= 0.5 * gain
        case "labels-shuffled" | "labels-ignored":
            return pair.worth >= 0.05 and run.worth <= 0.25 * pair.worth
        case "drift":
            return max(abs(a - b) for a, b in zip(run.mean, pair.mean, strict=True)) >= 20
    return gained <= 0.1 * gain


def trained(kind: str, fault: str, about: dict[str, Any], seed: int, tracker: Memory, folder: Path | None) -> Truth:
    """Train one run, with a fault or, as its pair, without, and measure what came of it."""
    rng = np.random.default_rng([KINDS.index(kind), seed, 1])
    items, labels = draw(about["data"], about["items"] + STRANGERS, rng)
    classes = int(labels.max()) + 1 if about["labels"] else 0
    told = rng.permutation(labels) if fault == "labels-shuffled" else labels
    held_out = about.get("held_out", 64)
    data = Data.from_arrays(items[STRANGERS:], told[STRANGERS:] if classes else None, name=about["data"])
    settings = {k: about[k] for k in ("family", "batch", "steps", "lr", "ema", "clip")}
    net = network(fault, about, items.shape[-1], len(data.classes), seed)
    try:
        model = reverie.train(
            data,
            folder,
            network=net,
            tracker=tracker,
            threads=1,
            seed=seed,
            device="cpu",
            held_out=held_out,
            **settings,
        )
    except ReverieError as error:
        return Truth(stopped=str(error))
    model.denoiser.eval()
    first = next(e.values["held_out"] for e in tracker.events if e.kind == "validation")
    chosen = split(data, held_out, seed=0).train[:STRANGERS]
    known = np.unique(told[STRANGERS:])  # a small data set may lack a class, which the network then has no number for
    meant = np.isin(labels[:STRANGERS], known) if classes else np.ones(STRANGERS, dtype=bool)
    seen = [
        Items(
            torch.from_numpy(model.encode(x)),
            model.condition(torch.from_numpy(np.searchsorted(known, y))) if classes else {},
        )
        for x, y in (
            (items[:STRANGERS][meant], labels[:STRANGERS][meant]),
            (data.items[chosen], told[STRANGERS:][chosen]),
        )
    ]
    return Truth.of(model, first, *seen, str(TrainSettings.of(settings).chosen("times")))


def record(kind: str, seed: int) -> dict[str, Any] | None:
    """Train a run of a kind, in the first dose that takes, and return its trace; None where none does."""
    for dose in range(DOSES):
        about, memory = recipe(kind, seed, dose), Memory()
        with tempfile.TemporaryDirectory() as folder:
            run = trained(kind, kind, about, seed, memory, Path(folder) / "run")
        lone = kind in ("healthy", "memorising", "diverging")
        pair = Truth() if lone else trained(kind, "", paired(kind, about), seed, Memory(), None)
        if took(kind, run, pair):
            half = next(h for h, first in reversed(HALVES.items()) if seed >= first)
            truth = {"dose": dose, "run": asdict(run), "pair": None if lone else asdict(pair)}
            return {
                "kind": kind,
                "seed": seed,
                "half": half,
                "about": about,
                "truth": _rounded(truth, 4),
                "events": packed(memory.events),
            }
    return None


def packed(events: list[Event]) -> list[dict[str, Any]]:
    """Events as a log holds them, rounded; all steps in one event of columns, whose first figure is step 1's."""
    told = [
        {"event": e.kind, "step": e.step, **{k: v for k, v in e.values.items() if k not in UNREAD}}
        for e in events
        if e.kind not in ("step", "note", "checkpoint")
    ]
    steps = [e.values for e in events if e.kind == "step"]
    columns = {k: [_rounded(s[k], 3) for s in steps] for k in STEP_COLUMNS}
    images = steps[0]["images"] if steps else 0
    return [{"event": "steps", "images": images, **columns}, *(_rounded(e, 5) for e in told)]


def _rounded(value: Any, digits: int) -> Any:
    """Significant digits of every number in it."""
    if isinstance(value, dict):
        return {k: _rounded(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v, digits) for v in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return float(f"{value:.{digits}g}")


def main() -> None:
    """Record what is asked for, a file a kind and half."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--half", choices=list(HALVES), help="default all")
    parser.add_argument(
        "--count", type=int, help=f"traces of each kind; default, of faults and of healthy runs: {COUNTS}"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/training/traces"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.output.mkdir(parents=True, exist_ok=True)
    for half, kind in itertools.product([asked.half] if asked.half else HALVES, asked.kinds or KINDS):
        begin, seed = time.monotonic(), HALVES[half]
        count, lines = asked.count or COUNTS[half][kind == "healthy"], []
        while len(lines) < count:
            if (found := record(kind, seed)) is not None:
                lines.append(json.dumps(found, separators=(",", ":")))
            seed += 1
        blob = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
        (asked.output / f"{half}-{kind}.jsonl.gz").write_bytes(blob)
        left_out = seed - HALVES[half] - count
        took_s = time.monotonic() - begin
        print(f"{half} {kind}: {count} traces, {left_out} left out, {len(blob):,} bytes, {took_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
