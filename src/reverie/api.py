"""The verbs in Python: train, outlook, resume, load, evaluate, tune, untune, compare. The command line is thin over these."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import reverie
from reverie import files, registry, storage
from reverie.core.samplers import Step
from reverie.data.dataset import Data, Indexed
from reverie.data.wishes import absolute
from reverie.errors import ReverieError, quoted
from reverie.evaluation.compare import Comparison, Contender
from reverie.evaluation.compare import compare as compare_models
from reverie.evaluation.evaluate import Evaluation
from reverie.evaluation.measure import measure
from reverie.evaluation.sides import as_data, both_sides
from reverie.evaluation.tune import Told
from reverie.evaluation.tune import tune as find_cheapest
from reverie.evaluation.tuned import Tuning, keep, undo
from reverie.model import Model
from reverie.samples import Samples, Settings
from reverie.training import distributed, folder
from reverie.training.learner import Learner
from reverie.training.loop import Trainer
from reverie.training.outlook import outlook as outlook_of
from reverie.training.pace import Pace
from reverie.training.settings import TrainSettings
from reverie.training.setup import Job, pick_device, prepare, set_threads
from reverie.training.trackers import Jsonl, Several, Silent, Tracker, read_log, services
from reverie.typed import checked

Source = str | Path | Data | np.ndarray | Indexed  # what a person may give as data


@checked
def train(
    data: Source,
    output: str | Path | None = None,
    *,
    labels: Indexed | None = None,
    conditions: Mapping[str, Any] | None = None,
    network: nn.Module | None = None,
    overwrite: bool = False,
    tracker: Tracker | None = None,
    **options: Any,
) -> Model:
    """Train a diffusion model from scratch and return it, with averaged weights.

    data: a path (folder, zip, .npy, .npz), the name of a packaged data set, an array (N, H, W[, C]), a list of items, a
    torch-style Dataset of items or (item, label) pairs, or a `Data`. labels: class of each item of an array or list.
    conditions: what else each is told by, {"age": floats, "style": words, "sketch": an array (N, H, W[, C])}: floats are
    numbers, words and whole numbers labels; `reverie.data.columns` has Labels, Numbers and Pictures to say otherwise.
    output: run folder to make (checkpoints, log, pictures, the model itself); None keeps all in memory.
    network: your own nn.Module, called as network(x, level, cond); see `reverie.networks.Network` for the contract.
    options: any field of `TrainSettings` (budget="10m", steps=..., size="small", seed=0, ...).
    Raises ReverieError for data or settings that cannot be trained on, before the first step.
    """
    started = time.monotonic()
    settings = TrainSettings.of(options)
    settings = dataclasses.replace(settings, condition=absolute(settings.condition))  # to resume from another folder
    group = distributed.join()
    if settings.devices and distributed.Devices.parse(settings.devices).processes > 1 and not distributed.launched():
        raise ReverieError(
            f"devices={settings.devices!r} starts processes from the command line alone. In Python, start your script with "
            f"torchrun --nproc-per-node {distributed.Devices.parse(settings.devices).processes} and leave devices out."
        )
    if output is not None and distributed.restarted() and group.agree(lambda: folder.begun_here(Path(output))):
        return resume(output, data=as_data(data, labels, settings, conditions), network=network, tracker=tracker)
    run = None if output is None or not group.leads else folder.free(Path(output), overwrite)
    tracker = (tracker if group.leads else None) or Silent()
    if group.leads:
        _can_be_tracked(settings, output)
    read_data, job = _prepared(data, labels, conditions, network, settings, started)
    settings = job.settings
    with files.locked(run) if run else contextlib.nullcontext():
        if run:  # only now: data that cannot be trained on leaves no folder, and removes none
            folder.free(run, overwrite)  # again, under the lock: another run may have come and gone there meanwhile
            folder.begin(run, data, read_data, settings)
            tracker = _followers(tracker, run, settings, None)
        trainer = Trainer(job, settings, tracker, run, Learner.of(job.model.denoiser, settings), started=started)
        return trainer.train()


@checked
def outlook(
    data: Source,
    *,
    labels: Indexed | None = None,
    conditions: Mapping[str, Any] | None = None,
    network: nn.Module | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What `train` would do with the same data and options: choices, memory, batch, steps and their end.

    A few steps are timed on copies; nothing is trained and nothing is written. The figures are named in
    `reverie.training.outlook`. Raises ReverieError where `train` would, before its first step.
    """
    started = time.monotonic()
    settings = TrainSettings.of(options)
    _, job = _prepared(data, labels, conditions, network, settings, started)
    trainer = Trainer(job, job.settings, Silent(), None, Learner.of(job.model.denoiser, job.settings), started=started)
    trainer.make_plan()
    return outlook_of(trainer)


