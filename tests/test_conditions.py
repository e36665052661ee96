"""What samples are told: from what a person asks, through the network, into the files and back."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import reverie
from reverie.codecs.image import ImageCodec
from reverie.conditions import MOST_ROWS, Knowledge
from reverie.core.denoiser import NetworkDenoiser
from reverie.core.parameterisation import X0
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM
from reverie.core.times import low_discrepancy
from reverie.data.columns import Labels, Numbers, Pictures
from reverie.data.source import read
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.networks.base import Block
from reverie.networks.unet import UNet
from reverie.tasks.generate import generate
from reverie.tasks.parts.told import parse_condition
from reverie.tasks.restyle import restyle

SIDE = 8
STYLES, GROUPS, AGES = ["noto", "flat"], ["cat", "dog", "fish"], np.array([20.0, 40.0, 60.0])


def columns(count=300):
    """Style and group never meet as flat fish; the age goes with the group; every seventh has none."""
    k = np.arange(count)
    group = k % 3
    style = np.where(group == 2, 0, (k // 3) % 2)
    age = np.where(k % 7 == 0, np.nan, AGES[group] + (k % 2))
    return {
        "style": Labels.of([STYLES[s] for s in style]),
        "group": Labels.of([GROUPS[g] for g in group]),
        "age": Numbers(age),
    }


class Obedient(nn.Module):
    """Says the picture that it is told: brightness by style, rows or columns by group, plus the number, plus the picture."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(()))

    def forward(self, x, level, cond):
        here = {name: c.present.float() for name, c in cond.items()}
        out = torch.zeros_like(x) + self.p
        out[:, :, 0] += (0.1 * (1 + cond["style"].value) * here["style"])[:, None, None]
        out[:, :, 1] += (0.1 * (1 + cond["group"].value) * here["group"])[:, None, None]
        out[:, :, 2] += (0.1 * cond["age"].value * here["age"])[:, None, None]
        out[:, :, 3:] += (cond["sketch"].value * here["sketch"][:, None, None, None])[:, :, 3:]
        return out


def obedient(extra=True):
    told = columns()
    pictures = Pictures.of(np.random.default_rng(0).integers(0, 255, (300, SIDE, SIDE), np.uint8))
    known = Knowledge.fit({**told, **({"sketch": pictures} if extra else {})}, (SIDE, SIDE))
    process = Gaussian(EDM(), torch.zeros(1, SIDE, SIDE), torch.ones(1, SIDE, SIDE))
    return Model(ImageCodec(SIDE, SIDE, "grey", 1), NetworkDenoiser(Obedient(), process, X0(), 0.5), known)


def test_one_label_is_drawn_as_it_always_was():
    """Bit for bit: a low-discrepancy sequence in the training shares, a class that never occurred among them."""
    label = Labels(np.repeat([0, 2, 3], [5, 2, 3]), list("abcd"))
    asked = Knowledge.fit({"label": label}, (8, 8)).ask(500, {}, seed=9, first=40)
    index = torch.arange(40, 540)
    steps = torch.cumsum(torch.tensor([0.5, 0.0, 0.2, 0.3], dtype=torch.float64), 0)
    wanted = torch.searchsorted(steps / steps[-1], low_discrepancy(index, torch.full_like(index, 9)))
    assert torch.equal(asked.cond["label"].value, wanted)
    assert asked.values["label"] == ["abcd"[k] for k in wanted]


def test_what_is_left_open_occurs_together_in_training():
    known, told = Knowledge.fit(columns(), (8, 8)), columns()
    there = {tuple(map(str, row)) for row in zip(*(c.plain() for c in told.values()), strict=True)}
    asked = known.ask(600, {}, seed=3)
    drawn = [tuple(map(str, row)) for row in zip(*asked.values.values(), strict=True)]
    assert set(drawn) == there
    assert np.mean([row[0] == "flat" for row in drawn]) == pytest.approx(1 / 3, abs=0.01)
    assert known.ask(7, {}, seed=3, first=100).values == {k: v[100:107] for k, v in asked.values.items()}
    some = known.ask(300, {"style": "flat", "group": ["cat", "dog", None] * 100}, seed=3).values
    assert set(some["style"]) == {"flat"}
    assert {a for a, g in zip(some["age"], some["group"], strict=True) if g == "cat"} <= {None, 20.0, 21.0}
    assert {a for a, g in zip(some["age"], some["group"], strict=True) if g == "dog"} <= {None, 40.0, 41.0}
    assert set(known.ask(100, {"group": "fish"}, seed=0).values["style"]) == {"noto"}
    assert set(known.ask(100, {"age": 41}, seed=0).values["group"]) == {"dog"}
    never = known.ask(100, {"style": "flat", "group": "fish"}, seed=0)
    assert set(never.values["age"]) <= {None, 20.0, 21.0, 40.0, 41.0, 60.0, 61.0}, (
        "a pair that never occurs may be asked for"
    )


