"""Stochastic samplers against closed forms of a Gaussian, the exact mixture, and one Brownian path."""

import math

import pytest
import torch

from reverie.core.grids import Karras, Sigmas
from reverie.core.noise import Noise
from reverie.core.processes import Masked
from reverie.core.samplers import (
    Ancestral,
    AnnealedLangevin,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    EulerMaruyama,
    Heun,
    PredictorCorrector,
    Restart,
    sample,
)
from reverie.core.schedules import EDM, Cosine, GeometricVE, LinearBeta, SubVP
from reverie.core.shapes import expand
from reverie.core.survival import LogLinear
from reverie.errors import ReverieError
from reverie.registry import build
from tests.core import exact

HIGH, LOW = 20.0, 0.05
MEAN, VARIANCE = 0.7, 0.3
THREE_SDES = [LinearBeta(), SubVP(), GeometricVE()]
LADDER = (1.5, 1.2, 1.0, 0.85, 0.75, 0.65, 0.57, 0.5, 0.43, 0.37, 0.31, 0.26, 0.2, 0.1)  # dense where the modes part
ANNEALED = AnnealedLangevin(0.3, inner=50)  # 701 evaluations on that ladder


def walk(denoiser, sampler, u, steps, noise, high=HIGH, low=LOW):
    """u at n = low from u at n = high, in a number of steps."""
    schedule = denoiser.process.schedule
    grid = Karras(low, high).times(schedule, steps + 1)[:-1]
    x = sample(denoiser, sampler, grid, u * expand(schedule.alpha(grid[0]), u), noise)
    return x / expand(schedule.alpha(grid[-1]), x)


def shrink(high, low, eta):
    """What of u - m is left at n = low on a Gaussian without noise: d log(u - m) / d log n = (1 + eta) n^2 / (v + n^2)."""
    return ((VARIANCE + low**2) / (VARIANCE + high**2)) ** ((1 + eta) / 2)


def order(error):
    """Slope between 160 and 320 steps of an error given by the number of steps."""
    return math.log2(error(160) / error(320))


def drift_error(sampler, schedule, eta, high=HIGH):
    """How far a number of steps without noise ends from the closed form, as a function of that number."""

    def error(steps):
        u = torch.tensor([[3.0]], dtype=torch.float64)
        still = Noise.of(0, 1, temperature=0.0)
        found = walk(exact.Normal(schedule, MEAN, VARIANCE), sampler, u, steps, still, high)
        return abs(float(found) - MEAN - (3.0 - MEAN) * shrink(high, LOW, eta))

    return error


@pytest.mark.parametrize("schedule", [SubVP(), GeometricVE()], ids=repr)
def test_euler_maruyama_meets_the_drift_at_first_order(schedule):
    assert 0.9 <= order(drift_error(EulerMaruyama(), schedule, 1.0)) <= 1.15


def test_the_predictor_meets_the_drift_at_first_order_and_exactly_where_alpha_is_1():
    """With alpha = 1 a step of reverse diffusion is exact while x0_hat stays, which it does on a Gaussian without noise."""
    predictor = PredictorCorrector(corrections=0)
    assert 0.9 <= order(drift_error(predictor, LinearBeta(), 1.0)) <= 1.15
    assert drift_error(predictor, GeometricVE(), 1.0)(10) < 1e-7


@pytest.mark.parametrize("eta", [0.5, 2.0])
def test_2m_sde_meets_the_drift_at_second_order(eta):
    assert 1.85 <= order(drift_error(DPMSolverPP2MSDE(eta), Cosine(), eta, high=2.0)) <= 2.3


