"""How good samples are after the same minute of training: Reverie beside diffusers and denoising-diffusion-pytorch.

    python3 -m venv .venv-bench && .venv-bench/bin/pip install --no-deps -r benchmarks/requirements.txt     (once)
    .venv/bin/python benchmarks/quality_at_budget.py [--seconds 60] [--seeds 0,1,2] [--only NAME,...] [--threads 2]
                                                     [--json FILE] [--markdown FILE]

Each contender (see contenders.py for their recipes) trains on the same 1,297 digits for the same time, in a process of its
own, and draws 500 samples; the contenders take turns, seed by seed, in an order that turns with the seed. Sampling is not
part of the time; each library is sampled as its recipe says, and diffusers in a second, shorter way too. All samples are
scored by reverie.evaluation.evaluate.scores against the same 500 held-out digits. Two claims are checked:

  Reverie's median Frechet distance is at most 0.35 of the best of the library recipes' (any batch, any sampler),
  and not above that of diffusers' network under Reverie's recipe.

All of it should take under 25 minutes on 2 quiet cores: 15 of training, the rest nearly all diffusers' 1,000 steps. Exit
code 1 where a claim fails, or a contender overran its time by 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import reverie  # before torch: it sets GOMP_SPINCOUNT, for every contender alike, as their processes inherit it

# isort: split
import numpy as np

from reverie.codecs.image import ImageCodec
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.evaluation.evaluate import scores
from reverie.metrics.frechet import Frechet
from reverie.metrics.neighbours import Precision, Recall

HERE = Path(__file__).resolve().parent
PEER_PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
N = 500
SHARE = 0.35
RECIPES = ("diffusers-16", "diffusers-128", "denoising-diffusion-pytorch")  # as their libraries would have them
NAMES = {
    "reverie": "Reverie, no labels",
    "diffusers-network": "diffusers' U-Net, Reverie's recipe",
    "diffusers-16": "diffusers' recipe, batch 16",
    "diffusers-128": "diffusers' recipe, batch 128",
    "denoising-diffusion-pytorch": "denoising-diffusion-pytorch's recipe",
    "reverie-labelled": "Reverie, with labels (its default)",
}
USUAL = [name for name in NAMES if name != "diffusers-128"]  # its warm-up alone would be most of the minute


def digits() -> tuple[np.ndarray, np.ndarray, str]:
    """Training and held-out digits (N, 1, 8, 8) in [-1, 1], and the split's hash."""
    data = Digits().load()
    cut = split(data)
    train, held = data.items[cut.train], data.items[cut.held_out]
    codec = ImageCodec.fit(train)
    return *(np.stack([codec.encode(item) for item in part]) for part in (train, held)), cut.hash


