"""The main job on real data, a fixed number of steps in the place of the demo's budget: are its digits as promised?"""

import numpy as np
import pytest

import reverie
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.evaluation.measure import measure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judged():
    data = Digits().load()
    cut = split(data)
    assert (len(cut.train), len(cut.held_out)) == (1297, 500)
    model = reverie.train(data, steps=600, seed=0)
    return measure(model, data.subset(cut.train), data.subset(cut.held_out), n=500)[0]


def test_frechet_distance_is_at_most_3_times_the_floor(judged):
    score = judged.score("frechet")
    assert score.n == 500
    assert score.value <= 3 * score.floor
    assert score.value < 0.25 * score.gaussian


def test_recall_is_at_least_nine_tenths_of_the_real_one(judged):
    score = judged.score("recall")
    assert score.value >= 0.9 * score.floor


def test_labels_agree_within_3_points_of_real_digits(judged):
    assert abs(judged.labels.gap) <= 0.03


def test_nothing_is_copied(judged):
    assert not judged.audit.copying
    assert judged.audit.median >= judged.audit.held_out_median


def test_copies_in_the_place_of_samples_are_found():
    """The same audit, given training digits with a trace of noise."""
    from reverie.codecs.image import ImageCodec
    from reverie.evaluation.audit import audit

    data = Digits().load()
    cut = split(data)
    codec = ImageCodec.fit(data.items)
    x = np.stack([codec.encode(item) for item in data.items])
    train, held = x[cut.train], x[cut.held_out]
    noise = np.random.default_rng(0).normal(0, 0.02, (500, *train.shape[1:])).astype(np.float32)
    assert audit(train, held, train[:500] + noise).copying
