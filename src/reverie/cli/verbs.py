"""A command for each verb in `tasks/`, made from the signature of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from reverie.cli.flags import Device, Run, Threads, parameter, signed
from reverie.errors import ReverieError
from reverie.tasks import Task
from reverie.tasks.parts.signature import REQUIRED, asked_of

Out = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="New folder to write to; a sheet of all is put beside it. Default: in RUN."),
]
Sheet = Annotated[Path | None, typer.Option("--grid", help="Write the sheet of all there, a PNG.")]


def verb(task: Task) -> Callable[..., Any]:
    """A command from a task: RUN, what it works on, its options, where to compute and where to write."""

    def command(
        run: Path, device: str, threads: int | None, output: Path | None, grid: Path | None, **options: Any
    ) -> None:
        from reverie import api
        from reverie.console import out, progress
        from reverie.pictures import free_place, save_sheet
        from reverie.training.distributed import join

        folder = _new_folder(output, run, task.command)
        if grid is not None and grid.exists():
            raise ReverieError(f"{grid} is there already; choose another place with --grid.")
        model = api.load(run, device=device, threads=threads)
        if "run" in asked:
            options["run"] = run
        with progress() as bar:
            shown = bar.add_task(task.command, total=None)
            made = task.function(
                model, **options, on_step=lambda s: bar.update(shown, total=s.total, completed=s.number)
            )
        if not join().leads:
            return
        paths = made.save(folder, {"model": str(run)})
        for line in made.lines():
            out.print(line, soft_wrap=True)
        out.print(f"files: {paths[0] if len(paths) == 1 else folder}", soft_wrap=True)
        if (sheet := made.sheet()) is not None:
            place = save_sheet(sheet, grid or free_place(folder.with_name(folder.name + "-sheet.png")))
            out.print(f"sheet: {place}", soft_wrap=True)

    asked = inspect.signature(task.function).parameters
    given, flags = [], []
    for p in asked_of(task.function):
        value = str | None if p.kind is Any else p.kind  # in Python an array or a path, here a path
        if p.in_place:
            given.append(parameter(p.name, Annotated[str, typer.Argument(help=p.meaning, metavar=p.name.upper())]))
        elif p.default is REQUIRED:
            flags.append(parameter(p.name, Annotated[str, typer.Option(help=p.meaning)]))
        else:
            names = [f"-{p.name}"] if len(p.name) == 1 else []
            flags.append(parameter(p.name, Annotated[value, typer.Option(*names, help=p.meaning)], p.default))
    own = [parameter("device", Device, "auto"), parameter("threads", Threads, None), parameter("output", Out, None)]
    own.append(parameter("grid", Sheet, None))
    command.__doc__ = f"{inspect.getdoc(task.function)}\n\nExamples:\n\n" + "\n\n".join(f"  {e}" for e in task.examples)
    return signed(command, [parameter("run", Run), *given, *flags, *own])


def _new_folder(wish: Path | None, run: Path, command: str) -> Path:
    """Where a verb writes: a folder with nothing in it yet, so that no file is ever replaced and no two draws mix."""
    if wish is None:
        stem = "generated" if command == "sample" else command
        numbers = (k for k in range(1, 1_000_000) if not (run / f"{stem}-{k}").exists())
        return run / f"{stem}-{next(numbers)}"
    if wish.exists() and (not wish.is_dir() or any(wish.iterdir())):
        raise ReverieError(f"{wish} is there already and is not an empty folder; choose another place with -o.")
    return wish
