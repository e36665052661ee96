"""How badly a model explains items, and how surprising that is: denoising errors, conformal p-values, AUROC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reverie.conditions import Asked
from reverie.core.denoiser import Denoiser, Given
from reverie.core.noise import Noise
from reverie.core.processes import Product
from reverie.core.samplers import Step
from reverie.example import Condition, Conditions, count, each, moved, some_of
from reverie.model import Model, judging
from reverie.tasks.parts.needs import gaussian
from reverie.tasks.parts.told import wish
from reverie.tasks.parts.walk import slices

# n = sigma / alpha in standard deviations of the data: docs/detect.md says how they were chosen
LEVELS = (0.5, 1.0, 2.0)
FIELD_LEVELS = (1.0, 4.0, 16.0)  # of data of several fields
MOST_LABELS = 64  # above which no label is told: each costs as much as all of it would without
RESAMPLES = 500


@dataclass(frozen=True)
class Errors:
    """Squared errors of x0_hat for items with noise added, told the label that explains each of them best.

    by_level: (N, K), the mean over entries and draws at each noise level. maps: (N, K, *), the mean over draws and channels.
    label: (N,), the number of that label, 0 where none is told.
    """

    by_level: np.ndarray
    maps: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, maps: np.ndarray) -> Errors:
        """From the maps told each label in turn, (L, N, K, *): of every item, those of the lowest score."""
        by_level = maps.reshape(*maps.shape[:3], -1).mean(3)
        best = np.log(by_level.clip(1e-12)).mean(2).argmin(0)
        each = np.arange(len(best))
        return cls(by_level[best, each], maps[best, each], best)

    @property
    def scores(self) -> np.ndarray:
        """(N,), the mean over levels of the logarithm of the error: a factor counts the same at every level."""
        return np.log(self.by_level.clip(1e-12)).mean(1)

    def heat(self, normal: Errors) -> np.ndarray:
        """(N, *), the mean over levels of each place's error, as a multiple of the mean error of normal items."""
        usual = normal.by_level.mean(0).clip(1e-12)
        return (self.maps / usual.reshape(1, -1, *(1,) * (self.maps.ndim - 2))).mean(1)


@dataclass(frozen=True)
class FieldErrors:
    """Divergences of predictions from noisy items of several fields, each as a multiple of what it usually is of normal items.

    by_field: (N, K, F), the mean over draws at each level, of each field: squared errors of numbers, surprisal of tokens.
    entries: (F,), how many each field has. usual: (K, F), the means over normal items.
    """

    by_field: np.ndarray
    entries: np.ndarray
    usual: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """(N,), the mean over levels of the logarithm of the error, its fields weighed by how many entries they have."""
        share = self.entries / self.entries.sum()
        return np.log((self.by_field / self.usual.clip(1e-12) @ share).clip(1e-12)).mean(1)

    @property
    def label(self) -> np.ndarray:
        """(N,), zeros: no label is told in turn."""
        return np.zeros(len(self.by_field), dtype=np.int64)

    def beside(self, normal: FieldErrors) -> FieldErrors:
        """The same, as multiples of the normal items' errors."""
        return FieldErrors(self.by_field, self.entries, normal.by_field.mean(0))


def field_errors(
    model: Model,
    x: dict[str, Tensor],
    draws: int,
    seed: int,
    batch: int = 128,
    on_step: Callable[[Step], None] | None = None,
    told: Asked = Asked(),
) -> FieldErrors:
    """The process' own divergence of each field, of items {field: (N, *)}, at each level; all items meet the same noises."""
    process = model.denoiser.process
    assert isinstance(process, Product)
    times = [process.schedule.time_of_noise(torch.tensor(k * model.denoiser.sigma_data)) for k in FIELD_LEVELS]
    found, cuts = [], slices(count(x), batch)
    with judging(model.denoiser):
        for number, which in enumerate(cuts, start=1):
            own = each(lambda v: v[which].to(model.device), x)  # noqa: B023
            denoiser = Given(model.denoiser, moved(some_of(told.cond, which), model.device))
            parts = [_field_error(denoiser, process, own, t, draws, seed) for t in times]
            found.append(torch.stack(parts, 1).cpu())
            if on_step is not None:
                on_step(Step(number, len(cuts), 1.0, 0.0, own, None))
    by_field = torch.cat(found).double().numpy()
    entries = np.array([x[name][0].numel() for name in process.fields], dtype=np.float64)
    return FieldErrors(by_field, entries, np.ones(by_field.shape[1:]))


def _field_error(
    denoiser: Denoiser, process: Product, x: dict[str, Tensor], t: Tensor, draws: int, seed: int
) -> Tensor:
    """The mean divergence of each field at time t over draws, (N, F)."""
    total = []
    for k in range(draws):
        one = process.draw(Noise.of(seed, 1, k), {name: v[:1] for name, v in x.items()})
        x_t = process.diffuse(x, t, {name: e.expand(x[name].shape) for name, e in one.items()})
        said = denoiser(x_t, t)
        total.append(torch.stack([p.divergence(x[n], said[n], x_t[n], t) for n, p in process.fields.items()], 1))
    return torch.stack(total).mean(0)


def in_turn(model: Model, told: Asked) -> list[str]:
    """The labels that the model is told one after the other: none where it has none, too many, or is told one already."""
    return model.classes if len(model.classes) <= MOST_LABELS and "label" not in told.values else []


def denoising_errors(
    model: Model,
    x: Tensor,
    draws: int,
    seed: int,
    batch: int = 128,
    on_step: Callable[[Step], None] | None = None,
    told: Asked = Asked(),
) -> Errors:
    """|x0_hat(alpha x + sigma eps) - x|^2 of items (N, C, *) at each of the levels, told the label that makes it least.

    told: what else is told of each. Every item meets the same `draws` noises, so that its error depends on nothing but itself,
    what is told of it, model and seed.
    """
    schedule = gaussian(model, "detect").schedule
    times = [schedule.time_of_noise(torch.tensor(k * model.denoiser.sigma_data)) for k in LEVELS]
    turns = _turns(model, told, len(x))
    found, cuts = [], slices(len(x), batch)
    with judging(model.denoiser):
        for number, which in enumerate(cuts, start=1):
            own = x[which].to(model.device)
            conds = [moved(some_of(cond, which), model.device) for cond in turns]
            maps = [torch.stack([_error(model, own, cond, t, draws, seed) for t in times], 1) for cond in conds]
            found.append(torch.stack(maps).cpu())
            if on_step is not None:
                on_step(Step(number, len(cuts), 1.0, 0.0, own, None))
    return Errors.of(torch.cat(found, 1).double().numpy())


def _turns(model: Model, told: Asked, n: int) -> list[Conditions]:
    """What n items are told, with each label in turn."""
    labels = in_turn(model, told)
    if not labels:
        return [told.cond]
    plain = told.cond or wish(model, n, {"label": labels[:1] * n}).cond
    return [{**plain, "label": Condition.of(torch.full((n,), k))} for k in range(len(labels))]


def _error(model: Model, x: Tensor, cond: Conditions, t: Tensor, draws: int, seed: int) -> Tensor:
    """The mean squared error at time t over draws and channels, (N, *)."""
    denoiser, total = Given(model.denoiser, cond), torch.zeros_like(x)
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
