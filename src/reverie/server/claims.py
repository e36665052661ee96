"""What a worker holds, and what it says of it to the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Claim:
    """A job that a worker holds, as long as its lease."""

    id: str
    fence: int
    worker: str
    owner: str
    model: str
    task: str
    parameters: dict[str, Any]
    inputs: dict[str, str]
    attempt: int


class LostLease(Exception):
    """The job is another's by now, or nobody's: what was done for it does not count."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"job {claim.id}, claim {claim.fence} of worker {claim.worker}")


@dataclass(frozen=True)
class Made:
    """A file that is whole and in its last place, to be announced: `name` within its job, `size` in bytes."""

    place: str
    name: str
    media: str
    size: int
    sha256: str


@dataclass(frozen=True)
class News:
    """How far a job is, and how it looks: a PNG, or None where that is as before."""

    claim: Claim
    progress: dict[str, Any]
    preview: bytes | None = None


@dataclass(frozen=True)
class Done:
    """What came of a job that went well, and its files; how far it was at last, where that is known."""

    claim: Claim
    result: dict[str, Any]
    artifacts: Sequence[Made]
    progress: dict[str, Any] | None = None