def test_no_more_combinations_are_kept_than_said_and_they_keep_the_shares():
    rng = np.random.default_rng(0)
    count = 3 * MOST_ROWS
    told = {
        "style": Labels(np.sort(rng.choice(3, count, p=[0.6, 0.3, 0.1])), list("abc")),
        "age": Numbers(rng.normal(50, 9, count)),
    }
    known = Knowledge.fit(told, (8, 8))
    assert known.rows.shape == (MOST_ROWS, 2)
    share = np.bincount(told["style"].values) / count
    for k in range(3):
        assert float(known.weights[known.rows[:, 0] == k].sum()) == pytest.approx(share[k], abs=2 / MOST_ROWS)
    assert known["age"].mean == pytest.approx(told["age"].values.mean())


def test_the_network_is_told_all_that_was_asked_for_in_its_own_units():
    """A network that obeys exactly shows what it was told: labels by number, an age standardised, a picture as it is."""
    model, known = obedient(), Knowledge.fit(columns(), (8, 8))["age"]
    sketch = np.random.default_rng(5).integers(0, 255, (SIDE, SIDE), np.uint8)
    made = model.sample(
        4, conditions={"style": ["noto", "flat", 0, None], "group": "fish", "age": 40, "sketch": sketch}, steps=3
    )
    x = made.x[:, 0]
    places = np.array([0.1 * (1 + ["flat", "noto"].index("noto")), 0.1, 0.1, 0.0])
    assert np.allclose(x[:, 0], places[:, None], atol=1e-5)
    assert np.allclose(x[:, 1], 0.3, atol=1e-5)
    assert np.allclose(x[:, 2], 0.1 * (40 - known.mean) / known.sd, atol=1e-5)
    assert np.array_equal(np.stack(made.items)[:, 3:, :, 0], np.stack([sketch[3:]] * 4))
    guided = model.sample(
        2, conditions={"style": "noto", "group": "fish", "age": 40, "sketch": None}, guidance=2, steps=3
    ).x
    assert np.allclose(guided[:, 0, 0], 2 * 0.2, atol=1e-5), "guidance pushes from nothing told to all that is told"
    assert np.allclose(guided[:, 0, 1], 2 * 0.3, atol=1e-5)
    assert np.allclose(guided[:, 0, 3:], 0, atol=1e-5), "None tells nothing"
    split = model.sample(4, conditions={"style": ["noto", "flat", 0, None], "group": "fish", "age": 40, "sketch": sketch},
                         steps=3, batch=1)  # fmt: skip
    assert np.allclose(split.x, made.x, atol=1e-5)


def test_class_numbers_alone_tell_the_label_and_nothing_else():
    """As verbs and measurements that know labels alone tell them."""
    label, told = Labels.of(["b", "a", "b"]), columns(3)
    known = Knowledge.fit({"label": label, "age": told["age"]}, (8, 8))
    model = Model(ImageCodec(SIDE, SIDE, "grey", 1), obedient().denoiser, known)
    cond = model.condition(torch.tensor([1, 0]))
    assert cond["label"].value.tolist() == [1, 0]
    assert cond["label"].present.all()
    assert not cond["age"].present.any()


def test_labels_that_mean_nothing_are_named_once():
    with pytest.raises(ReverieError, match=r"without labels, so '3' means nothing to it\. It knows .*style"):
        obedient().conditions.ask(3, {"label": ["3", "3", "3"]}, 0)
    with pytest.raises(ReverieError, match="so '3', '8' mean nothing"):
        obedient().conditions.ask(2, {"label": ["3", "8"]}, 0)


def test_what_cannot_be_told_is_one_message_and_what_is_odd_a_note():
    model = obedient()
    sketch = {"sketch": None}
    for wrong, word in [
        ({"stile": "noto"}, "Did you mean style"),
        ({"style": "notto", **sketch}, "no style 'notto'.*noto"),
        ({"style": 7, **sketch}, "no style '7'"),
        ({"age": "old", **sketch}, "finite number"),
        ({"age": float("nan"), **sketch}, "finite number"),
        ({"age": [1.0, 2.0], **sketch}, "2 values of 'age' were given for 3"),
        ({"style": "noto"}, "'sketch', which was not given"),
        ({"sketch": np.full((8, 8), np.nan)}, "NaN"),
        ({"sketch": "nowhere.png"}, "nowhere.png cannot be opened"),
    ]:
        with pytest.raises(ReverieError, match=word):
            model.sample(3, conditions=wrong, steps=1)
    with pytest.raises(ReverieError, match=r"trained without labels.*label:style"):
        model.sample(1, label="noto")
    notes = model.sample(2, conditions={"age": [95, 30], "sketch": np.zeros((16, 8), np.uint8)}, steps=1).notes
    assert len(notes) == 2
    assert "16x8 resized to 8x8" in notes[0]
    assert "age = 95 is beyond" in notes[1]
    assert "61 at the nearest" in notes[1]


