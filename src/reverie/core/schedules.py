"""Noise schedules: how much signal, alpha, and how much noise, sigma, is in x_t = alpha_t x0 + sigma_t eps.

t in [0, 1], 0 = data, 1 = noise; the log signal-to-noise ratio, log_snr = log(alpha^2 / sigma^2), falls strictly. A new
schedule is its alpha and its sigma; everything else here follows from them. All is computed in float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from reverie.core.shapes import time_of
from reverie.errors import ReverieError


class Schedule(ABC):
    """Signal and noise at every time."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Signal level, t: (*,) in [0, 1] -> (*,) in [0, 1]."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Noise level, t: (*,) in [0, 1] -> (*,), at least 0."""

    def noise(self, t: Tensor) -> Tensor:
        """Noise relative to signal, n = sigma / alpha: (*,) -> (*,), from 0 up to infinity."""
        return self.sigma(t) / self.alpha(t)

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha^2 / sigma^2): (*,) -> (*,); +inf where sigma = 0, -inf where alpha = 0."""
        t = time_of(t)
        return 2 * (torch.log(self.alpha(t)) - torch.log(self.sigma(t)))

    def time(self, log_snr: Tensor) -> Tensor:
        """The t at which log_snr is reached: (*,) -> (*,), by bisection; 0 or 1 where it is never reached."""
        target = time_of(log_snr)
        low, high = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(1100):  # 53 halvings find t to 2^-53 near 1; small t need more, as doubles are denser there
            middle = 0.5 * (low + high)
            if torch.all((middle <= low) | (middle >= high)):
                break
            above = self.log_snr(middle) > target
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return torch.where(self.log_snr(torch.zeros_like(target)) <= target, 0.0, high)

    def time_of_noise(self, n: Tensor) -> Tensor:
        """The t at which sigma / alpha = n: (*,) -> (*,)."""
        return self.time(-2 * torch.log(time_of(n)))

    def noisiest(self, n: float) -> Tensor:
        """The noisiest time that sampling may start from: where sigma / alpha = n, or 1 where it never gets there."""
        return self.time_of_noise(torch.tensor(n, dtype=torch.float64)).clamp(max=1.0)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Drift f and squared diffusion g^2 of dx = f x dt + g dw, each (*,) -> (*,).

        f = d log(alpha) / dt;   g^2 = d sigma^2 / dt - 2 f sigma^2
        Source: Kingma et al. 2021 (Variational Diffusion Models), section 3.
        """
        alpha, sigma = self.alpha(t), self.sigma(t)
        d_alpha, d_sigma = self.slopes(t)
        f = d_alpha / alpha
        return f, 2 * sigma * (d_sigma - f * sigma)

    def kernel(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and variance of q(x_t | x_s) for s < t, each (*,) -> (*,): alpha_t / alpha_s, sigma_t^2 - scale^2 sigma_s^2."""
        s, t = time_of(s), time_of(t)
        ratio = self.alpha(t) / self.alpha(s)
        return ratio, (self.sigma(t) ** 2 - ratio**2 * self.sigma(s) ** 2).clamp(min=0)

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of alpha and sigma by t, each (*,) -> (*,), by automatic differentiation."""
        with torch.enable_grad():
            t = time_of(t).detach().requires_grad_()
            found = []
            for level in (self.alpha(t), self.sigma(t)):
                constant = not level.requires_grad
                found.append(torch.zeros_like(t) if constant else torch.autograd.grad(level.sum(), t)[0])
        return found[0], found[1]


def _need(holds: bool, schedule: Schedule, rule: str) -> None:
    """Refuse options under which a schedule is none; a NaN holds nothing."""
    if not holds:
        raise ReverieError(f"{schedule!r} is no noise schedule: it needs {rule}.")


def _from_log_alpha2(log_alpha2: Tensor) -> tuple[Tensor, Tensor]:
    """Variance-preserving alpha, sigma from log(alpha^2), without cancellation where alpha is near 1."""
    return torch.exp(0.5 * log_alpha2), torch.sqrt(-torch.expm1(log_alpha2))


@dataclass(frozen=True)
class LinearBeta(Schedule):
    """The VP SDE: beta(t) rises linearly; log(alpha^2) = -(beta_min t + (beta_max - beta_min) t^2 / 2).

    Variance preserving: sigma^2 = 1 - alpha^2. The limit of DDPM's linear chain for T to infinity.
    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), eq. 33.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        """Refuse rates that do not rise."""
        _need(
            0 <= self.beta_min <= self.beta_max < math.inf and self.beta_max > 0,
            self,
            "0 <= beta_min <= beta_max, finite",
        )

    def _log_alpha2(self, t: Tensor) -> Tensor:
        return -(self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2)

    def alpha(self, t: Tensor) -> Tensor:
        """exp(-B(t) / 2), B the integral of beta."""
        return _from_log_alpha2(self._log_alpha2(time_of(t)))[0]

    def sigma(self, t: Tensor) -> Tensor:
        """sqrt(1 - alpha^2)."""
        return _from_log_alpha2(self._log_alpha2(time_of(t)))[1]

    def time(self, log_snr: Tensor) -> Tensor:
        """The root of B(t) = -log sigmoid(log_snr)."""
        return self._time_of_integral(-torch.nn.functional.logsigmoid(time_of(log_snr)))

    def _time_of_integral(self, b: Tensor) -> Tensor:
        """The t at which beta's integral is b, in a form without cancellation; 1 where it never is."""
        rise = self.beta_max - self.beta_min
        total = self.beta_min + 0.5 * rise
        root = torch.sqrt(self.beta_min**2 + 2 * rise * b.clamp(max=total))
        return torch.where(b >= total, 1.0, 2 * b.clamp(max=total) / (self.beta_min + root).clamp(min=1e-300))


