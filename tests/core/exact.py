"""Cases whose answer is known exactly: a 2-D mixture of three Gaussians with its denoiser and its ODE's solution."""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.processes import Gaussian
from reverie.core.schedules import Schedule
from reverie.core.shapes import expand, time_of

WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEANS = torch.tensor([[-1.0, -0.5], [1.2, 0.4], [0.1, 1.5]], dtype=torch.float64)
STDS = torch.tensor([0.3, 0.2, 0.4], dtype=torch.float64)
MEAN = WEIGHTS @ MEANS
COVARIANCE = (
    torch.einsum("k,ki,kj->ij", WEIGHTS, MEANS - MEAN, MEANS - MEAN) + (WEIGHTS @ STDS**2) * torch.eye(2).double()
)


def posterior_mean(u: Tensor, n: Tensor) -> Tensor:
    """E[x0 | u = x0 + n eps] under the mixture: u (B, 2), n () or (B,) -> (B, 2)."""
    variance = STDS**2 + n.reshape(-1, 1) ** 2  # (B or 1, 3)
    square = ((u[:, None] - MEANS) ** 2).sum(-1)
    share = torch.softmax(torch.log(WEIGHTS) - torch.log(variance) - square / (2 * variance), dim=1)
    centre = MEANS + (STDS**2 / variance)[..., None] * (u[:, None] - MEANS)
    return (share[..., None] * centre).sum(1)


class Mixture(Denoiser):
    """The exact denoiser of the mixture under any schedule; counts its calls."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.process = Gaussian(schedule, MEAN, COVARIANCE.diagonal())
        self.calls = 0

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        t = time_of(t)
        u = x_t / expand(self.process.schedule.alpha(t), x_t)
        return posterior_mean(u, self.process.schedule.noise(t))


class Normal(Denoiser):
    """The exact denoiser of N(mean, variance), one number per entry."""

    def __init__(self, schedule: Schedule, mean: float, variance: float) -> None:
        super().__init__()
        self.process = Gaussian(schedule, torch.tensor(mean), torch.tensor(variance))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        n = expand(self.process.schedule.noise(t), x_t)
        u = x_t / expand(self.process.schedule.alpha(t), x_t)
        mean, variance = float(self.process.mean), float(self.process.variance)
        return mean + variance / (variance + n**2) * (u - mean)


def draw(count: int, seed: int = 0) -> Tensor:
    """Exact samples of the mixture, (count, 2)."""
    g = torch.Generator().manual_seed(seed)
    k = torch.multinomial(WEIGHTS, count, replacement=True, generator=g)
    return MEANS[k] + STDS[k, None] * torch.randn(count, 2, generator=g, dtype=torch.float64)


@functools.lru_cache
def ode_solution(high: float, low: float, count: int) -> tuple[Tensor, Tensor]:
    """Start points at n = high and where du/dn = (u - x0_hat) / n carries them at n = low; tolerance 1e-12."""
    g = torch.Generator().manual_seed(1)
    start = draw(count) + high * torch.randn(count, 2, generator=g, dtype=torch.float64)

    def slope(log_n: float, u: np.ndarray) -> np.ndarray:
        here = torch.from_numpy(u.reshape(count, 2))
        return (here - posterior_mean(here, torch.tensor(np.exp(log_n)))).numpy().ravel()

    found = solve_ivp(slope, (np.log(high), np.log(low)), start.numpy().ravel(), "DOP853", rtol=1e-12, atol=1e-12)
    return start, torch.from_numpy(found.y[:, -1].reshape(count, 2))
