"""Who follows a run: everything that happens is an event, and a tracker is told each one."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

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


class Jsonl(Tracker):
    """One JSON object a line in `metrics.jsonl`; a resumed run first forgets what came after its checkpoint."""

    def __init__(self, path: Path, resume_at: int | None = None) -> None:
        with told_plainly(path):
            if resume_at is not None and path.exists():
                write_text(path, "".join(line for line in path.open() if _before(line, resume_at)))
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


def read_log(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics.jsonl; a last line cut off by a kill is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def _before(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except (json.JSONDecodeError, KeyError):
        return False
