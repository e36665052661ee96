"""`reverie serve`, a flag for each field of the server's Settings; `reverie token`: who may use it."""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from reverie.cli.flags import parameter, signed
from reverie.errors import ReverieError
from reverie.server.settings import Settings


def serve(**options: Any) -> None:
    """Serve every model of a folder: a web page and an HTTP API, with all verbs and training.

    Nothing else has to be installed or started. Ctrl-C ends it; jobs that are not done by then wait for the next start.

    Examples:

      reverie serve runs

      reverie serve runs --port 9000 --workers 2 --device cuda

      reverie token ann --token-file tokens && reverie serve runs --host 0.0.0.0 --names box.lan --token-file tokens

      reverie serve runs --database postgresql+psycopg://reverie@db.lan/reverie
    """
    settings = Settings(**options)
    settings.check()
    try:
        from reverie.server.serving import serve as run
    except ModuleNotFoundError as error:
        raise ReverieError(
            f"Serving needs {error.name}, which is not installed: pip install 'reverie[serve]'."
        ) from error

    def told(address: str) -> None:
        typer.echo(f"Reverie serves {settings.runs} at {address} (Ctrl-C ends it)")

    run(settings, told)
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do but to take PyTorch's modules apart, for seconds where the machine is busy


def token(
    name: Annotated[str, typer.Argument(help="Whose it is: the owner of what is made with it.", metavar="NAME")],
    token_file: Annotated[
        Path, typer.Option(help="Where `reverie serve` looks them up; only a hash is written there.", metavar="FILE")
    ],
    scope: Annotated[str, typer.Option(help="user, or admin: sees what all others made.")] = "user",
) -> None:
    """Make a token for a person, print it once, and add its hash to a token file.

    Examples:

      reverie token ann --token-file tokens --scope admin

      reverie token ben --token-file tokens
    """
    from reverie.server.tokens import add_token

    typer.echo(add_token(token_file, name, scope))
    typer.echo(f"added to {token_file}; nobody can read the token there, so keep it. Start the server anew.", err=True)


def _from_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `serve` RUNS, and one flag for each other field of Settings."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    flags = []
    for field in dataclasses.fields(Settings):
        kind, meaning = typing.get_args(hints[field.name])
        if field.default is dataclasses.MISSING:
            flags.append(
                parameter(field.name, Annotated[kind, typer.Argument(help=meaning, metavar=field.name.upper())])
            )
        else:
            flags.append(parameter(field.name, Annotated[kind, typer.Option(help=meaning)], field.default))
    return signed(function, flags)


command = _from_settings(serve)