def test_restart_walks_its_interval_again_and_again():
    """Without its noise each repeat takes sqrt((v + low^2) / (v + high^2)) of the distance from the mean, to second order."""
    expected = (3.0 - MEAN) * shrink(HIGH, LOW, 0.0) * shrink(2.0, 0.3, 0.0) ** 3

    def error(steps):
        u = torch.tensor([[3.0]], dtype=torch.float64)
        denoiser, still = exact.Normal(Cosine(), MEAN, VARIANCE), Noise.of(0, 1, temperature=0.0)
        found = walk(denoiser, Restart(0.3, 2.0, repeats=3, steps=steps // 4), u, steps, still)
        return abs(float(found) - MEAN - expected)

    assert order(error) >= 1.85
    assert error(160) < 0.01 * expected


def test_annealed_langevin_without_noise_is_its_formula():
    """u - mean loses the share step_size n^2 / (v + n^2) in each inner step, whatever the schedule."""
    n = torch.tensor([2.0, 1.0, 0.5, 0.2], dtype=torch.float64)
    share = 0.1 * n**2 / (VARIANCE + n**2)
    at_end = MEAN + (3.0 - MEAN) * float(torch.prod((1 - share) ** 7))
    expected = MEAN + VARIANCE / (VARIANCE + 0.2**2) * (at_end - MEAN)
    for schedule in (EDM(), LinearBeta()):
        grid = Sigmas(tuple(n.tolist())).times(schedule, 4)
        x = torch.full((1, 1), 3.0, dtype=torch.float64) * schedule.alpha(grid[0])
        still = Noise.of(0, 1, temperature=0.0)
        x = sample(exact.Normal(schedule, MEAN, VARIANCE), AnnealedLangevin(0.1, inner=7), grid, x, still)
        assert float(x) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("euler-maruyama", 200),
        ("predictor-corrector", 100),
        ("restart:steps=9", 40),
        ("dpmpp-2m-sde:eta=0.5", 40),
        ("dpmpp-2m-sde:eta=2", 40),
    ],
)
def test_noise_keeps_the_variance_of_a_gaussian(text, steps):
    """One sample of 20,000 entries N(m, v + n^2): mean within 4 standard errors, variance within 3 %, 3 of its own."""
    denoiser, noise, count = exact.Normal(LinearBeta(), MEAN, VARIANCE), Noise.of(3, 1), 20_000
    u = MEAN + math.sqrt(VARIANCE + HIGH**2) * noise.normal(0, torch.empty(1, count, dtype=torch.float64))
    u = walk(denoiser, build("samplers", text), u, steps, noise)
    assert abs(float(u.mean()) - MEAN) < 4 * math.sqrt(VARIANCE / count)
    assert float(u.var()) == pytest.approx(VARIANCE + LOW**2, rel=0.03)


@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_along_a_path_the_number_of_steps_does_not_matter_while_the_prediction_stays(eta):
    """Then the step is exact, and so is its noise: n^(1 + eta) times a stretch of one Brownian motion in n^(-2 eta)."""
    denoiser, noise = exact.Normal(Cosine(), MEAN, 0.0), Noise.of(0, 2)
    u = torch.full((2, 3000), 5.0, dtype=torch.float64)
    once, often = (walk(denoiser, DPMSolverPP2MSDE(eta, brownian=True), u, k, noise, 2.0, 0.5) for k in (1, 6))
    assert torch.allclose(once, often, atol=1e-9)
    assert float(once.mean()) == pytest.approx(MEAN + (5 - MEAN) * 0.25 ** (1 + eta), abs=0.03)  # 4.6 standard errors
    assert float(once.var()) == pytest.approx(0.25 * (1 - 0.25 ** (2 * eta)), rel=0.06)  # 3.3 of them


def test_2m_sde_joins_the_samplers_it_lies_between():
    """eta = 0 is DPM-Solver++(2M) in the midpoint form; a first step at eta = 1 is DDPM's ancestral one, with the same noise."""
    denoiser, noise, u = exact.Mixture(Cosine()), Noise.of(0, 64), exact.draw(64) * 5
    ode = walk(denoiser, DPMSolverPP2MSDE(0.0), u, 20, noise)
    assert torch.allclose(ode, walk(denoiser, DPMSolverPP2M(midpoint=True), u, 20, noise), atol=1e-10)
    step = walk(denoiser, DPMSolverPP2MSDE(1.0), u, 1, noise)
    assert torch.allclose(step, walk(denoiser, Ancestral(), u, 1, noise), atol=1e-10)


def ends(sampler, grid, schedule, count):
    """Samples of the mixture from a grid, (count, 2)."""
    denoiser, noise = exact.Mixture(schedule), Noise.of(1, count)
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    return sample(denoiser, sampler, grid, x, noise)


def has_the_moments(text, steps, schedule, count):
    """Mean within 4 standard errors and covariance within 3 % of its largest entry."""
    x = ends(build("samplers", text), Karras(0.02, HIGH).times(schedule, steps), schedule, count)
    error = (x.mean(0) - exact.MEAN).abs() / (exact.COVARIANCE.diagonal() / count).sqrt()
    assert bool((error < 4).all()), error
    assert torch.allclose(torch.cov(x.T), exact.COVARIANCE, atol=0.03 * float(exact.COVARIANCE.max()))


BY_THE_SDE = [("euler-maruyama", 128), ("predictor-corrector", 96)]  # and steps at which their bias is well below that
BY_THE_ODE = [("dpmpp-2m-sde", 64), ("restart", 48)]


