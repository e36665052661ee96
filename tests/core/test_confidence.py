"""Confidence-ordered unmasking on the chain of four tokens: what it keeps, what it costs, and how biased it is."""

import pytest
import torch

from reverie import registry
from reverie.core.denoiser import Denoiser
from reverie.core.noise import Noise
from reverie.core.processes import Masked, Uniform
from reverie.core.samplers import Confidence, sample
from reverie.core.schedules import EDM
from reverie.core.shapes import time_of
from reverie.core.survival import Cosine
from reverie.errors import ReverieError
from tests.core import chain, exact
from tests.core.chain import JOINT, K
from tests.core.test_categorical import walk


@pytest.mark.parametrize("steps", [16, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("gumbel", "bias"), [(0.0, 0.41), (1.0, 0.20), (4.5, 0.07)])
def test_the_bias_is_what_the_docstring_says(gumbel, bias, steps):
    """And more steps than tokens do not mend it."""
    assert chain.distance(walk(Masked(K), steps, 10_000, Confidence(gumbel))[0]) == pytest.approx(bias, abs=0.02)


def test_a_random_order_has_no_bias_and_few_steps_beat_ancestral():
    count = 5_000
    floor = float(torch.sqrt(JOINT * (1 - JOINT) / (2 * torch.pi * count)).sum())
    assert chain.distance(walk(Masked(K), 16, count, Confidence(100.0))[0]) < 1.3 * floor
    few = chain.distance(walk(Masked(K), 4, count, Confidence())[0])
    assert few < 0.7 * chain.distance(walk(Masked(K), 4, count)[0])


@pytest.mark.parametrize("survival", [Masked(K).schedule, Cosine()], ids=repr)
def test_the_number_masked_follows_survival_and_what_is_unmasked_stays(survival):
    """One evaluation a step is counted in `walk`."""
    _, path = walk(Masked(K, survival), 9, 5_000, Confidence())
    before = torch.full((5_000, chain.LENGTH), K)
    for number, now in enumerate(path, start=1):
        assert torch.equal(now[before < K], before[before < K])
        lost = float(1 - survival.survival(time_of(1 - number / 9)))
        assert float((now == K).double().mean()) == pytest.approx(lost, abs=0.01)
        spread = (now == K).sum(1)
        assert int(spread.max() - spread.min()) <= 1  # a count, not a coin for each token
        before = now
    assert int(before.max()) < K


class Sure(Denoiser):
    """Says of token i that it is class 1 with a probability that grows with i."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def forward(self, x_t, t):
        p = torch.tensor([0.05, 0.1, 0.03, 0.2])  # of class 0, of places 2, 0, 1, 3 in this order the least
        known = self.process.settle(torch.stack([p, 1 - p, 0 * p]).log().expand(len(x_t), K, 4), x_t, t)
        return known


def test_the_surest_come_first():
    process, x = Masked(K), torch.full((1, 4), K)
    noise = Noise.of(0, 1, temperature=0.0)  # the likeliest class of each
    order = []
    for i in range(4):
        t, s = time_of(1 - i / 4), time_of(1 - (i + 1) / 4)
        now, _, _ = Confidence(0.0).step(Sure(process), x, t, s, None, noise.at(i))
        order += torch.nonzero((now != x)[0])[:, 0].tolist()
        x = now
    assert order == [2, 0, 1, 3]
    assert torch.equal(x, torch.ones(1, 4, dtype=torch.int64))


@pytest.mark.parametrize("known", [[0, K, 2, K], [K, 1, K, K]])
def test_tokens_known_from_the_start_are_kept_and_conditioned_on(known):
    """With tokens given, what is filled in has the conditional distribution (a random order, many steps)."""
    process, count = Masked(K), 5_000
    grid = torch.linspace(1, 0, 25, dtype=torch.float64)
    start = torch.tensor(known).expand(count, 4)
    x = sample(chain.Exact(process), Confidence(100.0), grid, start, Noise.of(0, count))
    given = torch.tensor(known) < K
    assert torch.equal(x[:, given], start[:, given])
    share = JOINT * (chain.ALL[:, given] == torch.tensor(known)[given]).all(1)
    share /= share.sum()
    found = torch.bincount(chain.code(x, K), minlength=81).double() / count
    floor = float(torch.sqrt(share * (1 - share) / (2 * torch.pi * count)).sum())
    assert float(0.5 * (found - share).abs().sum()) < 2 * floor


def test_a_sample_is_the_same_at_batch_1_7_and_64():
    def run(count, first=0):
        noise, x = Noise.of(5, count, first), torch.full((count, 4), K)
        return sample(chain.Exact(Masked(K)), Confidence(), torch.linspace(1, 0, 7), x, noise)

    whole = run(64)
    assert torch.equal(run(7), whole[:7])
    assert torch.equal(run(1, first=6), whole[6:7])


def test_other_processes_are_refused_with_both_names():
    t, s = time_of(1.0), time_of(0.5)
    for denoiser, x in ((chain.Exact(Uniform(K)), torch.zeros(2, 4)), (exact.Mixture(EDM()), torch.zeros(2, 2))):
        name = type(denoiser.process).__name__
        with pytest.raises(ReverieError, match=f"Confidence needs a Masked process; a {name} process .* 'ancestral'"):
            sample(denoiser, Confidence(), torch.stack([t, s]), x, Noise.of(0, 2))
    with pytest.raises(ReverieError, match="0 \\(the surest first\\) or more"):
        registry.build("samplers", "confidence:gumbel=-1")
    assert registry.build("samplers", "confidence:gumbel=2") == Confidence(2.0)
