"""From typed signatures to flags: what Typer is told of a function whose parameters are known only by reading others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Run = Annotated[Path, typer.Argument(help="A run or model folder.", metavar="RUN")]
Threads = Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """One parameter of a command; without a default it must be given."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def signed(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """Tell Typer a function's flags."""
    setattr(function, "__signature__", inspect.Signature(parameters))  # noqa: B010 (a plain assignment is no type's attribute)
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function
