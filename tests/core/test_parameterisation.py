"""All parameterisations convert into one another, and every published weighting equals its closed form."""

import math

import pytest
import torch

from reverie.core import parameterisation, schedules, weighting
from reverie.registry import registered

PARAMETERISATIONS = registered("parameterisations")
SCHEDULES = registered("schedules")
B = 40


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    t = torch.linspace(0.02, 0.98, B, dtype=torch.float64)
    return t, torch.randn(B, 3, 4, generator=g, dtype=torch.float64), torch.randn(B, 3, 4, generator=g).double()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("to", PARAMETERISATIONS)
@pytest.mark.parametrize("start", PARAMETERISATIONS)
def test_every_pair_converts(start, to, schedule, batch):
    """The target in one, carried through x0 into the other, is the other's target: to 1e-10 of its size."""
    _, x0, eps = batch
    schedule, start, to = SCHEDULES[schedule](), PARAMETERISATIONS[start](), PARAMETERISATIONS[to]()
    reach = min(50.0, float(schedule.noise(torch.tensor(0.999))))
    t = schedule.time_of_noise(torch.logspace(-2, math.log10(reach), B, dtype=torch.float64))
    x_t = schedule.alpha(t)[:, None, None] * x0 + schedule.sigma(t)[:, None, None] * eps
    known = start.x0(schedule, t, x_t, start.target(schedule, t, x0, eps))
    expected = to.target(schedule, t, x0, eps)
    size = expected.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1)
    n2 = (schedule.noise(t) ** 2).clamp(min=1)[
        :, None, None
    ]  # eps and score tell x0 through a division by alpha / sigma
    assert bool(((known - x0).abs() < 1e-10 * n2).all())
    assert bool(((to.output(schedule, t, x_t, x0) - expected).abs() < 1e-10 * size).all())


@pytest.mark.parametrize("name", PARAMETERISATIONS)
def test_errors_scale_as_promised(name, batch):
    """|out error|^2 = x0_scale |x0 error|^2, at a fixed x_t."""
    t, x0, eps = batch
    schedule, p = schedules.Cosine(), PARAMETERISATIONS[name]()
    x_t = schedule.alpha(t)[:, None, None] * x0 + schedule.sigma(t)[:, None, None] * eps
    wrong = x0 + 0.1
    ratio = ((p.output(schedule, t, x_t, wrong) - p.output(schedule, t, x_t, x0)) ** 2).mean((1, 2)) / 0.01
    assert torch.allclose(ratio, p.x0_scale(schedule, t), rtol=1e-8)


def test_edm_is_the_published_preconditioning():
    """alpha = 1: c_skip = sd^2 / (n^2 + sd^2), c_out = n sd / sqrt(n^2 + sd^2)."""
    schedule, sd = schedules.EDM(), 0.5
    t = torch.linspace(0.1, 1, B, dtype=torch.float64)
    n = schedule.sigma(t)
    x, f = torch.randn(B, 2).double(), torch.randn(B, 2).double()
    published = (sd**2 / (n**2 + sd**2))[:, None] * x + (n * sd / torch.sqrt(n**2 + sd**2))[:, None] * f
    assert torch.allclose(parameterisation.EDM(sd).x0(schedule, t, x, f), published, rtol=1e-10)


def test_edm_target_has_unit_variance_under_every_schedule():
    g = torch.Generator().manual_seed(0)
    x0, eps = 0.7 * torch.randn(200_000, generator=g).double(), torch.randn(200_000, generator=g).double()
    for cls in SCHEDULES.values():
        for at in (0.2, 0.5, 0.9):
            target = parameterisation.EDM(0.7).target(cls(), torch.tensor(at), x0, eps)
            assert float(target.var()) == pytest.approx(1, abs=0.02)


def test_velocity_of_a_rectified_flow_is_noise_minus_data(batch):
    t, x0, eps = batch
    assert torch.allclose(parameterisation.Velocity().target(schedules.RectifiedFlow(), t, x0, eps), eps - x0)


def test_published_weightings(batch):
    """In the space where each was published: w |x0_hat - x0|^2, or the plain loss on eps, v or F."""
    t = batch[0]
    schedule, sd = schedules.LinearBeta(), 0.6
    n, log_snr = schedule.noise(t), schedule.log_snr(t)
    snr = n**-2.0
    eps_scale = parameterisation.Eps().x0_scale(schedule, t)
    v_scale = parameterisation.V().x0_scale(schedule, t)
    f_scale = parameterisation.EDM(sd).x0_scale(schedule, t)
    assert torch.allclose(eps_scale, snr)  # |eps error|^2 = SNR |x0 error|^2
    assert torch.allclose(v_scale, snr + 1)  # Salimans & Ho 2022, section 4, for variance-preserving schedules
    assert torch.allclose(f_scale, (n**2 + sd**2) / (n * sd) ** 2)  # 1 / c_out^2
    assert torch.allclose(weighting.Uniform().on_x0(log_snr, v_scale, sd), snr + 1)
    assert torch.allclose(weighting.EDM().on_x0(log_snr, eps_scale, sd), (n**2 + sd**2) / (n * sd) ** 2)
    assert torch.allclose(weighting.SNR().on_x0(log_snr, v_scale, sd), snr)
    assert torch.allclose(weighting.MinSNR(5).on_x0(log_snr, eps_scale, sd), torch.minimum(snr, torch.tensor(5.0)))
    published = snr / (1 + torch.exp(log_snr - 2))
    assert torch.allclose(weighting.Sigmoid(2.0).on_x0(log_snr, eps_scale, sd), published)
