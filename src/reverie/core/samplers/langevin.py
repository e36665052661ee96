"""Langevin dynamics: alone on a ladder of noise levels, and as the corrector after every step of a reverse SDE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand
from reverie.errors import ReverieError

_LONGEST = 2.0  # how far a sample's noise, as its score tells it, may exceed what sigma says before its steps shrink


def langevin(x: Tensor, pull: Tensor, sigma: Tensor, size: Tensor, z: Tensor) -> Tensor:
    """One step x + a s + sqrt(2 a) z of Langevin dynamics, (B, *), with a = size sigma^2.

    pull: sigma^2 s = alpha x0_hat - x, s the score. size: () or (B,), without a unit; the noise is forgotten at this rate.
    """
    return x + expand(size, x) * pull + expand(sigma * torch.sqrt(2 * size), x) * z


@dataclass(frozen=True)
class AnnealedLangevin(GaussianSampler):
    """Langevin dynamics at every noise level in turn, from the noisiest to the last, then the prediction itself.

    x <- x + a_i s(x, t_i) + sqrt(2 a_i) z, `inner` times at level i;   a_i = step_size sigma_i^2

    Between levels u = x / alpha stays as it is. The published rule a_i = e sigma_i^2 / (2 sigma_L^2), with e = 2e-5 and
    sigma_L = 0.01, is step_size = 0.1 here; its 10 levels of 100 inner steps cost what 100 levels of 10 do, the usual ones
    here. `inner` evaluations for each of the grid's levels above 0, and one. Levels should be even in log(n), as by the
    grid 'log-snr'; a grid that repeats one level is plain Langevin dynamics there. What share of the
    samples each mode gets settles slowly: other samplers need a tenth of the evaluations.
    Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients of the Data Distribution), algorithm 1.
    """

    step_size: float = 0.1
    inner: int = 10
    usual_steps: ClassVar[int] = 100
    usual_grid: ClassVar[str | None] = "log-snr"

    def __post_init__(self) -> None:
        """Refuse steps that do not settle: from 2 on the dynamics diverges."""
        if not (0 < self.step_size <= 1 and self.inner >= 1):
            raise ReverieError(
                f"annealed-langevin:step_size={self.step_size:g},inner={self.inner} needs a step_size above 0 and up to 1 "
                "(0.1 is the published one), and at least 1 inner step."
            )

    @property
    def order(self) -> float | None:
        """None: noise is drawn."""
        return None

    def advance(self, leg: Leg, x_t: Tensor, state: bool | None, noise: Noise) -> tuple[Tensor, bool, Tensor]:
        """`inner` evaluations at s; at the ladder's first level, where nothing has settled yet, as many there before."""
        draw, x0_hat = 2 * noise.step * self.inner, x_t
        if state is None:
            x_t, x0_hat = self._settle(leg, leg.t, x_t, noise, draw)
        x_s = x_t * expand(leg.schedule.alpha(leg.s) / leg.schedule.alpha(leg.t), x_t)
        x_s, x0_hat = self._settle(leg, leg.s, x_s, noise, draw + self.inner)
        return x_s, True, x0_hat

    def _settle(self, leg: Leg, t: Tensor, x: Tensor, noise: Noise, draw: int) -> tuple[Tensor, Tensor]:
        """The inner steps at one level, and the last of their predictions; noise from the loop's step `draw` on."""
        alpha, sigma, size = leg.schedule.alpha(t), leg.schedule.sigma(t), torch.tensor(self.step_size)
        x0_hat = x
        for j in range(self.inner):
            x0_hat = leg.x0(x, t)
            x = langevin(x, expand(alpha, x) * x0_hat - x, sigma, size, noise.at(draw + j).normal(1, x))
        return x, x0_hat


@dataclass(frozen=True)
class PredictorCorrector(GaussianSampler):
    """A step of the reverse SDE predicts x_s, then Langevin dynamics at s corrects its distribution.

    predictor, q(x_t | x_s) = N(r x_s, v):   x_s = (2 - r) x_t + v s(x_t, t) + sqrt(v) z
    corrector, `corrections` times:          x_s <- x_s + a s(x_s, s) + sqrt(2 a) z;   a = 2 r^2 (snr l)^2

    l is the length of noise against score, published as |z| / |s| over a batch. A sample must not depend on its batch, and
    in few dimensions its own |z| / |s| biases what it corrects (a mixture in 2-D gets twice its covariance). So l is what the
    ratio tends to in many, sigma, and less where a sample's own score is long: l = min(sigma, 2 sqrt(D) / |s|) with D
    entries. 1 + `corrections` evaluations a step, one for the last.
    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), algorithms 2 to 5; eq. 46 for the predictor.
    """

    snr: float = 0.16
    corrections: int = 1
    usual_steps: ClassVar[int] = 128

    def __post_init__(self) -> None:
        """Refuse a ratio that cannot settle; without corrections it is the predictor alone."""
        if not (0 < self.snr <= 0.5 and self.corrections >= 0):
            raise ReverieError(
                f"predictor-corrector:snr={self.snr:g},corrections={self.corrections} needs an snr above 0 and up to 0.5 "
                "(0.16 is usual), and corrections from 0."
            )

    @property
    def order(self) -> float | None:
        """None: noise is drawn."""
        return None

    def advance(self, leg: Leg, x_t: Tensor, state: None, noise: Noise) -> tuple[Tensor, None, Tensor]:
        """One evaluation at t and `corrections` at s."""
        alpha_t, alpha_s = leg.schedule.alpha(leg.t), leg.schedule.alpha(leg.s)
        sigma_t, sigma_s = leg.schedule.sigma(leg.t), leg.schedule.sigma(leg.s)
        ratio, variance = leg.schedule.kernel(leg.s, leg.t)
        x0_hat = leg.x0(x_t, leg.t)
        pull = expand(alpha_t, x_t) * x0_hat - x_t
        x = expand(2 - ratio, x_t) * x_t + expand(variance / sigma_t**2, x_t) * pull
        x = x + expand(variance.sqrt(), x) * noise.normal(0, x)
        for j in range(self.corrections):
            pull = expand(alpha_s, x) * leg.x0(x, leg.s) - x
            length = torch.linalg.vector_norm(pull.flatten(1), dim=1).cpu().double()  # sigma^2 |s|, (B,)
            share = (_LONGEST * x[0].numel() ** 0.5 * sigma_s / length).clamp(max=1)  # l / sigma
            size = 2 * (ratio * self.snr * share) ** 2
            x = langevin(x, pull, sigma_s, size, noise.at(noise.step * self.corrections + j).normal(1, x))
        return x, None, x0_hat
