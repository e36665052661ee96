"""The generator equals its published test vectors; training times follow their laws."""

import pytest
import torch
from scipy import stats

from reverie.core.noise import Noise, philox
from reverie.core.schedules import EDM, Cosine
from reverie.core.times import LogitNormal, LogNormal, Uniform, low_discrepancy
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