def train(
    name: str, seed: int, asked: argparse.Namespace, folder: Path
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run one contender in a process of its own: what it took, and its samples by sampler."""
    python = PEER_PYTHON if name == "denoising-diffusion-pytorch" else Path(sys.executable)
    out = folder / f"{name}-{seed}.npz"
    command = [str(python), str(HERE / "contenders.py"), name, "--train", str(folder / "train.npy"), "--out", str(out)]
    command += ["--seconds", f"{asked.seconds:g}", "--seed", str(seed), "--threads", str(asked.threads), "-n", str(N)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads), "TQDM_DISABLE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with code {done.returncode}:\n{done.stderr[-4000:]}")
    with np.load(out) as archive:
        return json.loads(done.stdout.splitlines()[-1]), {way: archive[way] for way in archive.files}


def judged(samples: np.ndarray, train_x: np.ndarray, held_x: np.ndarray) -> dict[str, Any]:
    """Every contender's samples by the same code, at the same n, from the same draws."""
    made = np.clip(samples, -1, 1).astype(np.float32)
    metrics = [Frechet(), Precision(), Recall()]
    keep = ("value", "low", "high", "n", "floor", "floor_sd", "gaussian", "noisy_copies", "features", "features_hash")
    found = scores(held_x, train_x, made, metrics=metrics, n=N, seed=0)
    return {s.name: {k: getattr(s, k) for k in keep} for s in found}


def compete(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each contender, seed and sampler."""
    train_x, held_x, cut = digits()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "train.npy", train_x)
        for turn, seed in enumerate(asked.seeds):
            order = asked.only[turn % len(asked.only) :] + asked.only[: turn % len(asked.only)]
            for name in order:
                facts, made = train(name, seed, asked, folder)
                if facts["split"] not in (None, cut):
                    sys.exit(f"{name} trained on split {facts['split']}, and the others on {cut}.")
                for way, samples in made.items():
                    took = {**facts, "sampling": facts["sampling"][way]}
                    rows.append(
                        {"name": name, "sampler": way, "seed": seed, **took, **judged(samples, train_x, held_x)}
                    )
                    tell(rows[-1])
    return rows


def tell(row: dict[str, Any]) -> None:
    """Progress, on the error channel."""
    distance, sampling = row["frechet"], row["sampling"]
    print(
        f"{row['name']} seed {row['seed']}: {row['steps']} steps in {row['seconds']:.1f} s; {row['sampler']} "
        f"({sampling['nfe']:.0f} NFE, {sampling['seconds']:.1f} s): Frechet {distance['value']:.2f} "
        f"[{distance['low']:.2f}, {distance['high']:.2f}], recall {row['recall']['value']:.2f}",
        file=sys.stderr,
        flush=True,
    )


def grouped(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Rows by contender and sampler, over seeds, in the order of the table."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: list(NAMES).index(r["name"])):
        found.setdefault((row["name"], row["sampler"]), []).append(row)
    return found


def middle(rows: list[dict[str, Any]], metric: str = "frechet") -> float:
    """Median over seeds."""
    return statistics.median(r[metric]["value"] for r in rows)


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table, and the lines without which its figures mean nothing."""
    groups = grouped(rows)
    ours = next((middle(group) for (name, _), group in groups.items() if name == "reverie"), float("nan"))
    lines = [
        "| contender | Frechet distance, median [min, max] | x Reverie's | precision | recall | parameters | steps | images/s "
        "| sampler | NFE | sampling |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, way), group in groups.items():
        values = [r["frechet"]["value"] for r in group]
        mean = {k: statistics.mean(r[k] for r in group) for k in ("parameters", "steps", "images", "seconds")}
        sampling = {k: statistics.mean(r["sampling"][k] for r in group) for k in ("nfe", "seconds")}
        lines.append(
            f"| {NAMES[name]} | {middle(group):.2f} [{min(values):.2f}, {max(values):.2f}] | {middle(group) / ours:.2f} "
            f"| {middle(group, 'precision'):.2f} | {middle(group, 'recall'):.2f} | {mean['parameters'] / 1e6:.2f} M "
            f"| {mean['steps']:.0f} | {mean['images'] / mean['seconds']:.0f} | {way} | {sampling['nfe']:.0f} "
            f"| {sampling['seconds']:.1f} s |"
        )
    frechet, recall, precision = (rows[0][k] for k in ("frechet", "recall", "precision"))
    lines += [
        "",
        f"n = {frechet['n']} held-out against {frechet['n']} samples, features {frechet['features']} "
        f"{frechet['features_hash']}. Real training digits in the samples' place: Frechet distance {frechet['floor']:.2f} "
        f"(sd {frechet['floor_sd']:.2f}), precision {precision['floor']:.2f}, recall {recall['floor']:.2f}. A Gaussian fit "
        f"to the pixels: {frechet['gaussian']:.2f}, {precision['gaussian']:.2f}, {recall['gaussian']:.2f}.",
    ]
    return "\n".join(lines)


def claims(rows: list[dict[str, Any]], seconds: float) -> list[tuple[bool, str]]:
    """What the benchmark is there to find out: whether it is so, and in words."""
    medians = {key: middle(group) for key, group in grouped(rows).items()}
    ours = [v for (name, _), v in medians.items() if name == "reverie"]
    recipes = {key: v for key, v in medians.items() if key[0] in RECIPES}
    network = [v for (name, _), v in medians.items() if name == "diffusers-network"]
    found = []
    if ours and recipes:
        best = min(recipes, key=lambda key: recipes[key])
        share = ours[0] / recipes[best]
        words = (
            f"{share:.3f} of that of the best library recipe ({NAMES[best[0]]}, {best[1]}); claimed: at most {SHARE}"
        )
        found.append((share <= SHARE, f"Reverie's Frechet distance is {words}"))
    if ours and network:
        words = f"{ours[0] / network[0]:.3f} of that of diffusers' U-Net under its recipe; claimed: at most 1"
        found.append((ours[0] <= network[0], f"Reverie's Frechet distance is {words}"))
    longest = max(rows, key=lambda r: r["seconds"])
    words = f"{longest['seconds']:.1f} s ({longest['name']}) where {seconds:g} s were given; claimed: at most 5 % over"
    found.append((longest["seconds"] <= 1.05 * seconds, f"the longest training took {words}"))
    return found


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was as it began."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = os.getloadavg()[0] if sys.platform != "win32" else None
    return {"cpu": models[0] if models else platform.processor(), "cores": os.cpu_count(), "load": load}


def parsed() -> argparse.Namespace:
    """Read the command line; a contender that cannot run is refused before any does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--only", type=lambda text: text.split(","), default=USUAL, help="; ".join(NAMES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--markdown", type=Path, help="write the table for README.md there")
    asked = parser.parse_args()
    if unknown := set(asked.only) - set(NAMES):
        parser.error(f"there is no contender {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if "denoising-diffusion-pytorch" in asked.only and not PEER_PYTHON.exists():
        parser.error(f"{PEER_PYTHON} is not there; the first command of --help makes it")
    return asked


def main() -> None:
    """Let all compete, print the table, the claims and the JSON; exit code 1 where a claim fails."""
    asked = parsed()
    result: dict[str, Any] = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine(),
        "reverie": reverie.__version__,
        "seconds": asked.seconds,
        "threads": asked.threads,
    }
    begin = time.monotonic()
    result["rows"] = compete(asked)
    result["took"] = time.monotonic() - begin
    result["versions"] = {k: v for row in result["rows"] for k, v in row["versions"].items()}
    held = claims(result["rows"], asked.seconds)
    result["claims"] = {words: held_true for held_true, words in held}
    text = table(result["rows"]) + "\n\n" + "\n".join(f"- {words}: {'yes' if so else 'NO'}" for so, words in held)
    where = f"{result['machine']['cpu']}, {asked.threads} threads, {result['took'] / 60:.0f} minutes in all"
    text += f"\n\n{where}; " + ", ".join(f"{k} {v}" for k, v in result["versions"].items()) + "."
    print(json.dumps(result, indent=1) + "\n\n" + text)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
    if asked.markdown:
        asked.markdown.write_text(text + "\n")
    if not all(so for so, _ in held):
        sys.exit(1)


if __name__ == "__main__":
    main()
