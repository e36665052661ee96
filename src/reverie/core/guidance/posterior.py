"""Sampling given a linear measurement y = A x0 + noise: three approximations of E[x0 | x_t, y].

By Tweedie's formula, as the score of p(x_t | y) is that of p(x_t) plus grad log p(y | x_t),

    E[x0 | x_t, y] = x0_hat + (sigma^2 / alpha) grad log p(y | x_t)

With p(y | x_t) taken for normal about A x0_hat, its variance S held constant, the gradient is that of x0_hat alone:

    E[x0 | x_t, y] ~ x0_hat + V A^T S^-1 (y - A x0_hat),    V v = (sigma^2 / alpha) (d x0_hat / d x_t)^T v

and V is the covariance of p(x0 | x_t). The three differ in S alone: `MomentMatched` takes A V A^T + noise^2, which on Gaussian
data is exact; `PiGDM` takes r^2 A A^T + noise^2 with a number r for V; `DPS` takes the residual's own size.
How biased each is on Gaussian data: docs/guidance_bias.md.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.guidance.base import Guidance, gaussian, pullback, tweedie
from reverie.core.guidance.linear import Measurement, Shape
from reverie.core.processes import Gaussian
from reverie.core.shapes import expand, time_of
from reverie.errors import ReverieError

Map = Callable[[Tensor], Tensor]


class Measured(Guidance):
    """x0_hat + scale V A^T S^-1 (y - A x0_hat): a denoiser that has seen a linear measurement.

    y: what was measured, the measurement's shape for the data, (B, *), or one for the whole batch, (1, *).
    Raises ReverieError for a process that is not Gaussian and for data, A and y that do not fit each other.
    """

    process: Gaussian

    def __init__(self, denoiser: Denoiser, measurement: Measurement, y: Tensor, scale: float) -> None:
        super().__init__()
        self.process = gaussian(denoiser, type(self).__name__)
        self.denoiser = denoiser
        self.measurement = measurement
        self.y = measurement.seen(y)
        self.scale = scale
        if not bool(torch.isfinite(self.y).all()):
            raise ReverieError(
                "The measurement y holds NaN or infinity; leave what was not measured out by the mask of A."
            )

    @abstractmethod
    def weigh(self, residual: Tensor, spread: Map, shape: Shape, t: Tensor) -> Tensor:
        """S^-1 residual, of y's shape. residual: y - A x0_hat; spread: A V A^T; shape: the data's; t: (B,)."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The prediction given y, (B, *)."""
        t = time_of(t).expand(len(x_t))
        expected = self.measurement.shape(tuple(x_t.shape))
        if tuple(self.y.shape) not in (expected, (1, *expected[1:])):
            raise ReverieError(
                f"y has shape {tuple(self.y.shape)}, and {type(self.measurement).__name__} makes {expected} of data of shape "
                f"{tuple(x_t.shape)}; give y for each sample, or one for all with a first axis of 1."
            )
        x0_hat, pull = pullback(lambda x: self.denoiser(x, t), x_t)
        a, shape, slope = self.measurement, tuple(x_t.shape), expand(tweedie(self.process, t), x_t)

        def shift(w: Tensor) -> Tensor:
            """V A^T w."""
            return slope * pull(a.adjoint(w, shape))

        residual = self.y.to(x0_hat) - a.apply(x0_hat)
        return x0_hat + self.scale * shift(self.weigh(residual, lambda w: a.apply(shift(w)), shape, t))


class MomentMatched(Measured):
    """Guidance by a measurement y = A x0 + noise, with the covariance of x0 that the denoiser's own Jacobian holds.

    S = A V A^T + noise^2, whose inverse is found by conjugate gradients, one product with the Jacobian an iteration. Exact
    on Gaussian data, once the iterations suffice: as many as y has numbers always do.
    noise: standard deviation of the measurement's noise. iterations: at most; a sample stops sooner when its residual has
    fallen to `tolerance` of what it was.
    Source: Rozet et al. 2024 (Learning Diffusion Priors from Observations by Expectation Maximization), section 4.2.
    """

    name = "mmps"

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: Measurement,
        y: Tensor,
        noise: float = 0.0,
        iterations: int = 5,
        tolerance: float = 1e-6,
    ) -> None:
        super().__init__(denoiser, measurement, y, 1.0)
        self.noise = _at_least_zero(noise)
        self.iterations = iterations
        self.tolerance = tolerance
        if iterations < 1:
            raise ReverieError(f"mmps with {iterations} iterations solves nothing; give at least 1.")

    def weigh(self, residual: Tensor, spread: Map, shape: Shape, t: Tensor) -> Tensor:
        """Conjugate gradients."""
        return conjugate_gradients(lambda w: spread(w) + self.noise**2 * w, residual, self.iterations, self.tolerance)


