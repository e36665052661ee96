"""Requests follow the verbs' own signatures, and nothing that is not in them is taken."""

import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import ValidationError

from reverie import registry
from reverie.server import schemas
from reverie.server.settings import Settings
from reverie.server.wording import worded
from reverie.tasks import Task, tasks
from reverie.tasks.parts.options import Names

LIMITS = Settings(runs=Path("runs"))
ID = "0123456789abcdef" * 2


def read(task, parameters=None, inputs=None, **more):
    values = {"model": "toy", "task": task, "parameters": parameters or {}, "inputs": inputs or {}, **more}
    return schemas.read(LIMITS, task, values)


def needed(task):
    """Inputs without which a verb has nothing to work on."""
    asked = schemas.asked_of(task.function)
    return {p.name: ID for p in asked if schemas.is_input(p) and p.default is schemas.REQUIRED}


@pytest.mark.parametrize("task", tasks(), ids=lambda t: t.command)
def test_every_verb_takes_all_that_its_signature_has_but_places_to_write(task):
    made = schemas.requests(LIMITS)[task.command].model_fields
    fields = made["parameters"].annotation.model_fields.keys() | made["inputs"].annotation.model_fields.keys()
    python_alone = {"model", "on_step", "run", "labels", "conditions", "train"}
    own = {name for name in inspect.signature(task.function).parameters if name not in python_alone}
    assert fields - {"told", "deterministic"} == own - {"film"}
    read(task.command, inputs=needed(task))
    for name, value in {
        p.name: p.default for p in schemas.asked_of(task.function) if p.name not in needed(task)
    }.items():
        if name not in ("film", "like"):
            read(task.command, {name: value}, needed(task))  # every default is a value that may be sent


def test_a_verb_that_is_new_appears_by_itself():
    def dream(
        model: object,
        items: Annotated[Any, "What to dream of."],
        depth: Annotated[int, "How deep."] = 3,
        book: Annotated[str | None, "A book to read.", Names.READ] = None,
        diary: Annotated[str | None, "Written there.", Names.WRITTEN] = None,
        mood: str = "calm",
    ) -> None:
        """Dream."""

    dream.__annotations__ = {k: f"Annotated[{v}]" for k, v in dream.__annotations__.items()}
    for name, hint in {"items": 'Any, "What."', "depth": 'int, "How."', "book": 'str | None, "A.", Names.READ'}.items():
        dream.__annotations__[name] = f"Annotated[{hint}]"
    dream.__annotations__ |= {"diary": 'Annotated[str | None, "D.", Names.WRITTEN]', "mood": "str", "model": "object"}
    made = schemas._of_task(Task("dream", dream, ()), LIMITS).model_fields
    assert made["parameters"].annotation.model_fields.keys() == {"items", "depth"}
    assert made["inputs"].annotation.model_fields.keys() == {"items", "book"}


WRONG = [
    ("sample", {"unknown": 1}, {}), ("sample", {"n": "16"}, {}), ("sample", {"n": 16.0}, {}), ("sample", {"n": True}, {}),
    ("sample", {"n": 0}, {}), ("sample", {"n": 10**9}, {}), ("sample", {"steps": 10**6}, {}), ("sample", {"batch": 10**6}, {}),
    ("sample", {"seed": 2**63}, {}), ("sample", {"seed": -2}, {}), ("sample", {"guidance": float("nan")}, {}),
    ("sample", {"guidance": float("inf")}, {}), ("sample", {"sampler": "x" * 5000}, {}), ("sample", {"label": "3\x00"}, {}),
    ("sample", {"film": "a.gif"}, {}), ("sample", {"like": "a.png"}, {}), ("sample", {}, {"like": "../a.png"}),
    ("sample", {"like": ID}, {}), ("sample", {}, {"film": ID}), ("sample", {}, {"told": {"../x": ID}}),
    ("sample", {}, {"told": {"sketch": "/etc/passwd"}}), ("denoise", {"items": "/etc/passwd"}, {}),
    ("denoise", {"items": "..\\a"}, {}), ("denoise", {"items": "~root"}, {}), ("denoise", {"items": ".hidden"}, {}),
    ("denoise", {"items": "%2e%2e"}, {}), ("denoise", {"items": "a/b"}, {}), ("denoise", {}, {}),
    ("denoise", {"items": "digits"}, {"items": ID}), ("denoise", {}, {"items": ID.upper()}),
    ("denoise", {}, {"items": ID + "\n"}),
    ("detect", {"run": "x"}, {"items": ID}), ("detect", {"train": "digits"}, {"items": ID}),
    ("train", {"device": "cuda"}, {"data": ID}), ("train", {"devices": "4"}, {"data": ID}),
    ("train", {"track": "wandb"}, {"data": ID}),
    ("train", {"threads": 9}, {"data": ID}), ("train", {"data": "/etc"}, {}), ("train", {"seed": "0"}, {"data": ID}),
]  # fmt: skip