@dataclass(frozen=True)
class SubVP(LinearBeta):
    """The sub-VP SDE: alpha of the VP SDE, but sigma = 1 - alpha^2, never more than the VP's.

    Source: Song et al. 2021, eq. 29.
    """

    name = "sub-vp"

    def sigma(self, t: Tensor) -> Tensor:
        """1 - alpha^2."""
        return -torch.expm1(self._log_alpha2(time_of(t)))

    def time(self, log_snr: Tensor) -> Tensor:
        """The root of B(t) = 2 asinh(n / 2), n = (1 - alpha^2) / alpha = exp(-log_snr / 2)."""
        return self._time_of_integral(2 * torch.asinh(0.5 * torch.exp(-0.5 * time_of(log_snr))))


@lru_cache(maxsize=32)
def _chain_log_alpha2(chain: BetaChain) -> Tensor:
    """log(alpha^2) at t = 0, 1/T, ..., 1, (T + 1,): the cumulated log(1 - beta)."""
    steps = torch.log1p(-chain.betas())
    return torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumsum(steps, 0)])


class BetaChain(Schedule):
    """A T-step chain q(x_i | x_{i-1}) = N(sqrt(1 - beta_i) x_{i-1}, beta_i), living in continuous time at t_i = i / T.

    Between the steps log(alpha^2) is linear: the noise rate is constant within a step. Entry i of `betas`, counted
    from 0, leads from t = i / T to t = (i + 1) / T.
    Source: Ho et al. 2020 (Denoising Diffusion Probabilistic Models), eq. 2-4.
    """

    T: int

    def __post_init__(self) -> None:
        """Refuse a chain without steps, or with one that adds no noise or leaves nothing else."""
        _need(isinstance(self.T, int) and self.T >= 1, self, "a whole number T of steps, from 1")
        betas = self.betas()
        _need(bool(((betas > 0) & (betas < 1)).all()), self, "betas above 0 and below 1")

    @abstractmethod
    def betas(self) -> Tensor:
        """The variances added by the T steps, (T,) float64, each in (0, 1)."""

    def _log_alpha2(self, t: Tensor) -> Tensor:
        table = _chain_log_alpha2(self)
        place = time_of(t) * self.T
        left = place.detach().floor().clamp(0, self.T - 1).long()
        return table[left] + (place - left) * (table[left + 1] - table[left])

    def alpha(self, t: Tensor) -> Tensor:
        """sqrt of the product of (1 - beta) up to t."""
        return _from_log_alpha2(self._log_alpha2(t))[0]

    def sigma(self, t: Tensor) -> Tensor:
        """sqrt(1 - alpha^2)."""
        return _from_log_alpha2(self._log_alpha2(t))[1]

    def time(self, log_snr: Tensor) -> Tensor:
        """Where log(alpha^2) = log sigmoid(log_snr), by the table; 1 where it is never reached."""
        fallen, target = -_chain_log_alpha2(self), -torch.nn.functional.logsigmoid(time_of(log_snr))
        left = (torch.searchsorted(fallen, target) - 1).clamp(0, self.T - 1)
        place = left + (target - fallen[left]) / (fallen[left + 1] - fallen[left])
        return torch.where(target >= fallen[-1], 1.0, place / self.T)


