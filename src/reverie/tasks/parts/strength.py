"""How far an edit goes: one number from 0, the item itself, to 1, a fresh draw, with the same meaning under every schedule.

Of numbers, the noise is n = sigma / alpha = sd tan(90 degrees strength), sd the data's standard deviation: on Gaussian data what
comes out correlates with what went in by cos(90 degrees strength) on the ODE, and by its square where the sampler draws noise on
its way. Of tokens, it is the share that is lost.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.processes import Gaussian, Process, Product
from reverie.example import State
from reverie.model import Model
from reverie.samples import Settings


def field_times(model: Model, process: Product, strength: float) -> dict[str, Tensor]:
    """The time at which each field of its own has the noise of a strength below 1; time is common, so that these differ."""
    n = {True: model.denoiser.sigma_data * math.tan(0.5 * math.pi * strength), False: strength / (1 - strength)}
    return {
        name: one.schedule.time_of_noise(torch.tensor(n[isinstance(one, Gaussian)]))
        for name, one in process.fields.items()
    }


def noised(model: Model, process: Process, x: State, noise: Noise, t: Tensor, strength: float) -> State:
    """Where a walk of a strength begins from items: x_t; of several fields, each as its strength says."""
    eps = process.draw(noise, x)
    if not isinstance(process, Product):
        return process.diffuse(x, t, eps)
    times = field_times(model, process, strength)
    return {name: one.diffuse(x[name], times[name], eps[name]) for name, one in process.fields.items()}


def noise_of(model: Model, strength: float) -> float:
    """The noise of a strength below 1: n = sigma / alpha of numbers, (1 - survival) / survival of tokens."""
    if model.codec.field.classes is not None:
        return strength / (1 - strength)
    return model.denoiser.sigma_data * math.tan(0.5 * math.pi * strength)


def time_of(model: Model, settings: Settings, strength: float) -> float | None:
    """Where a walk of a strength begins, at most where sampling does; None for a fresh draw."""
    if strength == 1:
        return None
    process = model.process(settings)
    schedule = process.schedule
    first = settings.build_grid().times(schedule, settings.steps)[0]
    if isinstance(process, Product):  # from where all fields are that noisy
        return min(max(map(float, field_times(model, process, strength).values())), float(first))
    return min(float(schedule.time_of_noise(torch.tensor(noise_of(model, strength)))), float(first))
