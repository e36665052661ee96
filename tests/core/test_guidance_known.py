"""Known entries: they come back exactly under every sampler, and what is drawn beside them is right where it can be."""

import math

import pytest
import torch

from reverie.core.denoiser import Denoiser
from reverie.core.grids import Karras, Uniform
from reverie.core.guidance import Classifier, Known
from reverie.core.noise import Noise
from reverie.core.processes import Gaussian, Masked, Product
from reverie.core.processes import Uniform as UniformTokens
from reverie.core.samplers import Ancestral, Heun, sample
from reverie.core.schedules import EDM, Cosine
from reverie.errors import ReverieError
from reverie.registry import build, registered
from tests.core import chain, exact

SAMPLERS = registered("samplers")
GRIDS = {
    name: {"sigmas": "sigmas:values=40/5/1/0.1", "jumps": "jumps:length=2,resamplings=2"}.get(name, name)
    for name in registered("grids")
}
OF_ALL, OF_MASKED = ("ancestral", "ddim"), ("confidence",)  # samplers of any process, and of one; the others: Gaussian
VALUE = torch.tensor([[0.3, 7.7], [-0.1, 0.2], [1 / 3, math.nan]], dtype=torch.float64)
MASK = torch.tensor([[True, False], [True, True], [True, False]])
TOKENS, HELD = torch.tensor([[2, 0, 1, 0], [0, 0, 2, 1]]), torch.tensor([True, False, True, False])


def walk(denoiser, sampler, grid, like):
    noise = Noise.of(0, len(next(iter(like.values())) if isinstance(like, dict) else like))
    times = build("grids", grid).times(denoiser.process.schedule, 4)
    return sample(denoiser, sampler, times, denoiser.process.prior(like, noise, times[0]), noise)


@pytest.mark.parametrize("name", SAMPLERS)
def test_known_numbers_come_back_exactly_on_every_grid(name):
    """Difference 0, under a schedule with and one without alpha = 1, in float64 and in float32."""
    single = exact.Normal(Cosine(), 0.7, 0.3), torch.float32, ("karras", "uniform")
    for prior, dtype, grids in ((exact.Mixture(EDM()), torch.float64, GRIDS.values()), single):
        denoiser = Known(prior, VALUE.to(dtype), MASK)
        for grid in grids:
            if name in OF_MASKED:
                with pytest.raises(ReverieError, match="Gaussian process"):
                    walk(denoiser, SAMPLERS[name](), grid, torch.empty(3, 2, dtype=dtype))
                continue
            x = walk(denoiser, SAMPLERS[name](), grid, torch.empty(3, 2, dtype=dtype))
            assert torch.equal(x[MASK], VALUE.to(dtype)[MASK]), (grid, dtype)
            assert bool(torch.isfinite(x).all())


class Watching(chain.Exact):
    """The exact denoiser, remembering whether the known tokens ever reached it as anything else."""

    def forward(self, x_t, t):
        assert torch.equal(x_t[:, HELD], TOKENS[: len(x_t), HELD])
        return super().forward(x_t, t)


@pytest.mark.parametrize("process", [Masked(chain.K), UniformTokens(chain.K)], ids=repr)
@pytest.mark.parametrize("name", SAMPLERS)
def test_known_tokens_come_back_exactly_and_the_denoiser_sees_them(name, process):
    denoiser = Known(Watching(process), TOKENS, HELD)
    for grid in ("uniform", "karras", "jumps:base=uniform,length=2,resamplings=2"):
        if name not in OF_ALL and not (name in OF_MASKED and isinstance(process, Masked)):
            with pytest.raises(ReverieError, match=f"{type(process).__name__} process"):
                walk(denoiser, SAMPLERS[name](), grid, torch.empty(2, 4))
            continue
        x = walk(denoiser, SAMPLERS[name](), grid, torch.empty(2, 4))
        assert torch.equal(x[:, HELD], TOKENS[:, HELD])
        assert int(x.max()) < chain.K


def test_for_masked_tokens_it_is_the_exact_conditional():
    """The prediction is p(x0 | x_t, known) of the table, and samples follow p(x0 | known)."""
    fits = (chain.ALL[:, HELD] == TOKENS[0, HELD]).all(1)
    law = chain.JOINT * fits / chain.JOINT[fits].sum()
    denoiser, t = Known(chain.Exact(Masked(chain.K)), TOKENS[0], HELD), torch.tensor(0.6, dtype=torch.float64)
    x_t = torch.tensor([[3, 3, 3, 3], [2, 1, 3, 3], [3, 0, 1, 3]])  # 3 is the mask
    for noisy, log_p in zip(x_t, denoiser(x_t, t), strict=True):
        seen = (noisy != 3) & ~HELD
        given = law * (chain.ALL[:, seen] == noisy[seen]).all(1)
        for place in range(4):
            p = torch.stack([given[chain.ALL[:, place] == v].sum() for v in range(chain.K)]) / given.sum()
            assert torch.allclose(log_p[:, place].exp(), p, atol=1e-12)
    count, grid = 4_000, Uniform().times(Masked(chain.K).schedule, 100)
    x = torch.full((count, 4), 3)
    x = sample(denoiser, Ancestral(), grid, x, Noise.of(0, count))
    share = torch.bincount(chain.code(x, chain.K), minlength=81).double() / count
    assert float(0.5 * (share - law).abs().sum()) < 0.03  # 9 cells, 4,000 draws: about 0.015 for exact samples


