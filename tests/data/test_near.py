"""Near duplicates, outliers and thumbnails against brute force, closed forms and injected faults."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverie.data import near
from reverie.data.dataset import Data
from reverie.data.looks import Looks, areas, looks
from reverie.data.outliers import bounds, outliers
from reverie.datasets import Digits
from tests.data.faults import brighter, encoded, halved, photos


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowd(count, clusters, seed, spread=0.07):
    """Unit rows in tight clusters, in any order: thousands of near pairs, some of them on the brink."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, 16))
    return unit(centres[rng.integers(0, clusters, count)] + spread * rng.normal(size=(count, 16)))


@pytest.mark.parametrize("given, wanted", [(64, 16), (70, 16), (8, 16), (5, 16), (16, 16), (1, 16)])
def test_cells_are_means_over_equal_widths(given, wanted):
    """Repeating each pixel `wanted` times makes the cells whole: their plain means are the truth."""
    row = np.random.default_rng(0).normal(size=given)
    np.testing.assert_allclose(
        areas(given, wanted) @ row, np.repeat(row, wanted).reshape(wanted, given).mean(1), atol=1e-12
    )


def test_a_thumbnail_forgets_brightness_and_contrast_but_not_colour():
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1, (40, 48, 3))
    swapped = picture[..., [1, 0, 2]]
    seen = looks(Data.from_arrays([picture, 0.3 * picture + 0.5, swapped, np.ones((40, 48, 3))])).thumbnails
    assert seen[0] @ seen[1] == pytest.approx(1, abs=1e-6)
    cells = np.stack([areas(40, 16) @ p[..., c] @ areas(48, 16).T for p in (picture, swapped) for c in range(3)])
    assert seen[0] @ seen[2] == pytest.approx(np.corrcoef(cells[:3].ravel(), cells[3:].ravel())[0, 1], abs=1e-5)
    assert not seen[3].any()


def test_what_is_hidden_under_transparency_does_not_count():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (2, 32, 32, 4), dtype=np.uint8)
    picture[1] = picture[0]
    picture[:, :, 16:, 3] = 0
    picture[1, :, 16:, :3] = rng.integers(0, 256, (32, 16, 3))
    seen = looks(Data.from_arrays(picture)).thumbnails
    assert seen[0] @ seen[1] == pytest.approx(1, abs=1e-6)


def test_values_at_the_end_of_floats_do_not_spoil_the_others():
    items = np.random.default_rng(0).uniform(0, 1, (20, 16, 16, 1)).astype(np.float32)
    items[7, 3, 3] = -3.4e38  # what geographers write where there is no data
    data = Data.from_arrays(items)
    seen = looks(data)
    assert np.isfinite(seen.thumbnails).all()
    assert [o.place for o in outliers(seen)] == [7]
    assert outliers(seen)[0].extreme
    assert -0.01 < bounds(seen, outliers(seen))[0] < 0.05


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 1300), st.integers(1, 40), st.integers(0, 10**6))
def test_followers_are_those_of_a_plain_walk(count, clusters, seed):
    rows = crowd(count, clusters, seed)
    order = np.random.default_rng(seed).permutation(count)[: max(1, count - 3)]
    found = near.followers(rows, order)
    kept: list[int] = []
    exact = (rows.astype(np.float64) @ rows.astype(np.float64).T)[np.ix_(order, order)]
    for k, place in enumerate(order):
        most = exact[k, kept].max() if kept else -1
        if found.partner[place] >= 0:
            assert most >= near.NEAR - 1e-6
            assert exact[k, np.flatnonzero(order == found.partner[place])[0]] == pytest.approx(most, abs=1e-6)
            assert found.correlation[place] == pytest.approx(most, abs=1e-6)
        else:
            assert most <= near.NEAR + 1e-6
            kept.append(k)
    assert set(found.partner[order][found.partner[order] >= 0]) <= set(order[kept])
    assert not (np.setdiff1d(np.arange(count), order)[:, None] == np.flatnonzero(found.partner >= 0)).any()


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 1500), st.integers(0, 10**6))
def test_across_finds_the_nearest_on_the_other_side(count, seed):
    rows = crowd(count, 30, seed)
    cut = np.random.default_rng(seed).random(count) < 0.5
    side, other = np.flatnonzero(cut), np.flatnonzero(~cut)
    found = near.across(rows, side, other)
    if not len(side) or not len(other):
        assert (found.partner == -1).all()
        return
    best = (rows[side].astype(np.float64) @ rows[other].astype(np.float64).T).max(1)
    clear = abs(best - near.NEAR) > 1e-6
    assert ((found.partner >= 0) == (best >= near.NEAR))[clear].all()
    hit = found.partner >= 0
    assert not cut[found.partner[hit]].any()
    np.testing.assert_allclose((rows[side[hit]] * rows[found.partner[hit]]).sum(1), best[hit], atol=1e-6)


