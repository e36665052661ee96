"""Running averages of the weights: what is sampled from and saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


class EMA(ABC):
    """A law for the decay of an exponential moving average, as a function of the step alone."""

    @abstractmethod
    def decay(self, step: int) -> float:
        """Share of the old average that is kept at this step, counted from 1; 0 copies the weights."""


@dataclass(frozen=True)
class Constant(EMA):
    """Copies of the weights until `start` steps, then a constant decay.

    The average reaches back 1 / (1 - rate) steps, whatever the length of the run.
    Source: Tarvainen & Valpola 2017 (Mean Teachers); Ho et al. 2020, appendix B.
    """

    rate: float = 0.995
    start: int = 2000

    def decay(self, step: int) -> float:
        """0 up to `start`, then the rate."""
        return 0.0 if step <= self.start else self.rate


@dataclass(frozen=True)
class Power(EMA):
    """A power-law average, decay (1 - 1 / step)^(gamma + 1), whose reach grows with the run: std is its relative width.

    The weight of step k in the average at step K goes as (k / K)^gamma; std = 0.05 is a twentieth of the run, at any length.
    Source: Karras et al. 2024 (Analyzing and Improving the Training Dynamics), eq. 1 and 123-125.
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a width that no profile has: (k / K)^gamma is at widest uniform, with std 1 / sqrt(12)."""
        if not 0 < self.std < 12**-0.5:
            raise ValueError(f"std = {self.std:g} is outside 0 to 0.288, the widths that a power law can have")

    @property
    def gamma(self) -> float:
        """The exponent of that width: std^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))."""
        roots = np.roots([1, 7, 16 - self.std**-2, 12 - self.std**-2])
        return float(roots.real.max())

    def decay(self, step: int) -> float:
        """(1 - 1 / step)^(gamma + 1); 0 at step 1."""
        return (1 - 1 / step) ** (self.gamma + 1)


class Average:
    """The averaged copy of a network's parameters and buffers, kept in float32."""

    def __init__(self, law: EMA, network: nn.Module) -> None:
        self.law = law
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """average <- decay average + (1 - decay) weights, all tensors at once; what is not a float is copied."""
        share = 1 - self.law.decay(step)
        now = network.state_dict()
        smooth = [k for k, v in self.state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.state[k] for k in smooth], [now[k] for k in smooth], share)
        for k in self.state.keys() - set(smooth):
            self.state[k].copy_(now[k])

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved average."""
        for k, v in self.state.items():
            v.copy_(state[k])
