"""Optimal transport within a batch, against all permutations."""

import itertools

import pytest
import torch

from reverie.example import Condition, Example
from reverie.registry import registered
from reverie.training.coupling import Independent, OptimalTransport


def batch(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, 3, generator=g), torch.randn(count, 2, 3, generator=g)


def cost(x0, eps):
    return float(((x0 - eps) ** 2).sum())


@pytest.mark.parametrize("coupling", registered("couplings").values())
def test_the_noise_of_a_batch_is_only_handed_round(coupling):
    x0, eps = batch(16)
    found = coupling().pair(Example(x0), eps)
    assert sorted(map(tuple, found.flatten(1).tolist())) == sorted(map(tuple, eps.flatten(1).tolist()))


def test_optimal_transport_is_the_best_of_all_permutations():
    x0, eps = batch(6)
    best = min(cost(x0, eps[list(p)]) for p in itertools.permutations(range(6)))
    assert cost(x0, OptimalTransport().pair(Example(x0), eps)) == pytest.approx(best)
    assert best < 0.9 * cost(x0, Independent().pair(Example(x0), eps))


def test_items_are_paired_among_those_told_the_same():
    """Two classes and one item told nothing: each group's noises stay its own, and each is paired best."""
    x0, eps = batch(7)
    label = Condition(torch.tensor([0, 1, 0, 1, 0, 1, 1]), torch.tensor([True] * 6 + [False]))
    found = OptimalTransport().pair(Example(x0, {"label": label}), eps)
    for group in ([0, 2, 4], [1, 3, 5], [6]):
        best = min(cost(x0[group], eps[list(p)]) for p in itertools.permutations(group))
        assert cost(x0[group], found[group]) == pytest.approx(best)
        assert {tuple(r) for r in found[group].flatten(1).tolist()} == {
            tuple(r) for r in eps[group].flatten(1).tolist()
        }
