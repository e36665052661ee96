"""Names at the edges, objects inside: finds every schedule, sampler, network ... by scanning its room.

A class is registered by existing: a concrete subclass of a room's base class, anywhere in that room, has a name
(`Heun` is `heun`; a class variable `name` overrides) and options (its own typed fields). The command line, the JSON
of a saved model, `reverie list` and the test batteries all read from here, so adding a class is all there is to do.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from reverie.errors import ReverieError, likely


class Room(NamedTuple):
    """Where the classes of one choice live, and the abstract class they share."""

    module: str
    base: str
    meaning: str


ROOMS: dict[str, Room] = {
    "schedules": Room("reverie.core.schedules", "Schedule", "how much signal and noise there is at time t"),
    "survivals": Room("reverie.core.survival", "Survival", "how long a token stays itself: the schedules of tokens"),
    "processes": Room("reverie.core.processes", "Process", "how data is destroyed"),
    "parameterisations": Room("reverie.core.parameterisation", "Parameterisation", "what the network's output means"),
    "times": Room("reverie.core.times", "TimeLaw", "which noise levels training sees"),
    "weightings": Room("reverie.core.weighting", "Weighting", "how much each noise level counts in the loss"),
    "grids": Room("reverie.core.grids", "Grid", "the times at which a sampler stops"),
    "guidance": Room("reverie.core.guidance", "Guidance", "how a denoiser is bent towards a wish"),
    "measurements": Room(
        "reverie.core.guidance.linear", "Measurement", "what is measured of the data: y = A x0 + noise"
    ),
    "samplers": Room("reverie.core.samplers", "Sampler", "how time is walked back"),
    "networks": Room("reverie.networks", "Network", "what learns"),
    "codecs": Room("reverie.codecs", "Codec", "kinds of data: files to tensors and back"),
    "datasets": Room("reverie.datasets", "Packaged", "real data that ships inside installed packages"),
    "features": Room("reverie.metrics", "Features", "what a distance between pictures is measured on"),
    "metrics": Room("reverie.metrics", "Metric", "how good samples are"),
    "column-metrics": Room("reverie.metrics", "ColumnMetric", "how good samples are, column by column"),
    "series-metrics": Room("reverie.metrics", "SeriesMetric", "how good samples are, as series over time"),
    "families": Room("reverie.training.families", "Family", "published kinds of model: which choices go together"),
    "couplings": Room("reverie.training.coupling", "Coupling", "which noise goes with which item"),
    "ema": Room("reverie.training.ema", "EMA", "how weights are averaged"),
    "panels": Room("reverie.report.panels", "Panel", "how a report shows a kind of data"),
    "trackers": Room("reverie.training.trackers", "Service", "where a run can be followed, beside its own folder"),
}


def room(name: str) -> Room:
    """Look a room up by name; an unknown one is an error that lists them."""
    if name not in ROOMS:
        raise ReverieError(f"There is no list called '{name}'. There are: {', '.join(ROOMS)}.")
    return ROOMS[name]


def base(name: str) -> type:
    """Return the abstract class that everything in a room is a kind of."""
    return getattr(importlib.import_module(room(name).module), room(name).base)


def registered(name: str) -> dict[str, type]:
    """Return {name: class} for every concrete class of a room, sorted by name."""
    module = importlib.import_module(room(name).module)
    for child in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"{module.__name__}.{child.name}")
    found = (c for c in _descendants(base(name)) if not inspect.isabstract(c) and c.__module__.startswith("reverie."))
    return dict(sorted((name_of(c), c) for c in found if not c.__name__.startswith("_")))


def name_of(cls: type) -> str:
    """Return the name a class goes by: its class variable `name`, or its own name in kebab-case."""
    own = cls.__dict__.get("name")
    return own if isinstance(own, str) else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


class Option(NamedTuple):
    """One option of a registered class: its name, its type, and its default."""

    name: str
    type: Any
    default: Any
    required: bool


def options(cls: type) -> dict[str, Option]:
    """Return the options of a class, read from its constructor's signature."""
    constructor = getattr(cls, "__init__")  # noqa: B009 (mypy calls the plain access unsound)
    hints = typing.get_type_hints(constructor)
    found = {}
    for p in list(inspect.signature(constructor).parameters.values())[1:]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        default = p.default
        if dataclasses.is_dataclass(cls) and type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
            factory = cls.__dataclass_fields__[p.name].default_factory
            default = factory() if callable(factory) else None
        found[p.name] = Option(p.name, hints.get(p.name, str), default, default is inspect.Parameter.empty)
    return found