@pytest.mark.parametrize(("text", "steps"), [*BY_THE_SDE, *BY_THE_ODE])
def test_the_sub_vp_sde_ends_on_the_mixture(text, steps):
    has_the_moments(text, steps, SubVP(), 8_000)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", THREE_SDES, ids=repr)
@pytest.mark.parametrize(("text", "steps"), BY_THE_SDE)
def test_the_three_sdes_end_on_the_mixture_at_50_000(text, steps, schedule):
    has_the_moments(text, steps, schedule, 50_000)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "steps"), BY_THE_ODE)
def test_solvers_in_u_and_n_end_on_the_mixture_at_50_000(text, steps):
    """Under one schedule: in u and n all are the same."""
    has_the_moments(text, steps, EDM(), 50_000)


def weights(x):
    """The expected share of samples that each mode of the mixture made, (3,)."""
    square = ((x[:, None] - exact.MEANS) ** 2).sum(-1)
    log_share = torch.log(exact.WEIGHTS) - torch.log(exact.STDS**2) - square / (2 * exact.STDS**2)
    return torch.softmax(log_share, 1).mean(0)


@pytest.mark.slow
def test_annealed_langevin_recovers_weights_and_covariance():
    """Weights within 0.03, covariance within 3 %.

    The mean is not held to its standard errors: modes trade samples slowly, which moves it by 0.025 after these 701
    evaluations and by 0.015 after 2,101 (step_size 0.1, inner 150), where 4 standard errors of 50,000 samples are 0.021.
    """
    x = ends(ANNEALED, Sigmas(LADDER).times(EDM(), len(LADDER)), EDM(), 20_000)
    assert torch.allclose(weights(x), exact.WEIGHTS, atol=0.03)
    assert torch.allclose(torch.cov(x.T), exact.COVARIANCE, atol=0.03 * float(exact.COVARIANCE.max()))


def from_one_mode(sampler, grid, level, count):
    """Weights of samples that all start in the second mode, at a noise level."""
    noise = Noise.of(4, count)
    x = exact.MEANS[1] + math.hypot(float(exact.STDS[1]), level) * noise.normal(
        0, torch.empty(count, 2, dtype=torch.float64)
    )
    return weights(sample(exact.Mixture(EDM()), sampler, grid, x, noise))


@pytest.mark.slow
def test_plain_langevin_stays_in_the_mode_it_starts_in_and_annealing_leaves_it():
    """As many steps at a level fit for samples leave them all where they started: what annealing is for."""
    t = EDM().time_of_noise(torch.tensor(0.02, dtype=torch.float64))
    stuck = from_one_mode(AnnealedLangevin(0.3, inner=350), torch.stack([t, t, torch.zeros_like(t)]), 0.02, 200)
    assert float(stuck[1]) > 0.9  # of a weight of 0.3
    freed = from_one_mode(ANNEALED, Sigmas(LADDER).times(EDM(), len(LADDER)), LADDER[0], 2_000)
    assert torch.allclose(freed, exact.WEIGHTS, atol=0.03)


def test_restart_forgets_the_mode_it_starts_in_and_heun_does_not():
    grid = Karras(0.02, 0.3).times(EDM(), 8)
    assert float(from_one_mode(Heun(), grid, 0.3, 200)[1]) > 0.9
    again = from_one_mode(Restart(low=0.1, high=HIGH, repeats=1, steps=16), grid, 0.3, 2_000)
    assert torch.allclose(again, exact.WEIGHTS, atol=0.03)


def test_the_corrector_keeps_a_distribution_that_is_right_already():
    """30 corrections at one level of exact samples; the published step from a sample's own norms spoils them in 2-D."""
    level, count = 0.5, 10_000
    denoiser, noise = exact.Mixture(EDM()), Noise.of(0, count)
    t = EDM().time_of_noise(torch.tensor(level, dtype=torch.float64))
    x = exact.draw(count) + level * noise.normal(0, torch.empty(count, 2, dtype=torch.float64))
    expected = exact.COVARIANCE + level**2 * torch.eye(2).double()
    kept = sample(denoiser, PredictorCorrector(corrections=30), torch.stack([t, t]), x, noise)
    assert torch.allclose(torch.cov(kept.T), expected, atol=0.03 * float(expected.max()))
    for k in range(30):
        z, score = noise.at(k).normal(1, x), (denoiser(x, t) - x) / level**2
        a = 2 * (0.16 * z.norm(dim=1, keepdim=True) / score.norm(dim=1, keepdim=True)) ** 2
        x = x + a * score + torch.sqrt(2 * a) * z
    assert float(torch.cov(x.T).trace()) > 1.5 * float(expected.trace())


