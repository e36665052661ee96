"""What is hidden in training: always something, never all the time, and in the shapes that people ask for."""

import math

import torch

from reverie.core.noise import Noise
from reverie.data.hiding import scattered, spans, told


def noise(n=4000):
    return Noise.of(0, n)


def test_something_is_always_left_to_learn():
    for pattern in (scattered, spans):
        assert bool((~pattern(noise(), 5, torch.zeros(4000, 2, 7))).flatten(1).any(1).all())


def test_a_share_of_the_items_is_told_something_and_the_others_nothing():
    known = told("spans", 0.5, noise(), 5, torch.zeros(4000, 1, 24))
    some = known.flatten(1).any(1).float().mean()
    assert 0.42 < some < 0.5  # of those told, one in 79 or so loses all


def test_spans_hide_the_future_a_stretch_amid_and_steps_here_and_there():
    hidden = ~spans(noise(), 5, torch.zeros(4000, 1, 24))[:, 0]
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(1)
    future = (edges == 1) & hidden[:, -1] | hidden.all(1)
    amid = (edges == 2) & ~hidden[:, 0] & ~hidden[:, -1]
    assert 0.4 < future.float().mean() < 0.5
    assert 0.25 < amid.float().mean() < 0.45
    assert (edges > 2).float().mean() > 0.15
    shares = torch.bincount(hidden[future].sum(1), minlength=25)[1:] / future.sum()
    law = torch.log1p(1 / torch.arange(1, 25)) / math.log(25)  # of a length, were its logarithm uniform
    assert (shares - law).abs().max() < 4 * float((law * (1 - law) / future.sum()).sqrt().max())
    assert float((shares[:2].sum() - law[:2].sum()).abs()) < 0.05


def test_channels_are_lost_together_or_some_of_them():
    hidden = ~spans(noise(), 5, torch.zeros(4000, 3, 24))
    lost = hidden.any(2).sum(1)
    assert all((lost == k).float().mean() > 0.05 for k in (1, 2, 3))
    assert (lost == 0).sum() == 0


def test_fields_are_hidden_as_one_row():
    state = {"a": torch.zeros(4000, 3), "b": torch.zeros(4000, 2, dtype=torch.int64)}
    known = told("entries", 1.0, noise(), 5, state)
    share = torch.cat([known["a"], known["b"]], 1).float().mean(1)
    assert known["b"].dtype == torch.bool
    assert share.max() < 1
    both = torch.corrcoef(torch.stack([known["a"].float().mean(1), known["b"].float().mean(1)]))[0, 1]
    assert both > 0.25  # one probability for the whole row; 0 with a standard error of 0.016 were each field on its own
