"""encode and decode: the latents of a Gaussian are known, and what goes up comes down."""

import json

import numpy as np
import pytest
import torch

import reverie
from reverie.core.noise import Noise
from reverie.errors import ReverieError
from reverie.tasks.decode import decode
from reverie.tasks.encode import encode
from reverie.tasks.parts.latents import FILE, Latents, Solver, carried, errors
from reverie.tasks.parts.told import wish
from tests.tasks.exact import MEANS, SD, Means, exact_model, latent_of, token_model
from tests.toy import bars


class Bent(Means):
    """A network on whose path nothing is straight."""

    def forward(self, x, level, cond):
        return super().forward(x, level, cond) + 0.4 * torch.tanh(2 * x)


@pytest.fixture(scope="module")
def model():
    return exact_model(dtype="float32")


@pytest.fixture(scope="module")
def items():
    return np.random.default_rng(0).normal(0, SD, (6, 8, 8, 1)).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("way", [{"steps": 18}, {"tolerance": 1e-4}])
def test_the_latent_of_a_gaussian_is_the_item_in_units_of_its_spread(model, items, way):
    made = encode(model, items, **way)
    np.testing.assert_allclose(made.z, latent_of(np.moveaxis(items, 3, 1)), atol=2e-3)


def test_with_its_label_told_the_class_is_not_in_the_latent(model, items):
    """Both classes have one law about their means, so that an item moved by their distance has nearly the same latent."""
    low, high = (encode(model, items * 0.5 + MEANS[k], label=k, steps=64).z for k in ("low", "high"))
    plain = encode(model, items * 0.5 + MEANS["low"], steps=64).z
    assert np.abs(low - high).max() < 1e-2
    assert np.abs(plain - high).mean() > 0.5


def test_decode_gives_items_back_the_more_exactly_the_more_steps_it_takes(items):
    """A network whose path is bent: the error of a round trip falls at order 2."""
    model = exact_model(dtype="float32")
    model.denoiser.network = Bent(MEANS.values())
    x = torch.from_numpy(np.moveaxis(items, 3, 1)).clone()
    worst, low = [], wish(model, 6, {"label": ["low"] * 6}).cond
    for steps in (8, 16, 32):
        solver = Solver(steps)
        up = carried(model, solver.up, x, low)
        worst.append(errors(x, carried(model, solver.down, up, low))[0])
    assert np.log2(worst[0] / worst[2]) / 2 > 1.7


def test_files_carry_all_that_decoding_needs(tmp_path):
    model, given = exact_model(), bars(5)[0]
    made = encode(model, given, label="high")
    paths = made.save(tmp_path / "latents", {"model": "here"})
    assert [p.name for p in paths] == [FILE, "latents.json"]
    about = json.loads(paths[1].read_text())
    assert about["names"] == [f"input[{k}]" for k in range(5)]
    assert about["steps"] == 64
    assert about["reverie"] == reverie.__version__
    for way in (tmp_path / "latents", paths[0]):
        again = decode(model, way)
        assert np.array_equal(np.stack(again.items), given)
    made.z = made.z.astype(np.float64)  # as arithmetic on latents leaves it
    assert np.array_equal(decode(model, made)[0], given[0])
    back = again.save(tmp_path / "again")
    assert len({p.name for p in back}) == 5


def test_nothing_depends_on_the_batch(model, items):
    assert np.allclose(encode(model, items, batch=4).z, encode(model, items).z, rtol=1e-5, atol=1e-5)


def test_the_latents_of_noise_are_that_noise(model):
    """Down and up again: what the ODE makes of a standard normal has it as its latent."""
    z = Noise.of(3, 2).normal(0, torch.empty(2, 1, 8, 8))
    found = decode(model, Latents(z.numpy(), ["a", "b"], {}, Solver(), reverie.storage.fingerprint(model)))
    again = encode(model, np.stack(found.items)).z
    inside = np.abs(z.numpy()) < 3.9  # which the codec's range holds
    np.testing.assert_allclose(again[inside], z.numpy()[inside], atol=1e-3)


def test_what_does_not_fit_is_one_message(model, items, tmp_path):
    tokens = token_model()
    made = encode(model, items, steps=2)
    made.save(tmp_path / "z")
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    other = exact_model()
    wide = Latents(np.zeros((1, 1, 4, 4), np.float32), ["a"], {}, Solver(), made.model)
    bad = items.copy()
    bad[2, 0, 0] = np.nan
    for words, act in {
        "Gaussian process": lambda: encode(tokens, bars(2)[0]),
        "another model": lambda: decode(_moved(other), tmp_path / "z"),
        "no latents": lambda: decode(model, tmp_path / "bad.npz"),
        "There are no latents": lambda: decode(model, tmp_path / "nowhere"),
        r"\(1, 4, 4\) each": lambda: decode(model, wide),
        "no label 'red'": lambda: encode(model, items, label="red"),
        "NaN": lambda: encode(model, bad),
        "6x6": lambda: encode(model, items[:, :6, :6]),
        "steps = 0": lambda: encode(model, items, steps=0),
        "not both": lambda: encode(model, items, steps=3, tolerance=1e-3),
        "tolerance = 2": lambda: encode(model, items, tolerance=2.0),
    }.items():
        with pytest.raises(ReverieError, match=words):
            act()


def _moved(model):
    """The same kind of model with other weights."""
    with torch.no_grad():
        model.denoiser.network.none += 0.1
    return model
