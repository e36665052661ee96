"""The network of rows: says nothing at first, sees every field, never says a class that an entry has not."""

import pytest
import torch

from reverie.core.denoiser import NetworkDenoiser, ProductDenoiser, TokenDenoiser
from reverie.core.noise import Noise
from reverie.core.parameterisation import EDM as F
from reverie.core.processes import Gaussian, Masked, Product
from reverie.core.schedules import LogNormal
from reverie.core.weighting import Uniform
from reverie.errors import ReverieError
from reverie.example import Condition, Example
from reverie.networks.base import Block
from reverie.networks.mlp import MLP

BLOCKS = {"numbers": Block((3,)), "classes2": Block((2,), 2, 3, (2, 2)), "classes8": Block((2,), 8, 9, (5, 8))}
DECLARED = {"target": {"kind": "label", "classes": 4}, "age": {"kind": "number", "size": 1}}


def made(seed=0):
    """A network whose silent layers have been given values, as after some training."""
    torch.manual_seed(seed)
    network = MLP.sized("tiny", BLOCKS, DECLARED)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.normal_(0, 0.2)
    return network.eval()


def batch(n=6):
    g = torch.Generator().manual_seed(1)
    x = {"numbers": torch.randn(n, 3, generator=g)}
    x |= {k: torch.randint(0, min(BLOCKS[k].sizes), (n, 2), generator=g) for k in ("classes2", "classes8")}
    cond = {
        "target": Condition.of(torch.randint(0, 4, (n,), generator=g)),
        "age": Condition.of(torch.randn(n, generator=g)),
    }
    return x, torch.randn(n, generator=g), cond


def test_starts_out_saying_nothing_and_all_classes_are_as_likely():
    torch.manual_seed(0)
    x, level, cond = batch()
    out = MLP.sized("tiny", BLOCKS, DECLARED)(x, level, cond)
    assert not out["numbers"].any()
    share = out["classes8"].detach().softmax(1)
    assert torch.allclose(share[:, :5, 0], torch.full((6, 5), 0.2))
    assert float(share[:, 5:, 0].max()) == 0
    assert torch.allclose(share[:, :, 1], torch.full((6, 8), 0.125))


@pytest.mark.parametrize("field", BLOCKS)
def test_every_field_and_condition_is_seen_by_every_output(field):
    network, (x, level, cond) = made(), batch()
    out = network(x, level, cond)
    other = {**x, field: 1 - x[field] if field == "classes2" else x[field].roll(1, 1)}
    told = {**cond, "target": Condition.of((cond["target"].value + 1) % 4)}
    for changed in (network(other, level, cond), network(x, level, told), network(x, level + 1, cond)):
        for name in BLOCKS:
            assert not torch.allclose(changed[name], out[name], atol=1e-4), name


def test_columns_have_rows_of_their_own():
    """The same value in two columns of a block says two things."""
    network, (x, level, _) = made(), batch(1)
    one = {**x, "classes8": torch.tensor([[1, 2]])}
    other = {**x, "classes8": torch.tensor([[2, 1]])}
    assert not torch.allclose(network(one, level, {})["numbers"], network(other, level, {})["numbers"], atol=1e-3)


def test_is_made_again_from_its_config():
    network, (x, level, cond) = made(), batch()
    again = MLP(**network.config)
    again.load_state_dict(network.state_dict())
    for a, b in zip(network(x, level, cond).values(), again(x, level, cond).values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MLP.sized("huge", BLOCKS), "tiny, small, base, large"),
        (lambda: MLP({"a": {"shape": [2], "classes": 4, "states": 3}}, 8, 1), "'a' cannot be"),
        (lambda: MLP({"a": {"shape": [2], "classes": 4, "states": 5, "sizes": [4, 5]}}, 8, 1), "'a' cannot be"),
        (lambda: MLP.sized("tiny", BLOCKS, {"scan": {"kind": "image", "channels": 1}}), "no pictures"),
        (lambda: made()({"numbers": torch.zeros(2, 3)}, torch.zeros(2), {}), "takes the fields numbers, classes2, classes8"),
        (lambda: made()({**batch()[0], "classes2": torch.full((6, 2), 3)}, torch.zeros(6), {}), "Tokens from 3 to 3"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_named(make, words):
    with pytest.raises(ReverieError, match=words):
        make()


class Apart(torch.nn.Module):
    """One network for each field, seeing that field alone."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.3))

    def forward(self, x, level, cond):
        return {k: self.one(v, level) for k, v in x.items()}

    def one(self, x, level):
        if x.is_floating_point():
            return self.scale * x + level[:, None]
        return self.scale * torch.nn.functional.one_hot(x, 9)[..., :8].float().movedim(-1, 1) + level[:, None, None]


class Alone(torch.nn.Module):
    """The same of one field."""

    def __init__(self, whole, process):
        super().__init__()
        self.whole, self.process = whole, process

    def forward(self, x, level, cond):
        return self.whole.one(x, self.level)


def test_a_product_is_its_fields_and_its_loss_the_mean_over_entries():
    """Against the two denoisers of one field, given what each would have been told of the time."""
    schedule = LogNormal()
    numbers, tokens = Gaussian(schedule, torch.tensor([0.5, -1.0, 0.0])), Masked(8)
    whole, target = Apart(), F(1.0)
    both = ProductDenoiser(whole, Product({"numbers": numbers, "tokens": tokens}), target, 1.0)
    singles = {
        "numbers": NetworkDenoiser(Alone(whole, numbers), numbers, target, 1.0),
        "tokens": TokenDenoiser(Alone(whole, tokens), tokens),
    }
    g = torch.Generator().manual_seed(0)
    x0 = {"numbers": torch.randn(5, 3, generator=g), "tokens": torch.randint(0, 8, (5, 2), generator=g)}
    t = torch.linspace(0.2, 0.9, 5, dtype=torch.float64)
    eps = both.process.draw(Noise.of(0, 5), x0)
    level = both.readings["numbers"].level(t).float()
    for one in singles.values():
        one.network.level = level
    x_t = both.process.diffuse(x0, t, eps)
    found, errors = both(x_t, t), {}
    for name, one in singles.items():
        assert torch.allclose(found[name], one(x_t[name], t)), name
        errors[name] = one.loss(Example(x0[name]), t, eps[name], Uniform())
    expected = (3 * errors["numbers"] + 2 * errors["tokens"]) / 5
    assert torch.allclose(both.loss(Example(x0), t, eps, Uniform()).double(), expected.double())


def test_parts_are_called_as_often_for_400_columns_as_for_8():
    """Columns of one type are one block: what is called, module by module, does not grow with how many there are."""

    def called(columns):
        names = []
        blocks = {
            "numbers": Block((columns,)),
            "classes2": Block((columns,), 2, 3),
            "classes16": Block((columns,), 16, 17),
        }
        network = MLP.sized("tiny", blocks)
        for name, part in network.named_modules():
            part.register_forward_hook(lambda *_, name=name: names.append(name))
        x = {k: torch.zeros((2, columns), dtype=torch.float32 if k == "numbers" else torch.int64) for k in blocks}
        network(x, torch.zeros(2), {})
        return names

    assert called(133) == called(3)
