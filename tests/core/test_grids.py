"""Every grid against its formula or diffusers' own list of steps, over every schedule, and what is refused."""

import math

import pytest
import torch

from reverie.core import survival
from reverie.core.grids import Grid, Jumps, Karras, Leading, Linspace, LogSNR, Quadratic, Sigmas, Trailing, Uniform
from reverie.core.schedules import EDM, Cosine, LinearBeta, RectifiedFlow
from reverie.errors import ReverieError
from reverie.registry import build, registered

OPTIONS = {
    "sigmas": "sigmas:values=1/0.3/0.02/0",
    "jumps": "jumps:length=3,resamplings=2",
}  # by name alone where not here
GRIDS = [OPTIONS.get(k, k) for k in registered("grids")]
SCHEDULES = {**registered("schedules"), **{f"{k} survival": c for k, c in registered("survivals").items()}}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("text", GRIDS)
def test_every_grid_walks_from_noise_to_data_over_every_schedule(text, schedule):
    schedule = SCHEDULES[schedule]()
    for steps in (1, 2, 8):
        times = build("grids", text).times(schedule, steps)
        assert times.dtype == torch.float64
        assert times[-1] == 0
        assert bool((times[:-1] > 0).all())
        if isinstance(schedule, survival.Survival):
            assert times[0] == 1  # where nothing has survived
        else:
            assert float(schedule.alpha(times).min()) > 0
        if not text.startswith("jumps"):
            assert bool((times.diff() < 0).all())
        if not text.startswith(("sigmas", "jumps")):
            assert len(times) == steps + 1


def test_karras_and_log_snr_are_their_formulas():
    n = EDM().noise(Karras(0.01, 50.0, 5.0).times(EDM(), 9))[:-1]
    assert torch.allclose(n ** (1 / 5), torch.linspace(50**0.2, 0.01**0.2, 9).double(), rtol=1e-6)
    ratio = Cosine().noise(LogSNR(0.01, 50.0).times(Cosine(), 9))[:-1]
    assert torch.allclose(ratio[1:] / ratio[:-1], torch.full((8,), (0.01 / 50) ** (1 / 8)).double(), rtol=1e-6)
    assert float(ratio[0]) == pytest.approx(50)


def test_uniform_and_quadratic_start_where_there_is_signal():
    top = float(RectifiedFlow().time_of_noise(torch.tensor(500.0)))
    place = torch.arange(5, -1, -1).double() / 5
    assert torch.allclose(Uniform().times(RectifiedFlow(), 5), top * place)
    assert torch.allclose(Quadratic().times(RectifiedFlow(), 5), top * place**2)


@pytest.mark.parametrize(
    ("spacing", "grid"), [("leading", Leading()), ("trailing", Trailing()), ("linspace", Linspace())]
)
def test_chains_stop_where_diffusers_does(spacing, grid):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(1000, timestep_spacing=spacing)
    for steps in (2, 3, 7, 10, 28, 50, 333, 999, 1000):
        theirs.set_timesteps(steps)
        ours = grid.times(LinearBeta(), steps)
        assert (ours[:-1] * 1000).round().long().tolist() == [k + 1 for k in theirs.timesteps.tolist()], steps


@pytest.mark.parametrize("grid", [Leading(), Trailing(), Linspace()], ids=repr)
def test_steps_too_noisy_to_start_from_are_one(grid):
    """Cosine's alpha at t = 1 is 0: sampling starts at n = 500, and no time comes twice."""
    times = grid.times(Cosine(), 1000)
    assert float(Cosine().noise(times[0])) == pytest.approx(500)
    assert bool((times.diff() < 0).all())


@pytest.mark.parametrize(
    ("steps", "length", "resamplings"), [(10, 3, 2), (25, 5, 3), (50, 10, 10), (7, 7, 4), (6, 1, 3)]
)
def test_jumps_are_those_of_repaint(steps, length, resamplings):
    """diffusers writes every stop on the way up; here a jump is one."""
    from diffusers import RePaintScheduler

    theirs = RePaintScheduler(1000)
    theirs.set_timesteps(steps, jump_length=length, jump_n_sample=resamplings)
    k = theirs.timesteps.tolist()
    turning = [
        a
        for before, a, after in zip([None, *k[:-1]], k, [*k[1:], None], strict=True)
        if before is None or after is None or not before < a < after
    ]
    ours = Jumps("leading", length, resamplings).times(LinearBeta(), steps)
    assert ((ours[:-1] * 1000).round().long() - 1).tolist() == turning


def test_jumps_in_words():
    base, times = Uniform().times(EDM(), 4), Jumps("uniform", 2, 2).times(EDM(), 4)
    assert times.tolist() == base[[0, 1, 2, 3, 1, 2, 3, 4]].tolist()
    assert Jumps("uniform", 2, 1).times(EDM(), 4).tolist() == base.tolist()


def test_sigmas_are_the_list():
    assert torch.allclose(
        EDM().noise(Sigmas((80.0, 3.0, 0.1)).times(EDM(), 99)), torch.tensor([80.0, 3.0, 0.1, 0.0]).double()
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sigmas", "found nothing"),
        ("sigmas:values=1/10/80", "found 1/10/80"),
        ("sigmas:values=80/10/10/1", "falling list"),
        ("sigmas:values=80/0/1", "falling list"),
        ("sigmas:values=80/-1", "above 0"),
        ("sigmas:values=nan/1", "falling list"),
        ("sigmas:values=inf/1", "falling list"),
        ("karras:n_min=2,n_max=1", "0 < n_min < n_max"),
        ("karras:n_min=0", "0 < n_min < n_max"),
        ("karras:rho=0", "rho=0"),
        ("log-snr:n_max=nan", "0 < n_min < n_max"),
        ("linspace:T=0", "T = 0"),
        ("jumps:length=0", "from 1"),
        ("jumps:base=jumps", "made of jumps"),
        ("jumps:base=karas", "did you mean karras"),
    ],
)
def test_a_grid_that_is_no_way_down_is_refused(text, says):
    with pytest.raises(ReverieError, match=says):
        build("grids", text)


@pytest.mark.parametrize("text", GRIDS)
def test_no_steps_are_refused(text):
    grid: Grid = build("grids", text)
    if text.startswith("sigmas"):
        return  # the list is its own number of steps
    with pytest.raises(ReverieError, match="0 sampling steps"):
        grid.times(EDM(), 0)


def test_what_a_schedule_does_not_reach_is_refused():
    low = build("schedules", "geometric-beta")
    top = float(low.noise(torch.tensor(1.0, dtype=torch.float64)))
    with pytest.raises(ReverieError, match="reaches n = 1"):
        Sigmas((80.0, 1.0)).times(low, 2)
    with pytest.raises(ReverieError, match="lower n_min"):
        Karras(n_min=2.0).times(low, 5)
    assert float(low.noise(Karras().times(low, 5)[0])) == pytest.approx(top)
    with pytest.raises(ReverieError, match="1001 sampling steps"):
        Linspace().times(low, 1001)
    assert math.isfinite(top)
