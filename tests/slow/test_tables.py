"""Tables learned for real: the run of docs/tables.md, smaller, beats what knows no row; 400 columns are learned together."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import reverie
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.metrics.columns import ColumnPairTrends, ColumnShapes, Pairs
from reverie.tasks.complete import complete

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the page's own code leaves behind."""
    found: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S)), found)
    return found


def records(codec, frame):
    """A table as the metrics read it."""
    return codec.records(codec.numbers(codec.encode_all(Rows(frame.reset_index(drop=True)))))


def apart(frame, seed=0):
    """The same columns, each in an order of its own: what a person could make without a model."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: rng.permutation(column.to_numpy()) for name, column in frame.items()})


def test_samples_hang_together_as_held_out_rows_do(space):
    train, held, made = (space[k] for k in ("train", "held", "made"))
    codec = TableCodec.fit(Rows(space["frame"]))
    real = records(codec, held)
    own, none = (records(codec, some) for some in (made, apart(train)))
    assert ColumnPairTrends()(real, own) > ColumnPairTrends()(real, none) + 0.1
    assert ColumnShapes()(real, own) > ColumnShapes()(real, none) - 0.05  # whose columns are the real ones'


def test_who_learns_from_samples_alone_knows_held_out_rows(space):
    usual = space["held"]["target"].value_counts(normalize=True).max()
    assert space["accuracy"] > usual + 0.2


def test_empty_cells_are_filled_better_than_by_means(space):
    names = ["mean area", "worst radius", "mean concavity"]
    holes = space["held"].reset_index(drop=True).copy()
    truth = holes[names].copy()
    holes[names] = np.nan
    filled = complete(space["model"], holes, samples=4, seed=0, steps=50).best.frame[names]
    error = ((filled - truth) ** 2).mean() ** 0.5
    usual = ((space["train"][names].mean() - truth) ** 2).mean() ** 0.5
    assert (error < 0.6 * usual).all()


def test_400_columns_are_learned_together(tmp_path):
    """300 numbers and 100 words that hang on four unseen causes: samples' correlations are those of the rows."""
    rng = np.random.default_rng(0)
    causes, n = rng.standard_normal((400, 4)), 400
    numbers = causes @ rng.standard_normal((4, 300)) + 0.5 * rng.standard_normal((n, 300))
    words = np.array(["low", "middle", "high"])[np.digitize(causes[:, rng.integers(0, 4, 100)], [-0.5, 0.5])]
    frame = pd.DataFrame({f"x{k}": numbers[:, k] for k in range(300)} | {f"c{k}": words[:, k] for k in range(100)})
    frame.to_csv(tmp_path / "wide.csv", index=False)
    model = reverie.train(str(tmp_path / "wide.csv"), steps=80, seed=0, threads=1, device="cpu")
    assert len(model.codec.fields) == 2
    made = model.sample(200, seed=0, steps=30, batch=200).items.frame
    found: Pairs = ColumnPairTrends().pairs(records(model.codec, frame), records(model.codec, made))
    upper = np.triu_indices(400, 1)
    assert np.corrcoef(found.real[upper], found.generated[upper])[0, 1] > 0.8
