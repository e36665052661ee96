"""One single-threaded process per core with averaged gradients against one process with as many threads: images per second.

    .venv/bin/python benchmarks/processes.py [--cores 2] [--rounds 3] [--steps 40] [--size small] [--json FILE]

The digits, default network, batch of 128 in all in both; each round runs both, one after the other, and the median time of a step
after the first ten counts. Run it on a quiet machine: what else runs takes from the two unequally.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import reverie
from reverie.training.trackers import read_log


def main() -> None:
    """Run the rounds, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--size", default="small")
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    ways = {"threads": ["--threads", str(asked.cores)], "processes": ["--devices", f"cpu:{asked.cores}"]}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, words in ways.items():
            rates[name].append(rate(words, asked.steps, asked.size))
    ratios = [b / a for a, b in zip(rates["threads"], rates["processes"], strict=True)]
    for name, found in rates.items():
        print(f"{name:10} {', '.join(f'{r:.0f}' for r in found)} images/s")
    print(f"processes / threads: {', '.join(f'{r:.2f}' for r in ratios)}, median {statistics.median(ratios):.2f}")
    if asked.json:
        about = {"command": " ".join(sys.argv), "reverie": reverie.__version__, "torch": torch.__version__}
        asked.json.write_text(json.dumps({**about, "images/s": rates, "ratios": ratios}, indent=1) + "\n")


def rate(words: list[str], steps: int, size: str) -> float:
    """Images per second of a training run started with these words."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        common = ["digits", "-o", str(run), "--steps", str(steps), "--batch", "128", "--size", size, "--device", "cpu"]
        subprocess.run(
            [sys.executable, "-m", "reverie", "train", *common, *words], check=True, stdout=subprocess.DEVNULL
        )
        told = [e for e in read_log(run / "metrics.jsonl") if e["event"] == "step"]
        return told[0]["images"] / statistics.median(e["seconds"] for e in told[10:])


if __name__ == "__main__":
    main()
