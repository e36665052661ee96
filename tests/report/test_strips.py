from dataclasses import replace

import numpy as np
import pytest
import torch

from reverie.evaluation.audit import audit as run_audit
from reverie.report import charts, history, nearest, strips, words
from reverie.report.strips import _chosen, _film
from tests.report.reading import Page, pixels


def test_the_film_ends_in_the_sample_itself(finished):
    for k in (0, 7):
        film = _film(finished.model, finished.samples, k)
        assert film[-1][0] == 0
        np.testing.assert_allclose(film[-1][1], finished.samples.x[k], atol=1e-4)
        noises = [n for n, _, _ in film]
        assert noises == sorted(noises, reverse=True)
        assert len(film) == finished.samples.settings.steps + 1


def test_the_film_starts_in_the_noise_the_sample_started_in(finished):
    """Heun's first step is (x_t, x0_hat) -> a point of the line between them, which only the true start lies on."""
    model, samples = finished.model, finished.samples
    for which in (0, 3):
        _, start, guess = _film(model, samples, which)[0]
        seen = []
        model.sample(1, label=samples.labels[which], steps=5, sampler="ddim", first=which, on_step=seen.append)
        times = samples.settings.build_grid().times(model.denoiser.process.schedule, 5)
        s = seen[0]
        x = model.denoiser.process.schedule
        ratio = float(x.sigma(times[1]) / x.sigma(times[0]))
        began = (s.x - (float(x.alpha(times[1])) - ratio * float(x.alpha(times[0]))) * s.x0_hat) / ratio
        np.testing.assert_allclose(
            start, model.denoiser.look(began, times[0], model.denoiser.process)[0].numpy(), atol=1e-3
        )
        np.testing.assert_allclose(guess, s.x0_hat[0].numpy(), atol=1e-4)


def test_clean_data_is_shown_unchanged_and_pure_noise_at_the_datas_contrast(finished):
    model = finished.model
    x0 = torch.from_numpy(finished.samples.x[:1])
    np.testing.assert_allclose(
        model.denoiser.look(x0, torch.tensor(0.0, dtype=torch.float64), model.denoiser.process)[0].numpy(),
        x0[0],
        atol=1e-6,
    )
    eps = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    t = torch.tensor(1.0, dtype=torch.float64)
    shown = model.denoiser.look(float(model.denoiser.process.schedule.sigma(t)) * eps, t, model.denoiser.process)[
        0
    ].numpy()
    assert shown.std() == pytest.approx(model.denoiser.sigma_data, rel=0.02)


def test_the_forward_strip_starts_with_the_real_item(finished):
    held = finished.model.encode(finished.held.items)
    strip = strips.forward(finished.model, held, finished.samples)
    assert strip.levels[0] == "0"
    for row, item in zip(strip.rows, finished.held.items, strict=False):
        np.testing.assert_array_equal(pixels(row.tiles[0].src), finished.model.codec.picture(item))
    levels = [float(word) for word in strip.levels]
    assert levels == sorted(levels)


def test_stops_shown_hold_both_ends_and_lie_where_pictures_are_decided():
    noises = [*np.geomspace(80, 0.002, 60), 0.0]
    chosen = _chosen(noises, 0.5)
    assert chosen[0] == 0
    assert chosen[-1] == 60
    assert len(chosen) == strips.FRAMES
    assert all(0.05 < noises[i] < 6 for i in chosen[1:-1])
    assert _chosen([80.0, 0.0], 0.5) == [0, 1]


def test_nearest_are_in_order_and_both_sides_are_ranked_alike(finished):
    model, audit = finished.model, finished.evaluation.audit
    train, held = model.encode(finished.train.items), model.encode(finished.held.items)
    made = np.clip(finished.samples.x, -1, 1)
    made[5] = train[17]  # a planted copy
    found = run_audit(train, held, made)
    sides = nearest.sides(model.codec, found, made, held, train)
    assert sides.samples[0].ratio == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(pixels(sides.samples[0].item.src), pixels(sides.samples[0].nearest[0].src))
    assert "17" in sides.samples[0].nearest[0].alt
    assert [row.rank for row in sides.samples] == [row.rank for row in sides.held_out]
    for rows, every in ((sides.samples, sides.sample_ratios), (sides.held_out, sides.held_out_ratios)):
        assert [row.ratio for row in rows[:4]] == sorted(every)[:4]
        assert rows[5].ratio == pytest.approx(np.median(every), abs=0.02)
    assert audit.ratios != found.ratios