class Apart(Denoiser):
    """Two fields that know nothing of each other."""

    def __init__(self):
        super().__init__()
        self.process = Product({"place": Gaussian(EDM()), "word": Masked(chain.K)})

    def forward(self, x_t, t):
        return {"place": exact.Mixture(EDM())(x_t["place"], t), "word": chain.Exact(Masked(chain.K))(x_t["word"], t)}


def test_fields_are_known_each_in_its_own_way_and_one_left_out_is_not_known():
    like = {"place": torch.empty(2, 2, dtype=torch.float64), "word": torch.empty(2, 4)}
    x = walk(Known(Apart(), {"place": VALUE[:2], "word": TOKENS}, {"place": MASK[:2], "word": HELD}), *plain(), like)
    assert torch.equal(x["place"][MASK[:2]], VALUE[:2][MASK[:2]])
    assert torch.equal(x["word"][:, HELD], TOKENS[:, HELD])
    half = walk(Known(Apart(), {"word": TOKENS}, {"word": HELD}), *plain(), like)
    assert torch.equal(half["word"], x["word"])
    assert torch.equal(half["place"], walk(Apart(), *plain(), like)["place"])


def plain():
    return Ancestral(), "uniform"


def test_it_nests():
    """Known over a classifier is the classifier's denoiser where nothing is known."""
    inner = Classifier(exact.Mixture(EDM()), lambda x, t: -(x**2).sum(1))
    x, t = torch.ones(3, 2).double(), torch.tensor(0.4, dtype=torch.float64)
    found = Known(inner, VALUE, MASK)(x, t)
    assert torch.equal(found[~MASK], inner(x, t)[~MASK])
    assert torch.equal(found[MASK], VALUE[MASK])


def test_without_correlation_the_fill_is_the_prior():
    """Entries that know nothing of each other: the filled ones keep mean and variance, whatever is known beside them."""
    count, prior = 4_000, exact.Normal(EDM(), 0.7, 0.3)
    denoiser, noise = Known(prior, torch.tensor([9.0, 0.0]), torch.tensor([True, False])), Noise.of(0, count)
    grid = Karras().times(EDM(), 40)
    x = denoiser.process.prior(torch.empty(count, 2, dtype=torch.float64), noise, grid[0])
    x = sample(denoiser, Heun(), grid, x, noise)
    assert bool((x[:, 0] == 9).all())
    assert float(x[:, 1].mean()) == pytest.approx(0.7, abs=4 * (0.3 / count) ** 0.5)
    assert float(x[:, 1].var()) == pytest.approx(0.3, rel=4 * (2 / count) ** 0.5)


def test_what_does_not_fit_is_named():
    x, t = torch.ones(3, 2).double(), torch.tensor(0.4)
    with pytest.raises(ReverieError, match=r"shape \(4, 2\) do not fit data of shape \(3, 2\)"):
        Known(exact.Mixture(EDM()), torch.ones(4, 2), torch.ones(4, 2).bool())(x, t)
    with pytest.raises(ReverieError, match=r"values of shape \(4, 2\) and their mask of shape \(3,\)"):
        Known(exact.Mixture(EDM()), torch.ones(4, 2), torch.ones(3).bool())
    with pytest.raises(ReverieError, match="1 of 4 known entries are NaN"):
        Known(exact.Mixture(EDM()), torch.tensor([[1, math.nan], [0, 1]]), torch.ones(2, 2).bool())
    with pytest.raises(ReverieError, match="none of the 3 classes"):
        Known(chain.Exact(Masked(chain.K)), torch.full((4,), 3), HELD)(torch.full((1, 4), 3), t)
    with pytest.raises(ReverieError, match="fields: sound; data of this Product process is fields: place, word"):
        Known(Apart(), {"sound": x}, {"sound": x})
    with pytest.raises(ReverieError, match="one tensor; data of this Product process"):
        Known(Apart(), x, x)
    with pytest.raises(ReverieError, match="fields: x; data of this Gaussian process is one tensor"):
        Known(exact.Mixture(EDM()), {"x": x}, {"x": x})
