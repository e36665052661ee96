"""The network of tokens: what it starts from, what it refuses, and that it learns a joint distribution."""

import json
import math

import pytest
import torch

from reverie.core.denoiser import TokenDenoiser
from reverie.core.noise import Noise
from reverie.core.processes import Masked, Uniform
from reverie.core.shapes import time_of
from reverie.core.times import Uniform as EvenTimes
from reverie.core.weighting import Uniform as Unweighted
from reverie.errors import ReverieError
from reverie.example import Condition, Example
from reverie.networks.base import Block
from reverie.networks.tokens import TokenNetwork
from tests.core import chain
from tests.core.test_categorical import bound

DECLARED = {"label": {"kind": "label", "classes": 5}, "scan": {"kind": "image", "channels": 2}}
SMALL = {"channels": 8, "dims": 1, "width": 24, "multipliers": [1], "blocks": 1, "attention": [], "head_dim": 24}
K = 6


def made(shape=(2, 5, 7), declared=None, states=K + 1):
    """A network whose layers that start at zero have been given values, as after some training."""
    torch.manual_seed(0)
    network = TokenNetwork.sized("tiny", {"x": Block(shape, K, states)}, declared)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.copy_(0.2 * torch.randn(p.shape))
    return network.eval()


def batch(n=3, shape=(2, 5, 7), states=K + 1):
    g = torch.Generator().manual_seed(1)
    cond = {
        "label": Condition.of(torch.randint(0, 5, (n,), generator=g)),
        "scan": Condition.of(torch.randn(n, 2, 5, 11, generator=g)),
    }
    return torch.randint(0, states, (n, *shape), generator=g), torch.randn(n, generator=g), cond


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (1, 12), (2, 4, 4, 4)], ids=str)
def test_at_first_all_classes_are_as_likely(shape):
    """The loss is then its closed form: log K for each masked token, times 1 / t for survival = 1 - t."""
    process, t = Masked(K), torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    network = TokenNetwork.sized("tiny", {"x": Block(shape, K, process.states)})
    x, level, _ = batch(3, shape, K)
    assert torch.equal(network(x, level, {}), torch.zeros(3, K, *shape))
    eps = process.draw(Noise.of(0, 3), x)
    masked = (process.diffuse(x, t, eps) == K).double().flatten(1).mean(1)
    loss = TokenDenoiser(network, process).loss(Example(x), t, eps, Unweighted())
    assert torch.allclose(loss.double(), masked * math.log(K) / t, rtol=1e-6)


def test_every_entry_listens_to_every_value_and_every_weight_learns():
    network = made(declared=DECLARED)
    x, level, cond = batch()
    out = network(x, level, cond)
    assert out.shape == (3, K, 2, 5, 7)
    for place in [(0, 0, 0), (1, 4, 6), (0, 2, 3)]:
        other = x.clone()
        other[(slice(None), *place)] = (x[(slice(None), *place)] + 1) % (K + 1)
        assert bool(((network(other, level, cond) - out).abs().amax(1) > 0).all())
    cond = {k: Condition(c.value, torch.tensor([True, False, True])) for k, c in cond.items()}
    network(x, level, cond).square().sum().backward()
    dead = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [k for k in dead if "attention" not in k], dead


def test_conditions_reach_the_body():
    network = made(declared=DECLARED)
    x, level, cond = batch()
    told = network(x, level, cond)
    for name in DECLARED:
        hidden = network(x, level, {**cond, name: cond[name].absent()})
        assert (hidden - told).abs().amax((1, 2, 3, 4)).min() > 1e-4
    nothing = {k: c.absent() for k, c in cond.items()}
    torch.testing.assert_close(network(x, level, {}), network(x, level, nothing), rtol=1e-5, atol=1e-6)


def test_config_and_weights_are_all_of_it():
    network = made(declared=DECLARED)
    again = TokenNetwork(**json.loads(json.dumps(network.config, sort_keys=True)))
    again.load_state_dict(network.state_dict())
    x, level, cond = batch()
    assert torch.equal(again.eval()(x, level, cond), network(x, level, cond))


def test_a_sample_does_not_depend_on_its_neighbours():
    network = made()
    x, level, _ = batch(16)
    with torch.no_grad():
        whole = network(x, level, {})
        for n in (1, 7):
            assert (network(x[:n], level[:n], {}) - whole[:n]).norm() <= 1e-5 * whole[:n].norm()


