"""What a network is to one field of a state: how the noisy field enters it, what its output says of x0, and how wrong that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.parameterisation import Parameterisation
from reverie.core.processes import Categorical, Gaussian, Process
from reverie.core.shapes import expand, flat_mean, time_of
from reverie.core.weighting import Weighting

_LEVEL_LIMIT = 20.0  # |log_snr| told to the network; float32 tells nothing apart beyond it


class Reading(ABC):
    """One field (B, *) of a state, as a network meets it."""

    process: Process

    @abstractmethod
    def level(self, t: Tensor) -> Tensor:
        """How the network is told the time, (B,) -> (B,), of order one."""

    @abstractmethod
    def entered(self, x_t: Tensor, t: Tensor) -> Tensor:
        """What the network sees of x_t, (B, *)."""

    @abstractmethod
    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """x_t as `error` takes it, and what the network sees of it."""

    @abstractmethod
    def read(self, out: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The prediction of x0 at x_t that an output means."""

    @abstractmethod
    def error(
        self, out: Tensor, x0: Tensor, noised: Tensor, t: Tensor, eps: Tensor, law: Weighting, observed: Tensor | None
    ) -> Tensor:
        """What training makes small, per sample (B,), over the observed entries."""

    @abstractmethod
    def output_scale(self, t: Tensor) -> Tensor:
        """What brings the process' divergence at t to one scale across noise levels, (*,) -> (*,), for showing it."""

    @abstractmethod
    def baseline(self, x0: Tensor) -> float:
        """The divergence of who knows the data's distribution entry by entry and nothing of x_t, over x0 (N, *)."""

    @abstractmethod
    def look(self, x_t: Tensor, t: Tensor, process: Process) -> Tensor:
        """x_t of a process like the own one, as a thing of the data's own kind and contrast, for eyes alone."""

    @abstractmethod
    def guess(self, prediction: Tensor) -> Tensor:
        """A prediction as a thing of the data's own kind, for eyes alone."""


@dataclass(frozen=True)
class Numbers(Reading):
    """Numbers: brought to variance 1 for the network, whose output a parameterisation reads.

    The data's mean is taken off before and added after, so that a network that says nothing predicts between x_t and the
    mean. process: with the data's fitted moments. sigma_data: standard deviation of the data about that mean.
    Source: Karras et al. 2022, section 5, carried to any alpha and sigma.
    """

    process: Gaussian
    parameterisation: Parameterisation
    sigma_data: float

    def level(self, t: Tensor) -> Tensor:
        """-log_snr / 8, which is EDM's log(sigma) / 4 for alpha = 1."""
        return -self.process.schedule.log_snr(t).clamp(-_LEVEL_LIMIT, _LEVEL_LIMIT) / 8

    def entered(self, x_t: Tensor, t: Tensor) -> Tensor:
        """(x_t - alpha mean) / sqrt(alpha^2 sd^2 + sigma^2)."""
        return self._scaled(self._centred(x_t, t), t)

    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """x_t - alpha mean, and the same at variance 1."""
        schedule, x0 = self.process.schedule, x0 - self.process.mean.to(x0)
        y = expand(schedule.alpha(t), x0) * x0 + expand(schedule.sigma(t), x0) * eps
        return y, self._scaled(y, t)

    def read(self, out: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """E[x0 | x_t]."""
        schedule, target, y = self.process.schedule, self.parameterisation, self._centred(x_t, t)
        return self.process.mean.to(y) + target.x0(schedule, t, y, expand(target.unit(schedule, t), y) * out)

    def error(
        self, out: Tensor, x0: Tensor, noised: Tensor, t: Tensor, eps: Tensor, law: Weighting, observed: Tensor | None
    ) -> Tensor:
        """Weighted squared error, computed on the network's output.

        The weight on x0 is divided by `x0_scale`, so that EDM's F, say, is compared where its target has variance 1.
        """
        schedule, unit = self.process.schedule, self.parameterisation.unit(self.process.schedule, t)
        x0 = x0 - self.process.mean.to(x0)
        target = expand(1 / unit, x0) * self.parameterisation.target(schedule, t, x0, eps)
        found = flat_mean((out - target) ** 2, observed)
        scale = self.parameterisation.x0_scale(schedule, t)
        weight = law.on_x0(schedule.log_snr(t), scale, self.sigma_data) * unit**2 / scale
        return weight.to(found) * found

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

    def _centred(self, x_t: Tensor, t: Tensor) -> Tensor:
        return x_t - expand(self.process.schedule.alpha(t), x_t) * self.process.mean.to(x_t)

    def _scaled(self, y: Tensor, t: Tensor) -> Tensor:
        schedule = self.process.schedule
        return expand(torch.rsqrt((schedule.alpha(t) * self.sigma_data) ** 2 + schedule.sigma(t) ** 2), y) * y


@dataclass(frozen=True)
class Tokens(Reading):
    """Tokens: the network gives every class of each a number, (B, K, *), read as log p(x0 | x_t) by the process.

    Source: Sahoo et al. 2024 (MDLM), section 3.2; Schiff et al. 2025 for the uniform process.
    """

    process: Categorical

    def level(self, t: Tensor) -> Tensor:
        """log((1 - survival) / survival) / 4."""
        return torch.log(self.process.schedule.noise(t)).clamp(-_LEVEL_LIMIT, _LEVEL_LIMIT) / 4

    def entered(self, x_t: Tensor, t: Tensor) -> Tensor:
        """x_t itself."""
        return x_t

    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """x_t, as it is."""
        x_t = self.process.diffuse(x0, t, eps)
        return x_t, x_t

    def read(self, out: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """log p(x0 | x_t), (B, K, *)."""
        return self.process.settle(out.float() if out.dtype in (torch.float16, torch.bfloat16) else out, x_t, t)

    def error(
        self, out: Tensor, x0: Tensor, noised: Tensor, t: Tensor, eps: Tensor, law: Weighting, observed: Tensor | None
    ) -> Tensor:
        """The continuous-time bound on the negative log-likelihood, in nats per token: no weighting keeps it one."""
        return self.process.divergence(x0, self.read(out, noised, t), noised, t, observed)

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
