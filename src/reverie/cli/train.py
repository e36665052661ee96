"""`reverie train`: a flag for each field of TrainSettings."""

from __future__ import annotations

import dataclasses
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from reverie.cli.flags import parameter, signed
from reverie.errors import ReverieError, quoted

_DEFAULTS: dict[str, Any] = {}


def train(
    path: str | None, output: Path | None, resume: Path | None, overwrite: bool, dry_run: bool, **options: Any
) -> int | None:
    """Train a model from scratch on your own data.

    PATH is a folder of pictures (class sub-folders are labels), a zip of one, a .npz or .npy, or the name of a packaged data set.

    Or it is a table or time series: a CSV, Parquet or Excel file, or series in a .npz.

    Examples:

      reverie train photos/ -o runs/photos --budget 10m

      reverie train people.csv -o runs/people

      reverie train digits -o runs/digits --epochs 50 --seed 1

      reverie train --resume runs/photos
    """
    from reverie import api
    from reverie.console import Live, err, out, show_outlook, show_verdict
    from reverie.training import distributed
    from reverie.training.loop import Interrupted

    if dry_run and path and not resume:
        show_outlook(api.outlook(path, **options))
        return None
    if (devices := options["devices"] or _as_begun(resume)) and not distributed.launched():
        asked = distributed.Devices.parse(devices)
        if asked.processes > 1:
            sys.exit(distributed.launch(asked, sys.argv[1:]))  # its processes have said what there is to say
    live = Live()
    try:
        if resume is not None:
            changed = [k for k, v in options.items() if v != _DEFAULTS[k] and k != "devices"]
            if path or output or overwrite or dry_run or changed:
                raise ReverieError("--resume goes on with a run as it was started; give it alone.")
            api.resume(resume, tracker=live)
            run = resume
        else:
            if not path:
                raise ReverieError("Say what to train on: reverie train PATH -o RUN.")
            run = output or Path("runs") / (Path(path).stem or "run")
            api.train(path, run, overwrite=overwrite, tracker=live, **options)
    except Interrupted:
        live.close()
        if not distributed.join().leads:
            time.sleep(2)  # or the end of this process would end the one that speaks before it has spoken
        else:
            err.print(f"stopped and saved. Go on with: reverie train --resume {quoted(resume or run)}", soft_wrap=True)
        sys.exit(130)  # it has said more than main would
    finally:
        live.close()
    if distributed.join().leads:
        show_verdict(run)
        place = quoted(run)
        out.print(f"model: {run}\nnext:  reverie sample {place} -n 16\n       reverie evaluate {place}", soft_wrap=True)
    return None


def _as_begun(run: Path | None) -> str | None:
    """How many processes a run was started with."""
    from reverie.training.folder import begun_with

    return begun_with(run)[1].devices if run and (run / "run.json").is_file() else None


def _from_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `train` one flag for each field of TrainSettings."""
    from reverie.training.settings import TrainSettings

    hints = typing.get_type_hints(TrainSettings)
    own = [
        parameter("path", Annotated[str | None, typer.Argument(help="Data to learn.", metavar="[PATH]")], None),
        parameter("output", Annotated[Path | None, typer.Option("-o", "--output", help="Run folder to make.")], None),
        parameter("resume", Annotated[Path | None, typer.Option(help="Go on with this RUN, given alone.")], None),
        parameter(
            "overwrite", Annotated[bool, typer.Option("--overwrite", help="Replace a RUN that is there.")], False
        ),
        parameter("dry_run", Annotated[bool, typer.Option("--dry-run", help="Print the plan, train nothing.")], False),
    ]
    flags = []
    for field in dataclasses.fields(TrainSettings):
        names = [field.metadata["flag"]] if field.metadata["flag"] else []
        option = typer.Option(*names, help=field.metadata["help"])
        flags.append(parameter(field.name, Annotated[hints[field.name], option], field.default))
        _DEFAULTS[field.name] = field.default
    return signed(function, [*own, *flags])


command = _from_settings(train)
