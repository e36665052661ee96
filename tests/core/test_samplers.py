"""Every sampler against the exact denoiser of a mixture, and against diffusers on the same predictions."""

import math

import pytest
import torch

from reverie.core.grids import Karras, Leading, Trailing
from reverie.core.noise import Noise
from reverie.core.samplers import Ancestral, DPMSolverPP2M, Heun, sample
from reverie.core.samplers.ancestral import DDIM
from reverie.core.schedules import EDM, Cosine, LinearBetaChain, RectifiedFlow
from reverie.core.shapes import expand
from reverie.errors import ReverieError
from reverie.registry import registered
from tests.core import exact

SAMPLERS = registered("samplers")
SCHEDULES = registered("schedules")
DETERMINISTIC = {k: c for k, c in SAMPLERS.items() if c().order} | {"ancestral:eta=0": lambda: Ancestral(eta=0)}
STOCHASTIC = {k: c for k, c in SAMPLERS.items() if c().order is None} | {"heun:churn=40": lambda: Heun(churn=40)}
HIGH, LOW = 20.0, 0.05
STEPS_TO_CONVERGE = {"ancestral": 400, "ddim": 250, "ancestral:eta=0": 250, "heun:churn=40": 100}  # 64 where not named


def walk(sampler, schedule, steps, count=64):
    """RMSE of a sampler at n = LOW, from the exact ODE's start points at n = HIGH."""
    start, end = exact.ode_solution(HIGH, LOW, count)
    grid = Karras(n_min=LOW, n_max=HIGH).times(schedule, steps + 1)[:-1]  # stop at LOW, where slopes are still finite
    x = start * expand(schedule.alpha(grid[0]), start)
    x = sample(exact.Mixture(schedule), sampler, grid, x, Noise.of(0, count))
    return float(((x / expand(schedule.alpha(grid[-1]), x) - end) ** 2).mean().sqrt())


@pytest.mark.parametrize("schedule", [EDM(), Cosine(), RectifiedFlow()], ids=repr)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_error_falls_at_the_declared_order(name, schedule):
    sampler = DETERMINISTIC[name]()
    errors = [walk(sampler, schedule, steps) for steps in (64, 128, 256, 512)]
    assert errors == sorted(errors, reverse=True)
    slope = math.log2(errors[1] / errors[3]) / 2
    assert slope >= {1.0: 0.95, 2.0: 1.85}[sampler.order], f"measured order {slope:.3f}"


@pytest.mark.parametrize(("sampler", "limit"), [(Heun(), 2e-3), (DPMSolverPP2M(), 3e-3)], ids=repr)
def test_error_at_64_steps(sampler, limit):
    assert walk(sampler, EDM(), 64) <= limit


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_schedule_does_not_matter_in_u_and_n(name):
    """On one grid of n, every schedule gives the same walk."""
    found = [walk(DETERMINISTIC[name](), cls(), 32) for cls in SCHEDULES.values() if reaches(cls(), HIGH)]
    assert max(found) == pytest.approx(min(found), rel=1e-4)


def reaches(schedule, n):
    return float(schedule.noise(torch.tensor(1.0))) > n


