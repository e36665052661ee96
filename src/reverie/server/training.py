"""Training as a job: progress as it goes, a stop that keeps all that was learned, and going on where it was stopped."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverie import api, files, registry, storage
from reverie.data.wishes import parse
from reverie.errors import ReverieError
from reverie.server.contract import Canceled, Told
from reverie.server.places import model_at, place_of
from reverie.server.settings import Settings
from reverie.training.loop import Interrupted
from reverie.training.plan import seconds
from reverie.training.trackers import Event, Tracker, read_log

if TYPE_CHECKING:
    from reverie.server.contract import Work

_OURS = "job.json"  # in a run folder: which job began it
BORNE = (
    1.05  # a budget is kept to within 5 %; and a run of steps or epochs ends, saved, behind as much of the longest one
)
_USUAL = "10m"  # the budget of who asks for none


class Follower(Tracker):
    """Tells a job's watchers of every step, with the newest samples; asks the run to stop where nobody wants it any more."""

    def __init__(self, told: Told, id: str, run: Path, most: float) -> None:
        self.told, self.id, self.run = told, id, run
        self.canceled, self.late, self.total = False, False, 0
        self._until = time.monotonic() + most

    def tell(self, event: Event) -> None:
        """Take one event."""
        if event.kind in ("plan", "resumed"):
            files.write_json(self.run / _OURS, {"job": self.id})
            self.total = int(event.values["total"])
        preview = (self.run / event.values["ema"]).read_bytes() if event.kind == "samples" else None
        if (
            self.canceled or self.late or event.kind not in ("step", "samples")
        ):  # in the loop, where a signal is a wish to stop
            return
        try:
            self.told.step(self.id, event.step, int(event.values.get("total", self.total)), preview)
        except Canceled:
            self.canceled = True
        self.late = not self.canceled and time.monotonic() > self._until
        if self.canceled or self.late:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C does: the run ends after this step, saved


def train(work: Work, told: Told, settings: Settings) -> tuple[dict[str, Any], list[Path]] | None:
    """Train a model, or go on with a run that was stopped or whose worker died; its result and no files.

    None where it was canceled, or the worker is to stop: all is saved in a checkpoint. Raises ReverieError as `api.train`
    does, and for a name in use.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("training is stopped by a signal, which the main thread alone receives")
    options = dict(work.parameters)
    word, resume = options.pop("data", None), options.pop("resume", False)
    data: Any = work.inputs.get("data", word)
    run = place_of(settings.runs, work.model)
    ours = (run / _OURS).is_file() and files.read_json(run / _OURS).get("job") == work.id
    going_on = (resume or ours) and storage.newest_checkpoint(run) is not None
    if resume and not going_on:
        raise ReverieError(f"There is no run {work.model!r} to go on with.")
    if ours and storage.is_model(run) and any(e["event"] == "done" for e in read_log(run / "metrics.jsonl")):
        return _result(work, run), []  # its worker died between the last step and saying so
    follower = Follower(told, work.id, run, BORNE * seconds(settings.most_budget))
    try:
        if going_on:
            api.resume(run, data=data, tracker=follower)
        else:
            options = _checked(options, data, settings)
            api.train(data, run, tracker=follower, device=settings.device, threads=settings.threads, **options)
    except Interrupted:
        if follower.late:
            return _result(work, run, settings.most_budget), []
        if not follower.canceled:  # SIGTERM was meant for the worker, whose own way of stopping is back by now
            signal.raise_signal(signal.SIGTERM)
        return None
    return _result(work, run), []


def _checked(options: dict[str, Any], data: Any, settings: Settings) -> dict[str, Any]:
    """Options of a new run: no more time than the server gives, and no file of the server's."""
    if data is None:
        raise ReverieError(
            "There is nothing to train on: give inputs.data, an upload's id, or parameters.data, a packaged name."
        )
    if isinstance(data, str) and (data not in (packaged := registry.registered("datasets")) or Path(data).exists()):
        raise ReverieError(
            f"data: {data!r} is no packaged data set; there are {', '.join(packaged)}. Or upload a file, and give its id as "
            "inputs.data."
        )
    if any(wish.kind == "image" for wish in parse(options.get("condition"))):
        raise ReverieError("condition: pictures in a folder cannot be told here; they would be the server's own.")
    if all(options.get(k) is None for k in ("budget", "steps", "epochs")):
        options["budget"] = min(_USUAL, settings.most_budget, key=seconds)
    budget = options.get("budget")
    if budget is not None and seconds(budget) > seconds(settings.most_budget):
        raise ReverieError(f"budget {budget}: this server trains for {settings.most_budget} at most.")
    if (start := options.get("init_from")) is not None:
        options["init_from"] = str(model_at(settings.runs, start))
    return options


def _result(work: Work, run: Path, most: str | None = None) -> dict[str, Any]:
    """What is said of a finished run, or of one that was ended after the longest time there is."""
    log = read_log(run / "metrics.jsonl")
    steps = [e for e in log if e["event"] == ("done" if most is None else "checkpoint")][-1]["step"]
    line = f"trained {work.model}: {steps:,} steps"
    if most is not None:
        line += f", ended after the {most} that this server trains for at most; all is kept, and can be gone on with"
    return {"lines": [line], "parameters": work.parameters, "steps": steps}
