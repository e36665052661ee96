"""The contract of a process: the only place where continuous and discrete data differ."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.schedules import Schedule
from reverie.example import State


class Process(ABC):
    """A family of noising kernels q(x_t | x_0) with their posteriors; randomness always comes in as a tensor."""

    schedule: Schedule

    @abstractmethod
    def prior(self, like: State, noise: Noise, t: Tensor) -> State:
        """Draw x_t without data, of like's shape (B, *), at the time t where sampling starts."""

    @abstractmethod
    def diffuse(self, x0: State, t: Tensor, eps: State) -> State:
        """x_t ~ q(x_t | x_0); t: () or (B,)."""

    @abstractmethod
    def forward(self, x_s: State, s: Tensor, t: Tensor, eps: State) -> State:
        """x_t ~ q(x_t | x_s) for s < t."""

    @abstractmethod
    def reverse(self, x_t: State, prediction: State, t: Tensor, s: Tensor, eps: State, eta: float = 1.0) -> State:
        """x_s ~ q(x_s | x_t, x_0 = prediction) for s < t; eta scales the noise where the process has that freedom."""

    @abstractmethod
    def mix(self, u: State, c: State, w: Tensor) -> State:
        """Guidance: move from prediction u towards prediction c by the factor w, () or (B,); w = 1 gives c."""

    @abstractmethod
    def divergence(self, x0: State, prediction: State, observed: State | None = None) -> Tensor:
        """How far a prediction is from the truth, per sample (B,), over the observed entries."""
