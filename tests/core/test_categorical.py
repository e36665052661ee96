"""Token processes on a chain small enough to enumerate: kernels, posteriors, the bound, guidance and sampling."""

import math

import numpy as np
import pytest
import torch

from reverie.core.grids import Uniform as EqualSteps
from reverie.core.noise import Noise
from reverie.core.processes import Masked, Uniform
from reverie.core.processes.categorical import pick
from reverie.core.samplers import Ancestral, sample
from reverie.core.shapes import time_of
from reverie.core.survival import Cosine, LogLinear, Polynomial
from reverie.errors import ReverieError
from reverie.registry import registered
from tests.core import chain
from tests.core.chain import ALL, JOINT, K

SURVIVALS = [cls() for cls in registered("survivals").values()]
PROCESSES = [cls(K, survival) for cls in (Masked, Uniform) for survival in SURVIVALS]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
EVEN = (torch.arange(40_000, dtype=torch.float64) + 0.5) / 40_000  # stands for every uniform number, evenly
WITHIN = 4 / 40_000  # what counting on that grid can be wrong by


def shares(values, states):
    """How often each state is hit when eps takes every value of EVEN, (states,)."""
    return torch.bincount(values, minlength=states).double() / len(values)


def transition(move, states):
    """The matrix of a kernel x -> x' that takes one uniform number a token, (states, states)."""
    return torch.stack([shares(move(torch.full_like(EVEN, x, dtype=torch.int64), EVEN), states) for x in range(states)])


@every_process
def test_one_step_kernels_chain_to_the_closed_form(process):
    """0 -> t1 -> t2 -> t3 by `forward` is what `diffuse` does in one go, and both are the kernel as written."""
    times = [time_of(t) for t in (0.0, 0.2, 0.55, 0.9)]
    steps = torch.eye(process.states, dtype=torch.float64)
    for s, t in zip(times, times[1:], strict=False):
        steps = steps @ transition(lambda x, eps, s=s, t=t: process.forward(x, s, t, eps), process.states)
        at_once = transition(lambda x, eps, t=t: process.diffuse(x, t, eps), process.states)[:K]
        closed = chain.kernel(process, process.schedule.survival(t))
        assert torch.allclose(at_once, closed, atol=WITHIN)
        assert torch.allclose(steps[:K], closed, atol=3 * WITHIN)


@every_process
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.7), (0.6, 0.5), (0.6, 0.0)])
def test_reverse_is_the_posterior_by_bayes_rule(process, t, s):
    """For known x0, and for a prediction: the mean of q(x_s | x_t, x0) over it, given that x0 can lead to x_t."""
    t, s = time_of(t), time_of(s)
    to_s, to_t = (chain.kernel(process, process.schedule.survival(k)) for k in (s, t))
    move = torch.zeros(process.states, process.states, dtype=torch.float64)  # q(x_t | x_s), from the definition
    kept = process.schedule.survival(t) / process.schedule.survival(s)
    move[:K] = chain.kernel(process, kept)
    move[K:, K:] = 1
    guess = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    for x_t in range(process.states):
        possible = to_t[:, x_t] > 0
        if not possible.any():  # no token is unmasked at t = 1
            continue
        exact = move[:, x_t] * to_s / to_t[:, x_t].clamp(min=1e-300)[:, None]  # (K, states)
        cases = [(torch.eye(K)[k].double(), exact[k]) for k in range(K) if possible[k]]
        weight = guess * possible / (guess * possible).sum()
        for p, expected in [*cases, (weight, weight @ exact)]:
            prediction = p.log()[None, :].expand(len(EVEN), K)
            x_s = process.reverse(torch.full_like(EVEN, x_t, dtype=torch.int64), prediction, t, s, EVEN)
            assert torch.allclose(shares(x_s, process.states), expected, atol=WITHIN)


