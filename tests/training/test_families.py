"""Every family, by name, from the command line's choices to samples; and what does not go together."""

import numpy as np
import pytest
import torch

import reverie
from reverie import registry
from reverie.errors import ReverieError
from reverie.training.settings import TrainSettings
from tests.toy import data

FAMILIES = {k: f for k, f in registry.registered("families").items() if f().reads != "fields"}  # these are of tables
FAST = {"steps": "2", "batch": 8, "size": "tiny", "threads": 1}


QUICK = ("edm", "masked")  # one of numbers, one of tokens


@pytest.fixture(scope="module", params=[k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in FAMILIES])
def model(request):
    return reverie.train(data(), family=request.param, **FAST)


def test_a_family_trains_samples_and_comes_back_the_same(model, tmp_path):
    """What it was trained as is saved: the loaded model draws the same items, and they are items of the data's kind."""
    drawn = model.sample(3, steps=4, seed=1)
    again = reverie.load(model.save(tmp_path / "model")).sample(3, steps=4, seed=1)
    assert np.array_equal(drawn.x, again.x)
    assert drawn[0].shape == (8, 8, 1)
    assert drawn[0].dtype == np.uint8


def test_a_family_samples_as_it_says(model):
    """Sampler, grid and steps are the family's, and the schedule what it names."""
    family = FAMILIES[model.record["settings"]["family"]]()
    defaults = model.defaults
    assert (defaults.sampler, defaults.grid) == (family.sampler, family.grid)
    assert defaults.steps == (family.steps or registry.find("samplers", family.sampler).usual_steps)
    assert type(model.denoiser.process) is registry.find("processes", family.process)
    room = "schedules" if family.process == "gaussian" else "survivals"
    assert model.denoiser.process.schedule == registry.build(room, family.schedule)


@pytest.mark.slow
def test_a_choice_overrides_the_familys():
    model = reverie.train(data(), family="ddpm", schedule="cosine", parameterisation="v", sampler="heun", **FAST)
    assert registry.name_of(type(model.denoiser.process.schedule)) == "cosine"
    assert registry.name_of(type(model.denoiser.parameterisation)) == "v"
    assert (model.defaults.sampler, model.defaults.grid, model.defaults.steps) == ("heun", "trailing", 18)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["masked", "uniform"])
def test_tokens_refuse_what_is_gaussian(name):
    for choice in (
        {"parameterisation": "eps"},
        {"coupling": "optimal-transport"},
        {"weighting": "snr"},
        {"times": "log-normal"},
        {"architecture": "unet"},
    ):
        with pytest.raises(ReverieError, match=f"--family {name}"):
            TrainSettings.of({"family": name, **choice})
    with pytest.raises(ReverieError, match="survivals"):
        TrainSettings.of({"family": name, "schedule": "edm"})
    model = reverie.train(data(), family=name, **FAST)
    with pytest.raises(ReverieError, match="needs a Gaussian process"):
        model.sample(1, sampler="heun")
    with pytest.raises(ReverieError, match="only a Gaussian one can change its schedule"):
        model.sample(1, schedule="cosine")


@pytest.mark.slow
def test_another_schedule_after_training_walks_the_same_ode():
    """Trained under EDM's schedule; in u and n the ODE is one, so Heun on one grid of n ends where it did."""
    model = reverie.train(data(), **FAST)
    expected = model.sample(4, steps=8, grid="karras:n_max=20", seed=2).x
    for schedule in ("cosine", "rectified-flow", "linear-beta"):
        found = model.sample(4, steps=8, grid="karras:n_max=20", seed=2, schedule=schedule).x
        assert np.allclose(found, expected, atol=2e-3), schedule


@pytest.mark.slow
def test_coupling_is_a_choice_that_changes_the_run_and_nothing_of_the_noise():
    one, other = (
        reverie.train(data(), family="flow", coupling=c, **FAST) for c in ("independent", "optimal-transport")
    )
    a, b = (torch.cat([p.flatten() for p in m.denoiser.parameters()]) for m in (one, other))
    assert not torch.equal(a, b)


@pytest.mark.slow
def test_samplers_that_draw_noise_are_refused_where_the_prediction_is_no_score():
    """On N(0, 1) paired with its own noise ancestral steps shrink the spread to 0.6, while the ODE keeps it."""
    with pytest.raises(ReverieError, match="no score, which --sampler ancestral needs"):
        TrainSettings.of({"family": "ddpm", "coupling": "optimal-transport"})
    model = reverie.train(data(), family="flow", coupling="optimal-transport", **FAST)
    with pytest.raises(ReverieError, match="knows the flow's ODE and no score; the sampler Ancestral"):
        model.sample(1, sampler="ancestral")
    assert len(model.sample(1, sampler="dpmpp-2m", steps=3)) == 1


@pytest.mark.slow
def test_a_sampler_brings_the_steps_and_the_grid_that_suit_it():
    """One integration from noise to almost none for the adaptive solver, whatever grid the family walks on."""
    model = reverie.train(data(), family="flow", **FAST)
    assert model.defaults.given(sampler="adaptive").grid == "karras"
    assert model.defaults.given(sampler="adaptive").steps == 2
    assert model.defaults.given(sampler="adaptive", grid="uniform").grid == "uniform"
    assert model.defaults.given(grid="sigmas:values=80/10/1/0.1").steps == 4
    with pytest.raises(ReverieError, match="has 4 steps, not 30"):
        model.defaults.given(grid="sigmas:values=80/10/1/0.1", steps=30)
    assert model.defaults.given(sampler="Heun:churn=1").steps == model.defaults.steps


@pytest.mark.slow
def test_what_sampling_cannot_do_is_said_before_training_and_no_run_is_lost_to_a_picture(tmp_path):
    with pytest.raises(ReverieError, match="n_min"):
        reverie.train(data(), family="ncsn", schedule="edm:sigma_max=0.005", **FAST)
    model = reverie.train(data(), tmp_path / "run", sampler="adaptive:max_nfe=20", **FAST)
    assert "no pictures at step" in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert reverie.load(tmp_path / "run").parameters == model.parameters


@pytest.mark.slow
def test_a_chain_of_another_length_is_walked_on_its_own_steps():
    model = reverie.train(data(), family="ddpm", schedule="linear-beta-chain:T=50", **FAST)
    assert (model.defaults.grid, model.defaults.steps) == ("trailing:T=50", 50)
