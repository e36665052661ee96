"""Truths that every network keeps, for all that are registered; and what the parts claim to compute."""

import json
import math

import pytest
import torch
from torch import nn

from reverie import registry
from reverie.errors import ReverieError
from reverie.example import Condition
from reverie.networks.base import Block
from reverie.networks.blocks import AdaptiveGroupNorm, Attention, LevelFeatures, padded
from reverie.networks.plain_unet import SelfAttention, encode_time
from reverie.networks.unet import UNet

NETWORKS = [
    c for k, c in registry.registered("networks").items() if k not in ("tokens", "mlp")
]  # these have tests of their own
every_network = pytest.mark.parametrize("cls", NETWORKS, ids=registry.name_of)
DECLARED = {
    "label": {"kind": "label", "classes": 5},
    "type": {"kind": "number", "size": 2},
    "scan": {"kind": "image", "channels": 2},
}


def awake(network, seed=0):
    """A network whose zero-initialised layers have been given values, as after some training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.copy_(0.2 * torch.randn(p.shape, generator=generator))
    return network.eval()


def made(cls, shape=(1, 8, 8), declared=None, size="tiny"):
    torch.manual_seed(0)
    return awake(cls.sized(size, {"x": Block(shape)}, declared))


def batch(n=3, shape=(1, 8, 8), seed=1, dtype=torch.float32):
    """A noisy batch, its levels and every declared condition."""
    g = torch.Generator().manual_seed(seed)
    x, level = torch.randn(n, *shape, generator=g, dtype=dtype), torch.randn(n, generator=g, dtype=dtype)
    cond = {
        "label": Condition.of(torch.randint(0, 5, (n,), generator=g)),
        "type": Condition.of(torch.randn(n, 2, generator=g, dtype=dtype)),
        "scan": Condition.of(torch.randn(n, 2, 5, 11, generator=g, dtype=dtype)),
    }
    return x, level, cond


@every_network
def test_starts_out_saying_nothing_and_learns_everywhere(cls):
    torch.manual_seed(0)
    network = cls.sized("tiny", {"x": Block((1, 8, 8))}, DECLARED)
    x, level, cond = batch()
    assert torch.equal(network(x, level, cond), torch.zeros_like(x))
    cond = {k: Condition(c.value, torch.tensor([True, False, True])) for k, c in cond.items()}
    awake(network)(x, level, cond).square().sum().backward()
    dead = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # a level of a single pixel has nothing to attend to: its weights are all 1, and so q and k are free
    assert not [k for k in dead if "attention" not in k], dead
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@every_network
@pytest.mark.parametrize("name", DECLARED)
def test_only_a_condition_that_is_present_matters(cls, name):
    network = made(cls, declared=DECLARED)
    x, level, cond = batch()
    other = {**cond, name: Condition.of((cond[name].value + 1) % 5)}
    told, told_other = network(x, level, cond), network(x, level, other)
    assert (told - told_other).abs().amax((1, 2, 3)).min() > 1e-4
    hidden = network(x, level, {**cond, name: cond[name].absent()})
    assert torch.equal(hidden, network(x, level, {**cond, name: other[name].absent()}))
    assert (hidden - told).abs().amax((1, 2, 3)).min() > 1e-4
    mixed = network(x, level, {**cond, name: Condition(cond[name].value, torch.tensor([True, False, True]))})
    torch.testing.assert_close(mixed, torch.stack([told[0], hidden[1], told[2]]), rtol=1e-5, atol=1e-5)


@every_network
def test_an_absent_value_may_be_anything(cls):
    """Not a number, or out of range: nothing of it reaches the output or a gradient."""
    network = made(cls, declared=DECLARED)
    x, level, cond = batch()
    bad = {
        "label": Condition(torch.tensor([0, -7, 999]), torch.tensor([True, False, False])),
        "type": Condition(torch.full((3, 2), math.nan), torch.zeros(3, dtype=torch.bool)),
        "scan": Condition(torch.full((3, 2, 4, 4), math.inf), torch.zeros(3, dtype=torch.bool)),
    }
    network(x, level, bad).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    nothing = {k: c.absent() for k, c in cond.items()}
    torch.testing.assert_close(network(x, level, {}), network(x, level, nothing), rtol=1e-5, atol=1e-6)


@every_network
@pytest.mark.parametrize(
    "change, words",
    [
        ({"lable": Condition.of(torch.zeros(3, dtype=torch.int64))}, "did you mean label"),
        ({"label": None}, "condition label is missing"),
        ({"label": Condition.of(torch.tensor([0, 5, 1]))}, "is 5 for sample 1 .* 0 to 4"),
        ({"label": Condition.of(torch.tensor([0, 1, -1]))}, "is -1 for sample 2"),
        ({"label": Condition.of(torch.zeros(3))}, "takes integers"),
        ({"label": Condition.of(torch.zeros(2, dtype=torch.int64))}, "for 2 samples"),
        ({"type": Condition.of(torch.zeros(3, 4))}, r"takes numbers \(B, 2\)"),
        ({"scan": Condition.of(torch.zeros(3, 1, 8, 8))}, r"takes a picture \(B, 2"),
    ],
)
def test_wrong_conditions_are_named(cls, change, words):
    x, level, cond = batch()
    cond = {k: v for k, v in {**cond, **change}.items() if v is not None}
    with pytest.raises(ReverieError, match=words):
        made(cls, declared=DECLARED)(x, level, cond)


@every_network
@pytest.mark.parametrize(
    "declared",
    [
        {"a": {"kind": "sound"}},
        {"a": {"kind": "label"}},
        {"a": {"kind": "label", "classes": 0}},
        {"a": {"kind": "label", "classes": 3, "size": 3}},
        {"a.b": {"kind": "number"}},
    ],
)
def test_wrong_declarations_are_named(cls, declared):
    with pytest.raises(ReverieError, match=f"Condition '{next(iter(declared))}'"):
        cls.sized("tiny", {"x": Block((1, 8, 8))}, declared)


@every_network
def test_a_sample_does_not_depend_on_its_neighbours(cls):
    network = made(cls, declared=DECLARED)
    x, level, cond = batch(64)
    with torch.no_grad():
        whole = network(x, level, cond)
        for n in (1, 7):
            part = network(x[:n], level[:n], {k: Condition(c.value[:n], c.present[:n]) for k, c in cond.items()})
            assert (part - whole[:n]).norm() <= 1e-5 * whole[:n].norm()


@every_network
def test_config_and_weights_are_all_of_it(cls):
    network = made(cls, declared=DECLARED)
    again = cls(**json.loads(json.dumps(network.config, sort_keys=True)))
    again.load_state_dict(network.state_dict())
    x, level, cond = batch()
    assert torch.equal(again.eval()(x, level, cond), network(x, level, cond))


@every_network
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 7, 13), (1, 1, 9), (3, 1, 1), (1, 24, 10)], ids=str)
def test_any_size_goes_in_and_comes_out(cls, shape):
    """And all of the output listens to all of the input: nothing is cut off with the padding."""
    network = made(cls, shape)
    x, level, _ = batch(1, shape)
    x.requires_grad_()
    out = network(x, level, {})
    assert out.shape == x.shape
    (heard,) = torch.autograd.grad(out.square().sum(), x)
    assert (heard != 0).all()


@every_network
def test_padding_changes_nothing_where_none_is_needed(cls):
    """A network on a picture is the same network on the picture already mirrored to the multiple, cropped."""
    network = made(cls)
    x, level, _ = batch(2, (1, 7, 15))
    torch.testing.assert_close(network(x, level, {}), network(padded(x, 8), level, {})[..., :7, :15])


@every_network
def test_double_precision_agrees_with_single(cls):
    network = made(cls, declared=DECLARED)
    x, level, cond = batch(dtype=torch.float64)
    single = network(x.float(), level.float(), cond)
    double = network.double()(x, level, cond)
    assert double.dtype == torch.float64
    assert (double - single).norm() < 1e-5 * double.norm()


@every_network
def test_channels_last_agrees(cls):
    network = made(cls, (3, 8, 8))
    x, level, _ = batch(shape=(3, 8, 8))
    expected = network(x, level, {})
    network = network.to(memory_format=torch.channels_last)
    out = network(x.to(memory_format=torch.channels_last), level, {})
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@every_network
def test_gradients_are_those_of_the_output(cls):
    """Finite differences in double precision along random directions, through every hand-made fusion."""
    network = made(cls, (1, 4, 4)).double()
    x, level, _ = batch(2, (1, 4, 4), dtype=torch.float64)
    given = x.requires_grad_(), level.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, s: network(x, s, {}), given, fast_mode=True)


@every_network
def test_wrong_input_is_named(cls):
    network = made(cls)
    with pytest.raises(ReverieError, match=r"takes .* \(B, 1, .*found \(2, 3, 8, 8\)"):
        network(torch.zeros(2, 3, 8, 8), torch.zeros(2), {})
    with pytest.raises(ReverieError, match="found"):
        network(torch.zeros(2, 1, 8), torch.zeros(2), {})
    with pytest.raises(ReverieError, match="tiny, small, base, large"):
        cls.sized("huge", {"x": Block((1, 8, 8))})
    with pytest.raises(ReverieError, match="shape"):
        cls.sized("tiny", {"x": Block((1,))})


@every_network
def test_the_dial_turns_one_way(cls):
    for shape in [(1, 8, 8), (3, 32, 32), (3, 64, 64)]:
        with torch.device("meta"):
            counts = [
                sum(p.numel() for p in cls.sized(s, {"x": Block(shape)}).parameters())
                for s in ("tiny", "small", "base", "large")
            ]
        assert all(b > 2.5 * a for a, b in zip(counts, counts[1:], strict=False)), counts


def test_unet_sizes_are_as_promised():
    def millions(size, shape):
        with torch.device("meta"):
            return sum(p.numel() for p in UNet.sized(size, {"x": Block(shape)}).parameters()) / 1e6

    for shape in [(1, 8, 8), (3, 32, 32)]:
        assert 0.2 <= millions("tiny", shape) <= 0.4
        assert 1.0 <= millions("small", shape) <= 1.4
        assert 8 <= millions("base", shape) <= 16
        assert 60 <= millions("large", shape) <= 100


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unet_in_every_dimension_sees_far_and_in_order(dims):
    shape = (2, *[8] * dims)
    network = made(UNet, shape, {"label": {"kind": "label", "classes": 5}, "scan": {"kind": "image", "channels": 1}})
    x = torch.randn(2, *shape)
    cond = {"label": Condition.of(torch.tensor([1, 2])), "scan": Condition.of(torch.randn(2, 1, *[3] * dims))}
    out = network(x, torch.zeros(2), cond)
    assert out.shape == x.shape
    assert (out - network(x.flip(-1), torch.zeros(2), cond).flip(-1)).abs().max() > 1e-3


def test_a_2d_network_on_a_row_is_a_1d_network():
    """On pictures of one row, repeated by padding, kernels that say something in their middle row alone act as 1-D ones."""
    options = {"channels": 1, "width": 16, "multipliers": (1, 2), "blocks": 1, "attention": (1,), "head_dim": 16}
    flat, line = awake(UNet(dims=2, **options)), awake(UNet(dims=1, **options))
    weights = line.state_dict()
    for name, w in flat.state_dict().items():
        if w.ndim == 4:
            middle = torch.zeros_like(w)
            middle[:, :, w.shape[2] // 2] = weights[name]
            weights[name] = middle
    flat.load_state_dict(weights)
    x, level = torch.randn(3, 1, 12), torch.randn(3)
    torch.testing.assert_close(flat(x[:, :, None], level, {})[:, :, 0], line(x, level, {}), rtol=1e-4, atol=1e-5)


def test_unet_without_attention_moves_with_its_input():
    """Moving a thing by the coarsest step moves the output: convolutions know no place.

    The output listens some 30 pixels around. The ground is wide enough for border and thing to stay apart, so that the
    statistics of GroupNorm, which sees all of the picture, are the same too.
    """
    network = awake(UNet(1, width=8, multipliers=(1, 1), blocks=1, attention=())).double()
    x = torch.zeros(1, 1, 160, 160, dtype=torch.float64)
    x[..., 78:82, 78:82] = torch.randn(4, 4)
    with torch.no_grad():
        out, moved = (network(v, torch.zeros(1, dtype=torch.float64), {}) for v in (x, x.roll((2, 4), (2, 3))))
    torch.testing.assert_close(out[..., 60:100, 60:100], moved[..., 62:102, 64:104], rtol=1e-9, atol=1e-12)
    assert (out[..., 60:100, 60:100] - moved[..., 60:100, 60:100]).abs().max() > 0.1


def test_recomputing_gives_the_same_gradients():
    options = {"channels": 1, "width": 16, "multipliers": (1, 2), "blocks": 1, "attention": (1,), "head_dim": 32}
    plain, saving = awake(UNet(**options)), UNet(**options, checkpoint=True)
    saving.load_state_dict(plain.state_dict())
    x, level, _ = batch()
    for network in (plain, saving):
        network(x, level, {}).square().sum().backward()
    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name)


def test_dropout_acts_in_training_alone():
    network = awake(UNet(1, width=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.5))
    x, level, _ = batch()
    assert torch.equal(network(x, level, {}), network(x, level, {}))
    network.train()
    assert not torch.equal(network(x, level, {}), network(x, level, {}))


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"dims": 4}, "dims = 4"),
        ({"width": 20}, "multiple of 8"),
        ({"multipliers": ()}, "multipliers"),
        ({"attention": (3,)}, "levels 0 to 2"),
        ({"attention": (1,), "head_dim": 48}, "head_dim = 48 does not divide the 128"),
    ],
)
def test_arguments_that_make_no_network_are_named(wrong, words):
    with pytest.raises(ReverieError, match=words):
        UNet(1, **wrong)


def test_adaptive_norm_is_groupnorm_then_scale_and_shift():
    norm, x = AdaptiveGroupNorm(16), torch.randn(3, 16, 5, 7)
    scale, shift = torch.randn(3, 16), torch.randn(3, 16)
    expected = nn.GroupNorm(2, 16, affine=False)(x) * scale[:, :, None, None] + shift[:, :, None, None]
    torch.testing.assert_close(norm(x, scale, shift), expected)


def test_attention_is_the_softmax_formula():
    torch.manual_seed(0)
    layer, x = awake(Attention(64, head_dim=32)), torch.randn(2, 64, 3, 5)
    rows = layer.norm(x).flatten(2).transpose(1, 2)
    out = torch.zeros_like(rows)
    for b in range(2):
        q, k, v = (rows[b] @ layer.qkv.weight.T + layer.qkv.bias).split(64, dim=1)
        heads = []
        for h in (slice(0, 32), slice(32, 64)):
            weights = torch.exp(q[:, h] @ k[:, h].T / math.sqrt(32))
            heads.append(weights / weights.sum(1, keepdim=True) @ v[:, h])
        out[b] = torch.cat(heads, dim=1) @ layer.out.weight.T + layer.out.bias
    torch.testing.assert_close(layer(x), x + out.transpose(1, 2).view(x.shape), rtol=1e-4, atol=1e-5)


def test_attention_without_places_does_not_care_about_order():
    """It is a map of sets: permuting pixels permutes the output."""
    order = torch.randperm(16)
    for layer in (awake(Attention(32, 32)), SelfAttention(32).eval()):
        x = torch.randn(2, 32, 4, 4)
        moved = layer(x.flatten(2)[..., order].view(x.shape)).flatten(2)
        torch.testing.assert_close(moved, layer(x).flatten(2)[..., order], rtol=1e-4, atol=1e-5)


def test_time_encodings_are_their_formulas():
    level = torch.tensor([-1.3, 0.0, 2.5], dtype=torch.float64)
    code, features = encode_time(level, 8), LevelFeatures(8)(level)
    for b, value in enumerate(level.tolist()):
        for k in range(4):
            assert code[b, k] == pytest.approx(math.sin(200 * value / 10000 ** (2 * k / 8)))
            assert code[b, 4 + k] == pytest.approx(math.cos(200 * value / 10000 ** (2 * k / 8)))
            assert features[b, k] == pytest.approx(math.cos(0.5 * 64 ** (k / 3) * value))
            assert features[b, 4 + k] == pytest.approx(math.sin(0.5 * 64 ** (k / 3) * value))


def test_mirror_is_that_of_numpy():
    """numpy's reflect also goes on past the other end; a single entry is repeated."""
    import numpy as np

    x = torch.arange(3.0).expand(1, 1, 1, 3)
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), (0, 7), (0, 5)], mode="reflect")
    assert np.array_equal(padded(x, 8).numpy(), expected)
    assert padded(x, 1) is x
