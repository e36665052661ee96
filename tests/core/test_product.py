"""A number and a class together: everything about a mixture whose component is the class is known in closed form."""

import pytest
import torch

from reverie.core.denoiser import Denoiser
from reverie.core.grids import Uniform as EqualSteps
from reverie.core.guidance import ClassifierFree
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian, Masked, Product, Uniform
from reverie.core.samplers import Ancestral, Heun, sample
from reverie.core.schedules import EDM, Cosine
from reverie.core.shapes import expand, time_of
from reverie.core.survival import Polynomial
from reverie.errors import ReverieError
from reverie.example import Condition
from tests.core import chain

SHARE = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)  # class k ~ SHARE, x | k ~ N(CENTRE[k], VARIANCE)
CENTRE = torch.tensor([-1.0, 0.4, 1.5], dtype=torch.float64)
VARIANCE = 0.09
MEAN = float(SHARE @ CENTRE)
SPREAD = float(SHARE @ (CENTRE - MEAN) ** 2) + VARIANCE


def numbers(schedule):
    return Gaussian(schedule, torch.tensor(MEAN).double(), torch.tensor(SPREAD).double())


PRODUCTS = {
    "edm, masked": Product({"x": numbers(EDM()), "k": Masked(3)}),
    "edm, uniform": Product({"x": numbers(EDM()), "k": Uniform(3, Polynomial())}),
    "masked, cosine": Product({"k": Masked(3), "x": numbers(Cosine())}),
    "uniform, cosine": Product({"k": Uniform(3), "x": numbers(Cosine())}),
}


class Joint(Denoiser):
    """The exact posterior of both fields from both: x (B, 1), k (B, 1)."""

    def __init__(self, process, share=SHARE):
        super().__init__()
        self.process, self.share = process, share

    def forward(self, x_t, t):
        x, k = self.process.fields["x"], self.process.fields["k"]
        t = time_of(t)
        alpha, sigma = (expand(f(t), x_t["x"]) for f in (x.schedule.alpha, x.schedule.sigma))
        spread = alpha**2 * VARIANCE + sigma**2
        off = x_t["x"] - alpha * CENTRE  # (B, 3)
        seen = chain.kernel(k, k.schedule.survival(t).reshape(-1, 1, 1)).expand(len(off), -1, -1)  # (B, 3, states)
        likely = seen.gather(2, x_t["k"][:, None].expand(-1, 3, 1))[..., 0]
        log_p = torch.log_softmax(self.share.log() + likely.log() - off**2 / (2 * spread), 1)
        x0 = (log_p.exp() * (CENTRE + alpha * VARIANCE / spread * off)).sum(1, keepdim=True)
        return {"x": x0, "k": log_p[..., None]}


def draw(process, count, steps, sampler=None, denoiser=None):
    noise, grid = Noise.of(0, count), EqualSteps().times(process.schedule, steps)
    like = {f: torch.empty(count, 1, dtype=torch.float64) for f in process.fields}
    return sample(denoiser or Joint(process), sampler or Ancestral(), grid, process.prior(like, noise, grid[0]), noise)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param(name, 6_000, marks=pytest.mark.slow)
        for name in ("edm, masked", "uniform, cosine", "edm, uniform", "masked, cosine")
    ],
)
def test_ancestral_recovers_the_joint(name, count):
    """Class frequencies, and within every class the mean and the variance of the number (of which 250 steps miss 5 %)."""
    found = draw(PRODUCTS[name], count, 250)
    x, k = found["x"][:, 0], found["k"][:, 0]
    share = torch.bincount(k, minlength=3) / count
    assert torch.allclose(share.double(), SHARE, atol=4 * 0.5 / count**0.5)
    for c in range(3):
        inside = x[k == c]
        assert float(inside.mean()) == pytest.approx(float(CENTRE[c]), abs=4 * (VARIANCE / len(inside)) ** 0.5 + 0.01)
        assert float(inside.var()) == pytest.approx(VARIANCE, rel=4 * (2 / len(inside)) ** 0.5 + 0.05)


