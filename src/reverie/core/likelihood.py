"""The density that a Gaussian process' denoiser gives to data, estimated by integrating its probability-flow ODE.

Everything here is a numerical estimate, never a bound: its error is that of the solver (rtol, atol), of the trace where
probes estimate it, of the network between the noise levels it knows, and of the two ends, which are said below.

With u = x / alpha, n = sigma / alpha and the process' fitted moments m and v, in the coordinates of the Gaussian fit

    w = (u - m) / sqrt(v + n^2),    dw / dlog n = (m + v (u - m) / (v + n^2) - x0_hat) / sqrt(v + n^2) = F(w, n)

the path is straight where the data is that Gaussian, and z = w at n_max is a standard normal. By change of variables

    log p(x0) = log N(z; 0, 1) + integral of tr(dF / dw) dlog n - sum of log(v + n_min^2) / 2

The ends: x0 is taken for u at n_min, so the density is that of data blurred by n_min; and z for a draw of `Gaussian.prior`,
so it is the density of what the ODE makes of that prior, which at n_max differs from the noised data (`prior_mismatch`).

    found = log_likelihood(Given(denoiser, cond), dequantise(x0, 2 / 255, noise), Hutchinson(noise, count=16))
    found.bits_per_dim(2 / 255), found.standard_error, found.nfe

Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), section 4.3 and appendix D.2.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.ode import dormand_prince, trapezoid
from reverie.core.processes import Gaussian
from reverie.core.shapes import expand
from reverie.errors import ReverieError

_MOST_DIMENSIONS = 1024  # of an exact trace, which walks back through the network once a dimension


class Trace(ABC):
    """How the trace of a Jacobian J is found from products v^T J v."""

    @abstractmethod
    def directions(self, like: Tensor) -> list[Tensor]:
        """The vectors v, fixed along the whole path, each of like's shape (B, *) or (1, *)."""

    @abstractmethod
    def joined(self, products: Tensor) -> Tensor:
        """Estimates of the trace from v^T J v, (B, directions) -> (B, estimates)."""


@dataclass(frozen=True)
class Exact(Trace):
    """The sum over all directions: one walk back through the network a dimension, so for small data only."""

    def directions(self, like: Tensor) -> list[Tensor]:
        """The unit vectors; raises ReverieError above 1,024 dimensions."""
        dimensions = like[0].numel()
        if dimensions > _MOST_DIMENSIONS:
            raise ReverieError(
                f"The exact trace takes a walk back through the network for each of {dimensions:,} dimensions, and is meant for "
                f"{_MOST_DIMENSIONS:,} at most. Use Hutchinson probes instead."
            )
        unit = torch.eye(dimensions, dtype=like.dtype, device=like.device)
        return list(unit.reshape(dimensions, 1, *like.shape[1:]))

    def joined(self, products: Tensor) -> Tensor:
        """Their sum, (B, 1)."""
        return products.sum(1, keepdim=True)


@dataclass(frozen=True)
class Hutchinson(Trace):
    """The mean over random probes: E[v^T J v] = tr J for entries of v that are independent, of mean 0 and variance 1.

    noise: draws each sample's own probes, the first of them the same whatever their count. count: of probes; from 2 on they
    tell a standard error. gaussian: normal entries; otherwise signs (Rademacher), whose variance is never larger.
    Source: Hutchinson 1990 (A Stochastic Estimator of the Trace); Grathwohl et al. 2019 (FFJORD), section 3.1, one v a path.
    """

    noise: Noise
    count: int = 8
    gaussian: bool = False

    def __post_init__(self) -> None:
        """Refuse a number of probes that estimates nothing."""
        if self.count < 1:
            raise ReverieError(f"{self.count} Hutchinson probes; give a whole number from 1.")

    def directions(self, like: Tensor) -> list[Tensor]:
        """The probes, each of like's shape."""
        if len(self.noise.index) != len(like):
            raise ReverieError(
                f"The probes' noise is for {len(self.noise.index)} samples, x0 has {len(like)}; use Noise.of(seed, {len(like)})."
            )
        plain = dataclasses.replace(self.noise, temperature=1.0)
        found = [plain.at(k).normal(0, like) for k in range(self.count)]
        return found if self.gaussian else [torch.where(v < 0, -1.0, 1.0).to(like) for v in found]

    def joined(self, products: Tensor) -> Tensor:
        """The products themselves, each an estimate, (B, count)."""
        return products


