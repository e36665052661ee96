"""What verbs are told beside labels: numbers, several labels and pictures, stated or brought by the items, on exact models."""

import csv
import inspect
import json
import typing

import numpy as np
import pytest
import torch
from PIL import Image

import reverie
from reverie.cli.verbs import verb
from reverie.data.columns import Labels, Numbers
from reverie.data.dataset import Data
from reverie.data.source import read
from reverie.data.wishes import parse
from reverie.errors import ReverieError
from reverie.tasks import tasks
from reverie.tasks.augment import augment
from reverie.tasks.decode import decode
from reverie.tasks.detect import detect
from reverie.tasks.encode import encode
from reverie.tasks.generate import generate
from reverie.tasks.interpolate import interpolate
from reverie.tasks.parts.provenance import read_made
from reverie.tasks.parts.told import parse_condition
from reverie.tasks.upscale import upscale
from tests.tasks.exact import AGES, SD, SHIFT, STYLES, latent_of, shift, told_model


@pytest.fixture(scope="module")
def model():
    """Told a style and an age."""
    return told_model("style", "age")


def centred(count, sd=0.5 * SD, seed=0):
    return np.random.default_rng(seed).normal(0, sd, (count, 8, 8, 1)).clip(-0.5, 0.5).astype(np.float32)


def moved(items, styles, ages):
    """Items of these styles and ages, from centred ones."""
    return (items + np.array(list(map(shift, styles, ages))).reshape(-1, 1, 1, 1)).astype(np.float32)


def folder(place, styles, ages, header=("file", "style", "age"), dtype=np.uint8):
    """Pictures with a table of what they are; their values lie at the mean of what they are."""
    place.mkdir()
    for k, (style, age) in enumerate(zip(styles, ages, strict=True)):
        value = round(127.5 * (1 + shift(style, age)))
        Image.fromarray(np.full((8, 8), value, dtype)).save(place / f"{k}.png")
    rows = [header, *([f"{k}.png", s, a] for k, (s, a) in enumerate(zip(styles, ages, strict=True)))]
    with (place / "about.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return place


def test_told_all_that_an_item_is_its_latent_is_that_of_the_centred_item(model, tmp_path):
    items = centred(4)
    made = encode(model, moved(items, STYLES * 2, [20, 60] * 2), condition="style=flat|noto,age=20|60", steps=24)
    np.testing.assert_allclose(made.z, latent_of(np.moveaxis(items, 3, 1)), atol=1e-2)
    assert made.told == {"style": STYLES * 2, "age": [20.0, 60.0] * 2}
    made.save(tmp_path / "z")
    said = json.loads((tmp_path / "z" / "latents.json").read_text())
    assert said["conditions"] == made.told
    same = decode(model, tmp_path / "z")
    np.testing.assert_allclose(np.stack(same.items), moved(items, STYLES * 2, [20, 60] * 2), atol=3e-3)
    older = decode(model, tmp_path / "z", condition="age=70")
    np.testing.assert_allclose(np.stack(older.items), moved(items, STYLES * 2, [70] * 4), atol=3e-3)
    assert older.facts[1]["conditions"] == {"style": "noto", "age": 70.0}


def test_encode_tells_what_a_table_says_where_it_is_asked_to(tmp_path):
    """Items at the mean of what they are have the latent 0."""
    model = told_model("style", "age", dtype="uint8")
    place = str(folder(tmp_path / "in", STYLES, [20, 70]))
    found = encode(model, place, condition="style=flat|noto", condition_from="number:age", steps=24)
    assert found.told == {"style": STYLES, "age": [20.0, 70.0]}
    np.testing.assert_allclose(found.z, 0, atol=0.03)  # half a grey level is 0.016
    assert np.abs(encode(model, place, steps=24).z).min() > 0.05


def test_a_picture_that_encode_told_is_told_again_unless_it_has_changed(tmp_path):
    model, items = told_model("sketch"), centred(2)
    for name, value in (("dark", 64), ("light", 192)):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / f"{name}.png")
    encode(model, items, condition=f"sketch={tmp_path / 'dark.png'}", steps=24).save(tmp_path / "z")
    np.testing.assert_allclose(np.stack(decode(model, tmp_path / "z").items), items, atol=3e-3)
    light = decode(model, tmp_path / "z", condition=f"sketch={tmp_path / 'light.png'}")
    np.testing.assert_allclose(np.stack(light.items), items + SHIFT["sketch"] * 128 / 127.5, atol=3e-3)
    (tmp_path / "dark.png").unlink()
    with pytest.raises(ReverieError, match=r"dark.png\) that is no longer as it was. .*--condition sketch=FILE"):
        decode(model, tmp_path / "z")
    assert len(decode(model, tmp_path / "z", condition=f"sketch={tmp_path / 'light.png'}", steps=2)) == 2


