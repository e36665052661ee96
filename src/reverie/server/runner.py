"""What claimed jobs do: the verb is called, or several of one verb as one batch, and files are written.

A worker knows the protocol `Runner` alone; `runner(settings)` gives the real one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reverie.errors import ReverieError
from reverie.files import synced_later
from reverie.samples import picked
from reverie.server import schemas
from reverie.server.contract import Outcome, Runner, Told, Work
from reverie.server.given import check_files
from reverie.server.limits import check_walk
from reverie.server.models import Kept, Models
from reverie.server.previews import AllCanceled, Watch
from reverie.server.settings import Settings
from reverie.server.training import train
from reverie.tasks import Made
from reverie.tasks.parts.many import at_most
from reverie.tasks.parts.options import Names
from reverie.tasks.parts.provenance import read_made
from reverie.tasks.parts.signature import Asked, asked_of
from reverie.training.plan import seconds

log = logging.getLogger(__name__)


def runner(settings: Settings) -> Runner:
    """The runner of a server, in a worker."""
    return Verbs(settings)


class Verbs:
    """Calls the verbs of `tasks/`, and trains."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._most = seconds(settings.most_time, "--most-time")
        self.models = Models(settings.runs, settings.device, settings.threads, settings.models_kept)

    @property
    def loaded(self) -> list[str]:
        """See `Runner`."""
        return self.models.names

    @property
    def evaluations(self) -> int:
        """See `Runner`."""
        return self.models.evaluations

    def keep(self, model: str, load: bool) -> None:
        """See `Runner`."""
        if not load:
            self.models.drop(model)
            return
        try:
            self.models.get(model)
        except ReverieError as error:
            log.warning("%s was not loaded: %s", model, error)

    def run(self, work: list[Work], told: Told) -> list[Outcome]:
        """See `Runner`. What is wrong with one of a batch is its own error: the others are then computed without it."""
        if len(work) == 1:
            return self._alone(work[0], told)
        keys = {schemas.batch_key(one.model, one.task, one.parameters) for one in work}
        if len(keys) == 1 and None not in keys:
            try:
                return self._together(work, told)
            except ReverieError:
                pass  # one of them is at fault, and says so alone
        return [outcome for one in work for outcome in self._alone(one, told)]

    def _alone(self, work: Work, told: Told) -> list[Outcome]:
        """One job by itself; none where it was canceled."""
        try:
            self._check(work)
            if work.task == schemas.TRAIN:
                return [Outcome(work.id, *done)] if (done := train(work, told, self.settings)) else []
            if work.parameters.get(schemas.DETERMINISTIC):
                return self._together([work], told)
            return [self._called(work, told)]
        except AllCanceled:
            return []
        except ReverieError as error:
            return [Outcome(work.id, error=str(error))]

    def _check(self, work: Work) -> None:
        """Hold parameters against today's limits again, as the server that took them may have had others; and files."""
        told = {k.removeprefix(schemas.TOLD): "0" * 32 for k in work.inputs if k.startswith(schemas.TOLD)}
        inputs: dict[str, Any] = {k: "0" * 32 for k in work.inputs if not k.startswith(schemas.TOLD)}
        given = {**inputs, **({"told": told} if told else {})}
        asked = {"model": work.model, "task": work.task, "parameters": work.parameters, "inputs": given}
        try:
            schemas.read(self.settings, work.task, asked)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ReverieError(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from error
        check_files(list(work.inputs.values()), self.settings)

    def _model(self, work: Work) -> Kept:
        """The model of a job, whose walk is no longer than it may be."""
        kept = self.models.get(work.model)
        check_walk(work.parameters, kept.model.defaults.steps, self.settings.most_steps)
        return kept

    def _called(self, work: Work, told: Told) -> Outcome:
        """A verb as the command line calls it."""
        kept, task = self._model(work), schemas.task_named(work.task)
        values = {**work.parameters, **{name: str(path) for name, path in work.inputs.items()}}
        asked = asked_of(task.function)
        values = _pictures_told(kept, asked, _seeded(asked, values))
        for p in asked:
            if p.kind is Any and p.name in work.parameters:
                _must_be_a_word(p.name, work.parameters[p.name])
        values.pop(schemas.DETERMINISTIC, None)
        if "run" in task.function.__annotations__:
            values["run"] = kept.folder
        watch = Watch(told, [work.id], [1], kept.model, self.settings.previews, most=self._most)
        with at_most(self.settings.most_items):
            made = task.function(kept.model, **values, on_step=watch)
        return _written(work, made, values)

    def _together(self, work: Sequence[Work], told: Told) -> list[Outcome]:
        """Several wishes as one batch, or one in a batch that is filled up."""
        for one in work:
            self._check(one)
        kept, several = self._model(work[0]), schemas.task_named(work[0].task).several
        assert several is not None
        wishes = []
        for one in work:
            values = {**one.parameters, **{name: str(path) for name, path in one.inputs.items()}}
            asked = asked_of(schemas.task_named(one.task).function)
            wishes.append({**_pictures_told(kept, asked, values), "seed": picked(values.get("seed") or 0)})
        deterministic = bool(work[0].parameters.get(schemas.DETERMINISTIC))
        rows = [wish.get("n") or several.usual for wish in wishes]
        batch = self.settings.padded if deterministic else min(wishes[0].get("batch", 128), self.settings.most_batch)
        watch = Watch(told, [one.id for one in work], rows, kept.model, self.settings.previews, batch, self._most)
        padded = self.settings.padded if deterministic else None
        wishes = [{**wish, "batch": batch} for wish in wishes]
        try:
            made = several.function(kept.model, wishes, on_step=watch, padded=padded, own=kept.own)
        except AllCanceled:
            return []
        done = zip(work, made, wishes, strict=True)
        return [_written(one, its, wish) for one, its, wish in done if one.id in watch.live]


def _written(work: Work, made: Made, values: dict[str, Any]) -> Outcome:
    """A verb's result as files in the job's folder, to be put safe on disk when they are sealed, and what is said of it."""
    with synced_later():
        paths = made.save(work.folder / "made", {"model": work.model})
    if (sheet := made.sheet()) is not None:
        sheet.save(work.folder / "sheet.png")
    kept = {*paths, *work.inputs.values()}
    others = sorted(path for path in work.folder.rglob("*") if path.is_file() and path not in kept)
    settings = {k: v for k, v in values.items() if k in work.parameters or k == "seed"}
    if settings.get("seed", 0) is None:
        settings["seed"] = read_made(paths[0])["seed"]
    result = {"lines": made.lines(), "parameters": settings}
    return Outcome(work.id, result, [*paths, *others])


def _seeded(asked: Sequence[Asked], values: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the seed resolved, so that the answer can name it; None where a file that is drawn again brings its own."""
    for p in asked:
        if p.name == "seed":
            again = any(one.names is Names.READ and one.name in values for one in asked)
            seed = values.get("seed", p.default)
            return {**values, "seed": None if seed is None and again else picked(seed or 0)}
    return values


def _must_be_a_word(name: str, text: str) -> None:
    """Refuse a word that is a file where this process happens to run."""
    if Path(text).exists():
        raise ReverieError(f"{name}: {text!r} cannot be had here; upload the file, and give its id among the inputs.")


def _pictures_told(kept: Kept, asked: Sequence[Asked], values: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the job's pictures put among what the model is told; no text of a person's may name a file."""
    from reverie.data.wishes import parse
    from reverie.tasks.parts.told import parse_condition

    pictures = {k.removeprefix(schemas.TOLD): v for k, v in values.items() if k.startswith(schemas.TOLD)}
    made = {k: v for k, v in values.items() if not k.startswith(schemas.TOLD)}
    for p in asked:
        text = made.get(p.name)
        if p.names is Names.COLUMNS and text not in (None, "none") and any(w.kind == "image" for w in parse(text)):
            raise ReverieError(f"{p.name}: pictures are told by inputs.told here, and in no folder of the server's.")
        if p.names is not Names.TOLD:
            continue
        if named := set(parse_condition(text, 1)) & set(kept.model.conditions.pictures):
            raise ReverieError(
                f"{p.name}: '{min(named)}' is a picture: upload it, and give its id as inputs.told.{min(named)}."
            )
        if odd := [path for path in pictures.values() if set(path) & set(",|=")]:
            raise ReverieError(f"{odd[0]} has a comma, a bar or an equals sign in it; serve from a folder without.")
        words = [*([text] if text else []), *(f"{name}={path}" for name, path in pictures.items())]
        made[p.name] = ",".join(words) or None
    return made