@pytest.fixture(scope="module")
def trajectory():
    """Where 64 start points end, by the finest walk along their Brownian path, and where a coarser walk ends."""
    start, _ = exact.ode_solution(HIGH, LOW, 64)

    def end(sampler, steps, schedule):
        return walk(exact.Mixture(schedule), sampler, start, steps, Noise.of(6, 64))

    return end, end(DPMSolverPP2MSDE(brownian=True), 256, EDM())


@pytest.mark.parametrize(("name", "schedule"), [("dpmpp-2m-sde", Cosine()), ("euler-maruyama", LinearBeta())])
def test_more_steps_refine_one_trajectory(name, schedule, trajectory):
    """Two samplers under any schedule tend to one trajectory along the path; with fresh noise there is none to tend to."""
    end, fine = trajectory

    def error(text, steps):
        return float((end(build("samplers", text), steps, schedule) - fine).norm(dim=1).median())

    along = [error(f"{name}:brownian=true", steps) for steps in (16, 32, 64)]
    assert along[1] < 0.65 * along[0]
    assert along[2] < 0.65 * along[1]
    fresh = [error(name, steps) for steps in (16, 64)]
    assert fresh[1] > 0.7 * fresh[0] > 10 * along[2]


@pytest.mark.parametrize("text", ["dpmpp-2m-sde:brownian=true", "euler-maruyama:brownian=true"])
def test_a_path_belongs_to_its_sample_in_any_batch(text):
    def run(count, first=0):
        noise = Noise.of(5, count, first)
        u = HIGH * noise.normal(0, torch.empty(count, 2))
        return walk(exact.Mixture(EDM()), build("samplers", text), u, 12, noise)

    whole = run(64)
    assert torch.allclose(run(7), whole[:7], rtol=1e-5)
    assert torch.allclose(run(1, first=6), whole[6:7], rtol=1e-5)


def test_a_jump_back_up_begins_a_new_path():
    """A stretch walked again draws new noise: from the mean, both ends are noise alone and have nothing in common."""
    denoiser, noise, ends = exact.Normal(EDM(), MEAN, VARIANCE), Noise.of(2, 1), []
    down = Karras(LOW, HIGH).times(EDM(), 7)[:-1]
    u = torch.full((1, 2000), MEAN, dtype=torch.float64)
    sampler = DPMSolverPP2MSDE(brownian=True)
    sample(denoiser, sampler, torch.cat([down, down]), u, noise, lambda step: ends.append(step.x[0]))
    assert abs(float(torch.corrcoef(torch.stack([ends[5], ends[-1]]))[0, 1])) < 0.1  # 4.5 standard errors
    assert torch.allclose(walk(denoiser, sampler, u, 6, noise)[0], ends[5])


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("euler-maruyama", 18),
        ("dpmpp-2m-sde", 18),
        ("predictor-corrector:corrections=0", 18),
        ("predictor-corrector", 17 * 2 + 1),
        ("predictor-corrector:corrections=3", 17 * 4 + 1),
        ("annealed-langevin:inner=5", 18 * 5 + 1),
        (
            "restart:repeats=4,steps=3",
            2 * 18 + 2 * 4 * 3 + 1 - 2 + 2,
        ),  # Heun's 17 steps, one of them cut, 12 again, the last
    ],
)
def test_evaluations_counted_at_the_denoiser(text, calls):
    denoiser, noise = exact.Mixture(EDM()), Noise.of(0, 2)
    grid = Karras().times(EDM(), 18)
    x = denoiser.process.prior(torch.empty(2, 2).double(), noise, grid[0])
    sample(denoiser, build("samplers", text), grid, x, noise)
    assert denoiser.calls == calls


@pytest.mark.parametrize(
    "text",
    [
        "dpmpp-2m-sde:eta=-1",
        "annealed-langevin:step_size=0",
        "annealed-langevin:inner=0",
        "predictor-corrector:snr=2",
        "predictor-corrector:corrections=-1",
        "restart:low=0.5",
        "restart:repeats=0",
    ],
)
def test_options_that_mean_nothing_are_refused(text):
    with pytest.raises(ReverieError, match=text.partition(":")[0]):
        build("samplers", text)


@pytest.mark.parametrize("sampler", [EulerMaruyama(), AnnealedLangevin(), Restart()], ids=repr)
def test_tokens_are_refused_by_name(sampler):
    class Tokens(exact.Mixture):
        def __init__(self):
            super().__init__(EDM())
            self.process = Masked(3, LogLinear())

    with pytest.raises(ReverieError, match=f"{type(sampler).__name__} .* Masked"):
        sample(Tokens(), sampler, torch.tensor([1.0, 0.5, 0.0]), torch.zeros(1, 4), Noise.of(0, 1))