def test_smoothing_keeps_a_constant_and_is_the_weighted_mean_it_says():
    np.testing.assert_allclose(charts.smoothed([2.5] * 300), 2.5)
    np.testing.assert_allclose(charts.smoothed([np.nan, 2.5, np.inf, 2.5])[1:], 2.5)
    values = np.random.default_rng(0).normal(size=250)
    a, k = 1 / 5, 40
    weights = (1 - a) ** np.arange(k, -1, -1)
    assert charts.smoothed(values)[k] == pytest.approx((weights * values[: k + 1]).sum() / weights.sum())


def test_a_chart_draws_its_values_and_takes_its_colours_from_the_page():
    noise = [0.1, 1.0, 10.0]
    event = {
        "noise": noise,
        "baseline": 1.0,
        "bands": {k: [0.01, 0.1, 0.9] for k in ("held_out", "train", "held_out_raw")},
    }
    svg = charts.loss_by_noise(event)
    assert "var(--accent)" in svg
    assert not any(colour in svg for colour in (charts.INK, charts.MUTED, charts.LINE, charts.ACCENT))
    assert "#000000" not in svg
    assert "<metadata" not in svg
    assert "a constant guess" in Page(f"<div>{svg}</div>").text


def test_the_readings_say_what_the_numbers_say():
    bands = {"held_out": [0.2, 0.4], "train": [0.1, 0.4], "held_out_raw": [0.4, 0.4]}
    said = history.by_noise({"bands": bands, "noise": [0.1, 1.0]})
    assert "50.0% higher than on training items (most at n = 0.1: 100.0% higher)" in said
    assert "begun to learn training items by heart" in said
    assert "25.0% lower than with raw ones" in said
    steps = [{"seconds": 0.5, "images": 10, "total": 4, "step": k} for k in (1, 2, 3, 4)]
    said = history.by_step(steps, [{"held_out": 0.5, "step": 2}, {"held_out": 0.6, "step": 4}])
    assert "lowest, 0.5, at step 2 of 4. It then rose by 20.0%" in said
    assert "20 items a second" in said
    said = history.by_step(steps, [{"held_out": 0.5, "step": 2}, {"held_out": 0.505, "step": 4}])
    assert "at step 2 of 4. It has hardly changed since: 1.0% higher at the end." in said
    assert "not begun to rise" in history.by_step(steps, [{"held_out": 0.5, "step": 2}, {"held_out": 0.4, "step": 4}])


def test_cards_tell_good_from_bad(finished):
    plain = {"value": 2.0, "low": 1.8, "high": 2.2, "n": 500, "floor": 1.0, "floor_sd": 0.01, "gaussian": 20.0}
    score = replace(finished.evaluation.score("frechet"), **plain)

    def card(**changes):
        changed = replace(finished.evaluation, scores=(replace(score, **changes),), labels=None)
        return words.cards(changed)[0]

    assert (card().tone, card().aside) == ("good", "2 times the floor")
    assert card(value=6.0, low=5.5, high=6.5).tone == "fair"
    assert card(value=15.0, low=14, high=16).tone == "poor"
    assert "plain Gaussian" in card(value=21.0, low=20, high=22).reading
    assert "small" in card(n=50).belief
    assert "interval is wide" in card(low=0.1, high=4.0).belief
    assert card(floor=-0.01).aside == ""
    assert words.short(replace(finished.evaluation, scores=(score,))) == [score.title]
    assert words.short(replace(finished.evaluation, scores=(replace(score, low=0.9),))) == []
