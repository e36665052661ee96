"""How badly a model explains items, and how surprising that is: denoising errors, conformal p-values, AUROC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reverie.core.denoiser import Given
from reverie.core.noise import Noise
from reverie.core.samplers import Step
from reverie.latents import gaussian
from reverie.model import Model

LEVELS = (
    0.5,
    1.0,
    2.0,
)  # n = sigma / alpha in standard deviations of the data: docs/detect.md says how they were chosen
RESAMPLES = 500


@dataclass(frozen=True)
class Errors:
    """Squared errors of x0_hat for items with noise added, told nothing.

    by_level: (N, K), the mean over entries and draws at each noise level. maps: (N, K, *), the mean over draws and channels.
    """

    by_level: np.ndarray
    maps: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """(N,), the mean over levels of the logarithm of the error: a factor counts the same at every level."""
        return np.log(self.by_level.clip(1e-12)).mean(1)

    def heat(self, normal: Errors) -> np.ndarray:
        """(N, *), the mean over levels of each place's error, as a multiple of the mean error of normal items."""
        usual = normal.by_level.mean(0).clip(1e-12)
        return (self.maps / usual.reshape(1, -1, *(1,) * (self.maps.ndim - 2))).mean(1)


def denoising_errors(
    model: Model, x: Tensor, draws: int, seed: int, batch: int = 128, on_step: Callable[[Step], None] | None = None
) -> Errors:
    """|x0_hat(alpha x + sigma eps) - x|^2 of items (N, C, *) at each of the levels.

    Every item meets the same `draws` noises, so that its error depends on nothing but itself, model and seed.
    """
    schedule = gaussian(model, "detect").schedule
    maps, rounds = [], -(-len(x) // batch)
    training, _ = model.denoiser.training, model.denoiser.eval()
    try:
        with torch.no_grad():
            for number, start in enumerate(range(0, len(x), batch), start=1):
                own = x[start : start + batch].to(model.device)
                times = [schedule.time_of_noise(torch.tensor(k * model.denoiser.sigma_data)) for k in LEVELS]
                maps.append(torch.stack([_error(model, own, t, draws, seed) for t in times], 1).cpu())
                if on_step is not None:
                    on_step(Step(number, rounds, 1.0, 0.0, own, None))
    finally:
        model.denoiser.train(training)
    found = torch.cat(maps).double().numpy()
    return Errors(found.reshape(*found.shape[:2], -1).mean(2), found)


def _error(model: Model, x: Tensor, t: Tensor, draws: int, seed: int) -> Tensor:
    """The mean squared error at time t over draws and channels, (N, *)."""
    denoiser, total = Given(model.denoiser, {}), torch.zeros_like(x)
    for k in range(draws):
        eps = Noise.of(seed, 1, k).normal(0, x[:1]).expand_as(x)
        total += (denoiser(denoiser.process.diffuse(x, t, eps), t) - x) ** 2
    return (total / draws).mean(1)


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(1 + how many of n calibration scores are as high) / (n + 1): at most f with probability at most f, for normal items.

    Exact where calibration and new normal items are exchangeable. Source: Vovk et al. 2005 (Algorithmic Learning in a Random
    World), section 2.2; Bates et al. 2023 (Testing for Outliers with Conformal p-values), eq. 2.
    """
    order = np.sort(calibration)
    as_high = len(order) - np.searchsorted(order, scores, side="left")
    return (1 + as_high) / (len(order) + 1)


@dataclass(frozen=True)
class Auroc:
    """The probability that an anomalous item scores above a normal one, ties counted half, with a bootstrap 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, normal: np.ndarray, anomalous: np.ndarray) -> Auroc:
        """From the scores of both; items are resampled on each side."""
        above = (anomalous[:, None] > normal) + 0.5 * (anomalous[:, None] == normal)
        rng, found = np.random.default_rng(0), []
        for _ in range(RESAMPLES):
            a, n = (rng.multinomial(size, np.full(size, 1 / size)) for size in above.shape)
            found.append(a @ above @ n / math.prod(above.shape))
        low, high = np.quantile(found, [0.025, 0.975])
        return cls(float(above.mean()), float(low), float(high))

    def __str__(self) -> str:
        """As a figure with its interval."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
