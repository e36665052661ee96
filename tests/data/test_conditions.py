"""What is known of items beside themselves: read from tables, folders and arrays, and dropped in training as it is said."""

import csv
import io
import math
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from reverie.codecs.image import ImageCodec
from reverie.conditions import Knowledge
from reverie.data.columns import Labels, Numbers, Pictures, Starts
from reverie.data.dataset import Data
from reverie.data.known import KnownStart
from reverie.data.loader import Loader
from reverie.data.source import read
from reverie.data.split import split
from reverie.data.wishes import absolute, parse
from reverie.errors import ReverieError

STYLES = ["noto", "blob", "noto", "flat"]
AGES = ["40", "", "7.5", "63"]


def png(value, size=(8, 8), mode="L"):
    out = io.BytesIO()
    Image.new(mode, size[::-1], value).save(out, "png")
    return out.getvalue()


def table(rows):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def lay(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def faces(tmp_path):
    """Four pictures with a table, and a folder of their sketches: smaller, in colour, under other suffixes."""
    rows = [["file", "style", "age", "all"], *([f"{k}.png", STYLES[k], AGES[k], "3"] for k in range(4))]
    lay(tmp_path / "faces", {**{f"{k}.png": png(60 * k) for k in range(4)}, "about.csv": table(rows)})
    lay(tmp_path / "sketch", {f"{k}.bmp": png((60 * k, 0, 0), (4, 4), "RGB") for k in range(5)})
    return tmp_path / "faces"


def test_columns_and_pairs_are_read_for_the_right_items(faces):
    data = read(faces, condition=f"label:style,number:age,image:{faces.parent / 'sketch'}")
    assert list(data.columns) == ["style", "age", "sketch"]
    told = data.told([2, 1])
    assert told["style"] == ["noto", "blob"]
    assert told["age"] == [7.5, None]
    assert [p.shape for p in told["sketch"]] == [(4, 4, 3)] * 2, "its own size and channels"
    assert [int(p[0, 0, 0]) for p in told["sketch"]] == [120, 60]
    assert any("1 of 4 cells of 'age' are empty" in note for note in data.notes)
    assert any("1 pictures have no item of their name" in note for note in data.notes)
    assert not any("skipped" in note for note in data.notes), "the table is read"
    part = data.subset([3, 0]).told([0, 1])
    assert part["style"] == ["flat", "noto"]
    assert part["age"] == [63.0, 40.0]


def test_larger_pictures_are_brought_to_the_size_of_the_items_as_items_are(faces):
    big = lay(faces.parent / "big", {f"{k}.png": png(9 * k, (32, 48)) for k in range(4)})
    data = read(faces, condition=f"image:{big}", resolution=(8, 12))
    assert data.items.shape == (4, 8, 12, 1)
    assert data.conditions["big"].items.shape == (4, 8, 12, 1)
    assert any("big: 4 images of 32x48, resized to 8x12" in note for note in data.notes)


def test_a_folder_pairs_with_a_zip_below_another_root_and_classes_come_from_folders(tmp_path):
    lay(tmp_path, {f"photos/{c}/{k}.png": png(50 * k) for k, c in enumerate(["cat", "dog", "cat"])})
    with zipfile.ZipFile(tmp_path / "lines.zip", "w") as file:
        for k, c in enumerate(["cat", "dog", "cat"]):
            file.writestr(f"lines/{c}/{k}.tif", png(50 * k + 1))
    data = read(tmp_path / "photos", label_from="none", condition=f"label:kind=folder,image:{tmp_path / 'lines.zip'}")
    assert data.labels is None
    assert data.told(range(3))["kind"] == [name.split("/")[0] for name in data.names]
    assert [
        int(p[0, 0, 0]) - int(i[0, 0, 0]) for p, i in zip(data.told(range(3))["lines"], data.items, strict=True)
    ] == [1] * 3


def test_a_condition_called_label_is_the_labels(faces):
    data = read(faces, label_from="none", condition="label:label=style")
    assert data.classes == ["blob", "flat", "noto"]
    assert not data.conditions
    with pytest.raises(ReverieError, match="'label' is there twice"):
        read(faces, label_from="csv:style", condition="label:label=style")


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("label:stile", ["no column 'stile'", "style"]),
        ("number:style", ["row 2", "'noto'", "label:style"]),
        ("image:skech", ["no skech", "sketch"]),
        ("image:few", ["2 of 4 items", "2.png, 3.png"]),
        ("image:two", ["0.bmp", "0.png", "Keep one"]),
        ("image:broken", ["1 pictures of items cannot be read", "0.png"]),
        ("label:folder", ["not two class folders"]),
        ("label:style,number:style", ["'style' is there twice"]),
        ("colour:style", ["label:COLUMN"]),
        ("label:", ["label:COLUMN"]),
        ("label:art style", ["'art style'", "label:NAME=art style"]),
    ],
)
def test_what_cannot_be_read_is_one_message(faces, monkeypatch, condition, words):
    monkeypatch.chdir(faces.parent)
    lay(faces.parent, {f"few/{k}.png": png(1) for k in range(2)})
    lay(faces.parent, {**{f"two/{k}.png": png(1) for k in range(4)}, "two/0.bmp": png(1)})
    lay(faces.parent, {**{f"broken/{k}.png": png(1) for k in range(4)}, "broken/0.png": png(1)[:45]})
    with pytest.raises(ReverieError) as error:
        read(faces, condition=condition)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("cell", ["nan", "inf", "4O"])
