"""Cases whose answer is known exactly: a 2-D mixture of three Gaussians with its denoiser and its ODE's solution."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.guidance import Measurement
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
    u = u.double()
    variance = STDS[:, None] ** 2 + n.reshape(1, -1) ** 2  # (3, B or 1): components first, which is three times faster
    keep = STDS[:, None] ** 2 / variance
    square = (u**2).sum(-1) - 2 * MEANS @ u.T + (MEANS**2).sum(-1, keepdim=True)
    share = torch.softmax(torch.log(WEIGHTS[:, None] / variance) - square / (2 * variance), dim=0)
    return (share * keep).sum(0)[:, None] * u + (share * (1 - keep)).T @ MEANS


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


class Correlated(Denoiser):
    """The exact denoiser of N(0, covariance) over samples of a shape, and its posteriors given A x0 + noise."""

    def __init__(self, schedule: Schedule, shape: tuple[int, ...], covariance: Tensor) -> None:
        super().__init__()
        self.process = Gaussian(schedule, torch.zeros(()), covariance.diagonal().reshape(shape))
        self.shape, self.covariance = shape, covariance
        self.values, self.basis = torch.linalg.eigh(covariance)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        n = time_of(self.process.schedule.noise(t)).reshape(-1, 1)
        u = (x_t / expand(self.process.schedule.alpha(t), x_t)).flatten(1)
        shrunk = (u @ self.basis) * (self.values / (self.values + n**2))
        return (shrunk @ self.basis.T).reshape(x_t.shape)

    def given(
        self, a: Tensor, y: Tensor, noise: float, n: float = math.inf, u: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and covariance of x0 given y = A x0 + noise, a (M, D), and given u = x0 + n eps too where n is finite."""
        rows, seen, variance = [a], [y.flatten(1)], [torch.full((len(a),), noise**2, dtype=torch.float64)]
        if u is not None:
            d = len(self.covariance)
            rows.append(torch.eye(d, dtype=torch.float64))
            seen.append(u.flatten(1))
            variance.append(torch.full((d,), n**2, dtype=torch.float64))
        a = torch.cat(rows)
        gain = (
            self.covariance
            @ a.T
            @ torch.linalg.pinv(a @ self.covariance @ a.T + torch.cat(variance).diag(), hermitian=True)
        )
        mean = torch.cat([s.expand(max(map(len, seen)), -1) for s in seen], 1) @ gain.T
        return mean.reshape(-1, *self.shape), self.covariance - gain @ a @ self.covariance


def smooth(shape: tuple[int, ...], length: float = 2.0, nugget: float = 0.01) -> Tensor:
    """Covariance of a field that varies smoothly: exp(-|i - j|^2 / (2 length^2)) over the places of a shape, and a nugget."""
    place = torch.cartesian_prod(*(torch.arange(k, dtype=torch.float64) for k in shape)).reshape(-1, len(shape))
    apart = torch.cdist(place, place) ** 2
    return torch.exp(-0.5 * apart / length**2) + nugget * torch.eye(len(place), dtype=torch.float64)


def dense(measurement: Measurement, shape: tuple[int, ...]) -> Tensor:
    """A as a matrix (numbers in y, entries of a sample), column by column."""
    d = math.prod(shape)
    return measurement.apply(torch.eye(d, dtype=torch.float64).reshape(d, *shape)).flatten(1).T


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
