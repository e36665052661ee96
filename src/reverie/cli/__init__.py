"""The command line: thin, and quick to answer: PyTorch is imported only by the commands that compute.

Flags are made from typed signatures: `train` from the fields of TrainSettings, each verb from its function in `tasks/`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from reverie.cli import serve, train
from reverie.cli.flags import Device, Run, Threads
from reverie.cli.verbs import verb
from reverie.errors import ReverieError
from reverie.tasks import tasks

app = typer.Typer(
    name="reverie",
    help="Train, sample and evaluate diffusion models on your own data.\n\n"
    "Try: reverie train digits -o runs/digits --budget 2m",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


_STOPPED = 130


def main() -> None:
    """Run a command; what a person can mend is one message and exit code 2, never a traceback."""
    try:
        result = app(standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == _STOPPED:  # what Typer makes of Ctrl-C
            _tell("stopped.")
    except ReverieError as error:
        code = _tell(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = _tell("stopped.", _STOPPED)
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
        )  # of several processes the first speaks; torchrun ends this one by then, unless it alone has failed
    print(f"reverie: {message}", file=sys.stderr)
    return code


def _foreign(error: Exception) -> int:
    """Errors of the argument parser and of the machine; anything else is a defect and shows itself."""
    show = getattr(error, "format_message", None)
    if show is not None:
        context = getattr(error, "ctx", None)
        hint = f" Try `{context.command_path} --help`." if context else ""
        if not show():
            return 0  # `reverie` alone: its help is the answer
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


app.command("train")(train.command)
app.command("serve")(serve.command)
app.command("token")(serve.token)
for _task in tasks():
    app.command(_task.command)(verb(_task))


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
    device: Device = "auto",
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
def tune(
    run: Run,
    path: Annotated[
        str | None, typer.Argument(help="Data to compare with. Default: the run's own held-out part.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="How much worse than 1,000 steps it may be, at most.")] = 0.05,
    n: Annotated[int, typer.Option("-n", help="Samples to draw, and held-out items to compare with.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the search; the proof is on the next one.")] = 0,
    features: Annotated[
        str | None, typer.Option(help="What distances are measured on, see `reverie list features`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the default before the last tuning.")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Find the cheapest sampler, grid, steps and guidance as good as 1,000 steps, and make them the model's default.

    Examples:

      reverie tune runs/digits

      reverie tune runs/digits --tolerance 0.1 -n 300

      reverie tune runs/digits --undo
    """
    from reverie import api
    from reverie.console import show_tuning, show_untuned, telling

    if undo:
        if path is not None:
            raise ReverieError("--undo goes back and compares with nothing; give it with RUN alone.")
        show_untuned(run, api.untune(run))
        return
    with telling("tune") as told:
        found = api.tune(
            run, path, tolerance=tolerance, n=n, seed=seed, features=features, device=device, threads=threads, told=told
        )
    show_tuning(run, found, json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two run or model folders or more.", metavar="RUN1 RUN2 ...")],
    data: Annotated[
        str | None, typer.Option(help="Data to compare with. Default: what all the runs held out.", metavar="PATH")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page.")] = Path("compare.html"),
    n: Annotated[int, typer.Option("-n", help="Samples to draw of each, and held-out items to compare with.")] = 500,
    features: Annotated[
        str | None, typer.Option(help="What distances are measured on, see `reverie list features`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Start of all randomness, the same for all.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Set trained models side by side: the same seeds, the same data, and which differences are real.

    Examples:

      reverie compare runs/a runs/b

      reverie compare runs/a runs/b runs/c --data new-photos/ -n 300 -o abc.html
    """
    from reverie import api
    from reverie.console import show_comparison, telling

    with telling("compare") as told:
        found = api.compare(
            runs, data=data, output=output, n=n, seed=seed, features=features, device=device, threads=threads,
            on_step=lambda k, step: told(k + step.number / step.total, len(runs), f"{k + 1} of {len(runs)}"),
        )  # fmt: skip
    show_comparison(found, output, json)


@app.command()
def info(
    path: Annotated[str, typer.Argument(help="A run or model folder, or data.", metavar="RUN|PATH")],
    label_from: Annotated[str, typer.Option(help="For data: folder, csv:COLUMN or none.")] = "folder",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="For data: write the card as one page.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="For data: image, table or series, instead of by its content.")
    ] = None,
    window: Annotated[str | None, typer.Option(help="For series: steps of a window, or all.")] = None,
) -> None:
    """Show a run's card; or, for data, what Reverie sees there.

    Examples:

      reverie info runs/digits

      reverie info photos.zip --json

      reverie info photos.zip --html card.html
    """
    from reverie.console import show_info

    show_info(path, label_from, json, html, kind, window)


@app.command()
def prepare(
    path: Annotated[
        str,
        typer.Argument(help="A folder of images, a zip of one, a .npy or .npz; it is never changed.", metavar="PATH"),
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
