"""The card counts what is there, is JSON, and reads well."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from reverie.data.card import card, text
from reverie.data.dataset import Broken, Data
from reverie.data.looks import looks
from reverie.data.near import NEAR
from reverie.data.source import read
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.report.data_page import build
from tests.data.faults import album, encoded, lay, photos
from tests.report.reading import Page, pixels


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


def test_items_with_nan_are_counted_and_named_and_the_rest_is_looked_at(tmp_path):
    x = np.random.default_rng(0).random((20, 6, 6)).astype(np.float32)
    x[3, 1, 1], x[17, :2, 0] = np.nan, [np.inf, -np.inf]
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    about = card(read(tmp_path / "a.npz", finite=False).usable())
    assert json.loads(json.dumps(about, allow_nan=False)) == about
    assert about["count"] == 18
    assert about["classes"] == {"0": 10, "1": 8}
    assert about["broken"] == [
        {"name": "a.npz[3]", "reason": "1 of 36 values are NaN or infinite"},
        {"name": "a.npz[17]", "reason": "2 of 36 values are NaN or infinite"},
    ]
    left = np.delete(x, [3, 17], axis=0)
    assert about["range"] == [left.min(), left.max()]
    assert "2 of 20 items hold NaN" in about["notes"][0]
    with pytest.raises(
        ReverieError, match=r"item 3 holds NaN or infinite values, and 1 more of 20 do.*reverie prepare"
    ):
        read(tmp_path / "a.npz")
    with pytest.raises(ReverieError, match="all 2 items hold NaN"):
        Data.from_arrays(x[[3, 17]], finite=False).usable()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """The album of faults.py, with what a card of it must say."""
    good, faults = album()
    folder = lay(tmp_path_factory.mktemp("in") / "album", good | {n: f[0] for n, f in faults.items()})
    data = read(folder, max_broken=1.0)
    return data, card(data), {rule: {n for n, f in faults.items() if f[1] == rule} for _, rule, _ in faults.values()}


def test_every_injected_fault_is_on_the_card_and_no_other(faulty):
    _, about, expected = faulty
    assert json.loads(json.dumps(about, allow_nan=False)) == about
    assert {b["name"] for b in about["broken"]} == expected["broken"]
    assert {o["name"] for o in about["outliers"]["items"]} == expected["outlier"]
    assert {n for group in about["duplicates"]["groups"] for n in group[1:]} == expected["duplicate"]
    assert about["duplicates"]["contradicting"] == 1
    assert {m["name"] for group in about["near"]["groups"] for m in group["like"]} == expected["near duplicate"]
    assert about["near"]["surplus"] == len(expected["near duplicate"])
    assert [(g["first"], g["like"][0]["name"]) for g in about["near"]["groups"]] == [
        ("cats/p09.png", "cats/z-again.jpg"),
        ("dogs/p08.png", "dogs/z-smaller.png"),
        ("dogs/p10.png", "dogs/z-brighter.png"),
    ]
    shown = printed(about)
    for words in (
        "3 near duplicates",
        "cats/p09.png ~ cats/z-again.jpg (0.99",
        "1 outliers",
        "blank: all values from 128",
    ):
        assert words in shown


def test_leaks_are_counted_by_brute_force(faulty):
    """Of every pair across the cut, none is equal; those nearly equal are all there."""
    data, _, _ = faulty
    for share in (0.1, 0.3, 0.5):
        about = card(replace(data, held_out=share))["leakage"]["cut"]
        cut = split(data, share)
        assert about["sides"] == {"train": len(cut.train), "held-out": len(cut.held_out)}
        seen = looks(data).thumbnails
        scores = seen[cut.held_out] @ seen[cut.train].T
        side, other = (cut.held_out, cut.train) if len(cut.held_out) <= len(cut.train) else (cut.train, cut.held_out)
        scores = scores if side is cut.held_out else scores.T
        leaking = {data.names[side[k]] for k in np.flatnonzero(scores.max(1) >= NEAR)}
        assert about["exact"] == 0
        assert {pair["name"] for pair in about["pairs"]} == leaking
        assert about["near"] == len(leaking)
        assert all(pair["like"] in {data.names[k] for k in other} for pair in about["pairs"])
    assert about["near"]  # at a half, some pair is parted: the check above has seen one


def test_leaks_between_a_persons_own_folders_are_named(tmp_path):
    pictures = photos(20)
    files = {f"data/train/{'ab'[k % 2]}/{k}.png": encoded(p) for k, p in enumerate(pictures[:15])}
    files |= {f"data/test/{'ab'[k % 2]}/{k}.png": encoded(p) for k, p in enumerate(pictures[15:], 15)}
    whole = card(read(lay(tmp_path / "clean", files)))["leakage"]["own"]
    assert (whole["sides"], whole["exact"], whole["near"]) == ({"test": 5, "train": 15}, 0, 0)
    files |= dict.fromkeys(("data/test/a/copy.png", "data/train/b/z.png"), files["data/train/b/1.png"])
    files |= {"data/Validation/a/again.jpg": encoded(pictures[2], "JPEG", quality=90)}
    files |= {"data/Validation/a/copy.png": encoded(pictures[16])}
    own = card(read(lay(tmp_path / "leaky", files)))["leakage"]["own"]
    assert own["sides"] == {"validation": 2, "test": 6, "train": 16}
    assert (own["exact"], own["near"]) == (2, 1)
    assert {(p["name"], p["side"], p["like"], p["on"], p["exact"]) for p in own["pairs"]} == {
        ("data/test/a/copy.png", "test", "data/train/b/1.png", "train", True),
        ("data/Validation/a/again.jpg", "validation", "data/train/a/2.png", "train", False),
        ("data/Validation/a/copy.png", "validation", "data/test/a/16.png", "test", True),
    }
    assert "leak between your folders" in printed(card(read(tmp_path / "leaky")))
    assert (
        card(read(lay(tmp_path / "beside", {**files, "data/extra/1.png": encoded(pictures[0])})))["leakage"]["own"]
        is None
    )


def test_groups_are_counted_and_what_cannot_be_split_says_why():
    data = Data.from_arrays(photos(6))
    data.groups = list("aabbcc")
    assert card(data)["leakage"]["groups"] == 3
    data.groups = ["a"] * 6
    about = card(data)
    assert about["leakage"]["cut"] is None
    assert "all one group" in printed(about)


def test_balance_is_what_equal_classes_would_be_worth():
    items = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    even = card(Data.from_arrays(items, labels=[k % 4 for k in range(40)]))["balance"]
    assert even == {"least": 10, "most": 10, "effective": pytest.approx(4)}
    skew = card(Data.from_arrays(items, labels=[0] * 39 + [1]))["balance"]
    share = np.array([39, 1]) / 40
    assert skew == {"least": 1, "most": 39, "effective": pytest.approx(np.exp(-(share * np.log(share)).sum()))}
    assert card(Data.from_arrays(items))["balance"] is None


def test_the_page_shows_what_the_card_says_and_asks_for_nothing_from_outside(faulty):
    data, about, expected = faulty
    html = build(data, about)
    page = Page(html)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert "http" not in html.replace("data:image", "")
    assert "url(" not in html
    assert "@import" not in html
    for name in set.union(*expected.values()):
        assert name in page.text
    shown = {image["alt"]: pixels(image["src"]) for image in page.all("img")}
    assert shown["cats/z-blank.png"].max() == shown["cats/z-blank.png"].min() == 128
    k = data.names.index("dogs/p10.png")
    np.testing.assert_array_equal(shown["dogs/p10.png"], data.items[k])
    for words in ("33 images", "3 broken files", "2 exact duplicates", "3 near duplicates", "1 outliers"):
        assert words.replace("33", str(len(data))) in page.text
    assert about["near"]["rule"] in page.text
    assert build(data, about) == html


def test_a_page_of_hostile_names_is_still_a_page():
    data = made()
    data.names[0] = "<script>alert(1)</script>\"' onerror=x"
    page = Page(build(data, card(data)))
    assert "script" not in {tag for tag, _ in page.tags}
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert "<script>alert(1)</script>" in page.text
    assert "[bold]dog" in page.text


def test_the_command_prints_json_and_writes_the_page(tmp_path, monkeypatch, capsys):
    import sys

    from reverie import cli

    folder = lay(tmp_path / "in", {f"{k}.png": encoded(p) for k, p in enumerate(photos(12))})
    monkeypatch.setattr(sys, "argv", ["reverie", "info", str(folder), "--json", "--html", str(tmp_path / "card.html")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    about = json.loads(capsys.readouterr().out)
    assert about == card(read(folder))
    assert (tmp_path / "card.html").read_text() == build(read(folder), about)
