"""A split is decided by content: the same under any order or name, stable as data grows, duplicates together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverie.data.dataset import Data
from reverie.data.split import digest, split
from reverie.datasets import Digits
from reverie.errors import ReverieError


def of(values):
    """One plain 5x5 image for each value: equal values are duplicates."""
    return Data.from_arrays(np.tile(np.asarray(values, np.uint16).reshape(-1, 1, 1), (5, 5)))


def contents(data, places):
    return sorted(digest(data.items[k]) for k in places)


def test_the_digits_are_split_once_and_for_all():
    cut = split(Digits().load())
    assert (len(cut.train), len(cut.held_out)) == (1297, 500)
    assert cut.hash == "38864ddcf216"
    assert set(cut.train) | set(cut.held_out) == set(range(1797))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=60).filter(lambda v: len(set(v)) > 1), st.randoms())
def test_order_does_not_matter_and_duplicates_stay_together(values, random):
    data = of(values)
    shuffled = of(random.sample(values, len(values)))
    for held_out in (0.3, 1):
        try:
            cut = split(data, held_out)
        except ReverieError:  # an exact number that duplicates make impossible, tested below
            continue
        other = split(shuffled, held_out)
        assert cut.hash == other.hash
        assert contents(data, cut.train) == contents(shuffled, other.train)
        assert not set(contents(data, cut.train)) & set(contents(data, cut.held_out))
        assert sorted([*cut.train, *cut.held_out]) == list(range(len(values)))
        assert len(cut.train)
        assert len(cut.held_out)


def test_a_share_is_stable_as_data_grows_and_about_that_share():
    few, many = of(range(1000)), of(range(4000))
    first, second = split(few, 0.1), split(many, 0.1)
    assert set(first.held_out) == set(second.held_out[second.held_out < 1000])
    assert len(second.held_out) / 4000 == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / 4000))


def test_a_number_is_exact_and_seeds_differ():
    data = of(range(300))
    cuts = [split(data, 77, seed) for seed in range(3)]
    assert [len(c.held_out) for c in cuts] == [77] * 3
    assert len({c.hash for c in cuts}) == 3


def test_an_exact_number_goes_round_duplicates_or_says_that_it_cannot():
    mixed = split(of([1, 1, 2, 2, 3, 3, 4]), 3)
    assert len(mixed.held_out) == 3
    with pytest.raises(ReverieError, match="Hold out 2, or remove duplicates"):
        split(of([1, 1, 2, 2, 3, 3]), 3)


def test_the_same_bytes_of_another_shape_or_type_are_another_item():
    flat = np.zeros((4, 1, 2), np.uint8)
    assert len({digest(a) for a in (flat, flat.reshape(2, 2, 2), flat.view(np.int8), flat.view(np.uint16))}) == 4


def test_small_data_never_leaves_a_side_empty():
    for n in range(2, 12):
        for share in (0.01, 0.5, 0.99):
            cut = split(of(range(n)), share)
            assert len(cut.train)
            assert len(cut.held_out)


@pytest.mark.parametrize(
    "values, held_out, words",
    [
        ([5], 0.1, r"has 1 image\. Training needs at least two"),
        ([5, 5, 5], 0.1, "has 3 images, all the same"),
        ([1, 2], 2, "2 of 2 images cannot be held out"),
        ([1, 2], 0, "0 of 2 images cannot be held out"),
        ([1, 2], 1.0, "leaves nothing on one side"),
        ([1, 2], 0.0, "leaves nothing on one side"),
    ],
)
def test_a_side_that_would_be_empty_is_refused(values, held_out, words):
    with pytest.raises(ReverieError, match=words):
        split(of(values), held_out)


def grouped(values, names):
    data = of(values)
    data.groups = list(names)
    return data


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 25), min_size=2, max_size=60), st.lists(st.integers(0, 60), max_size=60), st.integers(0, 3)
)
def test_added_items_and_groups_move_nothing(first, added, seed):
    """Every item differs; forty groups more see to it that no side is empty and has to be filled up."""
    anchors = [f"anchor{k}" for k in range(40)]
    names = [*anchors, *(f"g{g}" for g in first)]
    more = [*names, *(f"g{g}" for g in added)]
    before = split(grouped(range(len(names)), names), 0.3, seed)
    after = split(grouped(range(len(more)), more), 0.3, seed)
    assert set(before.held_out) == set(after.held_out[after.held_out < len(names)])
    for cut, groups in ((before, names), (after, more)):
        assert not {groups[k] for k in cut.train} & {groups[k] for k in cut.held_out}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), min_size=2, max_size=40), st.randoms())
def test_neither_groups_nor_equal_items_are_parted_and_order_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    data, other = (grouped([v for v, _ in p], [f"g{g}" for _, g in p]) for p in (pairs, shuffled))
    try:
        cut = split(data, 0.4)
    except ReverieError as error:
        linked = {pairs[0]}  # all bound together, by equal items and by groups
        for _ in pairs:
            linked |= {p for p in pairs if any(p[0] == q[0] or p[1] == q[1] for q in linked)}
        assert linked == set(pairs)
        assert "all the same" in str(error) or "one group" in str(error)  # noqa: PT017
        return
    for what in (0, 1):
        assert not {pairs[k][what] for k in cut.train} & {pairs[k][what] for k in cut.held_out}
    assert split(other, 0.4).hash == cut.hash
    assert len(cut.train)
    assert len(cut.held_out)


def test_a_copy_in_another_group_moves_only_the_two_that_it_binds():
    names = [f"g{k % 50}" for k in range(200)]
    before = set(split(grouped(range(200), names), 0.3).held_out)
    sides = {names[k]: k in before for k in range(200)}
    held, trained = (next(g for g in names if sides[g] == side) for side in (True, False))
    copy = names.index(held)
    after = set(split(grouped([*range(200), copy], [*names, trained]), 0.3).held_out)
    moved = {names[k] for k in before.symmetric_difference(after - {200})}
    assert moved == {trained}  # to the side of the lower hash, which is the held-out one
    assert 200 in after


def test_a_group_is_held_out_by_its_name_and_shares_count_groups():
    names = [f"g{k // 3}" for k in range(3000)]
    cut = split(grouped(range(3000), names), 0.1)
    renamed = split(grouped(range(3000), [f"h{n}" for n in names]), 0.1)
    out = {names[k] for k in cut.held_out}
    assert len(cut.held_out) == 3 * len(out)
    assert len(out) / 1000 == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / 1000))
    assert renamed.hash != cut.hash
    assert set(cut.held_out) == set(split(grouped(range(5000, 8000), names), 0.1).held_out)  # contents do not matter


def test_an_exact_number_counts_whole_groups():
    data = grouped(range(12), "aaaabbbbcccc")
    assert len(split(data, 4).held_out) == 4
    with pytest.raises(ReverieError, match=r"those of one group stay together\. Hold out 4"):
        split(data, 6)


def test_groups_go_with_their_items_and_there_is_one_for_each():
    part = grouped(range(5), "abcde").subset([3, 1])
    assert part.groups == ["d", "b"]
    with pytest.raises(ReverieError, match="2 groups for 5 items"):
        Data(of(range(5)).items, list("12345"), groups=["a", "b"])


def stretches(length, many, share=0.1):
    """Windows of `length` steps of one series of `many`, and where each begins and ends."""
    first = np.arange(many - length + 1)
    spans = np.stack([first, first + length], 1) / many
    return Data([np.full((2, 2, 1), k, np.uint8) for k in first % 251], [str(k) for k in first], spans=spans), first


def test_of_stretches_of_time_the_end_is_held_out_and_shares_no_step_with_what_is_trained():
    data, first = stretches(12, 200)
    cut = split(data, 0.2)
    assert first[cut.train].max() + 12 <= 160 <= first[cut.held_out].min()
    assert len(cut.train) == 160 - 12 + 1
    assert len(cut.held_out) == 40 - 12 + 1
    assert split(data, 0.01).held_out.tolist() == [188]  # at least one


def test_stretches_cannot_be_held_out_by_number_nor_where_one_is_nearly_all():
    data, _ = stretches(12, 200)
    with pytest.raises(ReverieError, match="of series the last share of time is held out"):
        split(data, 30)
    with pytest.raises(ReverieError, match="no series is long enough"):
        split(stretches(12, 20)[0], 0.2)
