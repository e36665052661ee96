"""Options under which a choice is none are refused where it is made, by name."""

import pytest
import torch

from reverie.core.grids import Karras
from reverie.core.noise import Noise
from reverie.core.samplers import Heun, sample
from reverie.core.schedules import EDM, Cosine
from reverie.errors import ReverieError
from reverie.registry import build
from tests.core import exact


@pytest.mark.parametrize(
    "text",
    [
        "linear-beta:beta_min=-1",
        "linear-beta:beta_min=30",
        "sub-vp:beta_max=nan",
        "linear-beta-chain:T=0",
        "linear-beta-chain:beta_end=2",
        "scaled-linear:beta_end=1.5",
        "geometric-beta:beta=1",
        "geometric-beta:beta=0",
        "sigmoid:tau=0",
        "sigmoid:start=3,end=3",
        "geometric-ve:sigma_min=5,sigma_max=1",
        "edm:sigma_max=-1",
        "edm:rho=0",
    ],
)
def test_a_schedule_that_is_none(text):
    with pytest.raises(ReverieError, match="is no noise schedule: it needs"):
        build("schedules", text)


@pytest.mark.parametrize("text", ["heun:churn=-3", "heun:churn=nan", "heun:churn_min=5,churn_max=1", "heun:s_noise=-1"])
def test_a_churn_that_is_none(text):
    with pytest.raises(ReverieError, match="needs churn from 0"):
        build("samplers", text)


def test_a_walk_that_is_none():
    """Grids of no step or outside time, noise of another batch, a denoiser of another shape, a start without signal."""
    x, denoiser, noise = torch.ones(2, 2, dtype=torch.float64), exact.Mixture(Cosine()), Noise.of(0, 2)
    for grid in ([], [0.5], [2.0, 0.0], [0.5, float("nan")]):
        with pytest.raises(ReverieError, match="two or more in"):
            sample(denoiser, Heun(), torch.tensor(grid), x, noise)
    with pytest.raises(ReverieError, match=r"alpha = 0 under Cosine"):
        sample(denoiser, Heun(), torch.tensor([1.0, 0.5, 0.0]), x, noise)
    with pytest.raises(ReverieError, match="noise is of 3 samples and the state of 2"):
        sample(denoiser, Heun(churn=40), Karras().times(Cosine(), 4), x, Noise.of(0, 3))

    class Narrow(exact.Mixture):
        def forward(self, x_t, t):
            return super().forward(x_t, t)[:, :1]

    with pytest.raises(ReverieError, match=r"says \(2, 1\) of a state \(2, 2\)"):
        sample(Narrow(EDM()), Heun(), Karras().times(EDM(), 4), x, noise)
