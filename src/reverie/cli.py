"""The command line: thin, and quick to answer: PyTorch is imported only by the commands that compute.

Flags are made from typed signatures: `train` from the fields of TrainSettings, each verb from its function in `tasks/`.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from reverie.errors import ReverieError
from reverie.tasks import Task, tasks

app = typer.Typer(
    name="reverie",
    help="Train, sample and evaluate diffusion models on your own data.\n\n"
    "Try: reverie train digits -o runs/digits --budget 2m",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Run = Annotated[Path, typer.Argument(help="A run or model folder.", metavar="RUN")]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="New folder to write to; a sheet of all is put beside it. Default: in RUN."),
]
Threads = Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")]


def main() -> None:
    """Run a command; what a person can mend is one message and exit code 2, never a traceback."""
    try:
        result = app(standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except ReverieError as error:
        code = _tell(str(error))
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = _tell("stopped.", 130)
    except MemoryError:
        code = _tell("Out of memory. Ask for less at once: a smaller -n, --batch, --resolution or --size.")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        code = _foreign(error)
    sys.exit(code)


def _tell(message: str, code: int = 2) -> int:
    if os.environ.get("RANK", "0") != "0":
        time.sleep(
            2
        )  # of several processes the first speaks; torchrun has ended this one by then, unless it alone has failed
    if os.environ.get("RANK", "0") != "0":
        time.sleep(
            2
        )  # of several processes the first speaks; torchrun has ended this one by then, unless it alone has failed
    print(f"reverie: {message}", file=sys.stderr)
    return code


def _foreign(error: Exception) -> int:
    """Errors of the argument parser and of the machine; anything else is a defect and shows itself."""
    show = getattr(error, "format_message", None)
    if show is not None:
        context = getattr(error, "ctx", None)
        hint = f" Try `{context.command_path} --help`." if context else ""
        return _tell(f"{show()}{hint}")
    if "allocate memory" in str(error) or type(error).__name__ == "OutOfMemoryError":
        return _tell("Out of memory. Ask for less at once: a smaller -n, --batch, --resolution or --size.")
    if isinstance(error, OSError):
        return _tell(f"{error.filename or 'the system'}: {error.strerror or error}.")
    raise error


def _version(wanted: bool) -> None:
    if wanted:
        import reverie

        typer.echo(f"reverie {reverie.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and end.")
    ] = False,
) -> None:
    pass


def _train(
    path: str | None, output: Path | None, resume: Path | None, overwrite: bool, dry_run: bool, **options: Any
) -> int | None:
    """Train a model from scratch on your own data.

    PATH is a folder (class sub-folders are labels), a zip of one, a .npz or .npy, or the name of a packaged data set.

    Examples:

      reverie train photos/ -o runs/photos --budget 10m

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
            return distributed.launch(asked, sys.argv[1:])
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
        if distributed.join().leads:
            err.print(f"stopped and saved. Go on with: reverie train --resume {resume or run}", soft_wrap=True)
        return 130
    finally:
        live.close()
    if distributed.join().leads:
        show_verdict(run)
        out.print(f"model: {run}\nnext:  reverie sample {run} -n 16\n       reverie evaluate {run}", soft_wrap=True)
    return None


def _as_begun(run: Path | None) -> str | None:
    """How many processes a run was started with."""
    from reverie.files import read_json

    about = run / "run.json" if run else None
    return read_json(about).get("settings", {}).get("devices") if about and about.is_file() else None


