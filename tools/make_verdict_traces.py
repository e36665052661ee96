"""Record the traces on which the verdict is set and judged: small healthy runs, and runs with one seeded fault each.

    python tools/make_verdict_traces.py [KIND ...] [--count 10] [-o tests/training/traces]

Each kind is drawn anew by its seed: data (handwritten digits, bars, colour blobs; 8x8), network (perceptron,
convolutions, U-Net), learning rate, batch, family and the fault's own strength. A kind is one file, KIND.jsonl.gz, one
trace a line: {"kind", "seed", "half", "about", "events"}, events as in metrics.jsonl, rounded, the steps' figures as columns.
Thresholds are set on the traces whose half is "set" and tested on those whose half is "test". About 5 s a trace and ten
minutes in all on one core.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import reverie
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.networks.unet import UNet
from reverie.training.trackers import Event, Memory

KINDS = (
    "healthy", "too-short", "overfitting", "memorising", "diverging", "lr-too-high", "lr-too-low", "ema-lagging",
    "labels-shuffled", "labels-ignored", "drift", "dead-network",
)  # fmt: skip
SET = (6, 24)  # seeds below this set the thresholds: of each fault, and of healthy runs; those from it on test them
STEP_COLUMNS = ("loss", "lr", "grad_norm")


class Perceptron(nn.Module):
    """Two hidden layers over all entries, told level and label."""

    def __init__(self, channels: int, classes: int, width: int, size: int = 8) -> None:
        super().__init__()
        entries, self.classes = channels * size * size, classes
        self.first, self.middle, self.last = (
            nn.Linear(entries, width),
            nn.Linear(width, width),
            nn.Linear(width, entries),
        )
        self.level, self.told = nn.Linear(8, 2 * width), nn.Embedding(classes + 1, 2 * width)

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, C, H, W), (B,) -> (B, C, H, W)."""
        e = self.level(_waves(level))
        if "label" in cond:
            e = e + self.told(torch.where(cond["label"].present, cond["label"].value, self.classes))
        a, b = e.chunk(2, 1)
        h = nn.functional.silu(self.first(x.flatten(1)) + a)
        h = h + nn.functional.silu(self.middle(h) + b)
        return self.last(h).view_as(x)


class Convolutions(nn.Module):
    """Four convolutions that see the whole of 8x8, told level and label."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.level, self.told = nn.Linear(8, width), nn.Embedding(classes + 1, width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.middle = nn.ModuleList(nn.Conv2d(width, width, 5, padding=2) for _ in range(2))
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, C, H, W), (B,) -> (B, C, H, W)."""
        e = self.level(_waves(level))
        if "label" in cond:
            e = e + self.told(torch.where(cond["label"].present, cond["label"].value, self.classes))
        h = self.first(x) + e[:, :, None, None]
        for layer in self.middle:
            h = h + layer(nn.functional.silu(h) + e[:, :, None, None])
        return self.last(nn.functional.silu(h))


