"""The audit finds copies that are put in, and does not take real items for copies."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from reverie.errors import ReverieError
from reverie.evaluation.audit import FALSE_ALARMS, HELD, _lots, audit, match, nearer, p_value, ratios
from reverie.evaluation.membership import membership


def test_the_ratio_is_its_definition():
    rng = np.random.default_rng(0)
    train, x = rng.standard_normal((80, 2, 3, 3)), rng.standard_normal((5, 2, 3, 3))
    r, near = ratios(x, train)
    for i in range(5):
        d = np.sqrt(((train - x[i]) ** 2).sum(axis=(1, 2, 3)))
        assert r[i] == pytest.approx(np.sort(d)[0] / np.sort(d)[:50].mean(), rel=1e-9)
        assert near[i].tolist() == np.argsort(d)[:3].tolist()


def test_p_is_exact_where_one_depth_decides():
    """Ten samples below ten held-out items: all of the lower half, with probability 1 / C(20, 10); times three."""
    made, held = np.arange(10.0), 10 + np.arange(10.0)
    assert p_value(made, held) == pytest.approx(3 * hypergeom.pmf(10, 20, 10, 10))
    assert p_value(held, made) == 1


def test_false_alarms_are_at_most_two_percent_for_exchangeable_ratios():
    rng = np.random.default_rng(1)
    for n, m in ((500, 500), (200, 60)):
        alarms = [p_value(r[:n], r[n:]) < FALSE_ALARMS for r in rng.beta(8, 5, (1500, n + m))]
        assert np.mean(alarms) <= 0.02 + 2 * np.sqrt(0.02 * 0.98 / 1500)


def test_real_digits_in_place_of_samples_are_not_called_copies(digits):
    """Held-out digits dealt into samples and held-out at random, 1,000 times."""
    train, _, held, _ = digits
    r, _ = ratios(held, train)
    rng = np.random.default_rng(2)
    deals = [rng.permutation(len(r)) for _ in range(1000)]
    assert np.mean([p_value(r[d[:250]], r[d[250:]]) < FALSE_ALARMS for d in deals]) <= 0.03


def test_near_copies_are_flagged_and_traced(digits):
    """Training digits with noise of a tenth of the range: every one is found, and its original named."""
    train, train_y, held, held_y = digits
    rng = np.random.default_rng(3)
    chosen = rng.permutation(len(train))[:500]
    copies = train[chosen] + 0.1 * rng.standard_normal((500, 1, 8, 8)).astype(np.float32)
    found = audit(train, held, copies, held_y, train_y[chosen])
    assert found.copying
    assert found.verdict.startswith("Copying")
    assert found.high < -0.2
    assert np.mean([near[0] == i for near, i in zip(found.nearest, chosen, strict=True)]) > 0.99
    assert len(found.suspects) > 200


def test_a_few_exact_copies_among_real_digits_are_flagged_and_named(digits):
    """4 % are enough, and they stand first among the suspects."""
    train, _, held, _ = digits
    held = held[np.random.default_rng(11).permutation(len(held))]  # they come writer by writer
    samples = held[:250].copy()
    samples[100:110] = train[:10]
    found = audit(train, held[250:], samples)
    assert found.copying
    assert set(found.suspects[:10]) == set(range(100, 110))
    assert [found.nearest[i][0] for i in range(100, 110)] == list(range(10))
    assert not audit(train, held[250:], held[:250]).copying


def test_samples_far_from_all_are_no_copies(digits):
    train, _, held, _ = digits
    noise = np.random.default_rng(4).uniform(-1, 1, held.shape).astype(np.float32)
    found = audit(train, held, noise)
    assert not found.copying
    assert found.low > 0


def test_classes_are_matched_so_that_an_easy_class_is_no_alarm():
    """Class 0's items lie in tight pairs and class 1's do not; samples of class 0 alone would look like copies."""
    rng = np.random.default_rng(5)
    places = rng.uniform(-1, 1, (300, 1, 4, 4))

    def items(label, n):
        tight = places[rng.integers(300, size=n)] + 0.02 * rng.standard_normal((n, 1, 4, 4))
        return tight if label == 0 else rng.uniform(-1, 1, (n, 1, 4, 4))

    train = np.concatenate([items(0, 300), items(1, 300)])
    held, held_y = np.concatenate([items(0, 100), items(1, 100)]), np.repeat([0, 1], 100)
    samples, sample_y = items(0, 150), np.zeros(150, int)
    assert audit(train, held, samples).copying
    alike = audit(train, held, samples, held_y, sample_y)
    assert not alike.copying
    assert alike.n == alike.held_out_n == 100
    assert "like with like" in alike.notes[0]


def test_matching_takes_equal_counts_and_says_when_there_is_nothing_in_common():
    rng = np.random.default_rng(6)
    sample_y, held_y = np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 3])
    made, held, _ = match(sample_y, held_y, rng)
    assert sorted(sample_y[made]) == sorted(held_y[held]) == [0, 1]
    made, held, notes = match(np.array([5, 5]), held_y, rng)
    assert (len(made), len(held)) == (2, 4)
    assert "No class" in notes[0]


def test_identical_data_has_ratio_zero_everywhere_and_raises_no_alarm():
    same = np.zeros((60, 1, 2, 2), np.float32)
    found = audit(same, same[:20], same[:20])
    assert found.median == found.held_out_median == 0
    assert not found.copying


def test_lots_are_sums_over_random_halves():
    """Mean S / 2, variance (sum c^2 - S^2 / N) N / (4 (N - 1)) of a sum over half of N items drawn without replacement."""
    counts = np.zeros(60, dtype=np.int64)
    counts[[1, 5, 40, 59]] = 5, 1, 2, 3
    found = _lots(counts, 30, np.random.default_rng(0))
    n, total = len(counts), counts.sum()
    variance = ((counts**2).sum() - total**2 / n) * n / (4 * (n - 1))
    assert abs(found.mean() - total / 2) < 4 * (variance / len(found)) ** 0.5
    assert found.var() == pytest.approx(variance, rel=0.1)
    assert {found.min(), found.max()} == {0, total}


def test_which_is_nearer_is_its_definition_and_chance_where_all_are_of_one_law():
    rng = np.random.default_rng(7)
    train, held, x = rng.standard_normal((30, 4)), rng.standard_normal((30, 4)), rng.standard_normal((200, 4))
    found = nearer(train, held, x, rng)
    both = np.linalg.norm(x[:, None] - np.concatenate([train, held]), axis=2)
    assert found.share == np.mean(both.argmin(1) < 30)
    p = [nearer(*rng.standard_normal((3, 40, 3)), rng).p for _ in range(80)]
    assert np.mean(np.array(p) <= 0.1) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 80)
    assert np.mean(np.array(p) <= 0.5) >= 0.33


def test_samples_that_lean_towards_training_items_are_seen_though_none_stands_out():
    """Rows, no pictures: samples half way from a training row to another point of the law."""
    rng = np.random.default_rng(8)
    train, held, free = rng.standard_normal((3, 300, 6))
    found = audit(train, held, 0.8 * train + 0.6 * free)
    assert found.nearer.p < 0.001
    assert found.copying
    assert found.memorised
    assert found.nearer.low < 0.5 < found.nearer.high < found.nearer.share


def test_a_model_that_knows_its_items_by_heart_is_flagged_though_its_samples_are_clean(digits):
    train, _, held, _ = digits
    rng = np.random.default_rng(9)
    held = held[rng.permutation(len(held))]  # they come writer by writer, and a part of the writers is another law
    losses = rng.standard_normal((300, 2))
    known = membership(losses[:, 0] - 2, losses[:, 1])
    found = audit(train, held[:250], held[250:], membership=known)
    assert found.memorised
    assert not found.copying
    assert found.verdict.startswith("Memorised: by its loss the model knows its training items by heart (AUC 0.9")
    assert len(found.lines()) == 3
    weak = audit(train, held[:250], held[250:], membership=membership(losses[:, 0] - 0.4, losses[:, 1]))
    assert weak.membership.p < 1e-4
    assert not weak.memorised, "a slightly better fit of training items is no memorisation"


@pytest.mark.slow
def test_the_whole_verdict_raises_a_false_alarm_in_at_most_two_percent(digits):
    """Held-out digits dealt into samples, held-out items and, for the losses, members; 300 times.

    Training digits stay; a loss is here a held-out digit's distance to its nearest training digit: real, and its own.
    """
    train, _, held, _ = digits
    rng = np.random.default_rng(10)
    loss, _ = ratios(held, train)
    alarms = 0
    for _ in range(300):
        order = rng.permutation(len(held))
        known = membership(loss[order[:250]], loss[order[250:]])
        alarms += audit(train, held[order[:250]], held[order[250:]], seed=int(order[0]), membership=known).memorised
    print(f"false alarms: {alarms} of 300")
    assert alarms <= 6 + 2 * np.sqrt(6)


def test_too_little_data_is_an_error_that_counts_it():
    x = np.zeros((2, 1, 2, 2), np.float32)
    with pytest.raises(ReverieError, match=r"3 training items.*has 2, 2 and 2"):
        audit(x, x, x)


def test_of_items_in_time_a_drift_is_no_copying_and_copies_are():
    """Windows of a walk about a mean that jumps before the held-out end; samples of the training part's own law."""
    length, (train, samples, held) = (
        12,
        (
            windows_of(autoregressive(seed, steps) + shift)
            for seed, steps, shift in ((1, 1500, 0), (2, 1500, 0), (3, 300, 4))
        ),
    )
    samples = samples[::length]
    starts = np.arange(len(train))
    spans = np.stack([starts, starts + length], 1) / 1500
    assert audit(train, held, samples).copying  # as if the two were of one time
    found = audit(train, held, samples, spans=spans)
    assert not found.memorised
    assert found.nearer.p < 0.01  # told
    assert "of other times" in found.line()
    rng = np.random.default_rng(0)
    copies = train[::length] + 1e-3 * rng.standard_normal((len(train[::length]), length))
    assert audit(train, held, copies, spans=spans).copying


def autoregressive(seed, steps, phi=0.8):
    rng = np.random.default_rng(seed)
    x = np.zeros(steps)
    for t in range(1, steps):
        x[t] = phi * x[t - 1] + rng.standard_normal()
    return x


def windows_of(x, length=12):
    return np.lib.stride_tricks.sliding_window_view(x, length)


def test_of_very_many_held_out_items_some_are_drawn_and_copies_are_still_found():
    rng = np.random.default_rng(5)
    train, held = rng.standard_normal((300, 6)), rng.standard_normal((HELD + 500, 6))
    fine = audit(train, held, rng.standard_normal((100, 6)))
    assert fine.held_out_n == HELD
    assert not fine.copying
    assert audit(train, held, train[:100] + 0.01).copying
