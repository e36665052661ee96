"""Multistep methods: exact for the polynomials they claim, and diffusers' own on the same predictions."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from numpy.polynomial import Polynomial

from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian
from reverie.core.samplers import DPMSolverPP3M, UniPC, sample
from reverie.core.samplers.multistep import Multistep
from reverie.core.schedules import EDM, LinearBetaChain
from reverie.registry import build, registered
from tests.core import exact

LEVELS = [20.0, 11.0, 7.0, 2.2, 0.9, 0.25, 0.2]  # n, in steps of very different lengths
COEFFICIENTS = (0.7, -0.4, 0.3, 0.15, -0.1)
VARIABLE = {"lms": "n", "deis": "log n"}  # in which eps_hat is a polynomial; x0_hat in lambda = -log n where not named
OPTIONS = ["dpmpp-2m", "dpmpp-3m", "lms:order=2", "lms:order=3", "lms", "deis:order=2", "deis:order=3", "deis"]


class Given(Denoiser):
    """A denoiser whose x0_hat, or eps_hat, is a polynomial of the noise level; u(n) is the ODE's solution for it."""

    def __init__(self, kind: str, degree: int) -> None:
        super().__init__()
        self.process = Gaussian(EDM())
        self.kind, self.p = kind, Polynomial(COEFFICIENTS[: degree + 1])
        by_parts = [self.p.deriv(k) if k else self.p for k in range(degree + 1)]
        self.q = sum((-1) ** k * d for k, d in enumerate(by_parts))  # q + q' = p

    def _of(self, polynomial, n):
        return torch.as_tensor(polynomial({"n": n, "log n": torch.log(n), "lambda": -torch.log(n)}[self.kind].numpy()))

    def forward(self, x_t, t):
        n = self.process.schedule.sigma(t)
        value = self._of(self.p, n)
        return value.expand_as(x_t) if self.kind == "lambda" else x_t - n * value

    def u(self, n):
        """du/dlambda + u = p(lambda): q + c n;   du/dn = p(n): its antiderivative;   du/dn = p(log n): n q(log n)."""
        found = {"lambda": (self.q, 1, 0.5), "n": (self.p.integ(), 1, 0), "log n": (self.q, n, 0)}[self.kind]
        polynomial, scale, c = found
        return (scale * self._of(polynomial, n) + c * n).reshape(1, 1)


def error_of_full_steps(text, degree):
    """Largest error of one step from the exact u, among the steps that have all the history they need."""
    sampler = build("samplers", text)
    denoiser = Given(VARIABLE.get(text.partition(":")[0], "lambda"), degree)
    n, state, found = torch.tensor(LEVELS, dtype=torch.float64), None, []
    times = EDM().time_of_noise(n)
    for i in range(len(n) - 1):
        u_s, state, _ = sampler.step(denoiser, denoiser.u(n[i]), times[i], times[i + 1], state, Noise.of(0, 1))
        found.append(float((u_s - denoiser.u(n[i + 1])).abs()))
    return max(found[sampler.reach - 1 :])


def test_every_multistep_method_is_proven_here():
    ours = {k for k, c in registered("samplers").items() if issubclass(c, Multistep)}
    assert ours == {text.partition(":")[0] for text in OPTIONS}


@pytest.mark.parametrize("text", OPTIONS)
def test_with_exact_history_a_step_is_exact_for_polynomials(text):
    """Of degree order - 1; one degree more shows that the test can fail."""
    order = int(build("samplers", text).order)
    assert error_of_full_steps(text, order - 1) < 1e-10
    assert error_of_full_steps(text, order) > 1e-3


def test_the_published_midpoint_is_not_exact_for_a_slope():
    """Why it is an option and not the default."""
    assert error_of_full_steps("dpmpp-2m:midpoint=true", 0) < 1e-10
    assert error_of_full_steps("dpmpp-2m:midpoint=true", 1) > 1e-3