class PiGDM(Measured):
    """Guidance by a measurement y = A x0 + noise, as if x0 were known from x_t to within one number r in every direction.

    S = r^2 A A^T + noise^2 with r^2 = v n^2 / (v + n^2), n = sigma / alpha and v the data's mean variance (theirs is 1).
    With noise = 0 the pseudo-inverse of A. In score form, without their factor r^2 on the gradient: scale multiplies it.
    Biased unless the data is white: see docs/guidance_bias.md.
    Source: Song et al. 2023 (Pseudoinverse-Guided Diffusion Models for Inverse Problems), section 3.
    """

    name = "pigdm"

    def __init__(
        self, denoiser: Denoiser, measurement: Measurement, y: Tensor, noise: float = 0.0, scale: float = 1.0
    ) -> None:
        super().__init__(denoiser, measurement, y, scale)
        self.noise = _at_least_zero(noise)

    def weigh(self, residual: Tensor, spread: Map, shape: Shape, t: Tensor) -> Tensor:
        """In closed form."""
        n2, v = self.process.schedule.noise(t) ** 2, float(self.process.variance.double().mean())
        return self.measurement.solve(residual, shape, v * n2 / (v + n2), self.noise**2)


class DPS(Measured):
    """Guidance by a measurement y = A x0 + noise, down the gradient of the residual's size.

    S = n rms / scale, n = sigma / alpha, rms the root mean square of y - A x0_hat: in score form
    grad log p(y | x_t) ~ -(zeta / |r|) grad |r|^2 with r = y - A x0_hat and zeta = scale sqrt(numbers in y) / (2 n).
    Their step, at a fixed zeta and after every step of a 1000-step chain, depends on that chain; this zeta has the units
    of a score, so that one scale serves any data, schedule and sampler. The noise's size is not used.
    Biased, and its samples spread too little or too far, as docs/guidance_bias.md shows; of 1, 3 and 10 there
    3 has the smallest errors of the mean.
    Source: Chung et al. 2023 (Diffusion Posterior Sampling for General Noisy Inverse Problems), algorithm 1.
    """

    name = "dps"

    def __init__(self, denoiser: Denoiser, measurement: Measurement, y: Tensor, scale: float = 3.0) -> None:
        super().__init__(denoiser, measurement, y, scale)

    def weigh(self, residual: Tensor, spread: Map, shape: Shape, t: Tensor) -> Tensor:
        """Each sample by its own residual."""
        count = self.measurement.seen(torch.ones_like(residual)).flatten(1).sum(1).clamp(min=1)
        rms = (residual.flatten(1).square().sum(1) / count).sqrt().clamp(min=torch.finfo(residual.dtype).tiny ** 0.5)
        return residual / (expand(self.process.schedule.noise(t), residual) * expand(rms, residual))


def conjugate_gradients(s: Map, b: Tensor, iterations: int, tolerance: float) -> Tensor:
    """w with S w = b, per sample: S symmetric and positive, (B, *) -> (B, *).

    A sample is left alone once |b - S w| <= tolerance |b|, or where S is not positive along its direction, as that of a
    network may not be: what it gets does not depend on its neighbours.
    Source: Hestenes & Stiefel 1952.
    """
    w, r = torch.zeros_like(b), b
    p, rr = b, _dot(b, b)
    enough = tolerance**2 * rr
    for _ in range(iterations):
        active = rr > enough
        if not bool(active.any()):
            break
        sp = s(p)
        curvature = _dot(p, sp)
        active = active & (curvature > 0)
        step = torch.where(active, rr / torch.where(active, curvature, 1.0), 0.0)
        w, r = w + expand(step, p) * p, r - expand(step, p) * sp
        rr, before = torch.where(active, _dot(r, r), 0.0), rr
        p = r + expand(rr / before.clamp(min=torch.finfo(rr.dtype).tiny), p) * p
    return w


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _at_least_zero(noise: float) -> float:
    if not noise >= 0:
        raise ReverieError(f"The measurement's noise is {noise:g}; it is a standard deviation, at least 0.")
    return noise
