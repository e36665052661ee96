"""Film strips: noise becoming a sample, and a real item becoming noise.

A noisy state is shown as m + (x_t / alpha - m) sd / sqrt(sd^2 + n^2), n = sigma / alpha, m the mean of all entries: at
the data's own contrast. Without this, all but the last few frames would be black and white speckle from edge to edge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers import Step
from reverie.model import Model
from reverie.report.tiles import Tile, tile
from reverie.samples import Samples

FRAMES = 9
SHOWN = 3
_SEED = 0xF11  # of the forward strip's noise


class Row(NamedTuple):
    """One line of a strip: what it shows, and a picture for each noise level, None where there is none."""

    title: str
    tiles: list[Tile | None]


class Strip(NamedTuple):
    """Rows of pictures over common noise levels, largest first in the reverse process."""

    levels: list[str]
    rows: list[Row]


def reverse(model: Model, samples: Samples) -> Strip:
    """Draw a few of the samples again, from the same noise, and keep what the model saw and guessed on the way."""
    places = distinct(samples.labels, len(samples))
    films = [_film(model, samples, k) for k in places]
    frames = _chosen([n for n, _, _ in films[0]], model.denoiser.sigma_data)
    levels = [level(films[0][i][0]) for i in frames]
    rows = []
    for place, film in zip(places, films, strict=True):
        k = samples.first + place
        asked = "" if samples.labels is None else f" ({samples.labels[place]})"
        states = [
            tile(model.codec, film[i][1], f"Sample {k} on its way, n = {levels[j]}") for j, i in enumerate(frames)
        ]
        guesses = [
            None
            if (guess := film[i][2]) is None
            else tile(model.codec, guess, f"Guess of sample {k} at n = {levels[j]}")
            for j, i in enumerate(frames)
        ]
        rows += [Row(f"sample {k}{asked}", [*states]), Row("the model's guess", guesses)]
    return Strip(levels, rows)


def forward(model: Model, held_x: np.ndarray, samples: Samples, count: int = 2) -> Strip:
    """Add noise to a few real items (N, C, *), at the levels that the reverse strip stops at."""
    process = model.process(samples.settings)
    times = _times(model, samples).flip(0)
    noises = [float(n) for n in process.schedule.noise(times)]
    frames = _chosen(noises[::-1], model.denoiser.sigma_data)[::-1]
    frames = [len(noises) - 1 - i for i in frames]
    rows = []
    for k, x in enumerate(held_x[:count], start=1):
        x0 = torch.from_numpy(x[None])
        eps = process.draw(Noise.of(_SEED, 1, k), x0)
        shown = [model.denoiser.look(process.diffuse(x0, times[i], eps), times[i], process)[0].numpy() for i in frames]
        tiles = [tile(model.codec, y, f"Real item {k} with noise n = {level(noises[i])}")
                 for y, i in zip(shown, frames, strict=True)]  # fmt: skip
        rows.append(Row(f"real item {k}", [*tiles]))
    return Strip([level(noises[i]) for i in frames], rows)


def distinct(labels: Sequence[str] | None, count: int, most: int = SHOWN) -> list[int]:
    """Places of the first few items, of different classes where there are classes."""
    if labels is None:
        return list(range(min(most, count)))
    first = {label: k for k, label in reversed(list(enumerate(labels)))}
    return sorted(first.values())[:most]


def level(n: float) -> str:
    """A noise level as the page writes it."""
    return "0" if n == 0 else f"{n:.2g}" if n < 9.95 else f"{n:.0f}"


def _film(model: Model, samples: Samples, k: int) -> list[tuple[float, np.ndarray, np.ndarray | None]]:
    """(n, x_t as shown, x0_hat) at every stop of sample k, the pure noise first and the finished sample last."""
    process, s, looks = model.process(samples.settings), samples.settings, model.denoiser
    times = _times(model, samples)
    noise = Noise.of(samples.seed, 1, samples.first + k, s.temperature)
    x = process.prior(torch.empty(1, *model.codec.field.shape), noise, times[0])
    steps: list[Step] = []
    model.sample(
        1, conditions=samples.asked(k),
        steps=s.steps, sampler=s.sampler, grid=s.grid, guidance=s.guidance, interval=s.interval, temperature=s.temperature,
        schedule=s.schedule, seed=samples.seed, first=samples.first + k, on_step=lambda step: steps.append(_on_cpu(step)),
    )  # fmt: skip
    stops = [(times[0], x, steps[0].x0_hat)]
    stops += [(torch.tensor(a.s, dtype=torch.float64), a.x, b.x0_hat) for a, b in pairwise(steps)]
    stops += [(torch.tensor(steps[-1].s, dtype=torch.float64), steps[-1].x, None)]
    return [
        (
            float(process.schedule.noise(t)),
            looks.look(x, t, process)[0].numpy(),
            None if hat is None else looks.guess(hat)[0].numpy(),
        )
        for t, x, hat in stops
    ]


def _on_cpu(step: Step) -> Step:
    hat = None if step.x0_hat is None else step.x0_hat.cpu()
    return dataclasses.replace(step, x=step.x.cpu(), x0_hat=hat)


def _times(model: Model, samples: Samples) -> Tensor:
    return samples.settings.build_grid().times(model.process(samples.settings).schedule, samples.settings.steps)


def _chosen(noises: list[float], sigma_data: float) -> list[int]:
    """Which stops to show: the first, the last, and those nearest to even ratios where pictures are decided.

    That is between n = 10 sd, where nothing can be seen, and sd / 8, where nothing changes any more.
    """
    first, last = noises[0], noises[-1]
    inner = [i for i, n in enumerate(noises) if n > 0]
    wanted = np.geomspace(min(10 * sigma_data, first), max(sigma_data / 8, min(noises[i] for i in inner)), FRAMES - 2)
    near = {min(inner, key=lambda i: abs(np.log(noises[i] / w))) for w in wanted}
    return sorted({0, *near, len(noises) - 1}) if first != last else [0]
