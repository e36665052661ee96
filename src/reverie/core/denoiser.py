"""From a noisy state to the posterior mean of the clean one: what samplers and guidance are written in terms of."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from reverie.core.parameterisation import Parameterisation
from reverie.core.processes import Categorical, Gaussian, Process
from reverie.core.schedules import Schedule
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


class Learned(Denoiser):
    """A network as a denoiser, told conditions or not: what is trained, saved and guided."""

    network: nn.Module
    sigma_data: float  # the scale of the data, which time laws and weightings are told

    @abstractmethod
    def forward(self, x_t: State, t: Tensor, cond: Conditions | None = None) -> State:
        """The prediction given the conditions; without them, those that the network knows are not told."""

    @abstractmethod
    def loss(self, example: Example, t: Tensor, eps: State, weighting: Weighting) -> Tensor:
        """What training makes small, per sample (B,); eps as the process draws it."""

    @abstractmethod
    def output_scale(self, t: Tensor) -> Tensor:
        """What brings the process' divergence at t to one scale across noise levels, (*,) -> (*,), for showing it."""

    @abstractmethod
    def baseline(self, x0: State) -> float:
        """The divergence of who knows the data's distribution entry by entry and nothing of x_t, over x0 (N, *)."""

    @abstractmethod
    def look(self, x_t: State, t: Tensor, process: Process) -> State:
        """x_t of a process like the own one, as a thing of the data's own kind and contrast, for eyes alone."""

    @abstractmethod
    def guess(self, prediction: State) -> State:
        """A prediction as a thing of the data's own kind, for eyes alone."""


class NetworkDenoiser(Learned):
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
        schedule, target = self.process.schedule, self.parameterisation
        out = expand(target.unit(schedule, t), y) * self._say(y, t, cond or {})
        return mean + target.x0(schedule, t, y, out)

    def loss(self, example: Example, t: Tensor, eps: Tensor, weighting: Weighting) -> Tensor:
        """Weighted squared error, per sample (B,), computed on the network's output.

        The weight on x0 is divided by `x0_scale`, so that EDM's F, say, is compared where its target has variance 1.
        """
        schedule, t = self.process.schedule, time_of(t)
        x0 = example.x0 - self.process.mean.to(example.x0)
        unit = self.parameterisation.unit(schedule, t)
        target = expand(1 / unit, x0) * self.parameterisation.target(schedule, t, x0, eps)
        y = expand(schedule.alpha(t), x0) * x0 + expand(schedule.sigma(t), x0) * eps
        error = flat_mean((self._say(y, t, example.cond) - target) ** 2, example.observed)
        scale = self.parameterisation.x0_scale(schedule, t)
        weight = weighting.on_x0(schedule.log_snr(t), scale, self.sigma_data) * unit**2 / scale
        return weight.to(error) * error

    def output_scale(self, t: Tensor) -> Tensor:
        """Squared error of the output per squared error of x0: EDM's F has variance 1 at every level."""
        schedule, target = self.process.schedule, self.parameterisation
        return target.x0_scale(schedule, t) / target.unit(schedule, t) ** 2

    def baseline(self, x0: Tensor) -> float:
        """Mean squared distance from the training data's mean."""
        return float(((x0 - self.process.mean.to(x0)) ** 2).mean())

    def look(self, x_t: Tensor, t: Tensor, process: Process) -> Tensor:
        """x_t / alpha, drawn towards the mean until it has the data's own variance."""
        n, mean = float(process.schedule.noise(t)), self.process.mean.to(x_t).mean()
        shrink = self.sigma_data / (self.sigma_data**2 + n**2) ** 0.5
        return mean + (x_t / float(process.schedule.alpha(t)) - mean) * shrink

    def guess(self, prediction: Tensor) -> Tensor:
        """x0_hat itself."""
        return prediction

    def _say(self, y: Tensor, t: Tensor, cond: Conditions) -> Tensor:
        """What the network says to a centred input y, (B, *), in the parameterisation's units."""
        schedule = self.process.schedule
        scale = torch.rsqrt((schedule.alpha(t) * self.sigma_data) ** 2 + schedule.sigma(t) ** 2)
        level = -schedule.log_snr(t).clamp(-_LEVEL_LIMIT, _LEVEL_LIMIT) / 8
        out = self.network(expand(scale, y) * y, level.to(y), cond)
        if out.shape != y.shape:
            raise ReverieError(
                f"The network gives {tuple(out.shape)} for an input of {tuple(y.shape)}; both must be the same, (B, C, *)."
            )
        return out


