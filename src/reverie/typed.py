"""What a person gives in Python, held against a function's annotations: one sentence at the edge, no TypeError deep inside."""

from __future__ import annotations

import functools
import inspect
import reprlib
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar, Union

from reverie.errors import ReverieError, likely

P = ParamSpec("P")
R = TypeVar("R")
_WIDER: dict[Any, Any] = {int: Integral, float: Real, Sequence: Collection, tuple: Collection}  # NumPy's count as well
_WORDS = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "True or False", "NoneType": "None", "Path": "a path",
    "Mapping": "a dict", "Sequence": "a list", "Indexed": "a list", "ndarray": "an array", "tuple": "a pair of numbers",
    "Callable": "a function", "Module": "a torch.nn.Module",
}  # fmt: skip


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function raise ReverieError for an argument that it does not have, or that is not what its annotation says."""
    known = inspect.signature(function).parameters
    closed = all(p.kind is not p.VAR_KEYWORD for p in known.values())
    named = function.__qualname__

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs.keys() - known.keys() if closed else ():
            raise ReverieError(f"{named} has no option '{name}'; {likely(name, list(known))}")
        hints = _hints(function)
        for name, value in [*zip(known, args, strict=False), *kwargs.items()]:
            if name in hints:
                must_be(named, name, value, hints[name])
        return function(*args, **kwargs)

    return call


def must_be(function: str, name: str, value: Any, hint: Any) -> None:
    """Raise ReverieError where a value is not what an annotation says; of lists alone what they hold is not looked into."""
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
    if not isinstance(value, _WIDER.get(kind, kind)) or issubclass(kind, Mapping) < isinstance(value, Mapping):
        return False
    each = typing.get_args(hint) if kind is tuple else ()
    return not each or (len(value) == len(each) and all(map(fits, value, each)))


def plain(value: Any) -> Any:
    """A number of another library as Python's own, which JSON can hold; anything else as it is."""
    if isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value


def words(hint: Any) -> str:
    """An annotation as a person reads it: "text, a path or None"."""
    kind = typing.get_origin(hint) or hint
    if kind not in (Union, types.UnionType):
        return _WORDS.get(kind.__name__, f"a {kind.__name__}")
    *first, last = dict.fromkeys(words(one) for one in typing.get_args(hint))
    return f"{', '.join(first)} or {last}" if first else last


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function)
