"""What a person gives in Python: a slip is one sentence that names the argument, at the edge; what is right goes through."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reverie
from reverie.data.dataset import Indexed
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.training.settings import TrainSettings
from reverie.typed import checked, fits, words
from tests.evaluation.exact import exact_model


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (int, [4, np.int64(4)], ["4", 4.0, True, None]),
        (float, [0.5, 4, np.float32(0.5)], ["0.5", False, None]),
        (bool, [True], [1, "yes"]),
        (str | Path, ["a", Path("a")], [3, b"a", None]),
        (int | None, [None, 4], ["4"]),
        (Sequence[str], [["a"], ("a",), np.array(["a"])], ["a", {"a": 1}, 3]),
        (Mapping[str, Any], [{}], [[], "a"]),
        (tuple[float, float], [(0, 1), [0, 1], np.zeros(2)], ["01", 0, (1,), (1, 2, 3), ("a", "b")]),
        (Indexed, [[1], np.zeros(3)], [3, {"a": 1}, "a", iter([1])]),
        (Callable[[int], None], [print], [3]),
        (Any, [None, "a", 3], []),
    ],
)
def test_a_value_fits_its_annotation_or_not(hint, right, wrong):
    assert all(fits(value, hint) for value in right)
    assert not any(fits(value, hint) for value in wrong)


def test_annotations_read_as_a_person_would_say_them():
    assert words(str | Path | None) == "text, a path or None"
    assert words(Sequence[str | Path]) == "a list"
    assert words(float) == "a number"


def test_a_checked_function_is_itself_but_for_what_it_refuses():
    @checked
    def add(a: int, *, b: float = 1.0) -> float:
        """Sum."""
        return a + b

    assert add(1) == 2
    assert add(1, b=3) == 4
    assert add.__doc__ == "Sum."
    with pytest.raises(ReverieError, match=r"add\(a='1'\): a must be a whole number"):
        add("1")
    with pytest.raises(ReverieError, match="has no option 'c'; there are a and b"):
        add(1, c=2)
    with pytest.raises(TypeError, match="missing"):
        add()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: reverie.train(None), r"train\(data=None\): data must be text, a path, a Data, an array or a list\."),
        (lambda m: reverie.train({"x": 1}), r"train\(data=\{'x': 1\}\)"),
        (lambda m: reverie.train("digits", batch="16"), r"train\(batch='16'\): batch must be a whole number or None"),
        (lambda m: reverie.train("digits", lr="1e-3"), r"lr must be a number or None"),
        (lambda m: reverie.train("digits", size=3), r"size must be text"),
        (lambda m: reverie.train("digits", 3), r"output must be text, a path or None"),
        (lambda m: reverie.train("digits", labels=[1, 2], steps=1), "label_from='csv:COLUMN'"),
        (lambda m: reverie.load(3), r"load\(path=3\): path must be text or a path"),
        (lambda m: reverie.resume(None), r"resume\(run=None\)"),
        (lambda m: reverie.compare("runs/a"), r"runs must be a list"),
        (lambda m: reverie.evaluate("runs/a", n="4"), r"n must be a whole number"),
        (lambda m: m.sample(n="4"), r"Model\.sample\(n='4'\): n must be a whole number"),
        (lambda m: m.sample(4, steps="8"), r"steps must be a whole number or None"),
        (lambda m: m.sample(4, step=8), r"Model\.sample has no option 'step'; did you mean steps"),
        (lambda m: m.sample(4, guidance="2"), r"guidance must be a number or None"),
        (lambda m: reverie.train(np.zeros((9, 8, 8)), labels=3), r"labels must be a list or None"),
        (lambda m: reverie.train(np.zeros((9, 8, 8)), conditions={"a": 3}), r"condition 'a' is 3"),
        (lambda m: reverie.train(["a.png", "b.png"]), r"array\[0\] holds <U5 values"),
        (lambda m: m.sample(4, interval=(3,)), r"interval must be a pair of numbers or None"),
        (lambda m: m.sample(4, first=-1), "first from 0"),
        (lambda m: m.save(None), r"Model\.save\(path=None\)"),
        (lambda m: m.sample(4, seed=None), r"seed must be a whole number"),
    ],
)
def test_plausible_slips_are_one_sentence(call, said):
    with pytest.raises(ReverieError, match=said):
        call(exact_model())


def test_what_is_right_goes_through_and_settings_read_back():
    assert len(exact_model().sample(np.int64(2), steps=2, seed=1).items) == 2
    assert Model.sample.__doc__
    made = TrainSettings.of({"budget": 5, "epochs": None, "held_out": 500, "lr": 1, "guidance": 2, "seed": np.int64(3)})
    assert type(made.seed) is int
    assert (made.budget, made.held_out) == ("5", "500")
    assert TrainSettings.of(made.to_json()) == made