def test_a_cell_that_is_no_finite_number_is_named_with_its_row(faces, cell):
    lay(faces, {"about.csv": table([["file", "age"], *([f"{k}.png", cell if k == 2 else k] for k in range(4))])})
    with pytest.raises(ReverieError, match=rf"about.csv, row 4, column 'age': '{cell}' of 2.png"):
        read(faces, condition="number:age")
    lay(faces, {"about.csv": table([["file", "age"], *([f"{k}.png", k] for k in range(3))])})
    with pytest.raises(ReverieError, match=r"1 of 4 images have no row in about.csv \(3.png\)"):
        read(faces, condition="number:age")


def test_a_number_that_is_one_for_all_is_read_and_refused_where_it_would_be_learned(faces):
    """As a verb may be given items of one age."""
    data = read(faces, condition="number:all")
    assert data.told(range(4))["all"] == [3.0] * 4
    with pytest.raises(ReverieError, match="3 for every item"):
        Knowledge.fit(data.columns, (8, 8))


def test_a_wish_is_written_as_it_is_read_and_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "label:style,number:years=age,image:low=pairs/low"
    assert ",".join(map(str, parse(text))) == text
    assert absolute(text) == f"label:style,number:years=age,image:low={tmp_path / 'pairs/low'}"
    assert absolute(absolute(text)) == absolute(text)
    assert absolute(None) is None


def test_arrays_tell_their_kind_and_a_small_class_says_otherwise():
    items, rng = np.zeros((4, 8, 8), np.uint8), np.random.default_rng(0)
    told = {
        "age": [1.0, 2.5, None, 4],
        "year": [1990, 1991, 1990, 1990],
        "word": list("abab"),
        "flag": np.array([True, False] * 2),
        "sketch": rng.integers(0, 255, (4, 6, 6, 3), np.uint8),
        "exact": Numbers.of([1990, 1991, 1990, 1990]),
    }
    data = Data.from_arrays(items, conditions=told)
    assert {name: c.kind for name, c in data.columns.items()} == {
        "age": "number", "year": "label", "word": "label", "flag": "label", "sketch": "image", "exact": "number",
    }  # fmt: skip
    assert data.told([2])["age"] == [None]
    assert Data.from_arrays(items, conditions={"label": list("abab")}).classes == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("age", [1.0, float("nan"), 2.0, 3.0], "item 1 is nan"),
        ("age", [1.0, 2.0], "2 values for 4 items"),
        ("age", [2.0] * 4, "2 for every item"),
        ("age", Numbers, "known of no item"),
        ("two words", list("abab"), "cannot be called"),
        ("pair", np.zeros((4, 2)), "several values for an item"),
        ("style", ["a", None, "b", "b"], "exactly one label"),
        ("label", [1.0, 2.0, 3.0, 4.0], "is no class"),
    ],
)
def test_arrays_that_cannot_be_told_are_one_message(name, values, word):
    with pytest.raises(ReverieError, match=word):
        made = Numbers.of([None] * 4, name) if values is Numbers else values
        Data.from_arrays(np.zeros((4, 8, 8), np.uint8), conditions={name: made})


def many(count=200):
    """Items that can be told apart, each with a style, an age (some unknown) and itself as a picture."""
    rng = np.random.default_rng(1)
    items = rng.integers(0, 255, (count, 8, 8, 1), np.uint8)
    ages = [None if k % 5 == 0 else float(k) for k in range(count)]
    return Data.from_arrays(
        items, conditions={"style": [f"s{k % 3}" for k in range(count)], "age": ages, "same": items}
    )


def loader(data, **options):
    codec = ImageCodec.fit(data.items)
    return Loader(data.items, codec, 7, data.columns, Knowledge.fit(data.columns, (8, 8)), **options)


def test_each_condition_is_dropped_as_often_as_said_and_all_together_often_enough():
    """Over 10^4 draws: each 10 %; none told for 5 % and what chance adds; within four standard errors."""
    data = many()
    count, made = 10_000, loader(data)
    kept = made._kept(made_noise(count)).numpy()
    own = 0.05 / 0.95
    nothing = 0.05 + 0.95 * own**3
    for k in range(3):
        assert (~kept[:, k]).mean() == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / count) ** 0.5)
    assert (~kept).all(1).mean() == pytest.approx(nothing, abs=4 * (nothing * (1 - nothing) / count) ** 0.5)
    alone = 0.95 * own * (1 - own) ** 2
    for k in range(3):
        only = (~kept).sum(1) == 1
        share = (only & ~kept[:, k]).mean()
        assert share == pytest.approx(alone, abs=4 * (alone / count) ** 0.5), "each is also left out by itself"


