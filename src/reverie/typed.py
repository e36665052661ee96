"""What a person gives in Python, held against a function's annotations: one sentence at the edge, no TypeError deep inside."""

from __future__ import annotations

import functools
import inspect
import reprlib
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Union

from reverie.errors import ReverieError, nearest

P = ParamSpec("P")
R = TypeVar("R")
_WIDER: dict[Any, Any] = {int: Integral, float: Real, Sequence: Collection, tuple: Collection}  # NumPy's count as well
_WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", str: "text", bool: "True or False", types.NoneType: "None", Path: "a path",
    Mapping: "a dict", Sequence: "a list", tuple: "a pair", Callable: "a function",
}  # fmt: skip


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function raise ReverieError for an argument that it does not have, or that is not what its annotation says."""
    known = inspect.signature(function).parameters
    closed = all(p.kind is not p.VAR_KEYWORD for p in known.values())
    named = function.__qualname__

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs.keys() - known.keys() if closed else ():
            raise ReverieError(f"{named} has no option '{name}'; did you mean {nearest(name, list(known))}?")
        hints = _hints(function)
        for name, value in [*zip(known, args, strict=False), *kwargs.items()]:
            if name in hints:
                must_be(named, name, value, hints[name])
        return function(*args, **kwargs)

    return call


def must_be(function: str, name: str, value: Any, hint: Any) -> None:
    """Raise ReverieError where a value is not what an annotation says; what lists hold is not looked into."""
    if not fits(value, hint):
        raise ReverieError(f"{function}({name}={reprlib.repr(value)}): {name} must be {words(hint)}.")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says; text and dicts are never taken for the lists that they could pass for."""
    if hint is Any:
        return True
    kind = typing.get_origin(hint) or hint
    if kind in (Union, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(hint))
    if type(value) in (str, bool):
        return kind is type(value)
    return isinstance(value, _WIDER.get(kind, kind)) and issubclass(kind, Mapping) >= isinstance(value, Mapping)


def words(hint: Any) -> str:
    """An annotation as a person reads it: "text, a path or None"."""
    kind = typing.get_origin(hint) or hint
    if kind not in (Union, types.UnionType):
        return _WORDS.get(kind, f"a {kind.__name__}")
    *first, last = dict.fromkeys(words(one) for one in typing.get_args(hint))
    return f"{', '.join(first)} or {last}" if first else last


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function)
