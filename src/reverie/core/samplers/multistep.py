"""Multistep methods: one evaluation a step, the past predictions reused through the polynomial that passes through them.

All are one formula, u_s = keep u_t + the integral of weight times polynomial from t to s: they differ in what is taken for a
polynomial (the prediction x0_hat or the noise eps_hat) and in which variable. The first steps have fewer predictions to use.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.shapes import expand
from reverie.errors import ReverieError

_POINTS = (
    24  # of the quadrature: exact for polynomials to degree 47, and to 1e-14 for e^-z times a cubic over 8 e-folds
)


class Past(NamedTuple):
    """A value of the model, (B, *), and the place of the polynomial's variable at which it was seen, ()."""

    place: Tensor
    value: Tensor


History = tuple[Past, ...]  # newest first


@functools.cache
def _gauss() -> tuple[Tensor, Tensor]:
    """Points and weights of Gauss-Legendre quadrature on [-1, 1], as the eigenvectors of Legendre's recurrence.

    Source: Golub & Welsch 1969 (Calculation of Gauss Quadrature Rules).
    """
    k = torch.arange(1, _POINTS, dtype=torch.float64)
    side = torch.diag(k / torch.sqrt(4 * k**2 - 1), 1)
    points, vectors = torch.linalg.eigh(side + side.T)
    return points, 2 * vectors[0] ** 2


