"""A tiny trained model with its samples and their evaluation, made once."""

from types import SimpleNamespace

import pytest
import torch

from reverie import api
from reverie.data.split import split
from reverie.evaluation.evaluate import Evaluation
from reverie.evaluation.measure import measure
from reverie.metrics.features import RandomConv
from reverie.report.page import build
from reverie.samples import Samples
from tests.toy import bars, tiny

HOSTILE = '</style><script>alert("1")</script>&'


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Three classes, one of them with a name that would break out of an HTML page that does not escape."""
    run = tmp_path_factory.mktemp("report") / "run"
    items, labels = bars(160)
    names = [("row", "column", HOSTILE)[k] for k in labels]
    data = api.as_data(items, names, api.TrainSettings())
    model = api.train(data, run, network=tiny(), steps=24, batch=16, held_out=60, seed=3, weight_decay=0.02)
    cut = split(data, 60, seed=0)
    train, held = data.subset(cut.train), data.subset(cut.held_out)
    evaluation, samples = measure(model, train, held, n=60, steps=5, features=RandomConv())
    assert isinstance(evaluation, Evaluation)
    assert isinstance(samples, Samples)
    return SimpleNamespace(run=run, model=model, train=train, held=held, evaluation=evaluation, samples=samples)


@pytest.fixture(scope="session")
def render(finished):
    """Build the page, with some of its parts changed."""

    def made(**changes):
        parts = {
            "model": finished.model, "samples": finished.samples, "evaluation": finished.evaluation,
            "train_items": finished.train.items, "held_items": finished.held.items, "run": finished.run,
            "command": "reverie evaluate RUN",
        }  # fmt: skip
        return build(**{**parts, **changes})

    return made


@pytest.fixture(scope="session")
def page(render):
    return render()
