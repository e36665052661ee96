"""The contract of a process: the only place where continuous and discrete data differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from reverie.core.noise import Noise
from reverie.example import State


class Process(ABC):
    """A family of noising kernels q(x_t | x_0) with their posteriors; randomness always comes in as a tensor.

    What a denoiser predicts for it is E[x0 | x_t] for a Gaussian and log p(x0 | x_t), classes first, for tokens.
    """

    error: ClassVar[str]  # what `divergence` measures, in a few words
    level: ClassVar[str]  # what `schedule.noise` measures
    schedule: Any  # a Schedule, a Survival, or for a Product the schedule of its first field

    @abstractmethod
    def draw(self, noise: Noise, like: State, key: int = 0) -> State:
        """The random numbers that diffuse, forward and reverse take in for a state like this one."""

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
    def reveal(self, x_t: State, value: State, known: State) -> State:
        """x_t as a denoiser should see it when entries of x0 are known to have a value; known: bool, both of x0's shape."""

    @abstractmethod
    def pin(self, prediction: State, value: State, known: State) -> State:
        """A prediction, certain of the value of the known entries."""

    @abstractmethod
    def temper(self, prediction: State, temperature: float) -> State:
        """A prediction at a sampling temperature, for processes whose random numbers cannot carry one."""

    @abstractmethod
    def prior_mismatch(self, t: Tensor) -> float:
        """Upper bound, in nats per dimension, of how far the true x_t is from the prior."""

    @abstractmethod
    def divergence(self, x0: State, prediction: State, x_t: State, t: Tensor, observed: State | None = None) -> Tensor:
        """How far a prediction made at x_t is from the truth, per sample (B,), over the observed entries.

        For a Gaussian the mean squared error; for tokens what the continuous-time bound adds per unit of time, in nats per
        token, so that its mean over uniform t bounds the negative log-likelihood.
        """