@pytest.mark.parametrize("count", [20_000, pytest.param(50_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "steps"), [(k, STEPS_TO_CONVERGE.get(k, 64)) for k in STOCHASTIC | DETERMINISTIC])
def test_distribution_on_the_mixture(name, steps, count):
    """Mean within 4 standard errors, covariance within 3 %, at a number of steps where the bias is well below that."""
    sampler = (STOCHASTIC | DETERMINISTIC)[name]()
    denoiser = exact.Mixture(EDM())
    grid = Karras().times(EDM(), steps)
    noise = Noise.of(1, count)
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, sampler, grid, x, noise)
    error = (x.mean(0) - exact.MEAN).abs() / (exact.COVARIANCE.diagonal() / count).sqrt()
    assert bool((error < 4).all()), error
    assert torch.allclose(torch.cov(x.T), exact.COVARIANCE, atol=0.03 * float(exact.COVARIANCE.max()))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_under_every_schedule_ends_on_the_data(name, schedule):
    """300 samples, a default grid: all lie where the mixture has mass, and the mean is near its mean."""
    schedule = SCHEDULES[schedule]()
    denoiser, noise = exact.Mixture(schedule), Noise.of(2, 300)
    grid = Karras().times(schedule, 40)
    x = denoiser.process.prior(torch.empty(300, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, SAMPLERS[name](), grid, x, noise)
    nearest = ((x[:, None] - exact.MEANS).norm(dim=-1) / exact.STDS).min(1).values
    assert float((nearest < 4).double().mean()) > 0.97
    assert torch.allclose(x.mean(0), exact.MEAN, atol=0.3)


@pytest.mark.parametrize("name", ["heun", "ancestral", "heun:churn=40"])
def test_temperature_squared_is_the_variance_on_a_gaussian(name):
    """As the docstring of Noise says: every sample's distance from the mean is scaled, by exactly the temperature."""
    sampler = {**SAMPLERS, **STOCHASTIC}[name]()
    denoiser, grid = exact.Normal(EDM(), 0.7, 0.3), Karras().times(EDM(), 50)

    def run(temperature):
        noise = Noise.of(0, 2000, temperature=temperature)
        x = denoiser.process.prior(torch.empty(2000, 1, dtype=torch.float64), noise, grid[0])
        return sample(denoiser, sampler, grid, x, noise) - 0.7

    assert torch.allclose(run(0.5), 0.5 * run(1.0), rtol=1e-6, atol=1e-7)
    if name == "heun":
        assert float(run(1.0).var()) == pytest.approx(0.3, rel=0.07)  # 2 standard errors of a variance at n = 2,000


@pytest.mark.parametrize(("spacing", "grid"), [("leading", Leading()), ("trailing", Trailing())])
@pytest.mark.parametrize("steps", [10, 50, 250])
def test_ddim_equals_diffusers(spacing, grid, steps):
    """The same eps predictions, a mixture's exact ones: the largest difference along the whole path is below 1e-5."""
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(1000, clip_sample=False, timestep_spacing=spacing, set_alpha_to_one=True)
    theirs.set_timesteps(steps)
    schedule = LinearBetaChain()
    denoiser, times = exact.Mixture(schedule), grid.times(schedule, steps)
    x = start = torch.randn(32, 2, generator=torch.Generator().manual_seed(0)).double()
    path = []
    sample(denoiser, DDIM(), times, start, Noise.of(0, 32), lambda step: path.append(step.x))
    for k, t in zip(theirs.timesteps, times, strict=False):
        assert int(k) + 1 == round(float(t) * 1000)
        eps = (x - schedule.alpha(t) * denoiser(x, t)) / schedule.sigma(t)
        x = theirs.step(eps, k, x, eta=0.0).prev_sample
        assert float((x - path.pop(0)).abs().max()) < 1e-5


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_is_the_same_at_batch_1_7_and_64(name):
    denoiser, grid = exact.Mixture(EDM()), Karras().times(EDM(), 12)

    def run(count, first=0):
        noise = Noise.of(5, count, first)
        x = denoiser.process.prior(torch.empty(count, 2), noise, grid[0])
        return sample(denoiser, SAMPLERS[name](), grid, x, noise)

    whole = run(64)
    assert torch.allclose(run(7), whole[:7], rtol=1e-5)
    assert torch.allclose(run(1, first=6), whole[6:7], rtol=1e-5)


@pytest.mark.parametrize(("name", "calls"), [("heun", 2 * 18 - 1), ("ddim", 18), ("dpmpp-2m", 18), ("ancestral", 18)])
def test_evaluations_counted_at_the_denoiser(name, calls):
    denoiser, noise = exact.Mixture(EDM()), Noise.of(0, 2)
    grid = Karras().times(EDM(), 18)
    sample(denoiser, SAMPLERS[name](), grid, denoiser.process.prior(torch.empty(2, 2).double(), noise, grid[0]), noise)
    assert denoiser.calls == calls


def test_a_jump_back_up_adds_the_right_noise():
    """Down to t = 0.2, up to 0.6, down to the end: still the mixture (RePaint's walk with nothing known)."""
    schedule, count = Cosine(), 20_000
    denoiser, noise = exact.Mixture(schedule), Noise.of(0, count)
    down = Karras().times(schedule, 40)
    low, high = int((down > 0.2).sum()), int((down > 0.6).sum())
    grid = torch.cat([down[:low], down[high:]])
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, Heun(), grid, x, noise)
    assert torch.allclose(torch.cov(x.T), exact.COVARIANCE, atol=0.03 * float(exact.COVARIANCE.max()))


def test_a_network_that_says_nan_is_named():
    class Broken(exact.Mixture):
        def forward(self, x_t, t):
            return x_t * math.nan

    with pytest.raises(ReverieError, match="NaN or infinity"):
        sample(Broken(EDM()), Heun(), Karras().times(EDM(), 4), torch.ones(1, 2), Noise.of(0, 1))


def test_an_eta_that_leaves_no_variance_is_refused():
    with pytest.raises(ReverieError, match="outside 0"):
        Ancestral(eta=1.5)