def nodes(count):
    """Gauss-Legendre nodes and weights for the mean over t, by t = u^2 (3 - 2 u), which is gentle at both ends."""
    u, w = np.polynomial.legendre.leggauss(count)
    u, w = 0.5 * (u + 1), 0.5 * w
    return zip((u**2 * (3 - 2 * u)).tolist(), (6 * u * (1 - u) * w).tolist(), strict=True)


def bound(process, predict, count=16):
    """The mean over t and x_t of the divergence, nats a sequence, for each of the 81 sequences, (81,)."""
    noisy, total = chain.states(process.states), torch.zeros(len(ALL), dtype=torch.float64)
    x0, x_t = ALL.repeat_interleave(len(noisy), 0), noisy.repeat(len(ALL), 1)
    for t, w in nodes(count):
        prediction = predict(t).repeat(len(ALL), 1, 1)
        weight = chain.likelihoods(process, t).flatten()
        found = process.divergence(x0, prediction, x_t, time_of(t))
        total += w * chain.LENGTH * torch.where(weight > 0, weight * found, 0.0).reshape(len(ALL), -1).sum(1)
    return total


@every_process
def test_the_bound_is_the_likelihood_for_the_exact_denoiser(process):
    """Not only on average: sequence by sequence. The reverse jumps are then the true ones, and nothing is lost."""
    found = bound(process, chain.Exact(process).table)
    assert torch.allclose(found, -JOINT.log(), atol=5e-4)  # what 16 nodes in t leave; 24 leave 4e-5
    assert float(JOINT @ found) == pytest.approx(chain.ENTROPY, abs=2e-4)
    if isinstance(process, Masked):
        assert torch.allclose(found, -JOINT.log(), atol=1e-7)


@every_process
def test_the_bound_of_a_wrong_denoiser_is_above_the_likelihood(process):
    """Predictions disturbed a little and a lot: always worse than the data's entropy, and more so each time."""
    g = torch.Generator().manual_seed(0)
    exact, worst = chain.Exact(process), 0.0
    for size, least in ((0.05, 0.001), (1.0, 0.5)):
        off = size * torch.randn(process.states**chain.LENGTH, K, chain.LENGTH, generator=g, dtype=torch.float64)
        found = bound(process, lambda t, off=off: torch.log_softmax(exact.table(t) + off, 1))
        excess = float(JOINT @ found) - chain.ENTROPY
        assert excess > max(least, 5 * worst)
        worst = excess


@pytest.mark.parametrize("process", [Masked(K), Uniform(K), Uniform(K, Cosine())], ids=repr)
def test_equal_numbers_from_a_network_are_a_uniform_guess_whose_bound_is_log_k(process):
    """What the noisy token says of itself is put in by `settle`: nothing is left to learn where there is no structure."""
    noisy = chain.states(process.states)
    settled = bound(process, lambda t: process.settle(torch.zeros(len(noisy), K, 4).double(), noisy, time_of(t)))
    assert torch.allclose(settled, torch.full((81,), 4 * math.log(K), dtype=torch.float64), atol=1e-3)


def test_settle_masked_leaves_the_known_and_never_says_mask():
    process, x_t = Masked(K), chain.states(K + 1)
    logits = torch.randn(len(x_t), K, 4, generator=torch.Generator().manual_seed(0))
    p = process.settle(logits, x_t, time_of(0.5)).exp()
    assert p.shape[1] == K
    assert torch.allclose(p.sum(1), torch.ones(len(x_t), 4))
    known = x_t < K
    assert torch.equal(p.argmax(1)[known], x_t[known])
    assert torch.equal(p.amax(1)[known], torch.ones(int(known.sum())))
    assert torch.allclose(p.transpose(1, 2)[~known], logits.softmax(1).transpose(1, 2)[~known])


