"""Verbs on real digits: a model of the classes 0 to 8, trained for a minute at most, and what it knows of the rest."""

import numpy as np
import pytest
import torch

import reverie
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.metrics.features import _digit_net
from reverie.tasks.augment import augment
from reverie.tasks.decode import decode
from reverie.tasks.detect import detect
from reverie.tasks.encode import encode
from reverie.tasks.interpolate import interpolate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sides():
    """Training and held-out digits without the nines, and the nines."""
    data = Digits().load()
    cut = split(data)
    train, held = (part[data.labels[part] != 9] for part in cut[:2])
    return data.subset(train), data.subset(held), data.subset(np.flatnonzero(data.labels == 9))


@pytest.fixture(scope="module")
def model(sides):
    return reverie.train(sides[0].items, labels=sides[0].labels, steps=100, seed=0, threads=1, device="cpu")


def called(model, items):
    """What the shipped classifier calls digits."""
    with torch.no_grad():
        return _digit_net()[0](torch.from_numpy(model.encode(items)))[1].argmax(1).numpy()


def test_what_goes_up_comes_down(model, sides):
    items = sides[1].items[:12]
    again = np.stack(decode(model, encode(model, items, steps=64)).items)
    assert np.abs(again.astype(int) - items).max() <= 1  # of 255


def test_a_way_between_labels_ends_in_both(model):
    made = [interpolate(model, "label:1", "label:0", frames=2, steps=18, seed=seed).items for seed in range(10)]
    found = called(model, [item for two in made for item in two]).reshape(10, 2)
    assert (found == [1, 0]).mean() >= 0.85


def test_variations_keep_their_labels_and_are_new(model, sides):
    some = sides[1].subset(np.arange(40))
    made = augment(model, some.items, labels=some.labels.tolist(), times=1, strength=0.5, guidance=2.0, steps=10)
    assert (called(model, made.items) == some.labels).mean() >= 0.85
    far = np.abs(np.stack(made.items).astype(float) - some.items).mean((1, 2, 3))
    assert far.min() > 5


def test_nines_are_strange_and_the_rate_seen_is_the_rate_asked_for(model, sides):
    train, held, nines = sides
    made = detect(model, nines.items[:60], fpr=0.1, normal=held.items[:160], train=train.items)
    assert made.aurocs[0].value > 0.85
    assert made.seen.low <= 0.1 <= made.seen.high
    assert made.flagged.mean() > 0.3
