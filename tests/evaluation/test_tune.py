"""Tuning: the ratio is what the closed form gives, nothing bad is accepted, and writing changes the defaults alone."""

import json

import numpy as np
import pytest
import torch

from reverie import api, files, storage
from reverie.codecs.image import ImageCodec
from reverie.core.denoiser import TokenDenoiser
from reverie.core.grids import Karras
from reverie.core.noise import Noise
from reverie.core.processes import Masked
from reverie.core.schedules import EDM
from reverie.errors import ReverieError
from reverie.evaluation import tune as room
from reverie.evaluation.tune import Bench, Proof, every_way, ratio, tune
from reverie.evaluation.tuned import keep, tuned_in_words, undo
from reverie.metrics.frechet import Frechet
from reverie.model import Model
from reverie.samples import Settings
from tests.evaluation.exact import VARIANCE, Exact, Factor, Pixels, exact_model, knowing, real

N = 120
V = VARIANCE.double().numpy()


def bench(n=N, seed=0):
    return Bench.of(exact_model(), real(400), n, seed, Pixels(), lambda *_: None)


@pytest.fixture
def short(monkeypatch):
    """A reference of 80 steps, where what is tested is not the reference."""
    monkeypatch.setattr(room, "REFERENCE_STEPS", 80)


@pytest.fixture(scope="module")
def proof():
    made = bench()
    return Proof(made, every_way(made.model)[0], 1)


@pytest.mark.parametrize("steps", [3, 6])
def test_the_ratio_is_what_the_exact_marginals_give(proof, steps):
    """The ODE takes the prior's z to sqrt(v) z; DDIM to a known multiple. 1,000 steps and the network add nothing seen."""
    found = proof.of(Settings(sampler="ddim", grid="karras", steps=steps))
    noises = EDM().noise(Karras().times(EDM(), steps)).numpy()
    z = Noise.of(1, N).normal(0, torch.empty(N, 1, 2, 2, dtype=torch.float64)).numpy()
    ddim = Factor(V).ddim(noises) * np.sqrt(V + noises[0] ** 2) * z
    flat = [x.reshape(N, -1) for x in (ddim, np.sqrt(V) * z)]
    way, reference = (Frechet()(proof.bench.real, x) for x in flat)
    assert found.distance == pytest.approx(way, rel=2e-3)
    assert found.ratio.value == pytest.approx(way / reference, rel=2e-3)
    assert way / reference > 1.05
    assert found.evaluations == steps


def test_the_reference_itself_has_ratio_one_exactly_and_is_accepted(monkeypatch, short):
    monkeypatch.setattr(room, "search", lambda b, ways, *_: iter([ways[0].settings.given(steps=80)]))
    found = tune(exact_model(), real(400), n=N, features=Pixels())
    assert found.chosen is not None
    assert (found.chosen.ratio.low, found.chosen.ratio.value, found.chosen.ratio.high) == (1, 1, 1)
    assert found.chosen.evaluations == 80


def test_two_euler_steps_are_never_accepted(monkeypatch, short):
    bad = Settings(sampler="euler", grid="karras", steps=2)
    monkeypatch.setattr(room, "search", lambda *_: iter([bad]))
    for seed in range(3):
        found = tune(exact_model(), real(400, seed), n=N, seed=seed, features=Pixels())
        assert found.chosen is None
        assert found.tried[0].ratio.value > 1.05
        assert "No way was shown" in found.lines()[-1]


