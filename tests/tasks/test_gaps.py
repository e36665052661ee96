"""Rows: gaps filled as the posterior says, what is given as it was given, oddities found, variations as far as asked."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from reverie import storage
from reverie.codecs.text_table import drawn
from reverie.errors import ReverieError
from reverie.tasks.augment import augment
from reverie.tasks.complete import complete
from reverie.tasks.denoise import denoise
from reverie.tasks.detect import detect
from reverie.tasks.encode import encode
from reverie.tasks.generate import generate
from reverie.tasks.interpolate import interpolate
from reverie.tasks.restyle import restyle
from reverie.tasks.upscale import upscale
from tests.tasks.rows import Z, exact_rows, table

DRAWS = 600
ASK = pd.DataFrame({"z": [0.5, np.nan], "answer": [None, "no"]})


@pytest.fixture(scope="module")
def model():
    return exact_rows()


@pytest.fixture(scope="module")
def filled(model):
    """Each question many times, answered once."""
    return complete(model, pd.concat([ASK] * DRAWS), samples=1, batch=2 * DRAWS)[0].frame


def test_a_word_is_drawn_as_likely_as_its_number_makes_it(filled):
    yes = int((filled["answer"][::2] == "yes").sum())
    assert stats.binomtest(yes, DRAWS, 1 / (1 + np.exp(-2 * 0.5))).pvalue > 1e-4


def test_a_number_is_drawn_from_its_posterior_given_the_word(filled):
    w = (-0.5 * Z**2 + torch.nn.functional.logsigmoid(-2 * Z)).double().softmax(0)
    mean = float(w @ Z.double())
    sd = float((w @ (Z.double() - mean) ** 2).sqrt())
    z = filled["z"].to_numpy()[1::2]
    assert abs(z.mean() - mean) < 4 * sd / DRAWS**0.5
    assert z.std() == pytest.approx(sd, rel=0.15)


def test_replacement_alone_is_off_where_the_told_network_is_not(model):
    made = complete(model, pd.concat([ASK.iloc[:1]] * DRAWS), samples=1, method="known", batch=DRAWS)[0].frame
    yes = int((made["answer"] == "yes").sum())
    assert stats.binomtest(yes, DRAWS, 1 / (1 + np.exp(-1))).pvalue < 1e-3


def test_the_best_guess_and_the_spread_are_those_of_the_draws(model):
    made = complete(model, ASK, samples=19, steps=6)
    draws = [made[k].frame for k in range(19)]
    z, yes = np.array([d["z"][1] for d in draws]), sum(d["answer"][0] == "yes" for d in draws)
    word, number = made.spread.frame.to_dict("records")
    assert (number["row"], number["column"], word["row"], word["column"]) == (3, "z", 2, "answer")
    assert made.best.frame["z"][1] == number["value"] == pytest.approx(z.mean())
    assert (number["sd"], number["q05"], number["q95"]) == pytest.approx((z.std(ddof=1), z.min(), z.max()))
    assert word["share"] == max(yes, 19 - yes) / 19
    assert made.best.frame["answer"][0] == word["value"] == ("yes" if yes > 9 else "no")


def test_known_cells_are_written_letter_by_letter(model, tmp_path):
    lines = ["id,z,answer", "007,1.50,yes", '"a, b",,no', "x,-3e-1,", "y,0.30000000000000004,no"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    paths = complete(model, str(tmp_path / "t.csv"), samples=2, steps=4).save(tmp_path / "out.csv")
    assert [p.name for p in paths] == ["out.csv", "out-1.csv", "out-2.csv", "out-spread.csv"]
    for path in paths[:3]:
        written = path.read_text().splitlines()
        assert [written[k] for k in (0, 1, 4)] == [lines[k] for k in (0, 1, 4)]
        assert written[2].startswith('"a, b",')
        assert written[2].endswith(",no")
        assert written[3] in ("x,-3e-1,yes", "x,-3e-1,no")
    spread = pd.read_csv(paths[3])
    assert list(zip(spread["row"], spread["column"], strict=True)) == [(3, "z"), (4, "answer")]
    with pytest.raises(ReverieError, match="is there already"):
        complete(model, str(tmp_path / "t.csv"), samples=2, steps=4).save(tmp_path / "out.csv")


def test_what_is_found_stands_beside_cells_that_are_written_letter_by_letter(model, tmp_path):
    """Whole numbers among gaps, which pandas has as floats, are no 79.0; the strangest rows come first in the sheet alone."""
    lines = ["years,z,answer", "79,1.50,yes", ",-3e-1,no", "041,0.30000000000000004,no", "18,9,yes"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = detect(model, str(tmp_path / "t.csv"), fpr=0.3, normal=table(20, seed=1), train=table(40, seed=2), draws=2)
    found.sheet()
    path = found.save(tmp_path / "out.csv", {})[0]
    written = path.read_text().splitlines()
    assert [line.rsplit(",", 5)[0] for line in written] == lines
    assert written[0].endswith(",score,p,flagged,knn5,forest")
    assert [float(line.split(",")[3]) for line in written[1:]] == pytest.approx(found.scores)


def test_the_picture_has_the_rows_that_had_gaps_with_the_filled_cells_marked(model):
    rows = table(60, seed=5)
    rows.insert(0, "note", "x")
    rows.loc[[40, 57], "answer"] = None
    rows.loc[57, "z"] = np.nan
    made = complete(model, rows, samples=2, steps=4)
    marks = np.array([[False, False, True], [False, True, True]])
    wanted = drawn(made.best.frame.iloc[[40, 57]], marks, ["row 42", "row 59"])
    np.testing.assert_array_equal(np.asarray(made.sheet()), wanted)


def test_a_model_of_rows_is_called_one_of_rows(model):
    card = storage.model_card(model, storage.describe(model) | {"reverie": "0", "weights": {"sha256": ""}})
    assert 'rows = reverie.load("THIS_FOLDER")' in card
    assert "- rows: 2 columns; as the network sees each: 1 number, 1 category of at most 2 values" in card
    assert "images" not in card


def test_a_mask_marks_cells_beside_the_empty_ones(model, tmp_path):
    rows = pd.DataFrame({"z": [0.1, 0.2], "answer": ["yes", None]})
    for mask in ("z", np.array([[1, 0], [1, 0]]), pd.DataFrame({"answer": [False] * 2, "z": [True] * 2})):
        made = complete(model, rows, mask=mask, samples=1, steps=4)
        assert made.gaps.count == 3
        assert made[0].frame["answer"][0] == "yes"
        assert not (made[0].frame["z"] == rows["z"]).any()
    np.save(tmp_path / "m.npy", np.array([[True, False], [False, False]]))
    assert complete(model, rows, mask=str(tmp_path / "m.npy"), samples=1, steps=4).gaps.count == 2


def test_given_rows_satisfy_what_is_given_and_are_drawn_as_training_is(model):
    made = generate(model, 400, given="z=0.5..1.5", steps=30, batch=400).items.frame
    assert made["z"].between(0.5, 1.5).all()
    own = table(20_000)
    own = own[own["z"].between(0.5, 1.5)]
    assert stats.ks_2samp(made["z"], own["z"]).pvalue > 1e-4
    p = (own["answer"] == "yes").mean()
    assert stats.binomtest(int((made["answer"] == "yes").sum()), 400, p).pvalue > 1e-4
    assert set(generate(model, 20, given="answer=no", steps=4).items.frame["answer"]) == {"no"}
    more = generate(model, 5, given="z=0.5..1.5", steps=30, batch=400).items.frame["z"]
    assert more.tolist() == made["z"][:5].tolist()


def test_rows_that_break_the_rule_are_found(model):
    normal, odd = table(400, seed=1), table(60, seed=2)
    odd["z"] = np.where(odd["answer"] == "yes", -2.0, 2.0)  # each number is usual, each word is
    odd["what"] = "1"
    both = pd.concat([odd, table(60, seed=3).assign(what="0")], ignore_index=True)
    made = detect(model, both.drop(columns="what"), fpr=0.05, normal=normal, train=table(400, seed=4), draws=6)
    flags = made.flagged
    assert flags[:60].mean() > 0.5
    assert stats.binomtest(int(flags[60:].sum()), 60, 0.05).pvalue > 1e-3
    assert np.allclose(made.calibration.by_field.mean(0) / made.calibration.usual, 1)
    with pytest.raises(ReverieError, match="this one has maybe"):
        from reverie.tasks.parts.findings import judged

        judged(["0", "maybe"])


def test_labels_in_a_column_judge_the_scores(model, tmp_path):
    rows = table(30).assign(fraud=[0, 1] * 15)
    rows.to_csv(tmp_path / "t.csv", index=False)
    made = detect(
        model, str(tmp_path / "t.csv"), 0.1, normal=table(60, seed=1), train=table(60), label_from="csv:fraud", draws=1
    )
    assert "15 anomalous against 15 normal" in made.lines()[2]
    written = pd.read_csv(made.save(tmp_path / "found.csv", {})[0])
    assert list(written.columns) == ["z", "answer", "fraud", "score", "p", "flagged", "knn5", "forest"]
    assert written["z"].tolist() == rows["z"].tolist()


def test_variations_go_as_far_as_the_strength_says():
    """Where word and number have nothing to do with each other; draws from the posterior correlate by cos^2."""
    rows = table(1500, slope=0.0, seed=5)
    made = augment(exact_rows(0.0), rows, times=1, strength=0.5, batch=1500)
    r = np.corrcoef(rows["z"], made.items.frame["z"])[0, 1]
    assert abs(r - np.cos(np.pi / 4) ** 2) < 4 * (1 - 0.25) / 1500**0.5
    kept = int((rows["answer"].to_numpy() == made.items.frame["answer"].to_numpy()).sum())
    assert stats.binomtest(kept, 1500, 0.75).pvalue > 1e-4  # half are lost, and half of those drawn the same


WRONG = {
    "nothing empty": (lambda m: complete(m, table(3)), "no empty cells"),
    "column lost": (lambda m: complete(m, pd.DataFrame({"z": [1.0, None]})), "no column 'answer'"),
    "odd word": (lambda m: complete(m, pd.DataFrame({"z": [None], "answer": ["maybe"]})), "row 2.*'maybe' was not in"),
    "odd mask": (lambda m: complete(m, table(3), mask="zz"), "no column 'zz'. The nearest: z"),
    "mask's shape": (lambda m: complete(m, table(3), mask=np.ones((3, 3), bool)), "3 rows of 3 columns"),
    "untaught": (lambda m: complete(exact_rows(told=False), ASK, method="trained"), "--entries 0.25"),
    "no method": (lambda m: complete(m, ASK, method="mmps"), "there are trained and known"),
    "no table": (lambda m: complete(m, 3), "this is a int"),
    "given what": (lambda m: generate(m, 2, given="age=3"), "no column 'age'"),
    "given where": (lambda m: generate(m, 2, given="z=90..95"), "training has no value there"),
    "given beyond": (lambda m: generate(m, 2, given="z=200"), "z=200: training has no value there; its own are -"),
    "given backwards": (lambda m: generate(m, 2, given="z=2..1"), "wrong way round. Write z=1..2"),
    "a label": (
        lambda m: generate(m, 2, label="yes"),
        "--label yes: the model knows no label. Columns are asked for by --given",
    ),
    "given a word": (lambda m: generate(m, 2, given="z=a..b"), "write z=value or z=low..high"),
    "given no value": (lambda m: generate(m, 2, given="answer=maybe"), "training had no 'maybe'"),
    "given all": (lambda m: generate(m, 2, given="z=1 answer=no"), "nothing left to draw"),
    "empty cell": (lambda m: augment(m, ASK[1:]), "row 2, column 'z' is empty"),
    "empty word": (lambda m: augment(m, ASK[:1]), "column 'answer': an empty cell was not in"),
    "restyle": (lambda m: restyle(m, table(3)), "`reverie restyle` works on data of one field"),
    "upscale": (lambda m: upscale(m, table(3)), "`reverie upscale` works on data of one field"),
    "denoise": (lambda m: denoise(m, table(3)), "`reverie denoise` works on data of one field"),
    "encode": (lambda m: encode(m, table(3)), "`reverie encode` works on data of one field"),
    "interpolate": (lambda m: interpolate(m, "seed:1", "seed:2"), "`reverie interpolate` works on data of one"),
    "film": (lambda m: generate(m, 2, film="x.gif"), "`reverie sample --film` works on data of one"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_a_sentence(case, model):
    wrong, words = WRONG[case]
    with pytest.raises(ReverieError, match=words):
        wrong(model)


def test_a_model_that_was_not_told_hints_once_at_one_that_is(model):
    for one, hints in ((exact_rows(told=False), 1), (model, 0)):
        assert sum("--entries 0.25" in line for line in complete(one, ASK, samples=1).lines()) == hints


def test_numbers_beyond_training_are_counted(model):
    made = complete(model, pd.DataFrame({"z": [9.0, 0.0], "answer": [None, None]}), samples=1, steps=4)
    assert any("'z': 1 cells beyond training's" in line and ", in row " in line for line in made.lines())
    assert made[0].frame["z"].tolist() == [9.0, 0.0]


def test_a_number_far_beyond_training_is_flagged_by_model_and_neighbours(model):
    """At 4.5 standard deviations, a little beyond the largest of 8,000, and at 40; the same rows within the range are not."""
    odd = pd.DataFrame({"z": [40.0, -40.0, 4.5, 0.5, -0.5], "answer": ["yes", "no", "yes", "yes", "no"]})
    made = detect(model, odd, fpr=0.02, normal=table(400, seed=1), train=table(400, seed=4))
    assert made.flagged.tolist() == [True, True, True, False, False]
    assert made.scores[0] > made.scores[2]
    assert (made.near[:3] > made.near_check.max()).all()
    assert made.near[0] > 30
    assert made.near[0] > made.near[2]
