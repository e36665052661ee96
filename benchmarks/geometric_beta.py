"""What beta and T of the geometric beta schedule buy on the digits: fidelity, diversity and cost.

    .venv/bin/python benchmarks/geometric_beta.py [--steps 300] [--seeds 0,1,2] [--json FILE]

beta_i = beta (1 - beta)^(T - 1 - i) never ends in pure noise: alpha^2 at t = 1 tends to a value that depends on beta alone
once T beta is well above 1, and sampling starts from the fitted mean and variance of each pixel. For each beta and T the
family ddpm (eps, ancestral sampling in all T steps) is trained on the same digits with the same tiny network for the same
number of steps, three seeds, and 500 samples are scored as `reverie evaluate` scores them. Two rows stand beside: the linear
chain of DDPM, and EDM with Heun in 18 steps. Steps, not seconds, are fixed, so the load of the machine changes nothing but
the columns of time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

import reverie
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.evaluation.measure import measure

BETAS, CHAINS = (0.02, 0.1, 0.5), (10, 50, 250)
SHOWN = ("Frechet distance", "Precision", "Recall", "Label agreement")


def contenders() -> dict[str, dict[str, Any]]:
    """Options of training, and how to sample, by name."""
    found: dict[str, dict[str, Any]] = {}
    for beta in BETAS:
        for T in CHAINS:
            found[f"geometric beta = {beta:g}, T = {T}"] = {
                "train": {"family": "ddpm", "schedule": f"geometric-beta:beta={beta},T={T}"},
                "sample": {"steps": T, "grid": f"trailing:T={T}"},
            }
    found["linear chain, 250 of 1,000 steps"] = {"train": {"family": "ddpm"}, "sample": {"steps": 250}}
    found["EDM, Heun in 18 steps"] = {"train": {"family": "edm"}, "sample": {"steps": 18}}
    return found


def run(options: dict[str, Any], steps: int, seed: int) -> dict[str, float]:
    """Train once and score once."""
    data = Digits().load()
    cut = split(data, data.held_out, seed=0)
    began = time.perf_counter()
    model = reverie.train("digits", steps=steps, size="tiny", seed=seed, **options["train"])
    trained = time.perf_counter() - began
    model.defaults = model.defaults.given(**options["sample"])
    began = time.perf_counter()
    judged, samples = measure(model, data.subset(cut.train), data.subset(cut.held_out), n=500, seed=seed)
    scores = {s.title: s.value for s in judged.scores}
    assert judged.labels is not None
    scores["Label agreement"] = judged.labels.samples.value
    process, grid = model.denoiser.process, samples.settings.build_grid()
    start = grid.times(process.schedule, samples.settings.steps)[0]
    return {
        **scores,
        "alpha^2 at the start": float(process.schedule.alpha(start)) ** 2,
        "mismatch, nats per pixel": process.prior_mismatch(start),
        "training, s": trained,
        "sampling and scoring, s": time.perf_counter() - began,
    }


def main() -> None:
    """Run all, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    seeds = [int(s) for s in asked.seeds.split(",")]
    rows: dict[str, list[dict[str, float]]] = {}
    began, every = time.perf_counter(), contenders()
    for number, (name, options) in enumerate(every.items(), start=1):
        rows[name] = [run(options, asked.steps, seed) for seed in seeds]
        passed = time.perf_counter() - began
        left = passed / number * (len(every) - number)
        values = ", ".join(f"{r['Frechet distance']:.2f}" for r in rows[name])
        print(
            f"{number}/{len(every)} {name}: Frechet {values}; about {left / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
    found = {
        "command": "python benchmarks/geometric_beta.py " + " ".join(sys.argv[1:]),
        "versions": {"reverie": reverie.__version__, "torch": torch.__version__},
        "steps": asked.steps,
        "seeds": seeds,
        "rows": rows,
    }
    print(table(rows))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: median [min, max] of the seeds."""
    columns = [*SHOWN, "alpha^2 at the start", "mismatch, nats per pixel"]
    lines = ["| model | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, runs in rows.items():
        cells = []
        for column in columns:
            values = [r[column] for r in runs]
            low, high = min(values), max(values)
            spread = f" [{low:.3g}, {high:.3g}]" if high > low else ""
            cells.append(f"{statistics.median(values):.3g}{spread}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
