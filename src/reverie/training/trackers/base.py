"""Who follows a run: everything that happens is an event, and a tracker is told each one.

A `Service` is a programme outside of Reverie that a person asks for by name: `--track tensorboard,wandb:project=faces`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from reverie import registry
from reverie.errors import ReverieError
from reverie.files import told_plainly, write_text


class Event(NamedTuple):
    """Something that happened in training. kind: note, plan, step, validation, samples, checkpoint, done."""

    kind: str
    step: int
    values: dict[str, Any]


class Tracker(ABC):
    """Is told every event, in order."""

    @abstractmethod
    def tell(self, event: Event) -> None:
        """Take one event; must not change the run."""


class Silent(Tracker):
    """Says nothing."""

    def tell(self, event: Event) -> None:
        """Nothing."""


class Memory(Tracker):
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event: Event) -> None:
        """Append."""
        self.events.append(event)


_ENDING = ("kept", "done")  # told after the last checkpoint: a run that goes on from there tells them again


class Jsonl(Tracker):
    """One JSON object a line in `metrics.jsonl`; a resumed run first forgets what came after its checkpoint."""

    def __init__(self, path: Path, resume_at: int | None = None) -> None:
        with told_plainly(path):
            if resume_at is not None and path.exists():
                left = (e for e in read_log(path) if e["step"] <= resume_at and e["event"] not in _ENDING)
                write_text(path, "".join(json.dumps(e) + "\n" for e in left))
            self._file = path.open("w" if resume_at is None else "a", encoding="utf-8")
        self.path = path

    def tell(self, event: Event) -> None:
        """Append and hand to the operating system at once, so that a kill loses nothing."""
        with told_plainly(self.path):
            self._file.write(json.dumps({"event": event.kind, "step": event.step, **event.values}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Sync and close."""
        os.fsync(self._file.fileno())
        self._file.close()


class Several(Tracker):
    """Tells each of several trackers."""

    def __init__(self, *trackers: Tracker) -> None:
        self.trackers = trackers

    def tell(self, event: Event) -> None:
        """In order."""
        for tracker in self.trackers:
            tracker.tell(event)


class Service(ABC):
    """A place outside of the run folder where a run can be followed; its options are its typed fields.

    package: what must be installed, by the extra of the same name as the service.
    """

    package: ClassVar[str]

    def check(self) -> None:
        """Raise ReverieError where the package is not there: asked before the first step."""
        if importlib.util.find_spec(self.package) is None:
            name = registry.name_of(type(self))
            raise ReverieError(f"--track {name} needs a package that is not installed: pip install 'reverie[{name}]'.")

    @abstractmethod
    def follow(self, run: Path, settings: dict[str, Any], resumed_at: int | None) -> Tracker:
        """The tracker of a run in folder `run` with settings as plain JSON; resumed_at: the step it goes on from, or None."""


def services(text: str | None) -> list[Service]:
    """Read `tensorboard,wandb:project=faces,mode=offline`: a comma before a word that is no option begins another."""
    parts = re.split(r",(?=[\w-]+\s*(?:[:,]|$))", text.replace(" ", "")) if text else []
    return [registry.build("trackers", part) for part in parts]


def figures(event: Event) -> Iterator[tuple[str, float]]:
    """The numbers of a step or a look, named as every service shows them: `step/loss`, `held_out/ema`, `band_0/raw` ...

    step/: loss, lr, grad_norm, throughput (items per second). held_out/: ema, raw, and train/ema, in the network's output
    space; band_k/: mean squared error of x0 in noise band k, from the least noise; held_out/baseline: what a constant gets.
    """
    v = event.values
    if event.kind == "step":
        yield from ((f"step/{k}", float(v[k])) for k in ("loss", "lr", "grad_norm"))
        yield "step/throughput", v["images"] / max(v["seconds"], 1e-9)
    if event.kind == "validation":
        yield from (("held_out/ema", v["held_out"]), ("held_out/raw", v["held_out_raw"]), ("train/ema", v["train"]))
        yield "held_out/baseline", v["baseline"]
        for name, part in (("ema", "held_out"), ("raw", "held_out_raw")):
            yield from ((f"band_{k}/{name}", error) for k, error in enumerate(v["bands"][part]))


def read_log(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics.jsonl; what `damage` tells of is left out, and a last line cut off by a kill."""
    return [event for line in _lines(path) if (event := _event(line)) is not None]


def damage(path: Path) -> str:
    """Which lines of a metrics.jsonl are no events, in words, or nothing; a last line cut off by a kill is no damage."""
    lines = _lines(path)
    bad = [k for k, line in enumerate(lines, start=1) if _event(line) is None]
    if lines and bad[-1:] == [len(lines)] and not lines[-1].endswith(b"\n"):
        bad.pop()
    if not bad:
        return ""
    named = f"line{'s' * (len(bad) > 1)} {', '.join(map(str, bad[:5]))}" + (", ..." if len(bad) > 5 else "")
    return f"{path}: {len(bad):,} of {len(lines):,} lines cannot be read ({named}); what is said of the run is without them."


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _event(line: bytes) -> dict[str, Any] | None:
    """An event, or None for a line that holds none."""
    try:
        event = json.loads(line)
    except ValueError:  # no JSON, or no text
        return None
    return event if isinstance(event, dict) and {"event", "step"} <= event.keys() else None
