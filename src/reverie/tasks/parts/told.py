"""What a person tells a model of the items that a verb works on, as words and as the network's conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from reverie.conditions import Asked
from reverie.core.denoiser import Denoiser
from reverie.errors import ReverieError, nearest
from reverie.example import Conditions
from reverie.model import Model
from reverie.samples import Settings


def wish(
    model: Model,
    n: int,
    label: str | None = None,
    condition: str | None = None,
    pictures: Mapping[str, Sequence[Any]] | None = None,
) -> Asked:
    """Read `3` or `3,5,8` (cycled) and `style=noto,age=40` for each of n items; what is not named is told to nobody.

    pictures: of each item, by the name of the condition. The values given back are of what is named alone. Raises ReverieError
    for a label, a condition or a value that the model does not know.
    """
    words = None if label is None else cycled(label, n, model.classes)
    wanted = {**({} if words is None else {"label": words}), **parse_condition(condition, n), **(pictures or {})}
    if not wanted:
        return Asked({}, {}, [])
    silent = dict.fromkeys(set(model.conditions) - set(wanted))
    asked = model.conditions.ask(n, {**silent, **wanted}, 0)
    return replace(asked, values={name: values for name, values in asked.values.items() if name in wanted})


def cycled(text: str, n: int, classes: Sequence[str]) -> list[str]:
    """One label for each of n; a comma separates labels unless the whole text is one."""
    words = [text] if text in classes else [w.strip() for w in text.split(",")]
    return [words[k % len(words)] for k in range(n)]


def parse_condition(text: str | None, n: int) -> dict[str, list[str]]:
    """Read NAME=VALUE,NAME=VALUE|VALUE: a value for each of n samples, cycled where there are fewer; repeated names add up.

    A comma inside a value is kept where no NAME= follows it.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for part in (text or "").split(",") if text else []:
        before, equals, value = part.partition("=")
        if equals:
            name = before.strip()
            found.setdefault(name, []).extend(word.strip() for word in value.split("|"))
        elif name:
            found[name][-1] += f",{part}"
    if text and (not found or "" in found or any("" in values for values in found.values())):
        raise ReverieError(f"--condition {text}: write NAME=VALUE, and a comma between several: style=noto,age=40|60.")
    return {name: [values[k % len(values)] for k in range(n)] for name, values in found.items()}


def asked_labels(model: Model, text: str | None, n: int) -> list[str] | None:
    """A label for each of n items from `3` or `3,5,8` (cycled); None where nothing is to be told."""
    return None if text is None else known_labels(model, cycled(text, n, model.classes))


def known_labels(model: Model, labels: Sequence[str]) -> list[str]:
    """The labels themselves; raises ReverieError for one that the model does not know."""
    odd = sorted(set(labels) - set(model.classes))
    if odd and not model.classes:
        raise ReverieError(f"This model was trained without labels, so '{odd[0]}' means nothing to it.")
    if odd:
        raise ReverieError(
            f"There is no label '{odd[0]}' in this model. The nearest of its {len(model.classes)} labels: "
            f"{nearest(odd[0], model.classes)}."
        )
    return list(labels)


def conditions(model: Model, labels: Sequence[str] | None) -> Conditions:
    """What the network is told of items with these labels (known ones); nothing where there are none."""
    if labels is None:
        return {}
    return model.condition(_numbers(model, labels))


def bent(model: Model, labels: Sequence[str] | None, settings: Settings) -> Denoiser:
    """The denoiser that a sampler walks items with these labels (known ones) with, guided as the settings say."""
    return model.guided(conditions(model, labels), settings)


def _numbers(model: Model, labels: Sequence[str]) -> Tensor:
    return torch.tensor([model.classes.index(word) for word in labels])