@dataclass(frozen=True)
class LinearBetaChain(BetaChain):
    """DDPM's chain: beta_i rises linearly from beta_start to beta_end in T steps.

    Source: Ho et al. 2020, section 4.
    """

    beta_start: float = 1e-4
    beta_end: float = 0.02
    T: int = 1000

    def betas(self) -> Tensor:
        """T equally spaced values."""
        return torch.linspace(self.beta_start, self.beta_end, self.T, dtype=torch.float64)


@dataclass(frozen=True)
class ScaledLinear(BetaChain):
    """Latent diffusion's chain: sqrt(beta_i) rises linearly.

    Source: Rombach et al. 2022 (High-Resolution Image Synthesis with Latent Diffusion Models), their released configuration.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    T: int = 1000

    def betas(self) -> Tensor:
        """Squares of T equally spaced values."""
        return torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.T, dtype=torch.float64) ** 2


@dataclass(frozen=True)
class GeometricBeta(BetaChain):
    """beta_i = beta (1 - beta)^(T - 1 - i), i = 0 .. T - 1: the rate grows geometrically towards the noise.

    The chain need not end in pure noise: alpha^2 = 0.37 at t = 1 for beta = 0.02, T = 1000. Sampling then starts from
    the fitted moments of the data, and the report prints what that leaves out.
    Source: the geometric distribution read as a schedule; Sohl-Dickstein et al. 2015 for the chain.
    """

    beta: float = 0.02
    T: int = 1000

    def betas(self) -> Tensor:
        """T values that grow by the factor 1 / (1 - beta)."""
        return self.beta * (1 - self.beta) ** torch.arange(self.T - 1, -1, -1, dtype=torch.float64)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Signal falls along a quarter cosine: alpha = cos(pi t / 2), sigma = sin(pi t / 2).

    Variance preserving; log_snr runs from +inf at t = 0 to -inf at t = 1.
    Source: Nichol & Dhariwal 2021 (Improved DDPM), eq. 17, without their offset s.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """cos(pi t / 2), written as a sine so that it is exactly 0 at t = 1."""
        return torch.sin(0.5 * math.pi * (1 - time_of(t)))

    def sigma(self, t: Tensor) -> Tensor:
        """sin(pi t / 2)."""
        return torch.sin(0.5 * math.pi * time_of(t))

    def time(self, log_snr: Tensor) -> Tensor:
        """2 atan(n) / pi with n = exp(-log_snr / 2)."""
        return torch.atan(torch.exp(-0.5 * time_of(log_snr))) * (2 / math.pi)


@dataclass(frozen=True)
class Sigmoid(Schedule):
    """alpha^2 falls along a logistic curve from `start` to `end`, rescaled to run from 1 to 0; variance preserving.

    Source: Jabri et al. 2022 (Scalable Adaptive Computation for Iterative Generation), algorithm 1; Chen 2023.
    """

    start: float = -3.0
    end: float = 3.0
    tau: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a curve that does not fall."""
        _need(
            -math.inf < self.start < self.end < math.inf and 0 < self.tau < math.inf,
            self,
            "start < end and tau > 0, finite",
        )

    def _share(self, low: Tensor | float, high: Tensor | float) -> Tensor:
        """The part of the logistic curve between two places, by sigmoid(h) - sigmoid(l) = sinh((h-l)/2) / (2 cosh cosh)."""
        h, l = time_of(high) / (2 * self.tau), time_of(low) / (2 * self.tau)
        return torch.sinh(h - l) / (2 * torch.cosh(h) * torch.cosh(l))

    def _place(self, t: Tensor) -> Tensor:
        return self.start + time_of(t) * (self.end - self.start)

    def alpha(self, t: Tensor) -> Tensor:
        """Square root of the part of the curve that lies after t."""
        return torch.sqrt(self._share(self._place(t), self.end) / self._share(self.start, self.end))

    def sigma(self, t: Tensor) -> Tensor:
        """Square root of the part of the curve that lies before t."""
        return torch.sqrt(self._share(self.start, self._place(t)) / self._share(self.start, self.end))


