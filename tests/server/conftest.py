"""A folder of runs with one small model in it."""

import pytest

import reverie
from reverie.pictures import save_sheet
from tests.toy import data


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """RUNS/toy knows three labels; 8x8 grey pictures of 8 bits."""
    place = tmp_path_factory.mktemp("runs")
    model = reverie.train(data(), size="tiny", steps=4, batch=16, threads=1, device="cpu")
    model.save(place / "toy")
    save_sheet(model.sample(3, steps=1).sheet(), place / "toy" / "samples" / "00000004-ema.png")
    return place
