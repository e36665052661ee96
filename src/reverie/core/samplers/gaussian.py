"""What all samplers of a Gaussian process share: the coordinates of one step, and its last one, to no noise at all."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian
from reverie.core.samplers.base import Sampler
from reverie.core.schedules import Schedule
from reverie.core.shapes import expand, time_of
from reverie.errors import ReverieError


@dataclass(frozen=True)
class Leg:
    """One step from t down to s, with the denoiser to ask on the way.

    Most solvers are plainest in u = x / alpha and n = sigma / alpha, where every schedule is the same ODE,
    du/dn = (u - x0_hat) / n; those of an SDE are in x and t. n_t, n_s: n at both ends, float64.
    """

    denoiser: Denoiser
    schedule: Schedule
    t: Tensor
    s: Tensor
    n_t: Tensor
    n_s: Tensor

    def x0(self, x: Tensor, t: Tensor) -> Tensor:
        """The prediction at x (B, *) and t, () or (B,); raises ReverieError where it is no x0."""
        x0_hat = self.denoiser(x, t)
        if x0_hat.shape != x.shape:
            raise ReverieError(
                f"The denoiser says {tuple(x0_hat.shape)} of a state {tuple(x.shape)}; both must be the same."
            )
        return x0_hat

    def x0_at(self, u: Tensor, n: Tensor) -> Tensor:
        """The prediction at u (B, *) and noise n, () or (B,)."""
        t = self.time(n)
        return self.x0(u * expand(self.schedule.alpha(t), u), t)

    def time(self, n: Tensor) -> Tensor:
        """The time of a noise level n; both ends of the step exactly."""
        if n is self.n_t:
            return self.t
        return self.s if n is self.n_s else self.schedule.time_of_noise(n)

    def u(self, x: Tensor) -> Tensor:
        """x at t as u = x / alpha; raises ReverieError at alpha = 0."""
        if not bool(torch.isfinite(self.n_t).all()):
            raise ReverieError(
                f"The grid starts at t = {float(self.t):g}, where alpha = 0 under {type(self.schedule).__name__}: this sampler "
                "walks in u = x / alpha. Start at a lower noise (karras:n_max=80), or use 'euler'."
            )
        return x / expand(self.schedule.alpha(self.t), x)

    def x(self, u: Tensor) -> Tensor:
        """u at s as x = alpha u."""
        return u * expand(self.schedule.alpha(self.s), u)


class GaussianSampler(Sampler):
    """A sampler of the ODE or SDE of a Gaussian process; other processes are refused.

    The last step, to n = 0, is the prediction itself for all of them: every solver's step tends to it there.
    """

    treats: ClassVar[type] = Gaussian

    @abstractmethod
    def advance(self, leg: Leg, x_t: Tensor, state: Any, noise: Noise) -> tuple[Tensor, Any, Tensor]:
        """One step to n_s > 0: x_t (B, *) -> (x_s, the next state, the prediction of x0 at t)."""

    def step(
        self, denoiser: Denoiser, x_t: Tensor, t: Tensor, s: Tensor, state: Any, noise: Noise
    ) -> tuple[Tensor, Any, Tensor]:
        """One step; to s = 0 one evaluation."""
        t, s, schedule = time_of(t), time_of(s), denoiser.process.schedule
        leg = Leg(denoiser, schedule, t, s, schedule.noise(t), schedule.noise(s))
        if bool((leg.n_s == 0).all()):
            x0_hat = leg.x0(x_t, t)
            return x0_hat * expand(schedule.alpha(s), x_t), state, x0_hat
        return self.advance(leg, x_t, state, noise)
