"""The card counts what is there, is JSON, and reads well."""

import io
import json

import numpy as np
from rich.console import Console

from reverie.data.card import card, text
from reverie.data.dataset import Broken, Data


def made():
    items = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1) * np.ones((1, 5, 7, 1), np.uint8) * 40
    items[4], items[5] = items[0], items[0]
    items[3] = items[2]
    names = list("abcdef")
    labels = np.array([0, 1, 1, 1, 0, 1])
    broken = [Broken("g.png", "truncated")]
    return Data(
        items, names, labels, ["cat", "[bold]dog", "hen"], source="p.zip", broken=broken, notes=["a note"], bytes=1234
    )


def printed(about):
    out = io.StringIO()
    Console(file=out, width=100).print(text(about))
    return out.getvalue()


def test_it_counts_what_is_there():
    about = card(made())
    assert json.loads(json.dumps(about)) == about
    assert about["count"] == 6
    assert about["shape"] == [5, 7, 1]
    assert about["range"] == [0, 80]
    assert about["classes"] == {"cat": 2, "[bold]dog": 4, "hen": 0}
    assert about["found"] == {"5x7 grey uint8": 6}
    assert about["duplicates"] == {"groups": [["a", "e", "f"], ["c", "d"]], "surplus": 3, "contradicting": 1}
    assert about["broken"] == [{"name": "g.png", "reason": "truncated"}]


def test_a_person_reads_all_of_it():
    shown = printed(card(made()))
    for words in ("p.zip", "6 (1.2 kB)", "5x7", "0 to 80", "cat: 2", "[bold]dog: 4", "a = e = f", "g.png: truncated"):
        assert words in shown
    assert "1 of these groups have members in different classes" in shown
    assert "a note" in shown


def test_long_lists_are_cut_and_say_so():
    data = Data.from_arrays(np.arange(25)[:, None, None] * np.ones((1, 5, 5)), labels=range(25))
    assert "and 15 more" in printed(card(data))


def test_items_of_different_sizes_have_no_one_shape():
    about = card(Data.from_arrays([np.zeros((5, 6), np.float32), np.ones((7, 8), np.float32)]))
    assert about["shape"] is None
    assert about["found"] == {"5x6 grey float32": 1, "7x8 grey float32": 1}
    assert "duplicates  none" in printed(about)