def find(name: str, word: str) -> type:
    """Return the class called `word` in a room; an unknown one is an error that names the nearest."""
    known = registered(name)
    key = word.strip().lower().replace("_", "-")
    if key not in known:
        raise ReverieError(
            f"There is no '{word}' among the {name}; {likely(key, list(known))} `reverie list {name}` shows them all."
        )
    return known[key]


def build(name: str, text: str) -> Any:
    """Make an object from text as a person types it: `heun`, or with options, `heun:churn=40,s_noise=1.003`."""
    word, _, rest = text.partition(":")
    cls = find(name, word)
    known = options(cls)
    values = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in known:
            raise ReverieError(
                f"'{part}' is not an option of {word}. Options are written {word}:option=value and are: {signature(cls)}."
            )
        values[key] = _convert(value.strip(), known[key], word)
    return _make(cls, word, values)


def config(obj: Any) -> dict[str, Any]:
    """Describe a registered dataclass object as JSON: {"name": ..., option: value, ...}."""
    return {"name": name_of(type(obj)), **{k: getattr(obj, k) for k in options(type(obj))}}


def from_config(name: str, values: dict[str, Any]) -> Any:
    """Make an object from what `config` wrote."""
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        raise ReverieError(f"A description of one of the {name} must be an object with a name; found {values!r}.")
    cls = find(name, values["name"])
    known = options(cls)
    if unknown := sorted(set(values) - set(known) - {"name"}):
        raise ReverieError(f"{values['name']} has no option {', '.join(unknown)}; its options are: {signature(cls)}.")
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "name"}
    return _make(cls, values["name"], tuples)


def signature(cls: type) -> str:
    """Return the options of a class in one line, with types and defaults."""
    parts = [
        f"{o.name}: {_type_name(o.type)}" + ("" if o.required else f" = {o.default!r}") for o in options(cls).values()
    ]
    return ", ".join(parts) or "none"


def meaning(cls: type) -> str:
    """Return the first sentence of a class's docstring."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def source(cls: type) -> str:
    """Return where a class comes from: what follows "Source:" in its docstring."""
    found = re.search(r"Source: (.*?)(?:\n\n|\Z)", inspect.cleandoc(cls.__doc__ or ""), flags=re.DOTALL)
    return re.sub(r"\s+", " ", found[1]).strip() if found else ""


def _make(cls: type, word: str, values: dict[str, Any]) -> Any:
    if missing := [o.name for o in options(cls).values() if o.required and o.name not in values]:
        raise ReverieError(f"{word} needs {', '.join(missing)}: {signature(cls)}.")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ReverieError(f"{word} cannot be made from {values}: {error}") from error


def _descendants(cls: type) -> Iterator[type]:
    children: list[type] = cls.__subclasses__()
    for child in children:
        yield child
        yield from _descendants(child)


def _convert(text: str, option: Option, word: str) -> Any:
    """Read text as the option's type; a tuple is written 0.1/0.5."""
    kinds = typing.get_args(option.type) if _is_union(option.type) else (option.type,)
    if type(None) in kinds and text.lower() in ("none", "null"):
        return None
    for kind in kinds:
        try:
            if typing.get_origin(kind) is tuple:
                inner = typing.get_args(kind)[0]
                return tuple(inner(part) for part in text.split("/"))
            if kind is bool:
                return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
            if kind in (int, float, str):
                return kind(text)
        except (ValueError, KeyError):
            continue
    raise ReverieError(
        f"{word}:{option.name}={text} cannot be read as {_type_name(option.type)}."
        + (" Numbers are separated by /, as in 80/10/1." if any(typing.get_origin(k) is tuple for k in kinds) else "")
    )


def _is_union(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union


def _type_name(kind: Any) -> str:
    """A type as a person reads it, without the modules it lives in."""
    plain = kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(\w+)", r"\1", plain)
