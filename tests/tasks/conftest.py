"""One small trained model, and one of tokens, for what holds however good a model is."""

import pytest

import reverie
from tests.toy import data, tiny


@pytest.fixture(scope="session")
def toy():
    """Knows three labels; 8x8 grey pictures of 8 bits."""
    return reverie.train(data(), network=tiny(), steps=2, batch=16, threads=1, device="cpu")


@pytest.fixture(scope="session")
def tokens():
    """Masked tokens, one for each of 4 levels."""
    items = (data().items // 64) * 85
    return reverie.train(items, family="masked", size="tiny", steps=2, batch=16, threads=1, device="cpu")