def test_between_two_ages_each_frame_is_told_its_own(model, tmp_path):
    way = interpolate(model, "age:20", "age:60", frames=5, seed=2, condition="style=noto", steps=24)
    moved = np.stack(way.items) - way.items[0]
    inside = np.abs(np.stack(way.items)).max(0) < 1
    for f, one in zip(np.linspace(0, 1, 5), moved, strict=True):
        np.testing.assert_allclose(one[inside], f * (shift(age=60) - shift(age=20)), atol=5e-3)
    paths = way.save(tmp_path / "way")
    assert [read_made(p)["conditions"]["age"] for p in paths] == pytest.approx([20, 30, 40, 50, 60])
    way.save(tmp_path / "again")
    assert [line for line in way.lines() if line.startswith("film")] == [f"film: {tmp_path / 'again.gif'}"]
    assert "beyond what the model knows" in interpolate(model, "age:20", "age:95", frames=2, steps=2).lines()[-1]


def test_between_two_classes_of_any_condition_the_mean_goes_over_and_what_is_told_beside_stays(model):
    way = interpolate(model, "style:flat", "style:noto", frames=3, condition="age=60", steps=24)
    other = interpolate(model, "style:flat", "style:noto", frames=3, condition="age=20", steps=24)
    inside = (np.abs(np.stack(way.items)).max(0) < 1) & (np.abs(np.stack(other.items)).max(0) < 1)
    for f, one, two in zip((0, 0.5, 1), way, other, strict=True):
        np.testing.assert_allclose((one - way[0])[inside], f * (shift("noto") - shift("flat")), atol=5e-3)
        np.testing.assert_allclose((one - two)[inside], shift(age=60) - shift(age=20), atol=5e-3)


def test_both_ends_come_back_where_frames_are_told_different_things(model):
    a, b = centred(2)
    way = interpolate(model, a, b, frames=4, condition="age=20|40|50|70", steps=24)
    np.testing.assert_allclose(np.stack([way[0], way[3]]), [a, b], atol=3e-3)