def test_conditions_travel_with_the_files_and_repeat_them(tmp_path):
    model = obedient()
    Image.fromarray(np.full((SIDE, SIDE), 90, np.uint8)).save(tmp_path / "drawing.png")
    made = generate(model, 4, condition=f"style=noto|flat,age=40,sketch={tmp_path / 'drawing.png'}", steps=2, seed=5)
    paths = made.save(tmp_path / "out")
    with Image.open(paths[2]) as picture:
        told = json.loads(picture.text["reverie"])
    assert told["conditions"]["style"] == "noto"
    assert told["conditions"]["age"] == 40
    assert told["conditions"]["sketch"]["file"].endswith("drawing.png")
    assert len(told["conditions"]["sketch"]["sha256"]) == 64
    again = model.sample(1, conditions=made.asked(2), steps=2, seed=5, first=2)
    assert np.array_equal(again[0], made[2])
    back = read(tmp_path / "out", label_from="none", condition="label:style,label:group")
    assert back.told(range(4))["style"] == ["noto", "flat", "noto", "flat"]
    assert back.told(range(4))["group"] == made.conditions["group"]


def test_an_edit_tells_each_draw_its_own_condition_and_its_file_says_which(tmp_path):
    model = obedient()
    items = np.full((2, SIDE, SIDE, 1), 128, np.uint8)
    made = restyle(model, items, 0.9, samples=2, condition="style=noto|flat,age=40", steps=3)
    rows = [model.codec.encode(draw)[0, 0].mean() for draws in made.items for draw in draws]
    classes = model.conditions["style"].classes
    expected = [0.1 * (1 + classes.index(style)) for style in ("noto", "flat", "noto", "flat")]
    np.testing.assert_allclose(rows, expected, atol=1 / 127)
    with Image.open(made.save(tmp_path)[1]) as picture:
        assert json.loads(picture.text["reverie"])["conditions"] == {"style": "flat", "age": 40.0}


def test_conditions_are_typed_as_a_person_would():
    assert parse_condition("style=noto|blob,age=40", 3) == {"style": ["noto", "blob", "noto"], "age": ["40"] * 3}
    assert parse_condition("style=noto,style=blob", 2) == {"style": ["noto", "blob"]}
    assert parse_condition("place=Paris, France,age=3", 1) == {"place": ["Paris, France"], "age": ["3"]}
    assert parse_condition(None, 3) == {}
    for wrong in ("noto", "=3", "style=", "style=a||b", ","):
        with pytest.raises(ReverieError, match="NAME=VALUE"):
            parse_condition(wrong, 1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with every kind of condition, its network untrained but not silent."""
    torch.manual_seed(0)
    whole = obedient()
    network = UNet.sized("tiny", {"x": Block((1, SIDE, SIDE))}, whole.conditions.declared)
    nn.init.normal_(network.last[-1].weight, std=0.1)
    process = whole.denoiser.process
    model = Model(whole.codec, NetworkDenoiser(network, process, X0(), 0.5), whole.conditions)
    return model, model.save(tmp_path_factory.mktemp("told") / "model")


def test_a_model_with_every_kind_of_condition_comes_back_the_same(saved):
    model, folder = saved
    again = reverie.load(folder)
    assert again.conditions.to_json() == model.conditions.to_json()
    assert torch.equal(again.conditions.rows.nan_to_num(-1), model.conditions.rows.nan_to_num(-1))
    a, b = (
        m.sample(3, conditions={"sketch": np.eye(8, dtype=np.uint8) * 255}, steps=2, seed=1) for m in (model, again)
    )
    assert a.conditions["group"] == b.conditions["group"]
    assert np.array_equal(a.x, b.x)
    assert "age: a number from 20 to 61" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.pop("age"),
        lambda c: c["age"].update(sd=0),
        lambda c: c["age"].update(mean="x"),
        lambda c: c["age"].update(kind="nosuch"),
        lambda c: c["style"].update(classes=["noto"], frequencies=[1.0]),
        lambda c: c["style"].update(frequencies=[1.0]),
        lambda c: c["style"].update(frequencies=[float("nan"), 1.0]),
        lambda c: c["sketch"]["codec"].update(channels=3, colour="rgb"),
        lambda c: c["sketch"].update(codec=3),
        lambda c: c["sketch"].update(codec={"name": "os.system"}),
        lambda c: c.update(style=3),
        lambda c: c.clear(),
    ],
)
def test_a_damaged_description_is_one_message(saved, damage):
    folder = saved[1]
    text = (folder / "model.json").read_text()
    about = json.loads(text)
    damage(about["conditions"])
    try:
        (folder / "model.json").write_text(json.dumps(about))
        with pytest.raises(ReverieError, match=r"do not describe one model|must be an object|no 'os.system'"):
            reverie.load(folder)
    finally:
        (folder / "model.json").write_text(text)