def test_fields_draw_independent_numbers_and_go_their_own_way():
    process = PRODUCTS["edm, uniform"]
    x0 = {"x": torch.linspace(-1, 1, 500, dtype=torch.float64)[:, None], "k": torch.arange(500)[:, None] % 3}
    eps = process.draw(Noise.of(3, 500), x0)
    alike = torch.stack(
        [eps["x"][:, 0], eps["x"][:, 0].abs(), eps["k"][:, 0]]
    )  # a shared number would show in its size
    assert float(torch.corrcoef(alike)[:2, 2].abs().max()) < 0.15
    s, t = time_of(0.3), time_of(0.6)
    for moved, alone in (
        (process.diffuse(x0, t, eps), lambda p, f: p.diffuse(x0[f], t, eps[f])),
        (process.forward(x0, s, t, eps), lambda p, f: p.forward(x0[f], s, t, eps[f])),
    ):
        assert all(torch.equal(moved[f], alone(p, f)) for f, p in process.fields.items())


def test_divergence_is_the_sum_over_fields_and_what_is_not_observed_does_not_count():
    process = PRODUCTS["edm, masked"]
    x0 = {"x": torch.full((50, 1), 0.4, dtype=torch.float64), "k": torch.ones(50, 1, dtype=torch.int64)}
    t = torch.linspace(0.1, 0.9, 50, dtype=torch.float64)
    x_t = process.diffuse(x0, t, process.draw(Noise.of(0, 50), x0))
    prediction = Joint(process)(x_t, t)
    parts = {f: p.divergence(x0[f], prediction[f], x_t[f], t) for f, p in process.fields.items()}
    assert torch.allclose(process.divergence(x0, prediction, x_t, t), parts["x"] + parts["k"])
    seen = {"x": torch.zeros(50, 1, dtype=torch.bool), "k": torch.ones(50, 1, dtype=torch.bool)}
    assert torch.allclose(process.divergence(x0, prediction, x_t, t, seen), parts["k"])


class Told(Denoiser):
    """The joint, told that classes 0 and 1 are out where it is told a wish."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def forward(self, x_t, t, cond=None):
        told = (cond or {}).get("wish")
        free = Joint(self.process)(x_t, t)
        if told is None:
            return free
        bound = Joint(self.process, torch.tensor([0.1, 0.1, 0.8], dtype=torch.float64))(x_t, t)
        here = told.present[:, None]
        return {"x": torch.where(here, bound["x"], free["x"]), "k": torch.where(here[..., None], bound["k"], free["k"])}


def test_guidance_mixes_each_field_in_its_own_way():
    process = PRODUCTS["edm, uniform"]
    denoiser, t = Told(process), time_of(0.5)
    x0 = {"x": torch.linspace(-2, 2, 30, dtype=torch.float64)[:, None], "k": torch.arange(30)[:, None] % 3}
    cond = {"wish": Condition.of(torch.zeros(30))}
    u, c = denoiser(x0, t), denoiser(x0, t, cond)
    found = ClassifierFree(denoiser, cond, 2.0)(x0, t)
    assert torch.allclose(found["x"], u["x"] + 2 * (c["x"] - u["x"]))
    power = c["k"].exp() ** 2 / u["k"].exp()
    assert torch.allclose(found["k"].exp(), power / power.sum(1, keepdim=True))
    cond = {"wish": Condition.of(torch.zeros(2_000))}
    share = torch.bincount(draw(process, 2_000, 60, denoiser=ClassifierFree(denoiser, cond, 1.0))["k"][:, 0]) / 2_000
    assert torch.allclose(share, torch.tensor([0.1, 0.1, 0.8]), atol=0.04)


def test_what_does_not_fit_is_refused_with_both_names():
    with pytest.raises(ReverieError, match=r"Heun needs a Gaussian process; a Product process .* 'ancestral'"):
        draw(PRODUCTS["edm, masked"], 4, 3, Heun())
    with pytest.raises(ReverieError, match="at least one field"):
        Product({})
    with pytest.raises(ReverieError, match=r"fields x, k; the state is x\."):
        PRODUCTS["edm, masked"].draw(Noise.of(0, 2), {"x": torch.zeros(2, 1)})
    with pytest.raises(ReverieError, match="the state is a Tensor"):
        PRODUCTS["edm, masked"].draw(Noise.of(0, 2), torch.zeros(2, 1))
    with pytest.raises(ReverieError, match="name the field of tokens first"):
        draw(Product({"x": numbers(Cosine()), "k": Masked(3)}), 4, 3)