def made_noise(count):
    from reverie.core.noise import Noise

    return Noise.of(7, count)


def test_a_batch_tells_each_item_its_own_and_what_is_unknown_is_absent():
    data = many()
    made = loader(data, dropout=0.0)
    batch = made.batch(150, 100)
    codes = {made.encoded([k]).numpy().tobytes(): k for k in range(len(data))}
    places = [codes[x[None].numpy().tobytes()] for x in batch.x0]
    assert batch.cond["style"].value.tolist() == [k % 3 for k in places]
    assert batch.cond["age"].present.tolist() == [k % 5 != 0 for k in places]
    known = np.array([k for k in range(200) if k % 5])
    standard = (np.array(places) - known.mean()) / known.std()
    here = batch.cond["age"].present.numpy()
    assert np.allclose(batch.cond["age"].value.numpy()[here], standard[here], atol=1e-6)
    assert torch.equal(batch.cond["same"].value, batch.x0)
    part = made.batch(180, 40)
    assert all(torch.equal(part.cond[n].value, c.value[30:70]) for n, c in batch.cond.items())


def test_augmentation_moves_an_item_and_its_picture_alike():
    made = loader(many(), augment=["flip", "vflip", "rotate90"])
    batch, plain = made.batch(0, 100), loader(many()).batch(0, 100)
    assert torch.equal(batch.cond["same"].value, batch.x0)
    assert not torch.equal(batch.x0, plain.x0)
    wide = Data.from_arrays(np.zeros((3, 8, 8)), conditions={"wide": np.zeros((3, 4, 8)) + np.arange(3)[:, None, None]})
    wide.conditions["wide"] = Pictures(wide.conditions["wide"].items[:, :4, :6])
    known = Knowledge({"wide": Knowledge.fit(wide.columns, (4, 6))["wide"]})
    with pytest.raises(ReverieError, match="rotate90 needs square data; this is 4x6"):
        Loader(wide.items, ImageCodec.fit(wide.items), 0, wide.columns, known, augment=["rotate90"])


def test_conditions_do_not_move_the_split_and_follow_it():
    data = many()
    bare = Data.from_arrays(data.items)
    assert split(data).hash == split(bare).hash
    held = split(data).held_out
    assert data.subset(held).told(range(len(held)))["style"] == [f"s{k % 3}" for k in held]
    assert Labels.of(["b", "a"]).plain() == ["b", "a"]


def starts(*dates, step=3600.0, steps=24):
    return Starts(np.array([np.datetime64(d, "s").astype(float) for d in dates]), step, steps)


def test_a_start_is_told_as_where_each_step_stands_in_day_week_and_year():
    column = starts("2024-01-01", "2024-07-01T06:00", "2023-01-01")
    known = KnownStart.fit(column, "start", (1, 24))
    assert list(known.periods) == ["day", "week", "year"]
    told = known.encode(column)
    day, week = told.value[:, 0:2], told.value[:, 2:4]
    assert told.value.shape == (3, 6, 24)
    assert told.present.all()
    assert day[0, :, 0].tolist() == pytest.approx([1, 0], abs=1e-6)  # midnight
    assert day[0, :, 12].tolist() == pytest.approx([-1, 0], abs=1e-6)  # noon
    assert day[1, :, 0].tolist() == pytest.approx([0, 1], abs=1e-6)  # six in the morning
    assert week[0, :, 0].tolist() == pytest.approx([1, 0], abs=1e-6)  # a Monday begins
    assert week[1, :, 0].tolist() == pytest.approx([math.cos(2 * math.pi / 28), math.sin(2 * math.pi / 28)], abs=1e-6)


def test_periods_that_steps_cannot_show_or_training_hardly_saw_are_not_told():
    days = KnownStart.fit(starts("2020-01-01", "2021-01-01", step=86_400.0, steps=10), "start", (1, 10))
    assert list(days.periods) == ["week", "year"]
    assert list(KnownStart.fit(starts("2020-01-01", "2020-01-03"), "start", (1, 24)).periods) == ["day", "week"]


def test_a_start_is_drawn_from_those_of_training_or_stated_as_a_date():
    column = starts("2024-01-01", "2024-07-01T06:00", "2023-01-01")
    known = Knowledge.fit({"start": column}, (1, 24))
    drawn = known.ask(30, {}, seed=0)
    assert set(drawn.values["start"]) == set(column.plain())
    said = known.ask(1, {"start": "2024-01-02T12:00"}, 0)
    assert said.values["start"] == ["2024-01-02T12:00:00.000"]
    assert torch.equal(said.cond["start"].value[0, :2], known["start"].encode(starts("2030-01-01T12:00")).value[0, :2])
    with pytest.raises(ReverieError, match="start = soon: give a date"):
        known.ask(1, {"start": "soon"}, 0)
    again = Knowledge.from_json(known.to_json(), known.tensors())
    assert again["start"] == known["start"]
    assert torch.equal(again.rows, known.rows)