def _from_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `_train` one flag for each field of TrainSettings."""
    from reverie.training.settings import TrainSettings

    hints = typing.get_type_hints(TrainSettings)
    own = [
        _parameter("path", Annotated[str | None, typer.Argument(help="Data to learn.", metavar="[PATH]")], None),
        _parameter("output", Annotated[Path | None, typer.Option("-o", "--output", help="Run folder to make.")], None),
        _parameter("resume", Annotated[Path | None, typer.Option(help="Go on with this RUN, given alone.")], None),
        _parameter(
            "overwrite", Annotated[bool, typer.Option("--overwrite", help="Replace a RUN that is there.")], False
        ),
        _parameter("dry_run", Annotated[bool, typer.Option("--dry-run", help="Print the plan, train nothing.")], False),
    ]
    flags = []
    for field in dataclasses.fields(TrainSettings):
        names = [field.metadata["flag"]] if field.metadata["flag"] else []
        option = typer.Option(*names, help=field.metadata["help"])
        flags.append(_parameter(field.name, Annotated[hints[field.name], option], field.default))
        _DEFAULTS[field.name] = field.default
    return _signed(function, [*own, *flags])


_DEFAULTS: dict[str, Any] = {}


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _signed(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """Tell Typer a function's flags."""
    setattr(function, "__signature__", inspect.Signature(parameters))  # noqa: B010 (a plain assignment is no type's attribute)
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function


app.command("train")(_from_settings(_train))


def _new_folder(wish: Path | None, run: Path) -> Path:
    """Where samples go: a folder with nothing in it yet, so that no file is ever replaced and no two draws mix."""
    if wish is None:
        numbers = (k for k in range(1, 1_000_000) if not (run / f"generated-{k}").exists())
        return run / f"generated-{next(numbers)}"
    if wish.exists() and (not wish.is_dir() or any(wish.iterdir())):
        raise ReverieError(f"{wish} is there already and is not an empty folder; choose another place with -o.")
    return wish


