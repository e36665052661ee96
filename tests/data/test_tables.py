"""Tables as data: columns that are told keep their place, and entries that are told are not what is learned."""

import numpy as np
import pandas as pd
import pytest
import torch

import reverie
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.data.kinds import Guess
from reverie.data.loader import Loader
from reverie.data.tables import read_table
from reverie.errors import ReverieError
from reverie.example import ENTRIES
from reverie.tasks.complete import complete


def frame(n=120, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "pay": rng.normal(size=n).round(2),
            "grade": rng.integers(1, 4, n),
            "old": rng.random(n) < 0.5,
            "age": rng.integers(18, 80, n),
            "word": rng.choice(["a", "b"], n),
        }
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(place):
    return reverie.train(
        str(place), condition="grade,number:years=age,old", entries=0.5, steps=2, size="tiny", threads=1, device="cpu"
    )


def read(place, **options):
    return read_table(Guess("table", place, "as you said"), **options)


def test_a_column_is_told_as_what_it_holds_or_as_a_person_says(place):
    told = read(place, condition="grade,age,word").conditions
    assert {name: column.kind for name, column in told.items()} == {"grade": "label", "age": "number", "word": "label"}
    assert read(place, condition="label:age").conditions["age"].kind == "label"
    labels = read(place, label_from="csv:word")
    assert [labels.classes[k] for k in labels.labels] == frame()["word"].tolist()


@pytest.mark.parametrize(
    ("condition", "words"),
    [("agee", "no column 'agee'. The nearest: age"), ("number:word", "holds words"), ("image:age", "no pictures")],
)
def test_a_column_that_cannot_be_told_is_a_sentence(place, condition, words):
    with pytest.raises(ReverieError, match=words):
        read(place, condition=condition)


def test_what_is_written_has_the_columns_that_were_read(model, place, tmp_path):
    path = model.sample(12, steps=3, conditions={"years": 33, "old": "True"}).save(tmp_path)[0]
    was, now = pd.read_csv(place), pd.read_csv(path)
    assert now.dtypes.to_dict() == was.dtypes.to_dict()
    assert list(now.columns) == list(was.columns)
    assert set(now["age"]) == {33}
    assert now["old"].all()
    assert set(now["grade"]) <= {1, 2, 3}


def test_told_columns_of_rows_with_gaps_are_told_and_stay(model, tmp_path):
    rows = frame(4)
    rows.loc[0, "word"], rows.loc[1, "age"] = None, None
    rows.to_csv(tmp_path / "t.csv", index=False)
    made = complete(model, str(tmp_path / "t.csv"), samples=1, steps=3)
    assert made.gaps.count == 1
    assert made.asked.wish.values["grade"] == [str(rows["grade"][0])]
    assert made[0].frame["age"].isna().tolist() == [False, True, False, False]


def test_entries_that_are_told_are_not_learned_and_the_others_are():
    rows, size, share = Rows(frame(400)), 4000, 0.4
    codec = TableCodec.fit(rows)
    batch = Loader(rows, codec, 0, entries=share).batch(0, size)
    told = batch.cond[ENTRIES]
    sets = [batch.x0[k].float() for k in sorted(batch.x0)]
    hidden = torch.cat([batch.observed[k] for k in sorted(batch.x0)], 1)
    assert torch.equal(told.value.isnan(), hidden)
    assert torch.equal(told.value[~hidden], torch.cat(sets, 1)[~hidden])
    assert bool(hidden.any(1).all())
    some = (~hidden).any(1)
    e = hidden.shape[1]  # a share drawn uniformly leaves all hidden with probability 1 / (1 + e)
    expected = share * e / (1 + e)
    assert abs(float(some.float().mean()) - expected) < 4 * (expected * (1 - expected) / size) ** 0.5


def test_a_network_that_is_told_nothing_is_the_one_without(model):
    """At first what is told is ignored, and known words stand in the noisy ones' place."""
    net = model.denoiser.network
    x = {k: torch.as_tensor(v) for k, v in model.encode(Rows(frame(6))).items()}
    level = torch.zeros(6)
    nothing = net(x, level, {})
    from reverie.example import Condition, entries

    absent = entries(x, {k: torch.ones(v.shape, dtype=torch.bool) for k, v in x.items()}).absent()
    untold = net(x, level, {ENTRIES: absent})
    assert all(torch.equal(nothing[k], untold[k]) for k in x)
    masked = {k: v if v.is_floating_point() else torch.full_like(v, net.blocks[k].states - 1) for k, v in x.items()}
    known = {k: torch.full(v.shape, not v.is_floating_point()) for k, v in x.items()}
    revealed = net(masked, level, {ENTRIES: Condition(*entries(x, known))})
    assert all(torch.equal(nothing[k], revealed[k]) for k in x)


def test_entries_are_for_data_of_which_parts_can_be_missing():
    with pytest.raises(ReverieError, match=r"--entries 0\.5 is for data of which parts can be missing"):
        reverie.train("digits", entries=0.5, steps=1, threads=1, device="cpu")
