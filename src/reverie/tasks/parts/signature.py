"""What a verb's signature says of it: each thing that a person can give, read without importing PyTorch."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from reverie.tasks.parts.options import Names

REQUIRED = inspect.Parameter.empty


class Asked(NamedTuple):
    """One thing that a person can give a verb.

    kind: its type; Any for what is an array or a path in Python, and a path or a word elsewhere. default: REQUIRED where it must
    be given. in_place: whether it goes by its place. names: what its text may name beside words, or None.
    """

    name: str
    kind: Any
    meaning: str
    default: Any
    in_place: bool
    names: Names | None


def asked_of(function: Callable[..., Any]) -> list[Asked]:
    """What the annotated parameters of a verb say, in their order; others are for callers in Python."""
    found = []
    for p in inspect.signature(function).parameters.values():
        if not str(p.annotation).startswith(("Annotated[", "options.")):
            continue
        hint = eval(p.annotation, function.__globals__)  # our own source text, read without importing PyTorch
        kind, meaning, *names = typing.get_args(hint)
        in_place = p.default is p.empty and p.kind is not p.KEYWORD_ONLY
        found.append(Asked(p.name, kind, meaning, p.default, in_place, names[0] if names else None))
    return found
