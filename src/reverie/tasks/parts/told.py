"""What a model is told of the items that a verb works on: what a person states, and what the items bring themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reverie.codecs.gaps import Gaps
from reverie.conditions import Asked
from reverie.data.known import KnownLabel
from reverie.data.labels import NO_LABEL
from reverie.data.wishes import KINDS, Untold, Wish, parse
from reverie.errors import ReverieError, nearest
from reverie.model import Model
from reverie.tasks.parts.inputs import Inputs, read_gaps, read_inputs

_WAYS = "Say where it is with --condition-from, state it with --condition NAME=VALUE, or tell nothing: --condition-from none."


def wish(model: Model, n: int, wanted: Mapping[str, Sequence[Any]]) -> Asked:
    """What n items are told: n values of each condition by name; what is not named is told to nobody, and not given back.

    Raises ReverieError for a condition, a value or a number of values that does not fit the model.
    """
    if not wanted:
        return Asked()
    asked = model.conditions.ask(n, {**dict.fromkeys(model.conditions), **wanted}, 0)
    return replace(asked, values={name: values for name, values in asked.values.items() if name in wanted})


def wish_of(
    model: Model, given: Inputs, names: Collection[str], label: str | None = None, condition: str | None = None
) -> Asked:
    """What items are told: some of what is known of them, and what a person states of them."""
    own = {name: given.told[name] for name in names}
    return wish(model, len(given), own | stated(model, len(given), label, condition))


def stated(model: Model, n: int, label: str | None, condition: str | None) -> dict[str, list[str]]:
    """Read `3` or `3,5,8` and `style=noto,age=40|60` as a value for each of n items, cycled where there are fewer, by name."""
    found = parse_condition(condition, n)
    if label is not None and "label" in found:
        raise ReverieError(
            f"The label was given twice, as --label {label} and in --condition {condition}. Give it once."
        )
    if label is not None and "label" not in model.conditions and model.codec.asked_by:
        raise ReverieError(f"--label {label}: the model knows no label. {model.codec.asked_by}")
    return found if label is None else {"label": cycled(label, n, model.classes), **found}


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
    column = (text or "").strip().partition(":")[0] in KINDS
    if text and (column or not found or "" in found or any("" in values for values in found.values())):
        read = " KIND:COLUMN is for `reverie train`, which reads them of each item." if column else ""
        raise ReverieError(
            f"--condition {text}: write NAME=VALUE, and a comma between several: style=noto,age=40|60.{read}"
        )
    return {name: [values[k % len(values)] for k in range(n)] for name, values in found.items()}


def read_known(
    model: Model, items: Any, but: Collection[str], label_from: str = "none", condition_from: str | None = None
) -> tuple[Inputs, list[str]]:
    """Items with what is known of each, and which of the model's conditions beside the label they are to be told as their own.

    but: those that a person states instead. condition_from: `KIND:COLUMN,...`, where they are in a data set of files; without
    it as in training, or else by their names; "none" tells none of them. Raises ReverieError for one that is not there.
    """
    return _told_of(
        model, items, but, condition_from, lambda places: read_inputs(model.codec, items, label_from, places)
    )


def read_known_gaps(
    model: Model, items: Any, mask: Any, but: Collection[str], condition_from: str | None = None
) -> tuple[Inputs, list[str], Gaps]:
    """The same of items with gaps, as `read_gaps` reads them, and all of them with their gaps."""
    found: list[Gaps] = []

    def read(places: str | None) -> Inputs:
        inputs, gaps = read_gaps(model.codec, items, mask, places)
        found.append(gaps)
        return inputs

    return *_told_of(model, items, but, condition_from, read), found[0]


def _told_of(
    model: Model, items: Any, but: Collection[str], condition_from: str | None, read: Callable[[str | None], Inputs]
) -> tuple[Inputs, list[str]]:
    """Items that `read` reads, told where their conditions are, and which of them are theirs."""
    open_ = [name for name in model.conditions if name != "label" and name not in but]
    if model.codec.brings and condition_from is None:
        given = read(None)
        check_brought(model, given, open_)
        return given, open_
    wishes = [] if condition_from == "none" else _wishes(model, condition_from, open_)
    names = [wish.name for wish in wishes]
    try:
        given = read(",".join(map(str, wishes)) if isinstance(items, str | Path) else None)
    except Untold as error:
        raise ReverieError(f"The model is told {', '.join(names)} of each item. {error} {_WAYS}") from error
    for name in names:  # an empty cell tells nothing, unless training made a class of such cells
        known, values = model.conditions[name], given.told.get(name, [])
        if isinstance(known, KnownLabel) and NO_LABEL in values and NO_LABEL not in known.classes:
            given.told[name] = [None if value == NO_LABEL else value for value in values]
    check_brought(model, given, names)
    return given, names


def check_brought(model: Model, given: Inputs, names: Collection[str]) -> None:
    """Refuse items that do not bring some conditions, or bring a value that the model cannot be told."""
    if missing := [name for name in names if name not in given.told]:
        raise ReverieError(
            f"The items ({given.names[0]}, ...) do not bring '{missing[0]}', which is to be told. {_WAYS}"
        )
    for name, known in model.conditions.vectors.items():
        for item, value in zip(given.names, given.told[name], strict=True) if name in names else ():
            try:
                _ = value is None or known.number(value, name)
            except ReverieError as error:
                raise ReverieError(f"{item}: {error}") from error


def _wishes(model: Model, text: str | None, names: Sequence[str]) -> list[Wish]:
    """Where the named conditions are to be read: all those of the text, or as training read them, or by their names."""
    if text is None:
        there = {wish.name: wish for wish in parse(model.record.get("settings", {}).get("condition"))}
        return [there.get(name) or Wish(model.conditions[name].kind, name, name) for name in names]
    found = parse(text, "--condition-from")
    if odd := [wish.name for wish in found if wish.name not in names]:
        left = f"left to read: {nearest(odd[0], list(names))}" if names else "none is left to read"
        raise ReverieError(f"--condition-from {text}: '{odd[0]}' is stated already, or not the model's; {left}.")
    return found
