"""Every sampler against the exact denoiser of a mixture; multistep methods and diffusers' own are in test_multistep.py."""

import math

import pytest
import torch

from reverie.core.denoiser import Denoiser
from reverie.core.grids import Jumps, Karras, Leading, Trailing, Uniform
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian, Masked
from reverie.core.samplers import DDIM, Adaptive, DPMSolverPP2M, Euler, Heun, sample
from reverie.core.schedules import EDM, Cosine, LinearBetaChain, RectifiedFlow
from reverie.core.shapes import expand, time_of
from reverie.core.survival import LogLinear
from reverie.errors import ReverieError
from reverie.registry import build, registered
from tests.core import exact

# Tables of what differs from sampler to sampler; a new one needs an entry only where it is not as most are.
TOKENS_ONLY = {"confidence"}
STEPS_TO_CONVERGE = {
    "ddim": 250,
    "euler": 400,
    "ancestral": 400,
    "heun:churn=40": 100,
    "adaptive": 2,
}  # 64 where not named
EVALUATIONS = {"heun": 2 * 18 - 1, "dpm-solver-2": 2 * 18 - 1}  # at 18 steps; 18 where not named
SLOPE = {1.0: 0.95, 2.0: 1.85, 3.0: 2.85, 4.0: 3.2}  # measured order that a declared order needs
OWN_TIME = {"euler"}  # walks in the schedule's t and not in n
OWN_STEPS = {"adaptive"}  # its tolerances decide the error, not the grid
QUICK = {"heun:churn=40", "dpmpp-3m"}  # whose distribution the quick tier looks at
QUICK_SCHEDULES = {"cosine", "geometric-beta", "sub-vp", "rectified-flow"}  # under which it runs every sampler

SAMPLERS = {k: c for k, c in registered("samplers").items() if k not in TOKENS_ONLY}
DETERMINISTIC = [k for k, c in SAMPLERS.items() if c().order]
STOCHASTIC = ["ancestral", "heun:churn=40"]  # the others' distributions and evaluations are in test_stochastic.py
SCHEDULES = registered("schedules")
HIGH, LOW = 20.0, 0.05
VARIANTS = [
    "dpm-solver-2:r=0.3",
    "dpmpp-2m:midpoint=true",
    "lms:order=3",
    "deis:order=2",
    "unipc:predictor=1",
    "unipc:predictor=3",
]


def walk(sampler, schedule, steps, count=64):
    """RMSE of a sampler at n = LOW, from the exact ODE's start points at n = HIGH."""
    start, end = exact.ode_solution(HIGH, LOW, count)
    grid = Karras(n_min=LOW, n_max=HIGH).times(schedule, steps + 1)[:-1]  # stop at LOW, where slopes are still finite
    x = start * expand(schedule.alpha(grid[0]), start)
    x = sample(exact.Mixture(schedule), sampler, grid, x, Noise.of(0, count))
    return float(((x / expand(schedule.alpha(grid[-1]), x) - end) ** 2).mean().sqrt())


def converges(name, schedule):
    """Error falls from 64 to 512 steps, at the declared order between 128 and 512."""
    sampler = build("samplers", name)
    errors = [walk(sampler, schedule, steps) for steps in (64, 128, 512)]
    assert errors == sorted(errors, reverse=True)
    slope = math.log2(errors[1] / errors[2]) / 2
    assert slope >= SLOPE[sampler.order], f"measured order {slope:.3f}"


@pytest.mark.parametrize("name", [k for k in DETERMINISTIC if k not in OWN_STEPS])
def test_error_falls_at_the_declared_order(name):
    converges(name, EDM())


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_error_falls_at_the_declared_order_with_options(name):
    converges(name, EDM())


@pytest.mark.parametrize("schedule", [Cosine(), pytest.param(RectifiedFlow(), marks=pytest.mark.slow)], ids=repr)
def test_euler_is_of_first_order_in_any_time(schedule):
    converges("euler", schedule)


@pytest.mark.parametrize(("sampler", "limit"), [(Heun(), 2e-3), (DPMSolverPP2M(), 3e-3)], ids=repr)
def test_error_at_64_steps(sampler, limit):
    assert walk(sampler, EDM(), 64) <= limit


@pytest.mark.parametrize("name", [k for k in DETERMINISTIC if k not in OWN_TIME | OWN_STEPS])
def test_the_schedule_does_not_matter_in_u_and_n(name):
    """On one grid of n, every schedule gives the same walk, and so the order that one of them shows."""
    found = [walk(SAMPLERS[name](), cls(), 16, 16) for cls in SCHEDULES.values() if reaches(cls(), HIGH)]
    assert max(found) == pytest.approx(min(found), rel=1e-4)


