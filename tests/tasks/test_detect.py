"""detect: errors and p-values in closed form, the promised rate, and the figures beside nearest neighbours."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import reverie
from reverie import cli
from reverie.conditions import Knowledge
from reverie.core.noise import Noise
from reverie.data.source import read
from reverie.errors import ReverieError
from reverie.tasks.detect import detect
from reverie.tasks.parts.anomaly import LEVELS, Auroc, denoising_errors, p_values
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.tasks.exact import MEANS, SD, exact_model, token_model
from tests.toy import bars


@pytest.fixture(scope="module")
def model():
    """Of N(0, 0.25^2), told nothing."""
    made = exact_model(dtype="float32")
    made.conditions = Knowledge()
    return made


def gaussian(count, sd=SD, seed=0):
    return np.random.default_rng(seed).normal(0, sd, (count, 8, 8, 1)).clip(-1, 1).astype(np.float32)


def test_errors_are_those_of_the_exact_posterior_mean(model):
    """x0_hat = s (x + n eps), s = sd^2 / (sd^2 + n^2), with the same noise for every item."""
    x = torch.from_numpy(np.moveaxis(gaussian(3), 3, 1)).clone()
    found = denoising_errors(model, x, draws=2, seed=5)
    for j, n in enumerate(np.array(LEVELS) * SD):
        s = SD**2 / (SD**2 + n**2)
        eps = torch.stack([Noise.of(5, 1, k).normal(0, x[:1])[0] for k in range(2)])
        expected = ((s * (x[:, None] + n * eps) - x[:, None]) ** 2).mean((1, 2, 3, 4))
        np.testing.assert_allclose(found.by_level[:, j], expected, rtol=1e-3)
    np.testing.assert_allclose(found.maps.mean((2, 3)), found.by_level, rtol=1e-9)


def test_told_each_label_in_turn_the_best_counts():
    """Data N(m_label, sd^2) is explained best by its own label, and then as centred data is by none."""
    model, plain = exact_model(dtype="float32"), exact_model(dtype="float32")
    plain.conditions = Knowledge()
    x = torch.from_numpy(np.moveaxis(gaussian(6), 3, 1)).clone() * 0.5
    means = torch.tensor([MEANS["low"], MEANS["high"]] * 3).reshape(6, 1, 1, 1)
    found, centred = denoising_errors(model, x + means, 2, 0), denoising_errors(plain, x, 2, 0)
    assert found.label.tolist() == [0, 1] * 3
    np.testing.assert_allclose(found.by_level, centred.by_level, rtol=1e-3)


def test_an_item_s_score_depends_on_nothing_but_itself(model):
    x = torch.from_numpy(np.moveaxis(gaussian(5), 3, 1)).clone()
    whole = denoising_errors(model, x, 2, 0).scores
    np.testing.assert_allclose(denoising_errors(model, x.flip(0), 2, 0, batch=2).scores[::-1], whole, atol=1e-5)


def test_p_values_of_each_of_n_plus_1_against_the_rest_are_all_the_ranks():
    values = np.random.default_rng(0).normal(size=20)
    found = [p_values(np.delete(values, k), values[k : k + 1])[0] for k in range(20)]
    np.testing.assert_allclose(np.sort(found), np.arange(1, 21) / 20)
    assert p_values(np.ones(4), np.ones(1))[0] == 1


def test_the_auroc_is_scikit_learns_and_its_interval_covers():
    rng = np.random.default_rng(1)
    normal, odd = rng.integers(0, 6, 60), rng.integers(2, 9, 40)
    truth = np.repeat([0, 1], [60, 40])
    assert Auroc.of(normal, odd).value == pytest.approx(roc_auc_score(truth, np.r_[normal, odd]))
    found = [Auroc.of(rng.normal(0, 1, 50), rng.normal(1, 1, 50)) for _ in range(30)]
    inside = sum(one.low <= 0.7602 <= one.high for one in found)  # Phi(1 / sqrt 2)
    assert 25 <= inside <= 30


def test_the_rate_asked_for_is_the_rate_that_normal_items_are_flagged_at(model):
    """Over 8 calibrations of 100 each; 1,600 fresh items, whose flags vary with their calibration."""
    flagged = []
    for seed in range(8):
        made = detect(model, gaussian(200, seed=seed), 0.1, normal=gaussian(200, seed=100 + seed), draws=1, seed=seed)
        flagged.append(made.flagged.mean())
    assert np.mean(flagged) == pytest.approx(0.1, abs=0.035)


def test_anomalies_are_flagged_and_compared_with_nearest_neighbours(model, tmp_path):
    items = np.concatenate([gaussian(30, seed=1), gaussian(30, 2 * SD, seed=2)])
    for k, item in enumerate(items):
        place = tmp_path / "in" / ("normal" if k < 30 else "anomalous")
        place.mkdir(parents=True, exist_ok=True)
        model.codec.write(item, place / f"{k}")
    known = gaussian(50, seed=9)
    made = detect(model, str(tmp_path / "in"), 0.05, normal=gaussian(100, seed=3), train=known, draws=2)
    truth = np.array(made.given.labels) == "anomalous"
    assert made.flagged[truth].mean() > 0.9
    assert made.flagged[~truth].mean() < 0.3
    own, near, _ = made.aurocs
    assert own.value > 0.99
    rows = [np.asarray(item).reshape(-1) for item in made.given.items]
    distance = NearestNeighbors(n_neighbors=5).fit(known.reshape(50, -1)).kneighbors(rows)[0].mean(1)
    assert near.value == pytest.approx(roc_auc_score(truth, distance))
    assert made.seen.n == 50

    paths = made.save(tmp_path / "out", {"model": "here"})
    table = list(csv.DictReader(paths[0].open()))
    assert [row["flagged"] == "1" for row in table] == made.flagged.tolist()
    assert all((tmp_path / "out" / row["heat"]).is_file() for row in table)
    assert json.loads(paths[1].read_text())["auroc"]["value"] == own.value
    assert made.sheet().height > 100


def test_the_heat_is_where_the_anomaly_is(model):
    items = gaussian(4, seed=1)
    items[:, 2:4, 5:7] = 1.0
    made = detect(model, items, 0.1, normal=gaussian(40, seed=3))
    heat = made.errors.heat(made.calibration)
    assert heat[:, 2:4, 5:7].mean() > 3 * np.delete(heat.reshape(4, -1), [21, 22, 29, 30], axis=1).mean()


@pytest.mark.slow
def test_a_run_s_own_held_out_part_calibrates(tmp_path, monkeypatch, capsys):
    Image.fromarray(bars(3)[0][1, ..., 0]).save(tmp_path / "one.png")
    np.savez(tmp_path / "data.npz", x=bars(120)[0], y=bars(120)[1])
    settings = TrainSettings.of({"size": "tiny", "batch": 8, "held_out": "40"})
    prepare(read(tmp_path / "data.npz"), settings).model.save(tmp_path / "run")  # as it is before the first step
    about = {"data": str(tmp_path / "data.npz"), "settings": settings.to_json()}
    (tmp_path / "run" / "run.json").write_text(json.dumps(about))
    words = ["reverie", "detect", str(tmp_path / "run"), str(tmp_path / "one.png"), "--draws", "1", "--threads", "1"]
    for fpr, code in (("0.1", 0), ("0.01", 2)):
        monkeypatch.setattr("sys.argv", [*words, "--fpr", fpr])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == code
    said = capsys.readouterr()
    assert "calibrated on 20 normal items" in said.out
    assert "AUROC" not in said.out, "of one item there is none"
    assert "takes 99 normal items" in said.err
    model, items = reverie.load(tmp_path / "run"), bars(1)[0]
    (tmp_path / "data.npz").unlink()
    with pytest.raises(ReverieError, match=r"data\.npz"):
        detect(model, items, 0.1, run=tmp_path / "run")
    assert len(detect(model, items, 0.1, normal=bars(30, seed=5)[0], run=tmp_path / "run", draws=1).check.scores) == 15


def test_what_does_not_fit_is_one_message(model):
    items, normal = gaussian(2), gaussian(40, seed=1)
    bad = items.copy()
    bad[1, 0, 0] = np.nan
    for words, act in {
        "fpr 0:": lambda: detect(model, items, 0.0, normal=normal),
        "fpr 1:": lambda: detect(model, items, 1.0, normal=normal),
        "takes 99 normal items": lambda: detect(model, items, 0.01, normal=normal),
        "Ask for 0.048 or more": lambda: detect(
            model, items, 0.04, normal=normal
        ),  # 1 / 21 = 0.0476 could not be typed
        "So few cannot calibrate any rate: give more": lambda: detect(model, items, 0.5, normal=normal[:1]),
        "Normal items are needed": lambda: detect(model, items),
        "draws 0": lambda: detect(model, items, normal=normal, draws=0),
        "NaN": lambda: detect(model, bad, 0.1, normal=normal),
        "6x6": lambda: detect(model, items[:, :6, :6], 0.1, normal=normal),
        "Gaussian process": lambda: detect(token_model(), bars(2)[0]),
    }.items():
        with pytest.raises(ReverieError, match=words):
            act()


@pytest.mark.parametrize(("asked", "words"), [({"seed": -1}, "seed = -1"), ({"batch": 0}, "batch 0")])
def test_a_seed_or_batch_that_cannot_be_is_one_message(asked, words, model):
    with pytest.raises(ReverieError, match=words):
        detect(model, gaussian(4), 0.2, normal=gaussian(20), **asked)