def test_settle_uniform_is_bayes_rule():
    process, x_t = Uniform(K, Cosine()), chain.states(K)
    logits = torch.randn(81, K, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0.01, 0.99, 81, dtype=torch.float64)
    found = process.settle(logits, x_t, t).exp()
    for b in range(81):
        q = chain.kernel(process, process.schedule.survival(t[b]))
        expected = logits[b].softmax(0) * q[:, x_t[b]]
        assert torch.allclose(found[b], expected / expected.sum(0))
    assert torch.isfinite(process.settle(logits, x_t, time_of(0.0))[:, :, 0]).all()


@pytest.mark.parametrize("at", [1e-10, 1e-6, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-6, 1 - 1e-10])
def test_the_uniform_divergence_keeps_its_digits_in_float32(at):
    """Rates of 1e10 that nearly cancel, at both ends of time: float32 within 1e-5 of their size, or of the loss itself."""
    process, t = Uniform(K), torch.tensor(at, dtype=torch.float64)
    noisy = ALL
    logits = torch.randn(81, K, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x0 = noisy.roll(1, 0)
    exact = process.divergence(x0, process.settle(logits, noisy, t), noisy, t)
    logits = logits.float().requires_grad_()
    found = process.divergence(x0, process.settle(logits, noisy, t), noisy, t)
    assert float(((found.detach() - exact) / (1 + exact.abs())).abs().max()) < 1e-5
    found.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_what_is_not_observed_does_not_count():
    g = torch.Generator().manual_seed(0)
    for process in (Masked(K), Uniform(K)):
        t = torch.rand(81, generator=g, dtype=torch.float64)
        x_t = process.diffuse(ALL, t, torch.rand(81, 4, generator=g, dtype=torch.float64))
        prediction = torch.log_softmax(torch.randn(81, K, 4, generator=g), 1)
        seen = torch.tensor([True, False, True, False]).expand(81, 4)
        part = process.divergence(ALL[:, ::2], prediction[..., ::2], x_t[:, ::2], t)
        assert torch.allclose(process.divergence(ALL, prediction, x_t, t, seen), part)


def walk(process, steps, count, sampler=None, seed=0, temperature=1.0):
    denoiser, noise = chain.Exact(process), Noise.of(seed, count, temperature=temperature)
    grid = EqualSteps().times(process.schedule, steps)
    path = []
    x = process.prior(torch.empty(count, chain.LENGTH), noise, grid[0])
    x = sample(denoiser, sampler or Ancestral(), grid, x, noise, lambda step: path.append(step.x))
    assert denoiser.calls == steps
    return x, path


@pytest.mark.parametrize(
    ("process", "count"),
    [(cls(K), 5_000) for cls in (Masked, Uniform)]
    + [pytest.param(process, 20_000, marks=pytest.mark.slow) for process in PROCESSES],
    ids=repr,
)
def test_total_variation_falls_with_steps(process, count):
    """One step draws from the product of the marginals; many draw from the joint, down to what counting can tell."""
    floor = float(torch.sqrt(JOINT * (1 - JOINT) / (2 * math.pi * count)).sum())  # expected of exact samples
    product = torch.stack([chain.MARGINALS[i][ALL[:, i]] for i in range(4)]).prod(0)
    found = [chain.distance(walk(process, steps, count)[0]) for steps in (1, 4, 16, 64)]
    assert found[0] == pytest.approx(float(0.5 * (product - JOINT).abs().sum()), abs=3 * floor)
    assert found[1] < 0.65 * found[0]
    assert found[2] < 0.5 * found[1]
    assert found[3] < min(0.7 * found[2], 0.02 + floor)


def test_unmasked_tokens_stay_and_no_mask_is_left():
    x, path = walk(Masked(K), 9, 5_000)
    assert int(x.max()) < K
    before = torch.full_like(x, K)
    for number, now in enumerate(path, start=1):
        assert torch.equal(now[before < K], before[before < K])
        assert float((now == K).double().mean()) == pytest.approx(1 - number / 9, abs=0.015)
        before = now


def test_temperature_zero_is_the_likeliest_class_of_every_token():
    x, _ = walk(Masked(K), 1, 100, temperature=0.0)
    assert torch.equal(x, chain.MARGINALS.argmax(1).expand(100, 4))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temper_raises_probabilities_to_a_power(temperature):
    p = chain.Exact(Uniform(K)).table(0.4)
    expected = p.exp() ** (1 / temperature)
    assert torch.allclose(Uniform(K).temper(p, temperature).exp(), expected / expected.sum(1, keepdim=True))


@pytest.mark.parametrize("w", [-0.5, 0.0, 0.3, 1.0, 2.5])
def test_mix_is_a_product_of_powers(w):
    process = Uniform(K)
    u, c = chain.Exact(process).table(0.7), chain.Exact(process).table(0.2)
    expected = c.exp() ** w * u.exp() ** (1 - w)
    mixed = process.mix(u, c, torch.tensor(w, dtype=torch.float64))
    assert torch.allclose(mixed.exp(), expected / expected.sum(1, keepdim=True))
    each = torch.linspace(0, 2, 81, dtype=torch.float64)
    assert torch.allclose(process.mix(u, c, each)[40], process.mix(u, c, each[40])[40])


def test_mix_keeps_what_the_condition_rules_out():
    u = torch.tensor([[0.5, 0.5, 0.0]]).log()
    c = torch.tensor([[0.0, 0.6, 0.4]]).log()
    process = Masked(K)
    assert torch.allclose(process.mix(u, c, torch.tensor(1.0)).exp(), c.exp())
    assert torch.allclose(process.mix(u, c, torch.tensor(0.0)).exp(), u.exp())
    strong = process.mix(u, c, torch.tensor(3.0)).exp()
    assert float(strong[0, 0]) == 0
    assert torch.isfinite(strong).all()
    known = process.settle(torch.zeros(1, K, 4), torch.tensor([[0, 1, 2, K]]), time_of(0.5))
    assert torch.allclose(process.mix(known, known, torch.tensor(3.0)), known)


def test_pick_inverts_the_distribution_function():
    p = torch.tensor([0.0, 0.15, 0.6, 0.0, 0.25, 0.0], dtype=torch.float64)
    drawn = pick(p.log()[None].expand(len(EVEN), 6), EVEN)
    assert torch.allclose(shares(drawn, 6), p, atol=WITHIN)
    edges = torch.tensor([2.0**-33, 1 - 2.0**-33, 1.0], dtype=torch.float64)
    assert pick(p.log()[None].expand(3, 6), edges).tolist() == [1, 4, 4]


def test_a_prior_is_at_the_end_of_time_or_refused():
    like, noise = torch.empty(20_000, 4), Noise.of(0, 20_000)
    assert torch.equal(Masked(K).prior(like, noise, time_of(1.0)), torch.full((20_000, 4), K))
    drawn = Uniform(K).prior(like, noise, time_of(1.0))
    assert torch.allclose(shares(drawn.flatten(), K), torch.full((K,), 1 / K, dtype=torch.float64), atol=0.007)
    for process in (Masked(K), Uniform(K)):
        with pytest.raises(ReverieError, match="at t = 1 only"):
            process.prior(like, noise, time_of(0.98))
    with pytest.raises(ReverieError, match="at least 2"):
        Masked(1)


@pytest.mark.parametrize("process", [Masked(K, Polynomial()), Uniform(K, LogLinear())], ids=repr)
def test_a_sample_is_the_same_at_batch_1_7_and_64(process):
    def run(count, first=0):
        noise, grid = Noise.of(5, count, first), EqualSteps().times(process.schedule, 12)
        x = process.prior(torch.empty(count, chain.LENGTH), noise, grid[0])
        return sample(chain.Exact(process), Ancestral(), grid, x, noise)

    whole = run(64)
    assert torch.equal(run(7), whole[:7])
    assert torch.equal(run(1, first=6), whole[6:7])
