"""How much noise is in data, by the model itself: the level n at which what is seen is likeliest.

With p_n the law of u = x0 + n eps, which solves the heat equation, and x0_hat = u + n^2 grad log p_n(u) (Tweedie's formula),

    d log p_n(u) / d log n = (|u - x0_hat|^2 + n^2 tr(d x0_hat / du) - D n^2) / n^2,    D entries in u

so that the curve of log p_n(u) over n, but for a constant, is an integral of what the denoiser says. Where it is largest
Stein's estimate of the error and the residual agree: |u - x0_hat|^2 + n^2 tr(d x0_hat / du) = D n^2.
Source: Stein 1981, theorem 1, for the divergence; Efron 2011 (Tweedie's Formula and Selection Bias), eq. 1.4.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.guidance.base import gaussian, pullback
from reverie.core.likelihood import Hutchinson
from reverie.core.noise import Noise
from reverie.core.shapes import expand

_PROBES = 8


def noise_level(denoiser: Denoiser, u: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """The likeliest n of each sample of u = x0 + n eps, (B, *) -> (B,) float64.

    levels: (L,) rising, above 0, between which it is sought: the first or the last where the likelihood falls or rises all
    the way. The trace is estimated with 8 probes from noise, each sample's own: where all had the same, the error of one
    would be that of all.
    """
    process = gaussian(denoiser, "noise_level")
    probes = Hutchinson(noise, _PROBES).directions(u)
    slopes = []
    for n, t in zip(levels, process.schedule.time_of_noise(levels), strict=True):
        alpha = expand(process.schedule.alpha(t), u)
        x0_hat, pull = pullback(partial(denoiser, t=t), alpha * u)
        trace = sum(_dot(v, alpha * pull(v)) for v in probes) / len(probes)
        slopes.append((_dot(u - x0_hat, u - x0_hat) + n**2 * (trace - u[0].numel())) / n**2)
    slope = torch.stack(slopes, 1).double().cpu()
    return torch.exp(_highest(slope, levels.log()))


def _highest(slope: Tensor, place: Tensor) -> Tensor:
    """Where a curve is highest whose slope is known at some places: slope (B, L), place (L,) rising -> (B,)."""
    steps = (slope[:, 1:] + slope[:, :-1]) / 2 * place.diff()
    curve = torch.cat([torch.zeros_like(slope[:, :1]), steps.cumsum(1)], 1)
    best = curve.argmax(1, keepdim=True)
    after = torch.where(slope.gather(1, best) > 0, best + 1, best).clamp(1, len(place) - 1)
    low, high = slope.gather(1, after - 1), slope.gather(1, after)
    share = (low / (low - high)).where(low * high < 0, (best == after).to(low))
    return (place[after - 1] + share * (place[after] - place[after - 1])).squeeze(1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