def reaches(schedule, n):
    return float(schedule.noise(torch.tensor(1.0))) > n


def distribution(name, count):
    """Mean within 4 standard errors, covariance within 3 %, at a number of steps where the bias is well below that."""
    schedule = Cosine() if name in OWN_TIME else EDM()  # Euler's bias in EDM's t^7 is above 3 % even at 400 steps
    denoiser = exact.Mixture(schedule)
    grid = Karras().times(schedule, STEPS_TO_CONVERGE.get(name, 64))
    noise = Noise.of(1, count)
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, build("samplers", name), grid, x, noise)
    error = (x.mean(0) - exact.MEAN).abs() / (exact.COVARIANCE.diagonal() / count).sqrt()
    assert bool((error < 4).all()), error
    assert torch.allclose(torch.cov(x.T), exact.COVARIANCE, atol=0.03 * float(exact.COVARIANCE.max()))


@pytest.mark.parametrize("name", [k for k in [*DETERMINISTIC, *STOCHASTIC] if k in QUICK])
def test_distribution_on_the_mixture(name):
    distribution(name, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DETERMINISTIC, *STOCHASTIC])
def test_distribution_on_the_mixture_at_50_000(name):
    distribution(name, 50_000)


@pytest.mark.parametrize(
    "schedule", [k if k in QUICK_SCHEDULES else pytest.param(k, marks=pytest.mark.slow) for k in SCHEDULES]
)
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_under_every_schedule_ends_on_the_data(name, schedule):
    """100 samples, a default grid: all lie where the mixture has mass, and the mean is near its mean."""
    schedule = SCHEDULES[schedule]()
    denoiser, noise = exact.Mixture(schedule), Noise.of(2, 100)
    grid = Karras().times(schedule, min(40, SAMPLERS[name].usual_steps))
    x = denoiser.process.prior(torch.empty(100, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, SAMPLERS[name](), grid, x, noise)
    nearest = ((x[:, None] - exact.MEANS).norm(dim=-1) / exact.STDS).min(1).values
    assert float((nearest < 4).double().mean()) > 0.97
    assert torch.allclose(x.mean(0), exact.MEAN, atol=0.3)


@pytest.mark.parametrize("name", ["heun", "ancestral", "heun:churn=40"])
def test_temperature_squared_is_the_variance_on_a_gaussian(name):
    """As the docstring of Noise says: every sample's distance from the mean is scaled, by exactly the temperature."""
    sampler = build("samplers", name)
    denoiser, grid = exact.Normal(EDM(), 0.7, 0.3), Karras().times(EDM(), 50)

    def run(temperature):
        noise = Noise.of(0, 2000, temperature=temperature)
        x = denoiser.process.prior(torch.empty(2000, 1, dtype=torch.float64), noise, grid[0])
        return sample(denoiser, sampler, grid, x, noise) - 0.7

    assert torch.allclose(run(0.5), 0.5 * run(1.0), rtol=1e-6, atol=1e-7)
    if name == "heun":
        assert float(run(1.0).var()) == pytest.approx(0.3, rel=0.07)  # 2 standard errors of a variance at n = 2,000


@pytest.mark.parametrize(("spacing", "grid"), [("leading", Leading()), ("trailing", Trailing())])
@pytest.mark.parametrize("steps", [10, 50, pytest.param(250, marks=pytest.mark.slow)])
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
    """In float32, as networks are."""

    class Single(exact.Mixture):
        def forward(self, x_t, t):
            return super().forward(x_t.double(), t).to(x_t)

    denoiser, grid = Single(EDM()), Karras().times(EDM(), min(12, SAMPLERS[name].usual_steps))

    def run(count, first=0):
        noise = Noise.of(5, count, first)
        x = denoiser.process.prior(torch.empty(count, 2), noise, grid[0])
        return sample(denoiser, SAMPLERS[name](), grid, x, noise)

    whole = run(64)
    assert whole.dtype == torch.float32
    assert torch.allclose(run(7), whole[:7], rtol=1e-5, atol=1e-6)
    assert torch.allclose(run(1, first=6), whole[6:7], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [k for k in ["ancestral", *DETERMINISTIC] if k not in OWN_STEPS])
def test_evaluations_counted_at_the_denoiser(name):
    denoiser, noise = exact.Mixture(EDM()), Noise.of(0, 2)
    grid = Karras().times(EDM(), 18)
    sample(denoiser, SAMPLERS[name](), grid, denoiser.process.prior(torch.empty(2, 2).double(), noise, grid[0]), noise)
    assert denoiser.calls == EVALUATIONS.get(name, 18)


def test_jumps_back_up_leave_the_mixture_as_it_is():
    """RePaint's walk with nothing known: noise added again and taken off again, by a method that remembers."""
    schedule, count = Cosine(), 20_000
    denoiser, noise = exact.Mixture(schedule), Noise.of(0, count)
    grid = Jumps(length=10, resamplings=2).times(schedule, 40)
    assert bool((grid.diff() > 0).any())
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, DPMSolverPP2M(), grid, x, noise)
    assert torch.allclose(torch.cov(x.T), exact.COVARIANCE, atol=0.03 * float(exact.COVARIANCE.max()))