def test_other_encodings_are_found_and_different_pictures_are_not():
    """Real cuts of a photograph: JPEG 90 is found always, JPEG 75, half the size and +25 in nine of ten; none by mistake."""
    import io

    from PIL import Image

    pictures = photos()
    own = looks(Data.from_arrays(pictures)).thumbnails

    def share(change):
        changed = looks(Data.from_arrays([change(p) for p in pictures])).thumbnails
        return ((own * changed).sum(1) >= near.NEAR).mean()

    def jpeg(quality):
        return lambda p: np.asarray(Image.open(io.BytesIO(encoded(p, "JPEG", quality=quality))))

    assert share(jpeg(90)) == 1
    assert min(share(jpeg(75)), share(brighter), share(halved)) >= 0.85
    assert (near.followers(own, np.arange(24)).partner == -1).all()
    digits = looks(Digits().load()).thumbnails
    assert (near.followers(digits, np.arange(1797)).partner == -1).all()


def table(low, high, mean=None, contrast=None):
    low, high = np.asarray(low, float), np.asarray(high, float)
    return Looks(np.zeros((len(low), 1)), low, high, (low + high) / 2 if mean is None else np.asarray(mean, float),
                 (high - low) / 4 if contrast is None else np.asarray(contrast, float))  # fmt: skip


def test_the_fence_stands_where_the_rule_says():
    """101 means 0, 1 .. 100: quartiles 25 and 75, spread 50, fences -125 and 225."""
    n = np.arange(101.0)
    for value, caught in ((224.9, False), (225.2, True), (-124.9, False), (-125.2, True)):
        mean = n.copy()
        mean[[0, 100][value > 0]] = value
        assert [o.place for o in outliers(table(0 * n, 0 * n + 100, mean))] == ([[0, 100][value > 0]] if caught else [])


def test_alike_extremes_need_more_than_a_hair_and_one_side_only():
    """All smallest values 0 and ranges 100: the spread is 10, so -29 is usual, -31 is not, and +90 is nothing strange."""
    for value, caught in ((-29, False), (-31, True), (90, False)):
        low = np.zeros(50)
        low[9] = value
        found = outliers(table(low, np.full(50, 100.0), np.full(50, 50.0), np.full(50, 25.0)))
        assert [o.place for o in found] == ([9] if caught else [])


def test_many_outliers_cannot_hide_each_other():
    high = np.full(100, 1.0)
    high[:20] = 10.0 ** np.arange(1, 21)
    found = outliers(table(np.zeros(100), high))
    assert [o.place for o in found] == list(range(20))
    assert bounds(table(np.zeros(100), high), found) == (0, 1)


def test_blank_is_a_hundredth_of_the_usual_range_and_few_items_say_nothing():
    high = np.full(20, 100.0)
    high[3], high[4] = 1.0, 1.2
    found = outliers(table(np.zeros(20), high, np.full(20, 50.0), np.full(20, 25.0)))
    assert [(o.place, o.extreme) for o in found] == [(3, False)]
    assert "blank: all values from 0 to 1" in found[0].why
    assert outliers(table(np.zeros(7), [1, 1, 1, 1, 1, 1, 1e9])) == []


def test_healthy_data_has_no_outliers():
    assert outliers(looks(Digits().load())) == []
    assert outliers(looks(Data.from_arrays(photos()))) == []
    normal = np.random.default_rng(0).normal(size=(3000, 8, 8)).astype(np.float32)
    assert len(outliers(looks(Data.from_arrays(normal)))) <= 15  # a half of a percent
