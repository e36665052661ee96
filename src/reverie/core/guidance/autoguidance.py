"""Guiding a model by a worse version of itself."""

from __future__ import annotations

import math

from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.guidance.base import Guidance, strength
from reverie.core.shapes import time_of
from reverie.errors import ReverieError
from reverie.example import State, tensors


class Autoguidance(Guidance):
    """x0_hat = r + w (d - r): away from what a worse model, r, says of x_t, past what the model, d, says.

    denoiser: d; worse: r, smaller or trained for less, on the same data and told the same conditions. Each has been told
    its conditions already, if any (`Given`). scale: w; 1 is the model itself. interval: (low, high) of n = sigma / alpha;
    outside it w = 1, and r is not computed.
    Source: Karras et al. 2024 (Guiding a Diffusion Model with a Bad Version of Itself), section 4.
    """

    def __init__(
        self, denoiser: Denoiser, worse: Denoiser, scale: float = 2.0, interval: tuple[float, float] = (0.0, math.inf)
    ) -> None:
        super().__init__()
        if type(denoiser.process) is not type(worse.process):
            raise ReverieError(
                f"The model has a {type(denoiser.process).__name__} process and the worse one a "
                f"{type(worse.process).__name__} process; autoguidance needs two models of one kind."
            )
        self.denoiser = denoiser
        self.process = denoiser.process
        self.worse = worse
        self.scale = scale
        self.interval = interval

    def forward(self, x_t: State, t: Tensor) -> State:
        """The guided prediction, (B, *)."""
        t = time_of(t).expand(len(tensors(x_t)[0]))
        w = strength(self.process, t, self.scale, self.interval)
        better = self.denoiser(x_t, t)
        return better if bool((w == 1).all()) else self.process.mix(self.worse(x_t, t), better, w)
