"""Texts of the library, written for a command line, in the words of a service: parameters and tasks, no flags and no commands.

The one place where they are translated; `told.Plainly` and the answers of `app` pass everything through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reverie import registry

_FIELDS = {"from": "init_from"}  # flags that are called otherwise than their fields
_ONE = {"S": "One", "s": "one"}
_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern), said)
    for pattern, said in (
        (r"Go on with it: `reverie train --resume [^`]*`; or replace it: --overwrite\.", "Go on with it, or take another name."),
        (r"To train on: reverie train PATH --from (.+?) -o NEW\.", r"To train on, begin a new model with init_from \1."),
        (r"Start one with `reverie train PATH -o [^`]*`\.", "Start one with the task train."),
        (r"([Ss])ee `reverie list ([\w-]+)`", lambda found: f"{_ONE[found[1]]} of {', '.join(names(found[2]))}"),
        (r" \(docs/[^()]*\)", ""),
        (r"`reverie ([\w-]+) --([\w-]+)`", lambda found: f"{found[1]}'s {field(found[2])}"),
        (r"`?\breverie train (?:[A-Z]+\S* ?)?((?:--[\w-]+ [^\s`;,]*[^\s`;,.:)] ?)+)`?", r"a training with \1"),
        (r"`reverie ([\w-]+)[^`]*`", r"\1"),
        (r"\bflags beside it\b", "parameters beside it"),
        (r"^told (?!nothing\b)([^:;]+)$", r"the model was told of each: \1"),
        (r"^told nothing$", "the model was told nothing of them"),
        (r"(?<![\w-])--([a-z][a-z-]*[a-z])\b", lambda found: field(found[1])),
    )
]  # fmt: skip


def worded(text: str) -> str:
    """A text of the library as the service says it: "--label-from csv:kind" is "label_from csv:kind"."""
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    return text


def field(flag: str) -> str:
    """The parameter that a flag of the command line stands for."""
    return _FIELDS.get(flag, flag.replace("-", "_"))


def names(room: str) -> list[str]:
    """What may stand in a parameter that names one of a room of the registry, by itself or with options behind it."""
    return list(registry.registered(room))


def choices(parameter: str, meaning: str) -> list[str] | None:
    """The words that a text parameter knows, where it names one of a room: of which its meaning, or its own name, tells."""
    rooms = re.findall(r"`reverie list ([\w-]+)`", meaning) or [f"{parameter}s"]
    return names(rooms[0]) if rooms[0] in registry.ROOMS else None