def _verb(task: Task) -> Callable[..., Any]:
    """A command from a task: RUN, its annotated options, where to compute and where to write."""

    def command(run: Path, device: str, threads: int | None, output: Path | None, **options: Any) -> None:
        from reverie import api
        from reverie.console import out, progress
        from reverie.files import sha256
        from reverie.pictures import free_place, save_grid
        from reverie.storage import WEIGHTS
        from reverie.training.distributed import join

        folder = _new_folder(output, run)
        model = api.load(run, device=device, threads=threads)
        with progress() as bar:
            shown = bar.add_task(task.command, total=None)
            done = 0

            def on_step(step: Any) -> None:
                nonlocal done
                done += 1
                rounds = -(-options.get("n", 1) // options.get("batch", 1))
                bar.update(shown, total=step.total * rounds, completed=done)

            samples = task.function(model, **options, on_step=on_step)
        if not join().leads:
            return
        weights = run / WEIGHTS
        about = {"model": str(run), "model_sha256": sha256(weights) if weights.is_file() else None}
        paths = samples.save(folder, about)
        sheet = save_grid(samples, free_place(folder.with_name(folder.name + "-sheet.png")))
        s = samples.settings
        out.print(
            f"{len(samples)} sample{'s' if len(samples) != 1 else ''}, seed {samples.seed}, {s.steps} steps of {s.sampler}, "
            f"guidance {s.guidance:g}\n"
            f"files: {paths[0].parent if len(paths) == 1 else folder}\nsheet: {sheet}",
            soft_wrap=True,
        )

    signature = inspect.signature(task.function)
    flags = []
    for p in signature.parameters.values():
        if not str(p.annotation).startswith("Annotated["):
            continue
        kind = eval(p.annotation, task.function.__globals__)  # our own source text, read without importing PyTorch
        value, meaning = typing.get_args(kind)[:2]
        names = [f"-{p.name}"] if len(p.name) == 1 else []
        flags.append(_parameter(p.name, Annotated[value, typer.Option(*names, help=meaning)], p.default))
    own = [
        _parameter("run", Run, inspect.Parameter.empty),
        _parameter("device", Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")], "auto"),
        _parameter("threads", Threads, None),
        _parameter("output", Out, None),
    ]
    command.__doc__ = f"{inspect.getdoc(task.function)}\n\nExamples:\n\n" + "\n\n".join(f"  {e}" for e in task.examples)
    return _signed(command, [own[0], *flags, *own[1:]])


for _task in tasks():
    app.command(_task.command)(_verb(_task))


@app.command()
def evaluate(
    run: Run,
    path: Annotated[
        str | None, typer.Argument(help="Data to compare with. Default: the run's own held-out part.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The page. Default: RUN/report.html.")] = None,
    json: Annotated[Path | None, typer.Option(help="The figures. Default: RUN/metrics.json.")] = None,
    n: Annotated[int, typer.Option("-n", help="Samples to draw, and held-out items to compare with.")] = 500,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    sampler: Annotated[str | None, typer.Option(help="E.g. heun or dpmpp-2m.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Scale of classifier-free guidance; 1 is none.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Scale of the noise.")] = None,
    features: Annotated[
        str | None, typer.Option(help="What distances are measured on, see `reverie list features`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Start of all randomness.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Threads = None,
) -> None:
    """Measure how good a model's samples are, honestly, and write a page about it.

    Examples:

      reverie evaluate runs/digits

      reverie evaluate runs/digits -n 200 -o page.html --json figures.json
    """
    from reverie import api
    from reverie.console import out, show_evaluation, working

    with working("sampling and measuring"):
        found = api.evaluate(
            run, path, output=output, json=json, n=n, steps=steps, sampler=sampler, guidance=guidance,
            temperature=temperature, features=features, seed=seed, device=device, threads=threads,
        )  # fmt: skip
    show_evaluation(found)
    out.print(f"report: {found.page}\nfigures: {found.figures}", soft_wrap=True)


@app.command()
def info(
    path: Annotated[str, typer.Argument(help="A run or model folder, or data.", metavar="RUN|PATH")],
    label_from: Annotated[str, typer.Option(help="For data: folder, csv:COLUMN or none.")] = "folder",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="For data: write the card as one page.")] = None,
) -> None:
    """Show a run's card; or, for data, what Reverie sees there.

    Examples:

      reverie info runs/digits

      reverie info photos.zip --json

      reverie info photos.zip --html card.html
    """
    from reverie.console import show_info

    show_info(path, label_from, json, html)


@app.command()
def prepare(
    path: Annotated[
        str, typer.Argument(help="A folder of images, or a zip of one; it is never changed.", metavar="PATH")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder to write.", metavar="CLEAN")],
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Leave out what equals an earlier file to the last bit.")
    ] = False,
    drop_near: Annotated[
        bool, typer.Option("--drop-near", help="Leave out near duplicates too: another encoding, size or brightness.")
    ] = False,
    outliers: Annotated[str, typer.Option(help="keep, clip or drop what has values unlike all others'.")] = "keep",
    split_by: Annotated[
        str | None,
        typer.Option(help="What must not be parted (a person, a scene): folder, csv:COLUMN or regex:PATTERN."),
    ] = None,
    label_from: Annotated[str, typer.Option(help="folder, csv:COLUMN or none.")] = "folder",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a CLEAN that is there.")] = False,
) -> None:
    """Make data fit to learn from by stated rules, and write what was done to each file: CLEAN/prepare.csv.

    Broken files go to CLEAN/quarantine. `reverie train CLEAN` learns from CLEAN/items and never parts a group.

    Examples:

      reverie prepare photos/ -o clean --drop-duplicates --outliers drop

      reverie prepare faces.zip -o clean --drop-near --split-by csv:person

      reverie prepare scans/ -o clean --split-by 'regex:patient([0-9]+)'
    """
    from reverie.console import show_prepared
    from reverie.data.prepare import Rules

    show_prepared(path, output, Rules(drop_duplicates, drop_near, outliers, split_by, label_from), overwrite)


@app.command("list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="samplers, schedules, parameterisations, ... Default: what there is.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what can be chosen, with each one's options and source.

    Examples:

      reverie list

      reverie list samplers
    """
    from reverie.console import show_list

    show_list(what, json)