class TokenDenoiser(Learned):
    """A network that gives every class of every token a number, read as log p(x0 | x_t) by the process.

    network(x_t, level, cond): x_t int64 (B, *), level = log((1 - survival) / survival) / 4 -> (B, K, *).
    Source: Sahoo et al. 2024 (MDLM), section 3.2; Schiff et al. 2025 for the uniform process.
    """

    process: Categorical

    def __init__(self, network: nn.Module, process: Categorical) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.sigma_data = 1.0

    def forward(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Tensor:
        """log p(x0 | x_t, cond), (B, K, *)."""
        t = time_of(t).expand(len(x_t))
        level = torch.log(self.process.schedule.noise(t)).clamp(-_LEVEL_LIMIT, _LEVEL_LIMIT) / 4
        weight = next(self.network.parameters())
        out = self.network(x_t, level.to(weight), cond or {})
        expected = (len(x_t), self.process.classes, *x_t.shape[1:])
        if out.shape != expected:
            raise ReverieError(f"The network gives {tuple(out.shape)} for tokens {tuple(x_t.shape)}; need {expected}.")
        return self.process.settle(out.float() if out.dtype in (torch.float16, torch.bfloat16) else out, x_t, t)

    def loss(self, example: Example, t: Tensor, eps: Tensor, weighting: Weighting) -> Tensor:
        """The continuous-time bound on the negative log-likelihood, in nats per token, (B,): no weighting keeps it one."""
        x_t = self.process.diffuse(example.x0, t, eps)
        return self.process.divergence(example.x0, self(x_t, t, example.cond), x_t, t, example.observed)

    def output_scale(self, t: Tensor) -> Tensor:
        """One: nats are on one scale."""
        return torch.ones_like(time_of(t))

    def baseline(self, x0: Tensor) -> float:
        """Mean entropy of the tokens, each place's own, in nats: the bound of a network that knows frequencies alone."""
        rows, k = x0.flatten(1).cpu(), self.process.classes
        counts = torch.bincount((rows + k * torch.arange(rows.shape[1])).flatten(), minlength=k * rows.shape[1])
        return float(torch.special.entr(counts.double() / len(rows)).sum() / rows.shape[1])

    def look(self, x_t: Tensor, t: Tensor, process: Process) -> Tensor:
        """Masked tokens as the middle class."""
        return torch.where(x_t >= self.process.classes, self.process.classes // 2, x_t)

    def guess(self, prediction: Tensor) -> Tensor:
        """The mean class, rounded: classes of pictures are levels of brightness."""
        level = torch.arange(self.process.classes, device=prediction.device).reshape(
            1, -1, *(1,) * (prediction.ndim - 2)
        )
        return (prediction.exp() * level).sum(1).round().long()


class Given(Denoiser):
    """A denoiser that has been told its conditions: E[x0 | x_t, cond] as a function of x_t and t alone."""

    def __init__(self, denoiser: Learned, cond: Conditions) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.process = denoiser.process
        self.cond = cond

    def forward(self, x_t: State, t: Tensor) -> State:
        """The conditional posterior mean, (B, *)."""
        return self.denoiser(x_t, t, self.cond)


class Rescheduled(Denoiser):
    """A Gaussian denoiser under another schedule than it was trained with, by matching log_snr.

    x_t of the new schedule, times alpha(t') / alpha_new(t), is a state of the old one at t' with log_snr(t') = log_snr_new(t).
    Source: Karras et al. 2022, section 3: the schedule is a choice of sampling, not of training.
    """

    process: Gaussian

    def __init__(self, denoiser: Denoiser, schedule: Schedule) -> None:
        super().__init__()
        if not isinstance(denoiser.process, Gaussian):
            raise ReverieError(
                f"A {type(denoiser.process).__name__} process cannot be sampled under {type(schedule).__name__}: only a "
                "Gaussian one can change its schedule after training. Leave the schedule out."
            )
        self.denoiser = denoiser
        self.old = denoiser.process.schedule
        self.process = dataclasses.replace(denoiser.process, schedule=schedule)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """E[x0 | x_t], (B, *)."""
        new = self.process.schedule
        self._check_reach(t)
        there = self.old.time(new.log_snr(t))
        return self.denoiser(x_t * expand(self.old.alpha(there) / new.alpha(t), x_t), there)

    def _check_reach(self, t: Tensor) -> None:
        """Refuse a noise that the old schedule never had: the network has not seen it."""
        new, most = self.process.schedule, float(self.old.noise(torch.ones((), dtype=torch.float64)))
        if bool((new.noise(time_of(t)) > most * (1 + 1e-6)).any()):
            raise ReverieError(
                f"Under {type(new).__name__} sampling starts at n = sigma / alpha = {float(new.noise(time_of(t)).max()):.3g}; "
                f"the model was trained under {type(self.old).__name__} up to n = {most:.3g}. Start there: the grid "
                f"karras:n_max={most:.4g}."
            )