@pytest.mark.parametrize(("task", "parameters", "inputs"), WRONG)
def test_what_does_not_fit_is_refused(task, parameters, inputs):
    with pytest.raises(ValidationError):
        read(task, parameters, inputs)


@pytest.mark.parametrize("more", [{"owner": "root"}, {"model": 3}, {"model": "x" * 500}])
def test_no_key_but_the_known_is_taken(more):
    with pytest.raises(ValidationError):
        read("sample", **more)


def test_what_fits_comes_through_as_it_was_given():
    parameters = {"n": 3, "label": "a/b,3", "guidance": 2, "condition": "age=40..50", "seed": -1, "deterministic": True}
    assert read("sample", parameters, {"told": {"sketch": ID}}).given() == (parameters, {"told.sketch": ID})
    assert read("complete", {"mask": "right:0.5"}, {"items": ID}).given() == ({"mask": "right:0.5"}, {"items": ID})
    assert read("interpolate", {"a": "seed:3", "b": "label:8"}).given()[0] == {"a": "seed:3", "b": "label:8"}
    assert read("train", {"budget": "30s", "data": "digits", "init_from": "toy"}).given()[0]["init_from"] == "toy"


def test_samples_of_one_way_of_walking_have_one_key_and_others_none():
    def key(model="toy", task="sample", **parameters):
        return schemas.batch_key(model, task, parameters)

    assert key(n=1, seed=3, label="2", condition="a=b") == key(n=5) == key(guidance=None)
    assert len({key(), key(steps=5), key(guidance=2.0), key(model="other"), key(steps=6), key(temperature=0.5)}) == 6
    assert {key(deterministic=True), key(like=ID), key(given="age=3"), key(task="denoise"), key(task="train")} == {None}


@pytest.mark.parametrize(
    ("task", "name", "good", "bad"),
    [
        ("train", "steps", "1000", "9" * 40),
        ("train", "steps", "900,400:1000", "900,400:1001"),
        ("train", "steps", "1", "none"),
        ("train", "epochs", 1000.0, 1e300),
        ("train", "epochs", 0.5, 0.0),
        ("train", "lr", 1e-3, 1e300),
        ("sample", "guidance", 3.0, 1e308),
        ("sample", "guidance", 0.0, -1e308),
    ],
)
def test_what_would_be_computed_without_end_or_sense_is_refused_when_asked_for(task, name, good, bad):
    limits = Settings(runs=Path(), most_training=1_000)
    schemas.read(limits, task, {"model": "m", "task": task, "parameters": {name: good}})
    with pytest.raises(ValidationError, match=name):
        schemas.read(limits, task, {"model": "m", "task": task, "parameters": {name: bad}})


@pytest.mark.parametrize(
    ("said", "is_said"),
    [
        ("--fpr 0.01 takes 99 normal items. Give more with --normal.", "fpr 0.01 takes 99 normal items. Give more with normal."),
        ("--max-broken 400%: a share is at most 100%.", "max_broken 400%: a share is at most 100%."),
        (
            "a holds a run already. Go on with it: `reverie train --resume a`; or replace it: --overwrite.",
            "a holds a run already. Go on with it, or take another name.",
        ),
        (
            "a is finished. To train on: reverie train PATH --from a -o NEW.",
            "a is finished. To train on, begin a new model with init_from a.",
        ),
        ("`reverie upscale` works on pictures.", "upscale works on pictures."),
        ("none: `reverie train PATH --entries 0.25` makes one (docs/x.md)", "none: a training with entries 0.25 makes one"),
        ("My file a--b -- or another.csv", "My file a--b -- or another.csv"),
    ],
)  # fmt: skip
def test_texts_of_the_command_line_are_said_in_the_words_of_the_service(said, is_said):
    assert worded(said) == is_said


def test_no_meaning_in_any_request_names_a_flag_or_a_command():
    for name, made in schemas.requests(LIMITS).items():
        text = json.dumps(made.model_json_schema())
        assert not re.search(r"(?<![\w-])--[a-z]|`reverie|\breverie (?:list|train|sample)\b|\bflags?\b", text), name


def test_a_text_that_names_one_of_a_room_brings_its_words():
    parameters = schemas.requests(LIMITS)["sample"].model_json_schema()["$defs"]["SampleParameters"]["properties"]
    for name, room in {"sampler": "samplers", "time_grid": "grids", "schedule": "schedules"}.items():
        assert parameters[name]["examples"] == list(registry.registered(room))
