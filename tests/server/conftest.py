"""A folder of runs with one small model in it."""

import pytest

import reverie
from tests.toy import data


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """RUNS/toy knows three labels; 8x8 grey pictures of 8 bits."""
    place = tmp_path_factory.mktemp("runs")
    items = data()
    reverie.train(items, place / "toy", size="tiny", steps=4, batch=16, threads=1, device="cpu")
    return place