def test_augment_tells_each_item_what_the_table_says_and_writes_a_data_set_that_says_it(tmp_path):
    """At the mean of what it is, an item and all its variations have that mean, and no other."""
    model, styles, ages = told_model("style", "age", dtype="uint8"), STYLES * 3, [20, 70, 30, 60, 40, 50]
    place = folder(tmp_path / "in", styles, ages)
    made = augment(model, str(place), times=2, strength=0.8, steps=12, with_originals=True)
    assert made.lines()[1] == "told style, age"
    means = np.stack(made.items).reshape(6, 3, -1).mean(2) / 127.5 - 1
    spread = 0.95 * SD * np.cos(0.4 * np.pi) * np.tan(0.4 * np.pi) / 8  # of a mean of 64 pixels
    np.testing.assert_allclose(
        means, np.repeat([[shift(s, a)] for s, a in zip(styles, ages, strict=True)], 3, 1), atol=4 * spread
    )
    made.save(tmp_path / "more")
    back = read(tmp_path / "more", condition="label:style,number:age")
    told = back.told(range(len(back)))
    where = {name: k for k, name in enumerate(back.names)}
    for k, name in enumerate(made.names):
        assert told["style"][where[f"{name}.png"]] == styles[k // 3]
        assert told["age"][where[f"{name}.png"]] == ages[k // 3]
    assert len(augment(model, str(tmp_path / "more"), times=1, steps=2)) == 18  # and so does augment itself


def test_conditions_are_read_as_training_read_them_unless_told_where_they_are(tmp_path):
    model = told_model("style", "age", dtype="uint8")
    place = str(folder(tmp_path / "in", STYLES, [20, 60], ("file", "kind", "years")))
    model.record = {"settings": {"condition": "label:style=kind,number:age=years"}}
    assert augment(model, place, times=1, steps=1).conditions == {"style": STYLES, "age": [20.0, 60.0]}
    model.record = {}
    with pytest.raises(ReverieError, match=r"no column 'style'.*kind, years.*--condition-from none"):
        augment(model, place, times=1, steps=1)
    some = augment(model, place, times=1, steps=1, condition_from="number:age=years")
    assert some.conditions == {"age": [20.0, 60.0]}
    rest = augment(model, place, times=1, steps=1, condition_from="number:age=years", condition="style=noto")
    assert rest.conditions == {"style": ["noto"] * 2, "age": [20.0, 60.0]}
    assert rest.facts[0]["conditions"] == {"style": "noto", "age": 20.0}
    assert augment(model, place, times=1, steps=1, condition_from="none").lines()[1] == "told nothing"
    arrays = read(place).items
    told = augment(model, arrays, times=2, steps=1, conditions={"style": STYLES, "age": 40})
    assert told.conditions == {"style": ["flat"] * 2 + ["noto"] * 2, "age": [40.0] * 4}


@pytest.mark.slow
def test_what_a_model_is_trained_to_be_told_goes_from_files_to_variations_and_back_into_training(tmp_path):
    place = folder(tmp_path / "in", STYLES * 5, range(20, 30), ("file", "kind", "years"))
    options = {"steps": 1, "batch": 2, "size": "tiny", "threads": 1, "device": "cpu"}
    model = reverie.train(str(place), condition="label:style=kind,number:age=years", **options)
    made = augment(model, str(place), times=1, steps=1)
    made.save(tmp_path / "more")
    again = reverie.train(str(tmp_path / "more"), condition="label:style,number:age", **options)
    assert {n: one.kind for n, one in again.conditions.items()} == {"style": "label", "age": "number"}
    assert again.conditions["style"].classes == model.conditions["style"].classes
    assert made.conditions["age"] == list(range(20, 30))


def test_pictures_that_items_bring_are_told_and_said_not_to_be_written(tmp_path):
    model, place = told_model("sketch", dtype="uint8"), tmp_path / "in"
    folder(place, ["flat"] * 2, [20, 60])
    (tmp_path / "drawn").mkdir()
    for k, value in enumerate((0, 255)):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / "drawn" / f"{k}.png")
    model.record = {"settings": {"condition": f"image:sketch={tmp_path / 'drawn'}"}}
    made = augment(model, str(place), times=1, strength=1.0, steps=12)
    assert [one.mean() / 127.5 - 1 for one in made] == pytest.approx([-0.3, 0.3], abs=4 * SD / 8)
    assert "the pictures 'sketch' are not written beside them" in made.lines()
    (tmp_path / "drawn" / "1.png").unlink()
    with pytest.raises(ReverieError, match=r"1 of 2 items have no file of the same name there \(1.png\)"):
        augment(model, str(place), times=1)


def test_detect_tells_normal_and_new_items_what_they_bring(model):
    """Told what it is, an item of any style and age is as surprising as a centred one; told nothing, it is not."""
    plain = told_model()
    rng = np.random.default_rng(5)

    def drawn(count, seed):
        items = centred(count, seed=seed)
        styles, ages = rng.choice(STYLES, count).tolist(), rng.choice(AGES, count)
        told = {"style": Labels.of(styles), "age": Numbers(ages)}
        return items, Data(moved(items, styles, ages), [str(k) for k in range(count)], conditions=told)

    (usual, normal), (new, items) = drawn(40, 1), drawn(6, 2)
    found, known = detect(model, items, 0.1, normal, draws=1), detect(plain, new, 0.1, usual, draws=1)
    np.testing.assert_allclose(found.scores, known.scores, atol=1e-3)
    np.testing.assert_allclose(found.p, known.p)
    np.testing.assert_allclose(found.check.scores, known.check.scores, atol=1e-3)
    assert found.lines()[3] == "told style, age"
    silent = detect(model, items, 0.1, normal, draws=1, condition_from="none")
    assert silent.scores.mean() > found.scores.mean() + 0.1
    aged = detect(model, moved(new, [None] * 6, [60] * 6), 0.1, moved(usual, [None] * 40, [60] * 40), draws=1,
                  condition="age=60", condition_from="none")  # fmt: skip
    np.testing.assert_allclose(aged.scores, known.scores, atol=1e-3)
    with pytest.raises(ReverieError, match=r"The items \(input\[0\], ...\) do not bring 'style'"):
        detect(model, items, 0.1, moved(usual, ["noto"] * 40, [60] * 40), draws=1)


def test_labels_are_told_in_turn_beside_what_is_known_of_an_item():
    model = told_model("age")
    model.conditions.known["label"] = told_model("style").conditions["style"]
    model.denoiser.network = LabelAsStyle(model.denoiser.network)
    items, ages = centred(6), [20.0, 70.0] * 3
    data = Data(moved(items, STYLES * 3, ages), list("abcdef"), conditions={"age": Numbers(np.array(ages))})
    found = detect(model, data, 0.25, data, draws=1)
    assert found.errors.label.tolist() == [0, 1] * 3
    said = detect(model, data, 0.25, data, draws=1, condition="label=noto")
    assert said.classes == []
    assert (said.scores[::2] > found.scores[::2] + 0.1).all()
    np.testing.assert_allclose(said.scores[1::2], found.scores[1::2], atol=1e-5)


class LabelAsStyle(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, level, cond):
        return self.network(x, level, {"style" if name == "label" else name: c for name, c in cond.items()})


def test_what_cannot_be_told_is_one_message(model, tmp_path):
    items = centred(2)
    place = folder(tmp_path / "in", ["noto"] * 2, [20, 60])
    (place / "about.csv").write_text((place / "about.csv").read_text().replace("1.png,noto", "1.png,oil"))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "one.png")
    grey = told_model("style", "age", dtype="uint8")
    for words, act in {
        "no condition 'stile'.*Did you mean style": lambda: encode(model, items, condition="stile=noto"),
        "no style 'oil'.*flat or noto": lambda: encode(model, items, condition="style=oil"),
        "age = old: give a finite number": lambda: decode(model, encode(model, items, steps=1), condition="age=old"),
        "trained without labels": lambda: encode(model, items, label="3"),
        "no file stile:noto.*did you mean style": lambda: interpolate(model, "stile:noto", "style:flat"),
        "no style 'oil'": lambda: interpolate(model, "style:noto", "style:oil"),
        "age = old": lambda: interpolate(model, "age:20", "age:old"),
        "another value of it": lambda: interpolate(model, "age:20", "style:noto"),
        "ends are values of 'age'": lambda: interpolate(model, "age:20", "age:30", condition="age=40"),
        "1.png: There is no style 'oil' in": lambda: augment(grey, str(place)),
        "holds no .csv.*--condition-from none": lambda: augment(grey, str(tmp_path / "one.png")),
        "do not bring 'style'.*--condition-from none": lambda: augment(model, items),
        "3 values of 'age' were given for 2": lambda: augment(
            model, items, conditions={"style": "noto", "age": [1, 2, 3]}
        ),
        "'age' is stated already.*read: style": lambda: augment(
            grey, place, condition_from="number:age", conditions={"age": 30}
        ),
        "'age' is in the data": lambda: augment(
            model, Data(items, ["a", "b"], conditions={"age": Numbers(AGES[:2])}), condition="age=3,style=noto"
        ),
        "'sketch' is stated already, or not the model's; left to read: style or age": lambda: augment(
            grey, place, condition_from="image:sketch=x"
        ),
        "condition-from style=noto: write .*NAME=VALUE is for": lambda: augment(
            grey, place, condition_from="style=noto"
        ),
        "has nothing to read from.*--condition-from none": lambda: detect(grey, "digits", normal=items),
        "given twice": lambda: generate(model, 2, label="3", condition="label=3"),
    }.items():
        with pytest.raises(ReverieError, match=words):
            act()


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.command)
def test_every_verb_takes_conditions_from_the_command_line(task):
    flags = inspect.signature(verb(task)).parameters
    assert typing.get_args(flags["condition"].annotation)[0] == str | None
    assert "style=noto" in typing.get_args(flags["condition"].annotation)[1].help


def test_the_two_grammars_of_condition_know_each_other():
    with pytest.raises(ReverieError, match="NAME=VALUE is for `sample`"):
        parse("style=noto")
    for text in ("label:style", "number:age=years,label:style"):
        with pytest.raises(ReverieError, match="KIND:COLUMN is for `reverie train`"):
            parse_condition(text, 1)


def test_a_small_picture_is_not_stated_beside_the_input_that_it_is(tmp_path):
    model = told_model("sketch", side=8, dtype="uint8")
    small = told_model("sketch", side=4).conditions["sketch"]
    model.conditions.known["sketch"] = small
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "s.png")
    with pytest.raises(ReverieError, match="that is what the inputs are"):
        upscale(model, np.zeros((1, 4, 4, 1), np.uint8), 2, condition=f"sketch={tmp_path / 's.png'}")


def test_the_exact_model_is_the_mean_that_it_says(model):
    """Of the tests' own: drawn samples of what is told have its mean."""
    made = model.sample(64, conditions={"style": "noto", "age": 60}, steps=12)
    assert made.x.mean() == pytest.approx(shift("noto", 60), abs=4 * SD / 64)
