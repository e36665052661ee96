"""How far an edit goes: one number from 0, the item itself, to 1, a fresh draw, with the same meaning under every schedule.

Of numbers, the noise is n = sigma / alpha = sd tan(90 degrees strength), sd the data's standard deviation: on Gaussian data what
comes out correlates with what went in by cos(90 degrees strength). Of tokens, it is the share that is lost.
"""

from __future__ import annotations

import math

import torch

from reverie.model import Model
from reverie.samples import Settings


def noise_of(model: Model, strength: float) -> float:
    """The noise of a strength below 1: n = sigma / alpha of numbers, (1 - survival) / survival of tokens."""
    if model.codec.field.classes is not None:
        return strength / (1 - strength)
    return model.denoiser.sigma_data * math.tan(0.5 * math.pi * strength)


def time_of(model: Model, settings: Settings, strength: float) -> float | None:
    """Where a walk of a strength begins, at most where sampling does; None for a fresh draw."""
    if strength == 1:
        return None
    schedule = model.process(settings).schedule
    first = settings.build_grid().times(schedule, settings.steps)[0]
    return min(float(schedule.time_of_noise(torch.tensor(noise_of(model, strength)))), float(first))
