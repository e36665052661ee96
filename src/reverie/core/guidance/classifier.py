"""Guidance by a classifier of noisy data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.guidance.base import Guidance, gaussian, pullback, tweedie
from reverie.core.processes import Gaussian
from reverie.core.shapes import expand, time_of
from reverie.errors import ReverieError


class Classifier(Guidance):
    """x0_hat + w (sigma^2 / alpha) grad log p(y | x_t): towards what a classifier takes for y.

    By Tweedie's formula x0_hat = (x_t + sigma^2 grad log p(x_t)) / alpha, and the score of p(x_t | y) is that of p(x_t)
    plus the classifier's gradient: with w = 1 and the true p(y | x_t) this is E[x0 | x_t, y] exactly.
    log_probability: (x_t (B, *), t (B,)) -> log p(y | x_t) (B,), of each sample's own y, sample by sample. scale: w.
    Source: Dhariwal & Nichol 2021 (Diffusion Models Beat GANs on Image Synthesis), algorithm 2.
    """

    process: Gaussian

    def __init__(
        self, denoiser: Denoiser, log_probability: Callable[[Tensor, Tensor], Tensor], scale: float = 1.0
    ) -> None:
        super().__init__()
        self.process = gaussian(denoiser, "Classifier guidance")
        self.denoiser = denoiser
        self.log_probability = log_probability
        self.scale = scale

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The guided prediction, (B, *): one evaluation of the denoiser, one of the classifier and its gradient."""
        t = time_of(t).expand(len(x_t))
        said, pull = pullback(lambda x: self.log_probability(x, t), x_t)
        if said.shape != (len(x_t),):
            raise ReverieError(
                f"The classifier gives {tuple(said.shape)} for a batch of {len(x_t)}; it must give one log-probability a "
                f"sample, ({len(x_t)},)."
            )
        shift = expand(self.scale * tweedie(self.process, t), x_t)
        return self.denoiser(x_t, t) + shift * pull(torch.ones_like(said))