@pytest.mark.parametrize("predictor", [2, 3])
def test_unipc_is_exact_once_corrected(predictor):
    """Its state after a step holds the corrected u where the step began: exact to degree order - 1 = predictor."""

    def error(degree):
        denoiser, sampler, state = Given("lambda", degree), UniPC(predictor=predictor), None
        n, found = torch.tensor(LEVELS, dtype=torch.float64), []
        times = EDM().time_of_noise(n)
        for i in range(len(n) - 1):
            state = state and state._replace(u=denoiser.u(n[i - 1]))
            state = sampler.step(denoiser, denoiser.u(n[i]), times[i], times[i + 1], state, Noise.of(0, 1))[1]
            found.append(float((state.u - denoiser.u(n[i])).abs()))
        return max(found[predictor:])

    assert UniPC(predictor=predictor).order == predictor + 1
    assert error(predictor) < 1e-10
    assert error(predictor + 1) > 1e-4


class Whole(DPMSolverMultistepScheduler):
    """diffusers' third order with the whole second difference, of which it takes half (its formula is else the integral's)."""

    def multistep_dpm_solver_third_order_update(self, outputs, *args, sample=None, **_):
        x = super().multistep_dpm_solver_third_order_update(outputs, *args, sample=sample)
        sigmas = [self.sigmas[self.step_index + k] for k in (1, 0, -1, -2)]
        alpha = self._sigma_to_alpha_sigma_t(sigmas[0])[0]
        z = [-torch.log(s.double()) for s in sigmas]  # theirs are n = sigma / alpha
        h = z[0] - z[1]
        first, second = (h * (outputs[-1 - k] - outputs[-2 - k]) / (z[1 + k] - z[2 + k]) for k in (0, 1))
        return x - alpha * ((torch.exp(-h) - 1 + h) / h**2 - 0.5) * (first - second) * h / (z[1] - z[3])


def difference(sampler, theirs, steps):
    """Largest difference from diffusers along the way, on the mixture's exact eps, but for the last step of all.

    Theirs goes to its sigma at k = 0, which in float32 is wrong by 6e-4 of itself; where it goes to 0 both give x0_hat.
    """
    theirs.set_timesteps(steps)
    schedule = LinearBetaChain()
    denoiser = exact.Mixture(schedule)
    ending = 0.0 if theirs.config.final_sigmas_type == "zero" else 1 / 1000
    times = torch.cat([(theirs.timesteps.double() + 1) / 1000, torch.tensor([ending], dtype=torch.float64)])
    x = start = torch.randn(32, 2, generator=torch.Generator().manual_seed(0)).double()
    path, found = [], []
    sample(denoiser, sampler, times, start, Noise.of(0, 32), lambda step: path.append(step.x))
    for k, t, ours in zip(theirs.timesteps, times, path, strict=False):
        eps = (x - schedule.alpha(t) * denoiser(x, t)) / schedule.sigma(t)
        x = theirs.step(eps, k, x).prev_sample
        found.append(float((x - ours).abs().max()))
    return max(found if ending == 0 else found[:-1])


TO_SIGMA_MIN = {"lower_order_final": False, "final_sigmas_type": "sigma_min"}  # third order up to the end


@pytest.mark.parametrize("steps", [20, 100])
@pytest.mark.parametrize(
    ("text", "theirs"),
    [
        ("dpmpp-2m", lambda n: DPMSolverMultistepScheduler(solver_type="heun", lower_order_final=False)),
        ("dpmpp-2m:midpoint=true", lambda n: DPMSolverMultistepScheduler(lower_order_final=False)),
        ("dpmpp-3m", lambda n: Whole(solver_order=3, solver_type="heun", **TO_SIGMA_MIN)),
        ("dpmpp-3m", lambda n: UniPCMultistepScheduler(solver_order=3, disable_corrector=[*range(n)], **TO_SIGMA_MIN)),
        ("unipc:predictor=1", lambda n: UniPCMultistepScheduler(solver_order=1)),
        ("unipc", lambda n: UniPCMultistepScheduler()),
        ("unipc:predictor=3", lambda n: UniPCMultistepScheduler(solver_order=3, **TO_SIGMA_MIN)),
    ],
)
def test_equals_diffusers(text, theirs, steps):
    assert difference(build("samplers", text), theirs(steps), steps) < 5e-5


def test_diffusers_third_order_weighs_half_the_second_difference():
    """As DPMSolverPP3M says: theirs as published differs, theirs with the other half does not."""
    assert difference(DPMSolverPP3M(), DPMSolverMultistepScheduler(solver_order=3, **TO_SIGMA_MIN), 50) > 1e-3
    assert difference(DPMSolverPP3M(), Whole(solver_order=3, solver_type="heun", **TO_SIGMA_MIN), 50) < 5e-6
