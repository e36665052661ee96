"""What the runs behind the verdict's traces are made of: small data, small networks, and the faults, drawn by kind and seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reverie.networks.unet import UNet

KINDS = (
    "healthy", "too-short", "overfitting", "memorising", "diverging", "lr-too-high", "lr-too-low", "ema-lagging",
    "labels-shuffled", "labels-ignored", "drift", "dead-network",
)  # fmt: skip
USUAL_LR = 2e-3  # for networks as small as these


class Perceptron(nn.Module):
    """Two hidden layers over all entries, told level and label, and a way past them."""

    def __init__(self, channels: int, classes: int, width: int, size: int = 8) -> None:
        super().__init__()
        entries, self.classes = channels * size * size, classes
        self.first, self.middle, self.last = (
            nn.Linear(entries, width),
            nn.Linear(width, width),
            nn.Linear(width, entries),
        )
        self.level, self.told = nn.Linear(8, 2 * width), nn.Embedding(classes + 1, 2 * width)
        self.past = nn.Linear(8, 1)

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, C, H, W), (B,) -> (B, C, H, W)."""
        waves = _waves(level)
        e = self.level(waves)
        if "label" in cond:
            e = e + self.told(torch.where(cond["label"].present, cond["label"].value, self.classes))
        a, b = e.chunk(2, 1)
        h = nn.functional.silu(self.first(x.flatten(1)) + a)
        h = h + nn.functional.silu(self.middle(h) + b)
        return self.last(h).view_as(x) + x * self.past(waves)[:, :, None, None]


class Convolutions(nn.Module):
    """Four convolutions that see 9x9 together, told level and label, and a way past them."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.level, self.told = nn.Linear(8, width), nn.Embedding(classes + 1, width)
        self.past = nn.Linear(8, 1)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.middle = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, level: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, C, H, W), (B,) -> (B, C, H, W)."""
        waves = _waves(level)
        e = self.level(waves)
        if "label" in cond:
            e = e + self.told(torch.where(cond["label"].present, cond["label"].value, self.classes))
        h = self.first(x) + e[:, :, None, None]
        for layer in self.middle:
            h = h + layer(nn.functional.silu(h) + e[:, :, None, None])
        return self.last(nn.functional.silu(h)) + x * self.past(waves)[:, :, None, None]


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


def recipe(kind: str, seed: int, dose: int = 0) -> dict[str, Any]:
    """What a run of a kind is made of, its fault in this dose; all of it drawn from (kind, seed)."""
    rng = np.random.default_rng([KINDS.index(kind), seed, dose if kind == "healthy" else 0])
    net = str(rng.choice(["perceptron", "convolutions", "unet"], p=[0.8, 0.17, 0.03]))
    few, most = (70, 80) if net == "unet" else (70, 240) if kind == "healthy" else (100, 200)
    about: dict[str, Any] = {
        "data": str(rng.choice(["digits", "bars", "blobs"])),
        "items": int(rng.integers(400, 1200)),
        "labels": bool(kind.startswith("labels") or rng.random() < 0.7),
        "network": net,
        "width": int(rng.choice([8, 12] if net == "convolutions" else [8, 16] if net == "unet" else [64, 96, 160])),
        "family": str(rng.choice(["edm", "flow"], p=[0.7, 0.3])),
        "batch": int(rng.choice([12, 16, 24, 32])),
        "steps": int(np.exp(rng.uniform(np.log(few), np.log(most)))),
        "lr": float(USUAL_LR * 2 ** rng.uniform(-1, 1.5)),
        "ema": "power",
        "clip": 1.0,
    }
    return about | _faulty(kind, about, rng, dose)


def _faulty(kind: str, about: dict[str, Any], rng: np.random.Generator, dose: int) -> dict[str, Any]:
    """What a fault changes of a recipe."""
    small = {"network": "perceptron", "width": 256, "lr": 4e-3}
    match kind:
        case "too-short":
            return {"steps": int(rng.integers(8, 30) / 1.5**dose)}
        case "overfitting":
            few = {"items": int(rng.integers(100, 140) / 1.3**dose), "held_out": 32, "batch": 16}
            return small | few | {"steps": int(rng.integers(260, 380) * 1.3**dose)}
        case "memorising":
            few = {"items": int(rng.integers(32, 40) / 1.15**dose), "held_out": 16, "batch": 8}
            return small | few | {"steps": int(450 * 1.4**dose)}
        case "diverging":
            return {"lr": about["lr"] * 10 ** (rng.uniform(2.3, 4) + dose), "clip": 1e9}
        case "lr-too-high":
            return {"lr": about["lr"] * 10 ** rng.uniform(1.3, 2) * 2**dose}
        case "lr-too-low":
            return {"lr": about["lr"] / 10 ** rng.uniform(2, 3) / 3**dose}
        case "ema-lagging":
            return {"ema": f"constant:rate={1 - rng.choice([1e-3, 5e-4, 2e-4]) / 3**dose:.5f},start=0"}
        case "drift":
            return {"offset": float(rng.uniform(0.3, 0.6) * rng.choice([-1, 1]) * 1.5**dose)}
        case "dead-network":
            return {"dead": str(rng.choice(["shut", "cut"]))}
        case "labels-shuffled" | "labels-ignored":
            return {"steps": int(about["steps"] * 1.5**dose)}
    return {}


def paired(kind: str, about: dict[str, Any]) -> dict[str, Any]:
    """The recipe of the run that a fault is measured against."""
    match kind:
        case "too-short":
            return about | {"steps": 10 * about["steps"]}
        case "overfitting":
            return about | {"items": 1200}
        case "lr-too-high" | "lr-too-low":
            return about | {"lr": USUAL_LR}
        case "ema-lagging":
            return about | {"ema": "power"}
    return about


def network(fault: str, about: dict[str, Any], channels: int, classes: int, seed: int) -> nn.Module:
    """The network of a recipe, with the fault that is its own."""
    torch.manual_seed(seed)
    made: nn.Module
    if about["network"] == "unet":
        told = {"label": {"kind": "label", "classes": classes}} if classes else {}
        made = UNet(channels, 2, about["width"], (1, 2, 2), 1, (1, 2), 32, told)
    elif about["network"] == "convolutions":
        made = Convolutions(channels, classes, about["width"])
    else:
        made = Perceptron(channels, classes, about["width"])
    if fault == "drift":
        shift = torch.full((channels,), about["offset"])
        shift[1:] *= torch.rand(channels - 1) * 2 - 1
        return Offset(made, shift)
    if fault == "dead-network":
        return Dead(made, about["dead"], channels)
    return Deaf(made) if fault == "labels-ignored" else made