@pytest.mark.slow
def test_what_is_chosen_is_as_good_in_truth_and_the_cheaper_was_tried(short):
    """The chosen's samples are fixed multiples of the ODE's; many new draws from both laws tell the expected ratio."""
    model, told = exact_model(), []
    found = tune(model, real(400), tolerance=0.2, n=N, features=Pixels(), told=lambda *a: told.append(a))
    assert found.chosen is not None
    assert found.chosen.ratio.high <= 1.2
    assert found.chosen.evaluations < 80
    assert model.defaults == Settings()
    settings = found.chosen.settings
    x = model.sample(N, steps=settings.steps, sampler=settings.sampler, grid=settings.grid, seed=5).x
    ode = model.sample(N, steps=200, sampler="dpmpp-2m", grid="karras", seed=5).x
    gain = (x * ode).sum(0) / (ode**2).sum(0)
    assert np.abs(x - gain * ode).max() < 1e-4
    rng, sums = np.random.default_rng(0), np.zeros(2)
    for _ in range(300):
        z, held = (rng.standard_normal((N, 4)) * np.sqrt(V.reshape(-1)) for _ in range(2))
        sums += [Frechet()(held, z * gain.reshape(-1)), Frechet()(held, z)]
    assert sums[0] / sums[1] <= 1.2
    assert all(t.ratio.high > 1.2 for t in found.tried[:-1])
    assert all(done <= total * (1 + 1e-9) for done, total, _ in told)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


@pytest.mark.slow
def test_the_interval_of_a_ratio_covers():
    """N(0, 0.64) beside N(0, 0.81), drawn from the same z as tuning does, against N(0, 1): the expected ratio at this n."""
    rng = np.random.default_rng(3)

    def sets():
        held, z = rng.standard_normal((60, 3)), rng.standard_normal((60, 3))
        return held, 0.8 * z, 0.9 * z

    draws = [sets() for _ in range(400)]
    far, near = (np.mean([Frechet()(one[0], one[k]) for one in draws]) for k in (1, 2))
    found = [ratio(*one, rng, 1.96, 30) for one in draws[:60]]
    assert np.mean([f.low <= far / near <= f.high for f in found]) >= 0.9


def test_costs_are_counted_and_guidance_is_looked_for_where_there_are_classes():
    plain = every_way(exact_model())
    assert {w.settings.guidance for w in plain} == {1.0}
    cost = {w.settings.sampler: (w.evaluations(10), w.evaluations(20)) for w in plain}
    assert cost == {"dpmpp-2m": (10, 20), "unipc": (10, 20), "ddim": (10, 20), "heun": (19, 39)}
    assert plain[0].settings.sampler == "dpmpp-2m"
    classes = exact_model(conditions=knowing("a", "b"), defaults=Settings(guidance=2.0))
    guided = {w.settings.guidance: w.evaluations(10) for w in every_way(classes) if w.settings.sampler == "unipc"}
    assert guided == {2.0: 20, 1.0: 10, 1.5: 20}
    heun = next(w for w in plain if w.settings.sampler == "heun")
    assert heun.at(8).steps == 4
    assert heun.at(2) is None


def test_tokens_have_their_own_samplers_and_grid():
    class Even(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x, level, cond):
            return torch.zeros(len(x), 4, *x.shape[1:]) + self.bias

    codec, own = ImageCodec(2, 2, "grey", 1, levels=4), Settings("ancestral", "uniform", 8)
    tokens = Model(codec, TokenDenoiser(Even(), Masked(4)), defaults=own)
    assert {(w.settings.sampler, w.settings.grid) for w in every_way(tokens)} == {
        ("ancestral", "uniform"),
        ("confidence", "uniform"),
    }