class Offset(nn.Module):
    """Fault: says something else when not in training, by a constant for each channel, as a wrong normalisation does."""

    def __init__(self, network: nn.Module, offset: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", offset)

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """The network's answer, shifted in eval mode."""
        out = self.network(x, level, cond)
        return out if self.training else out + self.offset[None, :, None, None]


class Deaf(nn.Module):
    """Fault: the label never reaches the network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """The network's answer without conditions."""
        return self.network(x, level, {})


class Dead(nn.Module):
    """Fault: what comes out has nothing of what goes in: units that are all shut, or a graph that was cut."""

    def __init__(self, network: nn.Module, how: str, channels: int) -> None:
        super().__init__()
        self.network, self.how = network, how
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """A constant."""
        out = self.network(x, level, cond)
        return (torch.relu(out - 50) if self.how == "shut" else 0 * out.detach()) + self.bias


def _waves(level: Tensor) -> Tensor:
    return torch.cat(
        [f(level[:, None] * 2.0 ** torch.arange(4, device=level.device)) for f in (torch.sin, torch.cos)], 1
    )


def bars(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows, columns and diagonals at random places, on a little noise."""
    items = rng.integers(0, 40, (count, 8, 8, 1), dtype=np.uint8)
    labels = rng.integers(3, size=count)
    for item, label, place in zip(items, labels, rng.integers(8, size=count), strict=True):
        rows = np.arange(8) if label else np.full(8, place)
        item[rows, [np.arange(8), np.full(8, place), (np.arange(8) + place) % 8][label]] = 255
    return items, labels


def blobs(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A round spot at a random place; its class is its colour, one of four, with a little variation."""
    labels = rng.integers(4, size=count)
    colour = np.array([[230, 60, 40], [40, 200, 60], [50, 80, 220], [220, 210, 60]])[labels] + rng.normal(
        0, 12, (count, 3)
    )
    centre, radius = rng.uniform(2, 5, (count, 2, 1, 1)), rng.uniform(1.2, 2.2, (count, 1, 1))
    y, x = np.mgrid[:8, :8]
    spot = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / (2 * radius**2))[..., None]
    items = 30 + spot * (colour[:, None, None] - 30) + rng.normal(0, 4, (count, 8, 8, 3))
    return np.clip(items, 0, 255).astype(np.uint8), labels


def draw(name: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Some items of a data set by name, with their labels."""
    if name != "digits":
        return {"bars": bars, "blobs": blobs}[name](count, rng)
    from reverie.datasets import Digits

    data = Digits().load()
    chosen = rng.permutation(len(data.items))[:count]
    return data.items[chosen], data.labels[chosen]


def recipe(kind: str, seed: int) -> dict[str, Any]:
    """What a run of a kind is made of; all of it drawn from (kind, seed)."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    told = kind.startswith("labels")
    net = str(rng.choice(["perceptron", "convolutions", "unet"], p=[0.72, 0.22, 0.06]))
    about: dict[str, Any] = {
        "data": str(rng.choice(["digits", "bars", "blobs"])),
        "items": int(rng.integers(400, 900)),
        "labels": bool(told or rng.random() < 0.75),
        "network": net,
        "family": str(rng.choice(["edm", "edm", "edm", "flow"])),
        "batch": int(rng.choice([24, 32, 48])),
        "steps": 100 if net == "unet" else int(rng.integers(250, 400)),
        "lr": float(2e-3 * 2 ** rng.uniform(-1, 1)),
        "ema": "power",
        "clip": 1.0,
    }
    if (
        about["family"] == "flow"
    ):  # a velocity has to pass the picture on, which the plain networks learn too slowly here
        about |= {"steps": int(1.6 * about["steps"])} if net == "unet" else {"family": "edm"}
    return about | _faulty(kind, about, rng)


def _faulty(kind: str, about: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """What a fault changes of a recipe."""
    # bars are 24 patterns and blobs are smooth: what is held out of them is guessed well from a few
    small = {"network": "perceptron", "family": "edm", "width": 384, "data": "digits"}
    match kind:
        case "too-short":
            return {"steps": int(rng.integers(8, 40))}
        case "overfitting":
            return small | {"batch": 32, "items": int(rng.integers(135, 175)), "steps": int(rng.integers(500, 700))}
        case "memorising":
            few = {"items": int(rng.integers(36, 44)), "held_out": 16, "steps": 800, "batch": 20, "lr": 3e-3}
            return small | few
        case "diverging":
            return {"lr": about["lr"] * 10 ** rng.uniform(2.3, 4), "clip": 1e9}
        case "lr-too-high":
            return {"lr": about["lr"] * 10 ** rng.uniform(1.3, 2)}
        case "lr-too-low":
            return {"lr": about["lr"] / 10 ** rng.uniform(2, 3)}
        case "ema-lagging":
            return {"ema": f"constant:rate={rng.choice([0.999, 0.9995, 0.9998])},start=0"}
        case "drift":
            return {"offset": float(rng.uniform(0.3, 0.6) * rng.choice([-1, 1]))}
        case "dead-network":
            return {"dead": str(rng.choice(["shut", "cut"]))}
    return {}


def network(kind: str, about: dict[str, Any], channels: int, classes: int, seed: int) -> nn.Module:
    """The network of a recipe, with the fault that is its own."""
    torch.manual_seed(seed)
    made: nn.Module
    if about["network"] == "unet":
        made = UNet.sized("tiny", (channels, 8, 8), {"label": {"kind": "label", "classes": classes}} if classes else {})
    elif about["network"] == "convolutions":
        made = Convolutions(channels, classes, 20)
    else:
        made = Perceptron(channels, classes, about.get("width", 192))
    if kind == "drift":
        shift = torch.full((channels,), about["offset"])
        shift[1:] *= torch.rand(channels - 1) * 2 - 1
        return Offset(made, shift)
    if kind == "dead-network":
        return Dead(made, about["dead"], channels)
    return Deaf(made) if kind == "labels-ignored" else made


def record(kind: str, seed: int) -> dict[str, Any]:
    """Train one run of a kind and return its trace."""
    about = recipe(kind, seed)
    rng = np.random.default_rng([KINDS.index(kind), seed, 1])
    items, labels = draw(about["data"], about["items"], rng)
    classes = int(labels.max()) + 1 if about["labels"] else 0
    if kind == "labels-shuffled":
        labels = rng.permutation(labels)
    data = Data.from_arrays(items, labels if classes else None, name=about["data"])
    memory, stopped = Memory(), ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            reverie.train(
                data, Path(folder) / "run", network=network(kind, about, items.shape[-1], len(data.classes), seed),
                tracker=memory, threads=1, seed=seed, device="cpu", held_out=about.get("held_out", 64),
                **{k: about[k] for k in ("family", "batch", "steps", "lr", "ema", "clip")},
            )  # fmt: skip
        except ReverieError as error:
            stopped = str(error)
    half = "set" if seed < SET[kind == "healthy"] else "test"
    return {
        "kind": kind,
        "seed": seed,
        "half": half,
        "about": about | {"stopped": stopped},
        "events": packed(memory.events),
    }


def packed(events: list[Event]) -> list[dict[str, Any]]:
    """Events as a log holds them, rounded; all steps in one event of columns, whose first figure is step 1's."""
    told = [
        {"event": e.kind, "step": e.step, **e.values} for e in events if e.kind not in ("step", "note", "checkpoint")
    ]
    steps = [e.values for e in events if e.kind == "step"]
    columns = {k: [_rounded(s[k], 3) for s in steps] for k in STEP_COLUMNS}
    images = steps[0]["images"] if steps else 0
    return [{"event": "steps", "images": images, **columns}, *(_rounded(e, 5) for e in told)]


def _rounded(value: Any, digits: int) -> Any:
    """Significant digits of every number in it."""
    if isinstance(value, dict):
        return {k: _rounded(v, digits) for k, v in value.items() if k != "elapsed"}
    if isinstance(value, list):
        return [_rounded(v, digits) for v in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return float(f"{value:.{digits}g}")


def main() -> None:
    """Record what is asked for, a file a kind."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--count", type=int, help="traces of each kind; default 8, of healthy runs 36")
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/training/traces"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.output.mkdir(parents=True, exist_ok=True)
    for kind in asked.kinds or KINDS:
        begin = time.monotonic()
        count = asked.count or (36 if kind == "healthy" else 8)
        lines = [json.dumps(record(kind, seed), separators=(",", ":")) for seed in range(count)]
        blob = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
        (asked.output / f"{kind}.jsonl.gz").write_bytes(blob)
        print(f"{kind}: {count} traces, {len(blob):,} bytes, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