def _prepared(
    data: Source,
    labels: Indexed | None,
    conditions: Mapping[str, Any] | None,
    network: nn.Module | None,
    settings: TrainSettings,
    started: float,
) -> tuple[Data, Job]:
    """Data read, and all that training needs; a budget that these steps use up is refused as soon as that is known."""
    pace = Pace.of(settings, started)
    watch = pace.check_reading if pace else None
    found = as_data(data, labels, settings, conditions, option="--max-broken", on_progress=watch)
    if pace:
        pace.check("reading the data")
    job = prepare(found, settings, network)
    if pace:
        pace.check("preparation")
    return found, job


@checked
def resume(
    run: str | Path,
    *,
    data: Source | None = None,
    labels: Indexed | None = None,
    conditions: Mapping[str, Any] | None = None,
    network: nn.Module | None = None,
    tracker: Tracker | None = None,
) -> Model:
    """Go on with a run that was stopped, exactly as if it had not been, and return the model.

    data, labels, conditions: needed only where the run was started from an array or Dataset.
    Raises ReverieError where there is no run, it is finished, or its data has changed.
    """
    started = time.monotonic()
    run = Path(run)
    if not storage.is_run(run):
        raise ReverieError(
            f"{run} is not a training run: it has no run.json. Start one with `reverie train PATH -o {quoted(run)}`."
        )
    place, settings = folder.begun_with(run)
    _can_be_tracked(settings, run)
    if data is None and place is None:
        raise ReverieError(f"{run} was trained on an array; give it again: reverie.resume({str(run)!r}, data=...).")
    group = distributed.join()
    with files.locked(run) if group.leads else contextlib.nullcontext():
        newest = _checkpoint_to_go_on_from(run, group)
        if storage.is_model(run) and any(e["event"] == "done" for e in read_log(run / "metrics.jsonl")):
            raise ReverieError(f"{run} is finished. To train on: reverie train PATH --from {quoted(run)} -o NEW.")
        job = prepare(as_data(place if data is None else data, labels, settings, conditions), settings, network)
        learner = Learner.of(job.model.denoiser, settings)
        trainer = Trainer(job, settings, Silent(), run if group.leads else None, learner, started=started)
        if newest is not None:
            trainer.go_on(newest)
        if group.leads:  # only now: the log forgets nothing where the run cannot go on
            trainer.tracker = _followers(tracker, run, settings, int(newest.name) if newest else None)
        return trainer.train()


def _checkpoint_to_go_on_from(run: Path, group: distributed.Group) -> Path | None:
    """The newest whole checkpoint, the same for every process; what a killed writer left is swept."""
    if group.leads:
        files.sweep(run / "checkpoints")
    newest = group.agree(lambda: str(storage.newest_checkpoint(run) or ""))
    return Path(newest) if newest else None


def _can_be_tracked(settings: TrainSettings, output: Any) -> None:
    """Refuse, before any data is read, to be followed where there is no folder or no package for it."""
    chosen = services(settings.track)
    if chosen and output is None:
        raise ReverieError(f"track={settings.track!r} needs a run folder to keep its files in; give output=RUN.")
    for service in chosen:
        service.check()


def _followers(tracker: Tracker | None, run: Path, settings: TrainSettings, resumed_at: int | None) -> Tracker:
    """Who follows a run: whoever the caller named, the log, which forgets what came after a checkpoint, and the services."""
    log = Jsonl(run / "metrics.jsonl", resume_at=resumed_at)
    told = [service.follow(run, settings.to_json(), resumed_at) for service in services(settings.track)]
    return Several(tracker or Silent(), log, *told)


@checked
def load(
    path: str | Path,
    *,
    network: nn.Module | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
) -> Model:
    """Read a saved model or run folder; nothing in it is executed.

    network: the same network again, for a model trained with one of your own. Raises ReverieError for a folder that is no
    model, is damaged, or was made by a newer Reverie.
    """
    if threads is not None:
        set_threads(threads)
    return storage.load(Path(path), network).to(pick_device(str(device)))


@dataclass(frozen=True)
class Judgement:
    """What `evaluate` found: the evaluation, the samples it was made on, and the files it was written to."""

    evaluation: Evaluation
    samples: Samples
    page: Path
    figures: Path


