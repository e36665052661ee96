"""interpolate: on a Gaussian the way between two items is known in closed form."""

import numpy as np
import pytest
import torch
from PIL import Image

from reverie.errors import ReverieError
from reverie.tasks.interpolate import interpolate, slerp
from tests.tasks.exact import MEANS, SD, exact_model, token_model
from tests.toy import bars


@pytest.fixture(scope="module")
def model():
    return exact_model(dtype="float32")


def two(seed=0):
    return np.random.default_rng(seed).normal(0, SD, (2, 8, 8, 1)).clip(-1, 1).astype(np.float32)


def test_slerp_turns_evenly_and_keeps_the_norm():
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    found = slerp(a, b, torch.linspace(0, 1, 4, dtype=torch.float64))
    angles = torch.deg2rad(torch.tensor([0.0, 30.0, 60.0, 90.0]))
    assert torch.allclose(found, 3 * torch.stack([angles.cos(), angles.sin()], 1), atol=1e-6)
    assert torch.allclose(slerp(a, a, torch.tensor([0.3])), a)


def test_the_frames_between_two_items_are_the_slerp_of_the_items(model):
    """The ODE of a centred Gaussian is a scaling, which slerp commutes with."""
    a, b = two()
    made = interpolate(model, a, b, frames=5)
    expected = slerp(torch.from_numpy(a[None]), torch.from_numpy(b[None]), torch.linspace(0, 1, 5)).numpy().clip(-1, 1)
    np.testing.assert_allclose(np.stack(made.items), expected, atol=2e-3)
    assert "comes back" in made.lines()[1]


def test_between_labels_the_mean_goes_over_evenly_and_the_rest_stays(model):
    made = interpolate(model, "label:low", "label:high", frames=5, seed=4)
    moved = np.stack(made.items) - made.items[0]
    inside = np.abs(np.stack(made.items)).max(0) < 1
    for f, one in zip(np.linspace(0, 1, 5), moved, strict=True):
        np.testing.assert_allclose(one[inside], f * (MEANS["high"] - MEANS["low"]), atol=5e-3)


def test_the_end_of_a_seed_is_the_sample_of_that_seed(model):
    made = interpolate(model, "seed:3", "seed:7", frames=2, label="low")
    for seed, item in zip((3, 7), made, strict=True):
        drawn = model.sample(1, label="low", seed=seed, steps=64)[0]
        np.testing.assert_allclose(item, drawn, atol=5e-3)


def test_files_are_read_and_frames_a_film_and_a_strip_are_written(tmp_path):
    model, items = exact_model(), bars(2)[0]
    for k, item in enumerate(items):
        Image.fromarray(item[..., 0]).save(tmp_path / f"{k}.png")
    made = interpolate(model, str(tmp_path / "0.png"), str(tmp_path / "1.png"), frames=4)
    paths = made.save(tmp_path / "way", {"model": "here"})
    assert [p.name for p in paths] == [f"frame-{k:04d}.png" for k in range(4)]
    assert np.array_equal(np.asarray(Image.open(paths[0])), items[0, ..., 0])
    assert np.array_equal(np.asarray(Image.open(paths[3])), items[1, ..., 0])
    with Image.open(tmp_path / "way.gif") as film:
        assert film.n_frames == 4
    assert made.sheet().width > 4 * 48
    again = interpolate(model, str(tmp_path / "0.png"), str(tmp_path / "1.png"), frames=4)
    assert all(np.array_equal(p, q) for p, q in zip(made, again, strict=True))


def test_what_does_not_fit_is_one_message(model):
    a, b = two()
    tokens = token_model()
    for words, act in {
        "frames 1": lambda: interpolate(model, a, b, frames=1),
        "seed is a whole number": lambda: interpolate(model, "seed:x", "seed:3"),
        "no label 'red'": lambda: interpolate(model, "label:red", "label:low"),
        "goes with another label": lambda: interpolate(model, "label:low", "seed:3"),
        "the ends are values of 'label'": lambda: interpolate(model, "label:low", "label:high", label="low"),
        "holds 2 items": lambda: interpolate(model, two(), b),
        "no file word:3, and no condition 'word'": lambda: interpolate(model, "word:3", b),
        "Gaussian process": lambda: interpolate(tokens, "seed:1", "seed:2"),
        "6x6": lambda: interpolate(model, two()[:1, :6, :6], b),
    }.items():
        with pytest.raises(ReverieError, match=words):
            act()
