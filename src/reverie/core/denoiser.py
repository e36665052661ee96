"""From a noisy state to the posterior mean of the clean one: what samplers and guidance are written in terms of."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from reverie.core.parameterisation import Parameterisation
from reverie.core.processes import Categorical, Gaussian, Process, Product
from reverie.core.processes.product import Fields
from reverie.core.readings import Numbers, Reading, Tokens
from reverie.core.schedules import Schedule
from reverie.core.shapes import expand, time_of
from reverie.core.weighting import Weighting
from reverie.errors import ReverieError
from reverie.example import Conditions, Example, State


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


class OfOneField(Learned):
    """A network that meets a state of one field by one reading."""

    def __init__(self, network: nn.Module, reading: Reading, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.process = reading.process
        self.reading = reading
        self.sigma_data = sigma_data

    def forward(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Tensor:
        """The prediction; without cond, conditions that the network knows are not told."""
        t = time_of(t).expand(len(x_t))
        return self.reading.read(self._say(self.reading.entered(x_t, t), t, cond or {}), x_t, t)

    def loss(self, example: Example, t: Tensor, eps: Tensor, weighting: Weighting) -> Tensor:
        """The reading's error, per sample (B,)."""
        t = time_of(t)
        x_t, entered = self.reading.noised(example.x0, t, eps)
        out = self._say(entered, t, example.cond)
        return self.reading.error(out, example.x0, x_t, t, eps, weighting, example.observed)

    def output_scale(self, t: Tensor) -> Tensor:
        """The reading's."""
        return self.reading.output_scale(t)

    def baseline(self, x0: Tensor) -> float:
        """The reading's."""
        return self.reading.baseline(x0)

    def look(self, x_t: Tensor, t: Tensor, process: Process) -> Tensor:
        """The reading's."""
        return self.reading.look(x_t, t, process)

    def guess(self, prediction: Tensor) -> Tensor:
        """The reading's."""
        return self.reading.guess(prediction)

    def _say(self, entered: Tensor, t: Tensor, cond: Conditions) -> Tensor:
        """What the network says, of the shape that the reading expects."""
        like = entered if entered.is_floating_point() else next(self.network.parameters())
        out = self.network(entered, self.reading.level(t).to(like), cond)
        check_output(self.reading, out, entered)
        return out


class NetworkDenoiser(OfOneField):
    """A network of numbers as a denoiser: network(x, level, cond) -> (B, C, *), see `Numbers`."""

    process: Gaussian

    def __init__(
        self, network: nn.Module, process: Gaussian, parameterisation: Parameterisation, sigma_data: float
    ) -> None:
        super().__init__(network, Numbers(process, parameterisation, sigma_data), sigma_data)
        self.parameterisation = parameterisation


class TokenDenoiser(OfOneField):
    """A network of tokens as a denoiser: network(x_t, level, cond), x_t int64 (B, *) -> (B, K, *), see `Tokens`."""

    process: Categorical

    def __init__(self, network: nn.Module, process: Categorical) -> None:
        super().__init__(network, Tokens(process), 1.0)


class ProductDenoiser(Learned):
    """A network that sees all fields of a state together: network({field: x}, level, cond) -> {field: output}.

    Each field enters and is read as `Numbers` or `Tokens` are. The loss is the mean over all entries of all fields, so that
    a column counts the same whichever block it is in. Numbers have one parameterisation and are of standard deviation
    sigma_data. The level is that of the first field: time is common.
    Source: Kotelnikov et al. 2023 (TabDDPM), section 3; Shi et al. 2025 (TabDiff), section 3.
    """

    process: Product

    def __init__(
        self, network: nn.Module, process: Product, parameterisation: Parameterisation, sigma_data: float
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.parameterisation = parameterisation
        self.sigma_data = sigma_data
        self.readings: dict[str, Reading] = {
            name: Tokens(one) if isinstance(one, Categorical) else Numbers(_gaussian(one), parameterisation, sigma_data)
            for name, one in process.fields.items()
        }

    def forward(self, x_t: Fields, t: Tensor, cond: Conditions | None = None) -> Fields:
        """{field: prediction}."""
        t = time_of(t).expand(len(next(iter(x_t.values()))))
        out = self._say({k: r.entered(x_t[k], t) for k, r in self.readings.items()}, t, cond or {})
        return {k: r.read(out[k], x_t[k], t) for k, r in self.readings.items()}

    def loss(self, example: Example, t: Tensor, eps: Fields, weighting: Weighting) -> Tensor:
        """Mean over entries of each field's error, per sample (B,)."""
        t, x0 = time_of(t), example.x0
        noised = {k: r.noised(x0[k], t, eps[k]) for k, r in self.readings.items()}
        out = self._say({k: entered for k, (_, entered) in noised.items()}, t, example.cond)
        seen = example.observed or {}
        errors = {
            k: r.error(out[k], x0[k], noised[k][0], t, eps[k], weighting, seen.get(k)) for k, r in self.readings.items()
        }
        return self._mean(errors, x0)

    def output_scale(self, t: Tensor) -> Tensor:
        """One: fields have scales of their own, and the divergence is their sum."""
        return torch.ones_like(time_of(t))

    def baseline(self, x0: Fields) -> float:
        """Sum of the fields', as the divergence is."""
        return sum(r.baseline(x0[k]) for k, r in self.readings.items())

    def look(self, x_t: Fields, t: Tensor, process: Process) -> Fields:
        """Field by field."""
        assert isinstance(process, Product)
        return {k: r.look(x_t[k], t, process.fields[k]) for k, r in self.readings.items()}

    def guess(self, prediction: Fields) -> Fields:
        """Field by field."""
        return {k: r.guess(prediction[k]) for k, r in self.readings.items()}

    def _mean(self, errors: Fields, x0: Fields) -> Tensor:
        """The fields' errors (B,), each as often as it has entries."""
        many = {k: x0[k][0].numel() for k in errors}
        first, *others = (many[k] * e for k, e in errors.items())
        return sum(others, start=first) / sum(many.values())

    def _say(self, entered: Fields, t: Tensor, cond: Conditions) -> Fields:
        weight = next(self.network.parameters())
        level = next(iter(self.readings.values())).level(t)
        out = self.network(entered, level.to(weight), cond)
        for k, r in self.readings.items():
            check_output(r, out[k], entered[k])
        return out


def check_output(reading: Reading, out: Tensor, entered: Tensor) -> None:
    """Refuse an output of another shape than the field's: (B, *) for numbers, (B, K, *) for tokens."""
    expected = entered.shape
    if isinstance(reading, Tokens):
        expected = torch.Size((len(entered), reading.process.classes, *entered.shape[1:]))
    if out.shape != expected:
        raise ReverieError(
            f"The network gives {tuple(out.shape)} for an input of {tuple(entered.shape)}; it must be {tuple(expected)}."
        )


def _gaussian(process: Process) -> Gaussian:
    if not isinstance(process, Gaussian):
        raise ReverieError(f"A field of a {type(process).__name__} process: a network reads Gaussian and token fields.")
    return process


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