@dataclass(frozen=True)
class LogLikelihood:
    """A numerical estimate of log p(x0), and the latent it was found at.

    nats: (B,) float64. standard_error: (B,) float64, across probes, of the trace alone; None for an exact trace or one probe.
    z: (B, *), standard normal where the model is right. nfe: evaluations of the denoiser, each for the whole batch.
    """

    nats: Tensor
    standard_error: Tensor | None
    z: Tensor
    nfe: int

    def bits_per_dim(self, bin_width: float) -> Tensor:
        """-log2 p per dimension of data on a grid of this width that `dequantise` blurred, (B,): -nats / (D log 2) - log2 w.

        In the mean over the blur this estimates an upper bound of the bits of the grid's own distribution (Jensen's inequality).
        Source: Theis et al. 2016 (A Note on the Evaluation of Generative Models), section 3.1.
        """
        _positive(bin_width)
        return -self.nats / (self.z[0].numel() * math.log(2)) - math.log2(bin_width)


def log_likelihood(
    denoiser: Denoiser,
    x0: Tensor,
    trace: Trace | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    n_min: float = 0.002,
    n_max: float = 80.0,
) -> LogLikelihood:
    """A numerical estimate of log p(x0) in nats, (B, *) -> (B,), by the probability-flow ODE from n_min up to n_max.

    denoiser: of a Gaussian process under any schedule, its conditions bound by `Given`. trace: `Exact()` where None is given,
    or `Hutchinson(noise, count)`. n_max is lowered to what the schedule reaches. Data on a grid is blurred first, `dequantise`.
    Raises ReverieError for another process, for x0 that is not finite or not floating, and for a network that gives no number.
    """
    trace = trace or Exact()
    flow = _Flow(denoiser, x0, n_min, n_max)
    with torch.no_grad():
        w = flow.centred(x0, flow.low)
        directions = trace.directions(x0)

        def slope(level: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            f, products = flow.slope_and_products(level, y[0], directions)
            return f, trace.joined(products)

        estimates = trace.joined(torch.zeros(len(x0), len(directions), dtype=x0.dtype, device=x0.device))
        z, estimates = dormand_prince(slope, (w, estimates), flow.low, flow.high, rtol, atol)
    estimates = estimates.to("cpu", torch.float64)
    scale = 0.5 * torch.log(flow.variance.double() + math.exp(2 * flow.low)).sum().cpu()
    normal = -0.5 * (z.to("cpu", torch.float64).flatten(1) ** 2 + math.log(2 * math.pi)).sum(1)
    count = estimates.shape[1]
    spread = estimates.std(1) / math.sqrt(count) if count > 1 else None
    return LogLikelihood(normal + estimates.mean(1) - scale, spread, z, flow.nfe)


def encode_ode(
    denoiser: Denoiser,
    x0: Tensor,
    rtol: float = 1e-7,
    atol: float = 1e-7,
    n_min: float = 0.002,
    n_max: float = 80.0,
    steps: int | None = None,
) -> Tensor:
    """The latent z of data x0, (B, *) -> (B, *): where the ODE carries it, in units of the prior's spread at n_max.

    A numerical estimate, by the same path as `log_likelihood`; z is standard normal where the model is right. The tolerance is
    tighter, because between two modes the way back magnifies an error: 5,000 points of the tests' mixture came back within
    2e-5 of themselves at 1e-7, and within 5e-4 at 1e-6. steps: so many equal steps of log n in the place of the tolerances,
    2 evaluations each.
    """
    flow = _Flow(denoiser, x0, n_min, n_max)
    with torch.no_grad():
        return flow.carried(flow.centred(x0, flow.low), flow.low, flow.high, (rtol, atol), steps)


def decode_ode(
    denoiser: Denoiser,
    z: Tensor,
    rtol: float = 1e-7,
    atol: float = 1e-7,
    n_min: float = 0.002,
    n_max: float = 80.0,
    steps: int | None = None,
) -> Tensor:
    """The data x0 of a latent z, (B, *) -> (B, *): the inverse of `encode_ode`, to the solver's tolerance."""
    flow = _Flow(denoiser, z, n_min, n_max)
    with torch.no_grad():
        w = flow.carried(z, flow.high, flow.low, (rtol, atol), steps)
        return flow.mean + torch.sqrt(flow.variance + math.exp(2 * flow.low)) * w


def dequantise(x: Tensor, bin_width: float, noise: Noise) -> Tensor:
    """Data on a grid as data on the line: x + bin_width (U - 1/2), U uniform in (0, 1); (B, *) -> (B, *).

    A grid value stands for the bin about it, so that rounding gives x back. For 8-bit pictures in [-1, 1]: 2 / 255.
    Source: Theis et al. 2016 (A Note on the Evaluation of Generative Models), section 3.1.
    """
    _positive(bin_width)
    _floating(x)
    return x + bin_width * (noise.uniform(1, x) - 0.5)  # key 0 is for the probes of the trace


class _Flow:
    """The ODE in w and log n, between n_min and n_max; counts what it asks of the denoiser."""

    def __init__(self, denoiser: Denoiser, like: Tensor, n_min: float, n_max: float) -> None:
        process = denoiser.process
        if not isinstance(process, Gaussian):
            raise ReverieError(
                f"A likelihood by the probability-flow ODE needs a Gaussian process; the denoiser's is {type(process).__name__}. "
                "For tokens, bound.token_bound gives a bound on it."
            )
        _floating(like)
        top = float(process.schedule.noise(process.schedule.noisiest(n_max)))
        if not 0 < n_min < top:
            raise ReverieError(
                f"n_min = {n_min:g} must lie between 0 and n_max = {n_max:g}, of which {type(process.schedule).__name__} reaches "
                f"{top:g}."
            )
        self.denoiser, self.schedule = denoiser, process.schedule
        self.low, self.high = math.log(n_min), math.log(top)
        self.mean, self.variance = (_as_one(m, like) for m in (process.mean, process.variance))
        self.nfe = 0

    def centred(self, u: Tensor, level: float) -> Tensor:
        """u at log n = level as w."""
        return (u - self.mean) / torch.sqrt(self.variance + math.exp(2 * level))

    def carried(
        self, w: Tensor, start: float, end: float, tolerances: tuple[float, float], steps: int | None
    ) -> Tensor:
        """w at log n = end, by the adaptive solver or in so many equal steps."""
        if steps is not None:
            return trapezoid(self.slope, (w,), start, end, steps)[0]
        return dormand_prince(self.slope, (w,), start, end, *tolerances)[0]

    def slope(self, level: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """F(w, n) alone, as the solver takes it."""
        return (self._f(level, y[0]),)

    def slope_and_products(self, level: Tensor, w: Tensor, directions: list[Tensor]) -> tuple[Tensor, Tensor]:
        """F(w, n) and v^T (dF / dw) v for each v, (B, directions): one evaluation and a walk back for each."""
        with torch.enable_grad():
            w = w.detach().requires_grad_()
            f = self._f(level, w)
            products = []
            for v in directions:
                (back,) = torch.autograd.grad(f, w, v.expand_as(f), retain_graph=True)
                products.append((back * v).flatten(1).sum(1))
        return f.detach(), torch.stack(products, 1)

    def _f(self, level: Tensor, w: Tensor) -> Tensor:
        n = torch.exp(level)
        t = self.schedule.time_of_noise(n)
        spread = torch.sqrt(self.variance + expand(n**2, w))
        x = expand(self.schedule.alpha(t), w) * (self.mean + spread * w)
        x0_hat = self.denoiser(x, t)
        self.nfe += 1
        if not bool(torch.isfinite(x0_hat).all()):
            raise ReverieError(
                f"{type(self.denoiser).__name__} gave NaN or infinity for x0 between n = sigma / alpha = {float(n.min()):.4g} "
                f"and {float(n.max()):.4g}, on the ODE of {type(self.schedule).__name__}. Use an earlier checkpoint, or "
                "a narrower range, n_min and n_max."
            )
        if w.requires_grad and not x0_hat.requires_grad:
            raise ReverieError(
                f"{type(self.denoiser).__name__} gives an x0 that cannot be differentiated by x_t, and the likelihood needs its "
                "trace. Let the denoiser run with gradients (no torch.no_grad or detach inside)."
            )
        return (self.mean + self.variance / spread * w - x0_hat) / spread


def _as_one(moment: Tensor, like: Tensor) -> Tensor:
    """A moment of the process as one sample of like, (*)."""
    try:
        return moment.to(like).expand(like.shape[1:])
    except RuntimeError as error:
        raise ReverieError(
            f"x0 is {tuple(like.shape)} and the process' moments are {tuple(moment.shape)}: they do not fit one sample. Use data "
            "of the shape that the process was fitted to."
        ) from error


def _floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ReverieError(f"x0 is {x.dtype} and a density needs floating numbers; use x0.float() and `dequantise`.")
    if bad := int((~torch.isfinite(x)).sum()):
        raise ReverieError(f"x0 holds NaN or infinity in {bad:,} of {x.numel():,} places; a density is of finite data.")


def _positive(bin_width: float) -> None:
    if not 0 < bin_width < math.inf:
        raise ReverieError(
            f"bin_width = {bin_width:g} must be a number above 0: the distance of neighbouring grid values."
        )
