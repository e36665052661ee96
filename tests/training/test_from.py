"""`--from`: a model started from stays what it is."""

import numpy as np
import pytest

import reverie
from reverie.errors import ReverieError
from tests.toy import data

FAST = {"steps": "2", "batch": 8, "size": "tiny", "threads": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each of two families."""
    folder = tmp_path_factory.mktemp("runs")
    for family in ("ddpm", "masked"):
        reverie.train(data(), family=family, **FAST).save(folder / family)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ddpm", "masked"])
def test_family_and_sampling_are_those_of_the_model_started_from(runs, family):
    model = reverie.train(data(), init_from=str(runs / family), **FAST)
    assert model.record["settings"]["family"] == family
    assert model.defaults.sampler == "ancestral"
    assert np.isfinite(model.sample(2, steps=3).x).all()
    assert (
        reverie.train(data(), init_from=str(runs / family), family=family, **FAST).record["settings"]["family"]
        == family
    )


@pytest.mark.parametrize(
    ("family", "given"),
    [
        ("ddpm", {"family": "masked"}),
        ("masked", {"family": "uniform"}),
        ("ddpm", {"schedule": "cosine"}),
        ("ddpm", {"family": "flow"}),
    ],
)
def test_what_would_be_ignored_is_refused(runs, family, given):
    with pytest.raises(ReverieError, match=f"cannot change what .* is, a model of the family {family}"):
        reverie.train(data(), init_from=str(runs / family), **given, **FAST)
