"""How wide normal laws come out of few steps: the spread of draws of exact denoisers, over that of the law.

    .venv/bin/python benchmarks/spread.py [--steps 12] [--samplers deis,dpmpp-2m,unipc,heun:18]

A law of variance v, denoised by E[x0 | x_t] = x_t v / (v + n^2), leaves discretisation as the only error, and as walks without
noise are linear in where they start, one number says all of it. The process knows variance 1, as a channel's data has it; of
series v is that of a direction: 1 where steps know nothing of each other (returns), 60 and 0.01 where they are smooth (glucose).
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from reverie import registry
from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian
from reverie.core.samplers import sample
from reverie.core.schedules import EDM

VARIANCES = torch.tensor([0.01, 0.1, 1.0, 10.0, 60.0], dtype=torch.float64)
GRIDS = ("karras", "log-snr:n_min=0.01,n_max=50")


class Normal(Denoiser):
    """The exact denoiser of independent normal variables of these variances."""

    def __init__(self) -> None:
        super().__init__()
        self.process = Gaussian(EDM(), torch.zeros(len(VARIANCES)), torch.ones(len(VARIANCES)))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        n = (self.process.schedule.sigma(t) / self.process.schedule.alpha(t)).double().view(-1, 1)
        return x_t * VARIANCES / (VARIANCES + n**2)


def ratio(sampler: str, grid: str, steps: int) -> Tensor:
    """Standard deviation drawn over the law's, of each variance: how far a walk from 1 gets, times the spread of its start."""
    denoiser = Normal()
    times = registry.build("grids", grid).times(denoiser.process.schedule, steps)
    start = denoiser.process.schedule.sigma(times[0]) ** 2 + 1
    one = torch.ones(1, len(VARIANCES), dtype=torch.float64)
    end = sample(denoiser, registry.build("samplers", sampler), times, one, Noise.of(0, 1))
    return (end[0] * start.sqrt() / VARIANCES.sqrt()).abs()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--steps", type=int, default=12)
    words.add_argument("--samplers", default="deis,dpmpp-2m,unipc,heun:18", help="its own steps after a colon")
    asked = words.parse_args()
    heads = [f"variance {v:g}" for v in VARIANCES.tolist()]
    print(f"| sampler | steps | grid | {' | '.join(heads)} |\n{'|---' * (3 + len(heads))}|")
    for grid in GRIDS:
        for text in asked.samplers.split(","):
            name, _, own = text.partition(":")
            steps = int(own or asked.steps)
            cells = " | ".join(f"{r:.3f}" for r in ratio(name, grid, steps).tolist())
            print(f"| {name} | {steps} | {grid} | {cells} |")


if __name__ == "__main__":
    main()
