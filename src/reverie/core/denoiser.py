"""From a noisy state to the posterior mean of the clean one: what samplers and guidance are written in terms of."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from reverie.core.parameterisation import Parameterisation
from reverie.core.processes import Gaussian, Process
from reverie.core.shapes import expand, flat_mean, time_of
from reverie.core.weighting import Weighting
from reverie.errors import ReverieError
from reverie.example import Conditions, Example, State

_LEVEL_LIMIT = 20.0  # |log_snr| told to the network; float32 tells nothing apart beyond it


class Denoiser(nn.Module, ABC):
    """E[x0 | x_t]: an exact posterior, a network, and a guided network are the same thing to a sampler."""

    process: Process

    @abstractmethod
    def forward(self, x_t: State, t: Tensor) -> State:
        """x_t: (B, *), t: () or (B,) float64 -> the prediction of x0, (B, *)."""


class NetworkDenoiser(Denoiser):
    """A network as a denoiser: its input scaled to variance 1, its output read by a parameterisation.

    network(x, level, cond): x = (x_t - alpha mean) / sqrt(alpha^2 sd^2 + sigma^2), level = -log_snr / 8, which is
    EDM's log(sigma) / 4 for alpha = 1. The data's mean is taken off before and added after, so that a network that says
    nothing predicts between x_t and the mean.
    process: Gaussian, with the data's fitted moments. sigma_data: standard deviation of the data about that mean.
    Source: Karras et al. 2022, section 5, carried to any alpha and sigma.
    """

    process: Gaussian

    def __init__(
        self, network: nn.Module, process: Gaussian, parameterisation: Parameterisation, sigma_data: float
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.parameterisation = parameterisation
        self.sigma_data = sigma_data

    def forward(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Tensor:
        """E[x0 | x_t, cond], (B, *); without cond, conditions that the network knows are not told."""
        t = time_of(t).expand(len(x_t))
        mean = self.process.mean.to(x_t)
        y = x_t - expand(self.process.schedule.alpha(t), x_t) * mean
        out = self._say(y, t, cond or {})
        return mean + self.parameterisation.x0(self.process.schedule, t, y, out)

    def loss(self, example: Example, t: Tensor, eps: Tensor, weighting: Weighting) -> Tensor:
        """Weighted squared error, per sample (B,), computed on the network's output.

        The weight on x0 is divided by `x0_scale`, so that EDM's F, say, is compared where its target has variance 1.
        """
        schedule, t = self.process.schedule, time_of(t)
        x0 = example.x0 - self.process.mean.to(example.x0)
        target = self.parameterisation.target(schedule, t, x0, eps)
        y = expand(schedule.alpha(t), x0) * x0 + expand(schedule.sigma(t), x0) * eps
        error = flat_mean((self._say(y, t, example.cond) - target) ** 2, example.observed)
        scale = self.parameterisation.x0_scale(schedule, t)
        weight = weighting.on_x0(schedule.log_snr(t), scale, self.sigma_data) / scale
        return weight.to(error) * error

    def _say(self, y: Tensor, t: Tensor, cond: Conditions) -> Tensor:
        """The network's output for a centred input y, (B, *)."""
        schedule = self.process.schedule
        scale = torch.rsqrt((schedule.alpha(t) * self.sigma_data) ** 2 + schedule.sigma(t) ** 2)
        level = -schedule.log_snr(t).clamp(-_LEVEL_LIMIT, _LEVEL_LIMIT) / 8
        out = self.network(expand(scale, y) * y, level.to(y), cond)
        if out.shape != y.shape:
            raise ReverieError(
                f"The network gives {tuple(out.shape)} for an input of {tuple(y.shape)}; both must be the same, (B, C, *)."
            )
        return out


class Given(Denoiser):
    """A denoiser that has been told its conditions: E[x0 | x_t, cond] as a function of x_t and t alone."""

    def __init__(self, denoiser: NetworkDenoiser, cond: Conditions) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.process = denoiser.process
        self.cond = cond

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The conditional posterior mean, (B, *)."""
        return self.denoiser(x_t, t, self.cond)