def test_keeping_changes_the_defaults_and_nothing_else(tmp_path, short, monkeypatch):
    best = Settings(sampler="unipc", grid="log-snr", steps=30)
    monkeypatch.setattr(room, "search", lambda *_: iter([best]))
    model = exact_model(record={"step": 3})
    run = model.save(tmp_path / "run")
    before, weights = files.read_json(run / "model.json"), files.sha256(run / storage.WEIGHTS)
    found = tune(model, real(400), n=N, features=Pixels(), tolerance=1.0)
    assert found.chosen is not None
    keep(run, found, weights)
    after = files.read_json(run / "model.json")
    tuned = after["training"].pop("tuned")
    assert after.pop("sampling") == best.to_json()
    assert before.pop("sampling") == Settings().to_json()
    assert after == before
    assert files.sha256(run / storage.WEIGHTS) == weights
    loaded = api.load(run, network=Exact())
    assert loaded.defaults == best
    same = model.sample(7, sampler="unipc", grid="log-snr", steps=30, seed=3).x
    np.testing.assert_array_equal(loaded.sample(7, seed=3).x, same)
    assert tuned == {**json.loads(json.dumps(found.record())), "when": tuned["when"], "reverie": tuned["reverie"]}
    assert "30 evaluations a sample (before 35)" in tuned_in_words(tuned)
    loaded.save(tmp_path / "again")
    assert files.read_json(tmp_path / "again" / "model.json")["training"]["tuned"] == tuned
    with pytest.raises(ReverieError, match="was changed while it was tuned"):
        keep(run, found, "another")


def test_tuning_is_undone_step_by_step_to_the_very_description_of_before(tmp_path, short, monkeypatch):
    run = exact_model(record={"step": 3}).save(tmp_path / "run")
    weights, described = files.sha256(run / storage.WEIGHTS), [(run / "model.json").read_bytes()]
    for seed, steps in enumerate((30, 24)):
        best = Settings(sampler="unipc", grid="log-snr", steps=steps)
        monkeypatch.setattr(room, "search", lambda *_, best=best: iter([best]))
        model = api.load(run, network=Exact())
        items = real(400)
        items.notes = ["CAUTION: seen"]
        found = tune(model, items, n=N, seed=10 * seed, features=Pixels(), tolerance=1.0)
        assert found.lines()[0] == "Note: CAUTION: seen"
        keep(run, found, weights)
        described.append((run / "model.json").read_bytes())
    assert api.load(run, network=Exact()).defaults.steps == 24
    for before in described[-2::-1]:
        now = undo(run)
        assert (run / "model.json").read_bytes() == before
        assert api.load(run, network=Exact()).defaults == now
    with pytest.raises(ReverieError, match="was not tuned, or that was undone"):
        undo(run)
    with pytest.raises(ReverieError, match="There is no"):
        api.untune(tmp_path / "nowhere")


def test_bad_input_is_refused_with_what_it_takes(tmp_path, monkeypatch):
    with pytest.raises(ReverieError, match=r"on 4 features, which takes 10 held-out items or more .* n is 9"):
        tune(exact_model(), real(9), features=Pixels())
    with pytest.raises(ReverieError, match="tolerance = 0;"):
        tune(exact_model(), real(40), tolerance=0, features=Pixels())
    with pytest.raises(ReverieError, match="classes of gaussian are not the model's"):
        tune(exact_model(conditions=knowing("a", "b")), real(40, classes=["a", "c"]), features=Pixels())
    run = exact_model().save(tmp_path / "run")
    gone = {"data": str(tmp_path / "gone"), "settings": {"held_out": "0.1"}}
    files.write_json(run / "run.json", gone)
    monkeypatch.setattr(api, "load", lambda *_, **__: exact_model())
    with pytest.raises(ReverieError, match="gone"):
        api.tune(run)


@pytest.mark.slow
def test_a_stop_on_the_way_leaves_the_model_as_it_was(tmp_path, monkeypatch):
    run = exact_model().save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    monkeypatch.setattr(api, "load", lambda *_, **__: exact_model())
    monkeypatch.setattr(api, "both_sides", lambda *_: (real(40), real(200)))
    monkeypatch.setattr(room, "choose", lambda _: Pixels())

    def told(done, total, words):
        if words == "reference" and done > 0.5 * total:
            raise KeyboardInterrupt

    monkeypatch.setattr(room, "REFERENCE_STEPS", 80)
    with pytest.raises(KeyboardInterrupt):
        api.tune(run, told=told)
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before
    assert api.tune(run, tolerance=1.0).chosen is not None
    assert {p.name for p in run.iterdir() if p.read_bytes() != before.get(p.name)} <= {"model.json", files.LOCK}
