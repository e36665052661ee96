"""The generator equals its published test vectors; training times follow their laws."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from scipy import stats

from reverie.core.brownian import weights
from reverie.core.noise import Noise, philox
from reverie.core.schedules import EDM, Cosine
from reverie.core.times import LogitNormal, LogNormal, Uniform, low_discrepancy
from reverie.errors import ReverieError
from reverie.registry import registered


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_equals_the_known_answers_of_random123(counter, key, words):
    found = philox(tuple(torch.tensor(c) for c in counter), tuple(torch.tensor(k) for k in key))
    assert tuple(int(w) for w in found) == words


def test_normal_numbers_are_normal_and_independent_across_everything():
    noise = Noise.of(7, 400)
    x = noise.normal(0, torch.empty(400, 250, dtype=torch.float64))
    assert stats.kstest(x.ravel().numpy(), "norm").pvalue > 0.01
    others = [
        noise.at(1).normal(0, x),
        noise.normal(1, x),
        Noise.of(8, 400).normal(0, x),
        Noise.of(7, 400, 400).normal(0, x),
    ]
    for y in others:
        assert abs(float((x * y).mean())) < 5 / x.numel() ** 0.5
    assert abs(float((x[:, :125] * x[:, 125:]).mean())) < 5 / (x.numel() / 2) ** 0.5


def test_a_sample_keeps_its_noise_in_any_batch():
    whole = Noise.of(3, 64).normal(0, torch.empty(64, 3, 5))
    assert torch.allclose(Noise.of(3, 7, first=20).normal(0, torch.empty(7, 3, 5)), whole[20:27], rtol=1e-6)
    mixed = Noise(torch.tensor([3, 9]), torch.tensor([5, 0])).normal(0, torch.empty(2, 3, 5))
    assert torch.allclose(mixed[0], whole[5], rtol=1e-6)
    assert torch.allclose(mixed[1], Noise.of(9, 1).normal(0, torch.empty(1, 3, 5))[0], rtol=1e-6)


def test_temperature_scales():
    like = torch.empty(4, 3)
    assert torch.allclose(Noise.of(0, 4, temperature=0.5).normal(0, like), 0.5 * Noise.of(0, 4).normal(0, like))


@pytest.mark.parametrize("name", registered("times"))
@pytest.mark.parametrize("stratified", [True, False])
def test_times_are_legal_and_depend_on_nothing_but_seed_and_index(name, stratified):
    law = registered("times")[name](stratified=stratified)
    for schedule in (EDM(), Cosine()):
        t = law.draw(Noise.of(0, 512), schedule, 0.5)
        assert bool(((t > 0) & (t <= 1)).all())
        assert torch.allclose(law.draw(Noise.of(0, 100, first=412), schedule, 0.5), t[412:], rtol=1e-12)


def test_laws():
    noise = Noise.of(0, 20_000)
    log_n = torch.log(EDM().noise(LogNormal(stratified=False).draw(noise, EDM(), 0.5)))
    assert stats.kstest(log_n.numpy(), "norm", (-1.2, 1.2)).pvalue > 0.01
    log_n = torch.log(EDM().noise(LogNormal().draw(noise, EDM(), 1.0)))
    assert float(log_n.mean()) == pytest.approx(-1.2 + 0.6931, abs=0.01)  # scales with the data
    t = LogitNormal(0.3, 0.8, stratified=False).draw(noise, Cosine(), 0.5)
    assert stats.kstest(torch.logit(t).numpy(), "norm", (0.3, 0.8)).pvalue > 0.01
    assert stats.kstest(Uniform(stratified=False).draw(noise, Cosine(), 0.5).numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("first", [0, 12_345, 10**12])
def test_any_stretch_of_the_sequence_is_even(first):
    """Star discrepancy of N points is O(log N / N), where independent draws have some 1 / sqrt(N)."""
    count = 256
    index = torch.arange(first, first + count)
    u = low_discrepancy(index, torch.zeros_like(index)).sort().values
    grid = torch.arange(1, count + 1, dtype=torch.float64) / count
    assert float((u - grid).abs().max()) < 4 / count


CLOCK = [0.0, 1e-90, 0.3, 0.31, 0.5, 2.0, 2.5, 7e4]


def test_a_brownian_path_has_the_covariance_of_one_exactly():
    """Its increments' weights on independent numbers: the squares sum to the time, disjoint stretches are orthogonal."""
    steps = [weights(a, b) for a, b in pairwise(CLOCK)]
    for (a, b), w in zip(pairwise(CLOCK), steps, strict=True):
        assert sum(c * c for c in w.values()) == pytest.approx(b - a, rel=1e-5)
    for i, w in enumerate(steps):
        for v in steps[:i]:
            size = math.sqrt(sum(c * c for c in w.values()) * sum(c * c for c in v.values()))
            assert abs(sum(c * v.get(node, 0.0) for node, c in w.items())) < 1e-5 * size
    together = Counter({node: 0.0 for w in steps for node in w})
    for w in steps:
        together.update(w)
    whole = weights(CLOCK[0], CLOCK[-1])
    assert all(c == pytest.approx(whole.get(node, 0.0), abs=1e-11) for node, c in together.items())


def test_brownian_increments_add_up_are_normal_and_belong_to_their_sample():
    like = torch.empty(300, 10, dtype=torch.float64)
    noise = Noise.of(4, 300)
    early, late = noise.brownian(0.2, 0.37, like), noise.brownian(0.37, 9.0, like)
    assert torch.allclose(early + late, noise.brownian(0.2, 9.0, like), rtol=0, atol=1e-14)
    assert torch.allclose(noise.brownian(0.37, 0.2, like), -early, rtol=0, atol=1e-14)
    assert not noise.brownian(0.5, 0.5, like).any()
    for part, time in ((early, 0.17), (late, 8.63)):
        assert stats.kstest(part.ravel().numpy(), "norm", (0, math.sqrt(time))).pvalue > 0.01
    z = early / math.sqrt(0.17)
    others = [late / math.sqrt(8.63), noise.normal(0, like)]
    for other in (noise.at(1), noise.of_part(1), Noise.of(5, 300), Noise.of(4, 300, first=300)):
        others.append(other.brownian(0.2, 0.37, like) / math.sqrt(0.17))
    others.append(noise.brownian(0.2, 0.37, like, key=1) / math.sqrt(0.17))
    for y in others:
        assert abs(float((z * y).mean())) < 4 / like.numel() ** 0.5
    assert torch.allclose(Noise.of(4, 7, first=20).brownian(0.2, 0.37, like[:7]), early[20:27], rtol=1e-12, atol=1e-14)
    cool = Noise.of(4, 300, temperature=0.5).brownian(0.2, 0.37, like)
    assert torch.allclose(cool, 0.5 * early, rtol=1e-12)


@pytest.mark.parametrize("clock", [-1.0, math.inf, math.nan])
def test_a_clock_without_a_path_is_refused(clock):
    with pytest.raises(ReverieError, match="Brownian"):
        Noise.of(0, 1).brownian(1.0, clock, torch.empty(1, 1))
