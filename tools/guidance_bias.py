"""How biased each guidance is where the truth is known: a Gaussian prior, whose posterior given y = A x0 + noise is one too.

    .venv/bin/python -m tools.guidance_bias        # writes docs/guidance_bias.md; about a minute on one core

Three problems, the exact denoiser of the prior, one measurement y of one item drawn from it. What is left is the error of
the guidance, of 4,000 samples (the rows "exact draws" show how much that is) and of 64 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tests.core.exact import Correlated, dense, smooth
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.grids import Grid, Jumps, Karras
from reverie.core.guidance import DPS, Blur, Known, Mask, Measurement, MomentMatched, PiGDM, Projection
from reverie.core.noise import Noise
from reverie.core.samplers import Ancestral, Heun, Sampler, sample
from reverie.core.schedules import EDM

COUNT, STEPS = 4_000, 64
HEUN, KARRAS = Heun(), Karras()
PAGE = Path(__file__).parent.parent / "docs" / "guidance_bias.md"


@dataclass(frozen=True)
class Problem:
    """Data of a shape, N(0, smooth), and what is measured of it."""

    says: str
    shape: tuple[int, ...]
    measurement: Measurement
    noise: float

    def prior(self) -> Correlated:
        return Correlated(EDM(), self.shape, smooth(self.shape[1:]))

    def y(self) -> Tensor:
        """The measurement of one item, (1, *)."""
        g = torch.Generator().manual_seed(0)
        root = torch.linalg.cholesky(self.prior().covariance)
        x0 = (root @ torch.randn(len(root), generator=g, dtype=torch.float64)).reshape(1, *self.shape)
        y = self.measurement.apply(x0)
        return self.measurement.seen(y + self.noise * torch.randn(y.shape, generator=g, dtype=torch.float64))

    def posterior(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of x0 given y, in closed form."""
        mean, covariance = self.prior().given(dense(self.measurement, self.shape), self.y(), self.noise)
        return mean.flatten(), covariance


PROBLEMS = {
    "fill": Problem("a series of 12, every third entry known exactly", (1, 12), Mask(torch.arange(12) % 3 == 1), 0.0),
    "deblur": Problem("a picture of 6 x 6, blurred (sigma 0.8), noise 0.1", (1, 6, 6), Blur(0.8), 0.1),
    "tomography": Problem(
        "a picture of 6 x 6, 6 beams at each of 4 angles, noise 0.3", (1, 6, 6), Projection.tomography(6, 4), 0.3
    ),
}

Guide = Callable[[Problem], Denoiser]


def mmps(iterations: int) -> Guide:
    return lambda p: MomentMatched(p.prior(), p.measurement, p.y(), p.noise, iterations)


def known(p: Problem) -> Denoiser:
    assert isinstance(p.measurement, Mask)
    return Known(p.prior(), p.y()[0], p.measurement.mask)


@dataclass(frozen=True)
class Method:
    guide: Guide
    sampler: Sampler = HEUN
    grid: Grid = KARRAS
    problems: tuple[str, ...] = tuple(PROBLEMS)


METHODS = {
    "mmps, up to 40 iterations": Method(mmps(40)),
    "mmps, 5 iterations (default)": Method(mmps(5)),
    "mmps, 1 iteration": Method(mmps(1)),
    "pigdm": Method(lambda p: PiGDM(p.prior(), p.measurement, p.y(), p.noise)),
    "dps, scale 1": Method(lambda p: DPS(p.prior(), p.measurement, p.y(), 1.0)),
    "dps, scale 3 (default)": Method(lambda p: DPS(p.prior(), p.measurement, p.y(), 3.0)),
    "dps, scale 10": Method(lambda p: DPS(p.prior(), p.measurement, p.y(), 10.0)),
    "known": Method(known, problems=("fill",)),
    "known, ancestral": Method(known, Ancestral(), problems=("fill",)),
    "known, ancestral, jumps (RePaint)": Method(known, Ancestral(), Jumps(), problems=("fill",)),
}


@dataclass(frozen=True)
class Bias:
    """Errors of samples about a posterior N(m, C), D-dimensional."""

    mean: float  # |mean - m| / |m|
    spread: float  # trace of their covariance / trace of C
    covariance: float  # |covariance - C| / |C|, Frobenius

    @classmethod
    def of(cls, x: Tensor, mean: Tensor, covariance: Tensor) -> Bias:
        found = torch.cov(x.flatten(1).T)
        return cls(
            float((x.flatten(1).mean(0) - mean).norm() / mean.norm()),
            float(found.trace() / covariance.trace()),
            float((found - covariance).norm() / covariance.norm()),
        )


def measure(problem: Problem, method: Method, count: int = COUNT, steps: int = STEPS) -> Bias:
    """Draw samples and compare them with the truth."""
    guided, noise = method.guide(problem), Noise.of(0, count)
    times = method.grid.times(EDM(), steps)
    like = torch.empty(count, *problem.shape, dtype=torch.float64)
    x = sample(guided, method.sampler, times, guided.process.prior(like, noise, times[0]), noise)
    return Bias.of(x, *problem.posterior())


def floor(problem: Problem, count: int = COUNT) -> Bias:
    """What as many draws from the posterior itself show."""
    mean, covariance = problem.posterior()
    values, basis = torch.linalg.eigh(covariance)
    z = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Bias.of(mean + (z * values.clamp(min=0).sqrt()) @ basis.T, mean, covariance)


def row(name: str, bias: Bias) -> str:
    return f"| {name} | {bias.mean:.1%} | {bias.spread:.2f} | {bias.covariance:.0%} |"


def page() -> str:
    """The whole of docs/guidance_bias.md."""
    parts = [HEAD]
    for name, problem in PROBLEMS.items():
        parts += [f"## {name}: {problem.says}\n", "| guidance | mean error | spread | covariance error |"]
        parts += ["|---|---|---|---|", row("exact draws", floor(problem))]
        parts += [row(k, measure(problem, m)) for k, m in METHODS.items() if name in m.problems]
        parts.append("")
    return "\n".join(parts)


HEAD = f"""# How biased is guidance by a measurement?

Made by `.venv/bin/python -m tools.guidance_bias`, which draws {COUNT:,} samples for each row with Heun's method in {STEPS} steps,
or with what the row says. The data is N(0, C), C a squared exponential of length 2 and variance 1.01, the denoiser is exact,
and so the posterior given y = A x0 + noise is known. What remains is the guidance's own bias, and the noise of so many
samples, which the rows "exact draws" show.

- mean error: |mean of samples - posterior mean| / |posterior mean|
- spread: total variance of the samples / total variance of the posterior; below 1 they are too sure, above 1 not enough
- covariance error: Frobenius norm of the difference / Frobenius norm of the posterior's covariance

`mmps` is exact here once its iterations suffice; on data that is not Gaussian no method is. `known` replaces what is known
and tells the rest nothing more of it than its noised value does; jumps back up mend most of that, for ten times the cost.
DPS knows no noise level: how wide its samples spread is an accident of the scale.
"""


def main() -> None:
    torch.set_num_threads(1)
    PAGE.write_text(page())
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