def test_memory_can_be_asked_for_without_any():
    """On the meta device, which has no values to look at."""
    network = made().to("meta")
    out = network(torch.zeros(3, 2, 5, 7, dtype=torch.int64, device="meta"), torch.zeros(3, device="meta"), {})
    assert out.shape == (3, K, 2, 5, 7)


def test_the_dial_turns_one_way():
    for shape, k in [((1, 8, 8), 17), ((3, 32, 32), 256)]:
        with torch.device("meta"):
            nets = [TokenNetwork.sized(s, {"x": Block(shape, k, k + 1)}) for s in ("tiny", "small", "base", "large")]
        counts = [sum(p.numel() for p in n.parameters()) for n in nets]
        assert all(b > 2.5 * a for a, b in zip(counts, counts[1:], strict=False)), counts


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(2, 2, 5, 7), r"whole numbers \(B, 2, \*, \*\); found torch.float32"),
        (torch.zeros(2, 3, 5, 7, dtype=torch.int64), r"found torch.int64 \(2, 3, 5, 7\)"),
        (torch.zeros(2, 2, 5, dtype=torch.int64), r"\(2, 2, 5\)"),
        (torch.full((2, 2, 5, 7), K + 1), "knows the values 0 to 6"),
        (torch.full((2, 2, 5, 7), -1), "from -1 to -1"),
    ],
)
def test_wrong_input_is_named(x, words):
    with pytest.raises(ReverieError, match=words):
        made()(x, torch.zeros(2), {})


def test_arguments_that_make_no_network_are_named():
    with pytest.raises(ReverieError, match="--family masked"):
        TokenNetwork.sized("tiny", {"x": Block((1, 8, 8))})
    with pytest.raises(ReverieError, match="tiny, small, base, large"):
        TokenNetwork.sized("huge", {"x": Block((1, 8, 8), 4, 4)})
    for classes, states, outputs in [(4, 3, 4), (1, 2, 1), (4, 5, 6), (4, 5, None)]:
        with pytest.raises(ReverieError, match="no network of tokens"):
            TokenNetwork(classes, states, {**SMALL, "out_channels": outputs})


def train(process, network, draw, steps, size, lr):
    """A few steps of AdamW on the bound; returns the losses."""
    denoiser, losses = TokenDenoiser(network, process), []
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.9, 0.99))
    for i in range(steps):
        noise, x0 = Noise.of(0, size, i * size), draw(size)
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, (i + 1) / 20) * 0.5 * (1 + math.cos(math.pi * i / steps))
        t = EvenTimes().draw(noise, process.schedule, 1.0)
        loss = denoiser.loss(Example(x0), t, process.draw(noise, x0), Unweighted()).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    return denoiser.eval(), losses


@pytest.mark.slow
@pytest.mark.parametrize("process", [Masked(chain.K), Uniform(chain.K)], ids=repr)
def test_a_small_network_learns_a_joint_distribution(process):
    """Its bound, by enumeration: never below the entropy, and well below what is best without seeing other tokens."""
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    network = TokenNetwork(chain.K, process.states, {**SMALL, "out_channels": chain.K})

    def draw(n):
        return chain.ALL[torch.multinomial(chain.JOINT, n, replacement=True, generator=g)][:, None]

    denoiser, _ = train(process, network, draw, 80, 128, 5e-3)
    noisy = chain.states(process.states)
    with torch.no_grad():
        found = float(chain.JOINT @ bound(process, lambda t: denoiser(noisy[:, None], time_of(t))[:, :, 0].double()))
    alone = float(torch.special.entr(chain.MARGINALS).sum())
    assert chain.ENTROPY < found < chain.ENTROPY + 0.5 * (alone - chain.ENTROPY)


@pytest.mark.slow
def test_digits_fall_below_the_entropy_of_their_levels():
    """50 steps of a tiny network: fewer nats a pixel than a code that knows how often each level is (2.06)."""
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images).long()[:, None]
    alone = float(torch.special.entr(torch.bincount(x.flatten()).double() / x.numel()).sum())
    torch.manual_seed(0)
    process, g = Masked(17), torch.Generator().manual_seed(0)
    network = TokenNetwork.sized("tiny", {"x": Block((1, 8, 8), 17, 18)})
    _, losses = train(process, network, lambda n: x[torch.randint(0, len(x), (n,), generator=g)], 50, 48, 3e-3)
    assert sum(losses[:5]) / 5 > alone + 0.5
    assert sum(losses[-10:]) / 10 < alone - 0.1
