"""What a worker and a runner say to each other; a runner does what jobs ask and knows nothing of queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Work:
    """One job, as a runner is given it."""

    id: str
    model: str
    task: str
    parameters: dict[str, Any]
    inputs: dict[str, Path]  # links, of the names that people gave
    folder: Path  # the job's own, which holds these links at most: what it makes is written here


@dataclass(frozen=True)
class Outcome:
    """What came of one job: a result and the files under its folder that are to be kept, or one sentence of what was wrong."""

    id: str
    result: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    error: str | None = None


class Canceled(Exception):
    """Nobody wants job `id` any more: leave it without an outcome, and go on with the others."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class Told(Protocol):
    """Whom a runner tells how far it is."""

    def step(self, id: str, step: int, total: int, preview: bytes | None = None) -> None:
        """Say that `step` of `total` steps of a job are done, with a PNG of how it looks; raises Canceled(id)."""


class Runner(Protocol):
    """Does the work of jobs, several at once where they were claimed together."""

    def run(self, work: list[Work], told: Told) -> Sequence[Outcome]:
        """Do it and give an outcome for each job that was not canceled.

        A ReverieError that leaves it is told to the job's owner; any other exception has the job tried again, alone.
        """

    def keep(self, model: str, load: bool) -> None:
        """Have a model in memory before it is asked for, or let go of it; what cannot be is left, and logged."""

    @property
    def loaded(self) -> list[str]:
        """Models that are in memory."""

    @property
    def evaluations(self) -> int:
        """How often a network was evaluated, a batch at a time, since this runner was made."""
