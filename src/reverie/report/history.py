"""How training went, from the log of a run: curves, what they say, and the pictures drawn on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reverie.errors import ReverieError
from reverie.report import charts
from reverie.report.tiles import Tile, from_file
from reverie.report.words import number
from reverie.training.trackers import damage, read_log
from reverie.training.verdict import Verdict, of_run

ALONE = (
    "This page was made from a model folder alone. The log of the training (metrics.jsonl) stays in the run folder; "
    "evaluate that folder to see this section."
)
HELPED = ", and the weights of that step were kept in the place of the last"
BY_HEART = 0.25  # excess of held-out over training error, above which training items are being learned by heart


@dataclass(frozen=True)
class Section:
    """A chart with its reading, or, where `chart` is empty, why it is missing."""

    chart: str
    reading: str


@dataclass(frozen=True)
class Sheets:
    """Pictures drawn at one step of training, from the same noise, with raw and with averaged weights."""

    step: int
    raw: Tile
    averaged: Tile


@dataclass(frozen=True)
class History:
    """What the log tells. missing: pictures that it names and that could not be shown, in words."""

    noise: Section
    learning: Section
    sheets: list[Sheets]
    missing: list[str]


def read(run: Path | None, side: int = 600) -> History:
    """Read RUN/metrics.jsonl and RUN/samples; what is not there is said in words, never left out silently.

    side: pixels that the pictures drawn on the way are reduced to.
    """
    if run is None:
        return History(Section("", ALONE), Section("", ALONE), [], [])
    log = read_log(run / "metrics.jsonl")
    steps, looks, drawn = ([e for e in log if e["event"] == kind] for kind in ("step", "validation", "samples"))
    kept = any(e["event"] == "kept" for e in log)
    noise = learning = Section("", f"The log of this run has no measurements yet ({run / 'metrics.jsonl'}).")
    if looks:
        noise = Section(charts.loss_by_noise(looks[-1]), by_noise(looks[-1]))
    if steps and looks:
        learning = Section(charts.learning(steps, looks), f"{by_step(steps, looks, kept)} {in_short(of_run(run))}")
    if lost := damage(run / "metrics.jsonl"):
        learning = Section(learning.chart, f"{lost} {learning.reading}")
    sheets, missing = [], []
    for event in drawn:
        try:
            sheets.append(_sheets(run, event, side))
        except ReverieError as error:
            missing.append(str(error))
    return History(noise, learning, sheets, missing)


def by_noise(event: dict[str, Any]) -> str:
    """What the errors at each noise level say: learned by heart or not, and whether averaging the weights helped."""
    bands = event["bands"]
    held, train, raw = (np.asarray(bands[k]) for k in ("held_out", "train", "held_out_raw"))
    excess = held / train - 1
    worst = int(np.argmax(excess))
    gain = 1 - float(np.mean(held / raw))
    heart = (
        "It has begun to learn training items by heart; more data, a smaller network or fewer steps would help."
        if float(np.mean(excess)) > BY_HEART
        else "It has not learned the training items by heart."
    )
    return (
        f"Averaged over noise levels, the error on held-out items is {_apart(float(np.mean(excess)))} than on training items "
        f"(most at n = {event['noise'][worst]:.2g}: {_apart(float(excess[worst]))}). {heart} With averaged weights the "
        f"held-out error is {_apart(-gain)} than with raw ones."
    )


def by_step(steps: list[dict[str, Any]], looks: list[dict[str, Any]], kept: bool = False) -> str:
    """What the curve says: where held-out loss was lowest, whether its weights were kept, and how fast training went."""
    best = min(looks, key=lambda e: e["held_out"])
    last = looks[-1]
    rise = last["held_out"] / best["held_out"] - 1
    seconds = sum(e["seconds"] for e in steps)
    if rise > 0.02:
        end = f"It then rose by {rise:.1%}: training this long did harm{HELPED if kept else ''}."
    elif best["step"] < last["step"]:
        end = f"It has hardly changed since: {rise:.1%} higher at the end."
    else:
        end = "It had not begun to rise by the end."
    return (
        f"Held-out loss was lowest, {number(best['held_out'])}, at step {best['step']:,} of {steps[-1]['total']:,}. {end} "
        f"Throughput: {sum(e['images'] for e in steps) / max(seconds, 1e-9):,.0f} items a second on average, in "
        f"{len(steps):,} steps of {steps[-1]['images']:,} items."
    )


def in_short(found: Verdict) -> str:
    """A verdict in two sentences."""
    return f"The verdict: {found.heading}. {found.next}"


def _apart(share: float) -> str:
    """A relative difference in words."""
    return f"{abs(share):.1%} {'higher' if share >= 0 else 'lower'}"


def _sheets(run: Path, event: dict[str, Any], side: int) -> Sheets:
    tiles = []
    for key, name in (("raw", "raw"), ("ema", "averaged")):
        path = (run / event.get(key, "")).resolve()
        if not path.is_relative_to(run.resolve()):
            raise ReverieError(f"{event[key]} lies outside {run} and is not shown.")
        tiles.append(from_file(path, f"Sixteen samples at step {event['step']:,}, {name} weights", name, side))
    return Sheets(event["step"], *tiles)
