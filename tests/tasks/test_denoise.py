"""Denoising where the truth is known: the posterior's mean and draws, and the noise level itself."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import reverie
from reverie.core.schedules import EDM, Cosine
from reverie.errors import ReverieError
from reverie.tasks.denoise import denoise
from tests.tasks.field import COVARIANCE, SIDE, as_items, as_x, draw, field_model
from tests.toy import bars

EYE = torch.eye(SIDE**2, dtype=torch.float64)


def noisy(count, sigma, seed=1):
    x = draw(count)
    return x, x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", [EDM(), Cosine()], ids=["edm", "cosine"])
def test_the_mean_is_the_posterior_s_under_every_schedule(schedule):
    model = field_model(schedule=schedule)
    _, y = noisy(5, 0.2)
    truth, _ = model.denoiser.truth.given(EYE, y, 0.2)
    made = denoise(model, as_items(y), sigma="0.2", samples=1, steps=2, batch=3)
    assert torch.allclose(as_x(made.means), truth, atol=1e-5)


def test_draws_have_the_posterior_s_mean_and_spread():
    model, n = field_model(), 300
    _, y = noisy(1, 0.2)
    truth, covariance = model.denoiser.truth.given(EYE, y, 0.2)
    x = as_x(denoise(model, as_items(y), sigma="0.2", samples=n, batch=n)[0])
    error = (x.mean(0) - truth[0]).flatten() / (covariance.diagonal() / n).sqrt()
    assert float(error.square().mean()) < 2
    assert float(x.var(0).sum() / covariance.trace()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_the_noise_level_found_is_the_likeliest(sigma):
    """In the covariance's own axes u is normal of variance value + n^2, and the likeliest n is found on a fine grid."""
    _, y = noisy(60, sigma)
    made = denoise(field_model(), as_items(y), samples=1, steps=1)
    found = torch.tensor([own["sigma"] for own in made.each])
    values, basis = torch.linalg.eigh(COVARIANCE)
    u, levels = y.flatten(1) @ basis, torch.logspace(-2, 0, 800, dtype=torch.float64)
    total = values + levels[:, None] ** 2
    likely = -(u[:, None] ** 2 / total + total.log()).sum(-1)
    assert float((found / levels[likely.argmax(1)]).log().abs().median()) < 0.05
    assert float((found / levels[likely.argmax(1)]).log().mean()) == pytest.approx(0, abs=0.02)


def test_draws_do_not_depend_on_how_many_or_beside_what():
    model = field_model()
    _, y = noisy(3, 0.2)
    many = denoise(model, as_items(y), sigma="0.2", samples=3, steps=4, seed=7, batch=2)
    few = denoise(model, as_items(y)[:2], sigma="0.2", samples=1, steps=4, seed=7)
    assert np.allclose(few[1][0], many[1][0], atol=1e-6)
    assert not np.allclose(many[1][0], many[1][1], atol=1e-3)


def test_files_say_how_they_were_made(toy, tmp_path):
    made = denoise(toy, bars(2)[0], sigma="0.3", samples=2, label="0,1", guidance=2, steps=2, seed=-1)
    paths = made.save(tmp_path, {"model": "here"})
    assert [p.name for p in paths[:3]] == ["00000-input[0]-0.png", "00000-input[0]-1.png", "00000-input[0]-mean.png"]
    said = json.loads(Image.open(paths[1]).text["reverie"])
    expected = {"verb": "denoise", "sigma": 0.3, "label": "1", "guidance": 2, "steps": 2, "draw": 1, "model": "here"}
    assert expected.items() <= said.items()
    assert said["reverie"] == reverie.__version__
    again = denoise(toy, bars(2)[0], sigma="0.3", samples=2, label="0,1", guidance=2, steps=2, seed=said["seed"])
    assert np.array_equal(np.asarray(Image.open(paths[1])), again[0][1][..., 0])
    assert "sigma = 0.3" in " ".join(made.lines())
    assert made.sheet().width > 4 * 48


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": "lots"}, "--sigma lots: give a number above 0"),
        ({"sigma": "0"}, "above 0"),
        ({"sigma": "nan"}, "above 0"),
        ({"samples": 0}, "0 samples"),
        ({"label": "7"}, "no label '7'"),
        ({"guidance": 2.0}, "add --label"),
        ({"steps": 0}, "steps = 0"),
    ],
    ids=str,
)
def test_bad_options_are_one_line(toy, options, words):
    with pytest.raises(ReverieError, match=words):
        denoise(toy, bars(1)[0], **options)


def test_what_does_not_fit_the_model_is_refused(toy, tokens):
    with pytest.raises(ReverieError, match="8x8 grey uint8 is needed"):
        denoise(toy, bars(1, 10)[0])
    with pytest.raises(ReverieError, match="tokens"):
        denoise(tokens, bars(1)[0])
    with pytest.raises(ReverieError, match="NaN"):
        denoise(field_model(), np.full((1, SIDE, SIDE, 1), np.nan, np.float32))
    model = field_model()
    model.record["settings"] = {"coupling": "optimal-transport"}
    with pytest.raises(ReverieError, match="coupling"):
        denoise(model, as_items(draw(1)))


@pytest.mark.slow
def test_a_trained_model_s_mean_is_within_a_third_of_a_decibel_of_the_exact_one():
    """Of a Gaussian field, whose posterior mean is a matrix times the item; 500 fresh draws at two noise levels."""
    items = as_items(draw(10_000, seed=3))
    model = reverie.train(items, size="tiny", steps=300, batch=64, threads=1, device="cpu")
    half = (model.codec.high - model.codec.low) / 2
    x = draw(500, seed=4)
    for sigma in (0.1, 0.3):
        own = sigma * half
        y = x + own * torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        exact, _ = field_model().denoiser.truth.given(EYE, y, own)
        found = as_x(denoise(model, as_items(y), sigma=str(sigma), samples=1, steps=1).means)
        short = 10 * torch.log10((found - x).square().mean() / (exact - x).square().mean())
        assert float(short) < 0.3