def adams(places: list[Tensor], start: Tensor, end: Tensor, weight: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Integral from start to end of weight(z) L_j(z) dz for the Lagrange polynomial L_j of each place, all () float64."""
    points, shares = _gauss()
    z = start + 0.5 * (end - start) * (1 + points)
    scale = 0.5 * (end - start) * shares * weight(z)
    found = []
    for j, here in enumerate(places):
        others = [(z - there) / (here - there) for k, there in enumerate(places) if k != j]
        found.append(functools.reduce(torch.mul, others, scale).sum())
    return found


def exponential(history: History, lambda_t: Tensor, lambda_s: Tensor) -> Tensor:
    """Integral of e^-(lambda_s - z) x0_hat(z) dz over a step, x0_hat a polynomial in lambda through the history, (B, *).

    What a step of du/dlambda = x0_hat - u adds to e^-h u_t. Source: Hochbruck & Ostermann 2010 (Exponential
    Integrators), section 2.5: exponential Adams methods.
    """
    return combine(history, adams([p.place for p in history], lambda_t, lambda_s, lambda z: torch.exp(z - lambda_s)))


def combine(history: History, weights: list[Tensor]) -> Tensor:
    """Sum of weights times past values, (B, *)."""
    terms = [expand(w, p.value) * p.value for w, p in zip(weights, history, strict=True)]
    return sum(terms[1:], start=terms[0])


class Walked(NamedTuple):
    """What a multistep method remembers: its last values, and u where it started, (B, *)."""

    history: History
    start: Tensor


class Multistep(GaussianSampler):
    """A method that keeps its last values and asks the denoiser once a step.

    Its first steps have fewer values than the method needs, and one step of first order holds all after it to second order.
    So, where more than two values are needed, u is walked again from the start with each new value until there are enough.
    That costs no evaluation and leaves, at most, the third-order trace of the first predictor, which is not seen in practice.
    """

    @property
    @abstractmethod
    def reach(self) -> int:
        """How many values a step uses, its own included."""

    @abstractmethod
    def place(self, n: Tensor) -> Tensor:
        """The variable of the polynomial, () -> ()."""

    @abstractmethod
    def value(self, u: Tensor, x0_hat: Tensor, n: Tensor) -> Tensor:
        """What the polynomial stands for, (B, *)."""

    @abstractmethod
    def walk(self, u: Tensor, history: History, start: Tensor, end: Tensor) -> Tensor:
        """u at the place `end`, (B, *), from u at the place `start`."""

    def advance(self, leg: Leg, x_t: Tensor, state: Walked | None, noise: Noise) -> tuple[Tensor, Walked, Tensor]:
        """One evaluation."""
        u, here = leg.u(x_t), self.place(leg.n_t)
        x0_hat = leg.x0_at(u, leg.n_t)
        history = (Past(here, self.value(u, x0_hat, leg.n_t)), *(state.history if state else ()))[: self.reach]
        begun = state.start if state else u
        if 1 < len(history) < self.reach:
            u = self.walk(begun, history, history[-1].place, here)
        return leg.x(self.walk(u, history, here, self.place(leg.n_s))), Walked(history, begun), x0_hat


class _DataMultistep(Multistep):
    """Exact in the linear part of du/dlambda = x0_hat - u, with a polynomial in lambda = log(alpha / sigma) for x0_hat."""

    @property
    def order(self) -> float | None:
        """As many as the predictions used."""
        return float(self.reach)

    def place(self, n: Tensor) -> Tensor:
        """lambda."""
        return -torch.log(n)

    def value(self, u: Tensor, x0_hat: Tensor, n: Tensor) -> Tensor:
        """x0_hat."""
        return x0_hat

    def walk(self, u: Tensor, history: History, start: Tensor, end: Tensor) -> Tensor:
        """e^-h u plus the polynomial's integral."""
        return expand(torch.exp(start - end), u) * u + exponential(history, start, end)


@dataclass(frozen=True)
class DPMSolverPP2M(_DataMultistep):
    """DPM-Solver++(2M): exact in the linear part, x0_hat extrapolated linearly in lambda = log(alpha / sigma).

    u_s = e^-h u_t + (1 - e^-h) x0_t + (h - 1 + e^-h) (x0_t - x0_r) / h_last

    h = lambda_s - lambda_t and h_last = lambda_t - lambda_r, r the time before t; u = x / alpha, e^-h = n_s / n_t. This is
    exact where x0_hat is linear in lambda. midpoint=true instead takes the extrapolation at the middle of the step,
    (1 - e^-h) (x0_t + (x0_t - x0_r) h / (2 h_last)), as the paper's algorithm does and most tools after it: second order
    too, and exact for no slope. The first step is of first order.
    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2 for the midpoint; the exact integral of the same expansion otherwise.
    """

    midpoint: bool = False
    name = "dpmpp-2m"

    @property
    def reach(self) -> int:
        """Two predictions."""
        return 2

    def walk(self, u: Tensor, history: History, start: Tensor, end: Tensor) -> Tensor:
        """The exact integral, or the published midpoint."""
        if not self.midpoint or len(history) == 1:
            return super().walk(u, history, start, end)
        (lambda_t, x0_t), (lambda_r, x0_r) = history
        h = end - start
        d = x0_t + expand(h / (2 * (lambda_t - lambda_r)), u) * (x0_t - x0_r)
        return expand(torch.exp(-h), u) * u - expand(torch.expm1(-h), u) * d


@dataclass(frozen=True)
class DPMSolverPP3M(_DataMultistep):
    """DPM-Solver++(3M): exact in the linear part, x0_hat extrapolated by a parabola in lambda = log(alpha / sigma).

    u_s = e^-h u_t + the integral of e^-(lambda_s - z) P(z) dz, P the parabola through the last three predictions

    Exact where x0_hat is quadratic in lambda, at any step sizes. k-diffusion and diffusers weigh the second difference
    with half of what the integral gives, which is second order; this is the integral.
    Source: Lu et al. 2022 (DPM-Solver++), section 4.2, carried to three predictions.
    """

    name = "dpmpp-3m"

    @property
    def reach(self) -> int:
        """Three predictions."""
        return 3


@dataclass(frozen=True)
class LMS(Multistep):
    """Linear multistep (Adams-Bashforth) on du/dn = eps_hat, with a polynomial in n = sigma / alpha for eps_hat.

    u_s = u_t + the integral of P(n) dn from n_t to n_s, P through the last `order` values of (u - x0_hat) / n

    Exact where eps_hat is a polynomial in n of degree order - 1, at any step sizes. On grids whose first steps are each many
    times the next (`uniform` where alpha ends at 0) orders 3 and 4 blow up; `karras` suits it.
    Source: Adams-Bashforth with variable steps, as in k-diffusion (Crowson 2022) with order 4.
    """

    order: int = 4
    usual_grid: ClassVar[str | None] = "karras"
    name = "lms"

    def __post_init__(self) -> None:
        """Refuse an order at which the method is no longer stable."""
        if self.order not in (1, 2, 3, 4):
            raise ReverieError(f"{self.name}:order={self.order} is outside 1 to 4, the orders that stay stable.")

    @property
    def reach(self) -> int:
        """As many as the order."""
        return self.order

    def place(self, n: Tensor) -> Tensor:
        """n itself."""
        return n

    def value(self, u: Tensor, x0_hat: Tensor, n: Tensor) -> Tensor:
        """eps_hat."""
        return (u - x0_hat) / expand(n, u)

    def walk(self, u: Tensor, history: History, start: Tensor, end: Tensor) -> Tensor:
        """u plus the polynomial's integral."""
        return u + combine(history, adams([p.place for p in history], start, end, torch.ones_like))


@dataclass(frozen=True)
class DEIS(LMS):
    """Exponential Adams-Bashforth on du/dn = eps_hat, with a polynomial in log n for eps_hat.

    u_s = u_t + the integral of P(log n) dn from n_t to n_s, P through the last `order` values of (u - x0_hat) / n

    Exact where eps_hat is a polynomial in lambda = -log n of degree order - 1, at any step sizes.
    Source: Zhang & Chen 2023 (Fast Sampling of Diffusion Models with Exponential Integrator), section 3 (multistep DEIS),
    with log n as the variable of the polynomial.
    """

    name = "deis"

    def place(self, n: Tensor) -> Tensor:
        """log n."""
        return torch.log(n)

    def walk(self, u: Tensor, history: History, start: Tensor, end: Tensor) -> Tensor:
        """u plus the polynomial's integral, dn = n dlog n."""
        return u + combine(history, adams([p.place for p in history], start, end, torch.exp))