@dataclass(frozen=True)
class GeometricVE(Schedule):
    """The VE SDE: alpha = 1 and noise that grows geometrically, sigma^2 = sigma_min^2 ((sigma_max / sigma_min)^(2t) - 1).

    The exact kernel of the SDE, so that sigma = 0 at t = 0.
    Source: Song et al. 2021, eq. 30 and appendix C.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    name = "geometric-ve"

    def __post_init__(self) -> None:
        """Refuse noise that does not grow."""
        _need(0 < self.sigma_min < self.sigma_max < math.inf, self, "0 < sigma_min < sigma_max, finite")

    def alpha(self, t: Tensor) -> Tensor:
        """Always 1."""
        return torch.ones_like(time_of(t))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_min sqrt(r^(2t) - 1), r = sigma_max / sigma_min."""
        return self.sigma_min * torch.sqrt(torch.expm1(2 * math.log(self.sigma_max / self.sigma_min) * time_of(t)))


@dataclass(frozen=True)
class EDM(Schedule):
    """alpha = 1 and sigma = sigma_max t^rho, so that equal steps of t are Karras' steps of sigma.

    Source: Karras et al. 2022 (Elucidating the Design Space of Diffusion-Based Generative Models), eq. 5, sigma_min = 0.
    """

    sigma_max: float = 80.0
    rho: float = 7.0
    name = "edm"

    def __post_init__(self) -> None:
        """Refuse noise that does not grow."""
        _need(0 < self.sigma_max < math.inf and 0 < self.rho < math.inf, self, "sigma_max and rho above 0, finite")

    def alpha(self, t: Tensor) -> Tensor:
        """Always 1."""
        return torch.ones_like(time_of(t))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_max t^rho."""
        return self.sigma_max * time_of(t) ** self.rho

    def time(self, log_snr: Tensor) -> Tensor:
        """(sigma / sigma_max)^(1 / rho), sigma = exp(-log_snr / 2)."""
        return torch.exp((-0.5 * time_of(log_snr) - math.log(self.sigma_max)) / self.rho).clamp(max=1.0)


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """A straight line from data to noise: alpha = 1 - t, sigma = t.

    Source: Liu et al. 2023 (Flow Straight and Fast), eq. 1; Lipman et al. 2023 (Flow Matching), section 4.1.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t."""
        return 1 - time_of(t)

    def sigma(self, t: Tensor) -> Tensor:
        """t."""
        return time_of(t)

    def time(self, log_snr: Tensor) -> Tensor:
        """n / (1 + n) with n = exp(-log_snr / 2)."""
        return torch.sigmoid(-0.5 * time_of(log_snr))