def test_euler_is_ddim_on_a_straight_path_only():
    def end(sampler, schedule):
        grid = Karras().times(schedule, 8)
        return sample(exact.Mixture(schedule), sampler, grid, torch.ones(3, 2).double(), Noise.of(0, 3))

    assert torch.allclose(end(Euler(), RectifiedFlow()), end(DDIM(), RectifiedFlow()), atol=1e-10)
    assert not torch.allclose(end(Euler(), Cosine()), end(DDIM(), Cosine()), atol=1e-3)


def test_euler_starts_where_there_is_no_signal():
    """From t = 1, alpha = 0: on N(m, v) a rectified flow carries x_1 to m + sqrt(v) x_1, at first order."""
    m, v = 0.7, 0.3

    class Straight(Denoiser):
        process = Gaussian(RectifiedFlow())

        def forward(self, x_t, t):
            alpha, sigma = (
                expand(f(time_of(t)), x_t) for f in (self.process.schedule.alpha, self.process.schedule.sigma)
            )
            return m + alpha * v / (alpha**2 * v + sigma**2) * (x_t - alpha * m)

    start = torch.tensor([[-1.0], [0.5], [2.0]], dtype=torch.float64)
    error = [
        float(
            (sample(Straight(), Euler(), torch.linspace(1, 0, n + 1), start, Noise.of(0, 3)) - m - v**0.5 * start)
            .abs()
            .max()
        )
        for n in (100, 200, 400)
    ]
    assert error[0] / error[1] == pytest.approx(2, rel=0.1)
    assert error[1] / error[2] == pytest.approx(2, rel=0.1)


def test_adaptive_meets_its_tolerance_at_fifth_order():
    """Error falls with the tolerance, and as evaluations to the power of five at least."""
    start, end = exact.ode_solution(HIGH, LOW, 64)
    grid = EDM().time_of_noise(torch.tensor([HIGH, LOW], dtype=torch.float64))
    errors, calls = [], []
    for tolerance in (1e-4, 1e-6, 1e-8):
        denoiser = exact.Mixture(EDM())
        x = sample(denoiser, Adaptive(rtol=tolerance, atol=tolerance), grid, start, Noise.of(0, 64))
        errors.append(float((x - end).pow(2).mean().sqrt()))
        calls.append(denoiser.calls)
        assert errors[-1] < 3 * tolerance
    assert math.log(errors[0] / errors[2]) / math.log(calls[2] / calls[0]) > 5


def test_adaptive_gives_up_within_its_evaluations():
    denoiser = exact.Mixture(EDM())
    with pytest.raises(ReverieError, match="tolerances"):
        sample(denoiser, Adaptive(max_nfe=20), torch.tensor([0.9, 0.2, 0.0]), torch.ones(2, 2).double(), Noise.of(0, 2))
    assert denoiser.calls <= 20


def test_a_network_that_says_nan_is_named():
    class Broken(exact.Mixture):
        def forward(self, x_t, t):
            return x_t * math.nan

    with pytest.raises(ReverieError, match="NaN or infinity"):
        sample(Broken(EDM()), Heun(), Karras().times(EDM(), 4), torch.ones(1, 2), Noise.of(0, 1))


@pytest.mark.parametrize(
    "text",
    ["ancestral:eta=1.5", "dpm-solver-2:r=0", "lms:order=5", "deis:order=0", "unipc:predictor=4", "adaptive:rtol=0"],
)
def test_options_that_mean_nothing_are_refused(text):
    with pytest.raises(ReverieError, match=text.partition(":")[0]):
        build("samplers", text)


@pytest.mark.parametrize("sampler", ["ancestral", "confidence"])
def test_a_token_network_that_says_nan_is_named(sampler):
    """Tokens are whole numbers: without a look at the prediction they would come out as class 0."""

    class Broken(Denoiser):
        process = Masked(3)

        def forward(self, x_t, t):
            return torch.full((len(x_t), 3, *x_t.shape[1:]), math.nan)

    x = torch.full((2, 4), 3)
    with pytest.raises(ReverieError, match="NaN or infinity in step 1 of 4"):
        sample(Broken(), build("samplers", sampler), Uniform().times(LogLinear(), 4), x, Noise.of(0, 2))