@checked
def evaluate(
    run: str | Path,
    data: Source | None = None,
    *,
    output: str | Path | None = None,
    json: str | Path | None = None,
    n: int = 500,
    steps: int | None = None,
    sampler: str | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    features: str | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
) -> Judgement:
    """Draw samples of a trained model, measure them against held-out data, and write the page and the figures.

    data: what to compare with; by default the run's own held-out part. output, json: RUN/report.html and RUN/metrics.json
    unless given. n: samples, and held-out items they are compared with. features: as `reverie list features` shows.
    Raises ReverieError where the data has changed, or does not fit the model.
    """
    run = Path(run)
    page, figures = Path(output or run / "report.html"), Path(json or run / "metrics.json")
    files.must_end(page, ".html")
    files.must_end(figures, ".json")
    if n < 1:
        raise ReverieError(f"-n {n}: give a whole number from 1; a few hundred make the figures mean something.")
    model = load(run, device=device, threads=threads)
    train_data, held = both_sides(run, model, data)
    chosen = None if features is None else registry.build("features", features)
    judged, samples = measure(
        model, train_data, held, n=n, steps=steps, sampler=sampler, guidance=guidance, temperature=temperature,
        features=chosen, seed=seed,
    )  # fmt: skip
    settings = {"seed": seed, **samples.settings.to_json()}
    files.write_json(
        figures, {"reverie": reverie.__version__, "run": str(run), "sampling": settings, **judged.to_json()}
    )
    asked = {"steps": steps, "sampler": sampler, "guidance": guidance, "temperature": temperature, "features": features}
    words: list[Any] = [
        "reverie",
        "evaluate",
        run,
        *([data] if isinstance(data, str | Path) else []),
        "-n",
        judged.n,
        "--seed",
        seed,
    ]
    for name, value in asked.items():
        words += [] if value is None else [f"--{name}", value]
    command = shlex.join(map(str, words))
    from reverie.report.page import build

    html = build(
        model=model, samples=samples, evaluation=judged, train_items=train_data.items, held_items=held.items,
        run=run if storage.is_run(run) else None, command=command,
    )  # fmt: skip
    files.write_text(page, html)
    return Judgement(judged, samples, page, figures)


@checked
def tune(
    run: str | Path,
    data: Source | None = None,
    *,
    tolerance: float = 0.05,
    n: int = 500,
    seed: int = 0,
    features: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    told: Told | None = None,
) -> Tuning:
    """Find the cheapest way of sampling a model that is within a tolerance of 1,000 steps, and make it the model's default.

    data: what to compare with; by default the run's own held-out part. n, seed, tolerance: see `reverie.evaluation.tune`.
    Nothing is written before the end, and nothing where no way was shown to be good enough. Raises ReverieError where
    the data is gone or has changed, for too few held-out items, and for a run that is not finished.
    """
    run = _tunable(Path(run))
    weights = files.sha256(run / storage.WEIGHTS)
    model = load(run, device=device, threads=threads)
    held = both_sides(run, model, data)[1]
    chosen = None if features is None else registry.build("features", features)
    found = find_cheapest(model, held, tolerance=tolerance, n=n, seed=seed, features=chosen, told=told)
    if found.chosen is not None:
        keep(run, found, weights)
    return found


@checked
def untune(run: str | Path) -> Settings:
    """Give a model back the way of sampling that it had before it was last tuned, and return it; nothing else changes.

    Raises ReverieError for a folder that is no model, and for a model that was not tuned.
    """
    return undo(_tunable(Path(run)))


@checked
def compare(
    runs: Sequence[str | Path],
    *,
    data: Source | None = None,
    output: str | Path = "compare.html",
    n: int = 500,
    seed: int = 0,
    features: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    on_step: Callable[[int, Step], None] | None = None,
) -> Comparison:
    """Measure trained models side by side, find which differences are real, and write one page about it.

    data: what all are compared with; by default the held-out part that they have in common. n, seed: of each, the same for all.
    Raises ReverieError for runs on different splits unless data is given, and for different kinds, shapes or classes.
    """
    files.must_end(Path(output), ".html")
    folders = [Path(run) for run in runs]
    short = [f.resolve().name for f in folders]
    contenders = []
    for run, name in zip(folders, short, strict=True):
        model = load(run, device=device, threads=threads)
        known = name if short.count(name) == 1 else str(run)
        contenders.append(Contender(known, model, *both_sides(run, model, data)))
    chosen = None if features is None else registry.build("features", features)
    found = compare_models(contenders, n=n, seed=seed, features=chosen, on_step=on_step)
    extra = [] if data is None or not isinstance(data, str | Path) else ["--data", data]
    words = ["reverie", "compare", *folders, *extra, "-n", n, "--seed", seed, "-o", output]
    words += [] if features is None else ["--features", features]
    from reverie.report.compare_page import build

    files.write_text(Path(output), build(found, shlex.join(map(str, words))))
    return found


def _tunable(run: Path) -> Path:
    """Refuse a folder that holds no finished model."""
    if not storage.is_model(run):
        storage.load(run)  # says what is wrong with a folder that holds nothing
        go_on = f"reverie train --resume {quoted(run)}"
        raise ReverieError(f"{run} is not finished, so there is no model to tune: {go_on}.")
    return run
