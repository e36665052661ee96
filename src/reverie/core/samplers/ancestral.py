"""Ancestral sampling: draw x_s from the posterior given the predicted x0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.samplers.base import Sampler
from reverie.errors import ReverieError
from reverie.example import State


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ q(x_s | x_t, x0_hat): DDPM at eta = 1, DDIM at eta = 0, which is Euler's method in (u, n).

    For tokens and for mixed fields it draws from the posterior too, and eta means nothing.

    Source: Ho et al. 2020, algorithm 2; Song et al. 2021 (DDIM), eq. 12.
    """

    eta: float = 1.0
    usual_steps: ClassVar[int] = 100

    def __post_init__(self) -> None:
        """Refuse an eta outside [0, 1], where the noise would have no variance left to take."""
        if not 0 <= self.eta <= 1:
            raise ReverieError(f"ancestral:eta={self.eta:g} is outside 0 (DDIM) to 1 (DDPM).")

    @property
    def order(self) -> float | None:
        """1 as the deterministic DDIM."""
        return 1.0 if self.eta == 0 else None

    def step(
        self, denoiser: Denoiser, x_t: State, t: Tensor, s: Tensor, state: None, noise: Noise
    ) -> tuple[State, None, State]:
        """One evaluation."""
        process = denoiser.process
        prediction = process.temper(denoiser(x_t, t), noise.temperature)
        return process.reverse(x_t, prediction, t, s, process.draw(noise, x_t), self.eta), None, prediction


@dataclass(frozen=True)
class DDIM(Ancestral):
    """Ancestral sampling with eta = 0: deterministic, and first order.

    Source: Song et al. 2021 (Denoising Diffusion Implicit Models), eq. 12.
    """

    eta: float = 0.0
    usual_steps: ClassVar[int] = 50
    name = "ddim"
