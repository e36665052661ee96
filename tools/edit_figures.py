"""What the editing verbs do with held-out digits, in figures: fill in, upscale, restyle, and the noise level found.

reverie train digits -o RUN --steps 300 --seed 0
.venv/bin/python -m tools.edit_figures RUN          # prints tables, writes docs/figures/{complete,upscale,restyle}.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import reverie
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.evaluation.classifier import label_agreement
from reverie.model import Model
from reverie.tasks.complete import complete
from reverie.tasks.denoise import denoise
from reverie.tasks.restyle import restyle
from reverie.tasks.upscale import upscale

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
DATA = Digits().load()
CUT = split(DATA, 500, seed=0)
TRAIN, HELD = DATA.subset(CUT.train), DATA.subset(CUT.held_out)


def items(n: int) -> np.ndarray:
    """The first held-out digits, uint8 (n, 8, 8, 1)."""
    return np.stack(list(HELD.items)[:n])


def psnr(found: np.ndarray, truth: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
    """Decibels of each item, (N,), of a range of 255, over the entries that count."""
    error = np.where(where, (found.astype(float) - truth.astype(float)) ** 2, 0).reshape(len(truth), -1).sum(1)
    count = np.broadcast_to(where, truth.shape).reshape(len(truth), -1).sum(1)
    return 10 * np.log10(255**2 / np.maximum(error / count, 0.25))


def line(name: str, values: np.ndarray) -> str:
    """Mean and its standard error."""
    return f"{name}: {values.mean():.2f} dB, standard error {values.std(ddof=1) / len(values) ** 0.5:.2f}, n = {len(values)}"


def agreement(model: Model, draws: np.ndarray, labels: np.ndarray) -> str:
    """How often a classifier sees the labels in draws (N, H, W, 1), beside the held-out share."""
    found = label_agreement(
        model.encode(TRAIN.items), TRAIN.labels, model.encode(HELD.items), HELD.labels, model.encode(draws), labels
    )
    return found.line()


def save(picture: Image.Image, name: str) -> None:
    picture.quantize(64).save(FIGURES / name, optimize=True)


def completed(model: Model, n: int, samples: int) -> None:
    """The right half of held-out digits, by each method."""
    truth, labels = items(n), HELD.labels[:n]
    missing = np.zeros((8, 8, 1), bool)
    missing[:, 4:] = True
    for method in ("mmps", "repaint", "known"):
        made = complete(model, truth, mask="right:0.5", samples=samples, method=method)
        draws = np.stack([one for own in made for one in own])
        print(line(f"complete {method}, mean of {samples}", psnr(np.stack(made.means), truth, missing)))
        print(line(f"complete {method}, a draw", psnr(np.stack([own[0] for own in made]), truth, missing)))
        print("   " + agreement(model, draws, labels.repeat(samples)), flush=True)
    mean = np.broadcast_to(np.stack(list(TRAIN.items)).mean(0), truth.shape)
    print(line("complete, training mean", psnr(mean, truth, missing)))
    save(complete(model, truth[:6], mask="right:0.5", samples=6, method="mmps").sheet(), "complete.png")


def upscaled(model: Model, n: int, samples: int) -> None:
    """4x4 block means of held-out digits back to 8x8, beside bicubic interpolation."""
    truth = items(n)
    small = np.rint(truth.reshape(n, 4, 2, 4, 2, 1).mean((2, 4))).astype(np.uint8)
    bicubic = np.stack([np.asarray(Image.fromarray(s[..., 0]).resize((8, 8), Image.Resampling.BICUBIC)) for s in small])
    base = psnr(bicubic[..., None], truth)
    print(line("upscale bicubic", base))
    for method in ("mmps", "pigdm", "dps"):
        made = upscale(model, small, factor=2, samples=samples, method=method)
        mean, one = psnr(np.stack(made.means), truth), psnr(np.stack([own[0] for own in made]), truth)
        print(line(f"upscale {method}, mean of {samples}", mean))
        print(line("   above bicubic, item by item", mean - base))
        print(line(f"upscale {method}, a draw", one))
        print("   " + made.lines()[1], flush=True)
    save(upscale(model, small[:6], factor=2, samples=6).sheet(), "upscale.png")


def restyled(model: Model, n: int) -> None:
    """Held-out digits towards the next class, by strength."""
    truth, asked = items(n), (HELD.labels[:n] + 1) % 10
    rows = []
    for strength in (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0):
        made = restyle(model, truth, strength, label=",".join(map(str, asked)), guidance=2.0)
        draws = np.stack([own[0] for own in made])
        rows.append(draws[:8])
        apart = np.sqrt(((draws.astype(float) - truth) ** 2).mean((1, 2, 3))) / 127.5
        print(f"restyle {strength}: rms distance {apart.mean():.3f} (n = {n})")
        print("   asked for: " + agreement(model, draws, asked), flush=True)
    from reverie.codecs.sheets import grid

    cells = [model.codec.picture(rows[s][k]) for k in range(8) for s in range(len(rows))]
    save(grid(cells, len(rows), ["0", "0.2", "0.4", "0.5", "0.6", "0.7", "0.8", "1"] * 8), "restyle.png")


def estimated(model: Model, n: int) -> None:
    """The noise level that `--sigma auto` finds, and what is gained by the mean."""
    x = model.encode(items(n))
    numbers = np.random.default_rng(0)
    for sigma in (0.05, 0.1, 0.2, 0.35, 0.5):
        noisy = np.clip(np.rint((x + sigma * numbers.standard_normal(x.shape) + 1) * 127.5), 0, 255).astype(np.uint8)
        made = denoise(model, np.moveaxis(noisy, 1, -1), samples=1, steps=2)
        ratio = np.array([own["sigma"] for own in made.each]) / sigma
        print(
            f"sigma {sigma}: found / true {ratio.mean():.3f}, spread {ratio.std(ddof=1):.3f}, n = {n} (clipped to 8 bits)"
        )
        print("   " + line("noisy", psnr(np.moveaxis(noisy, 1, -1), items(n))))
        print("   " + line("mean", psnr(np.stack(made.means), items(n))), flush=True)


if __name__ == "__main__":
    model = reverie.load(sys.argv[1], threads=1)
    parts = sys.argv[2:] or ["complete", "upscale", "restyle", "level"]
    if "complete" in parts:
        completed(model, 100, 4)
    if "upscale" in parts:
        upscaled(model, 100, 4)
    if "restyle" in parts:
        restyled(model, 100)
    if "level" in parts:
        estimated(model, 100)
