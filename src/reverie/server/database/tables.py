"""What is remembered: jobs, the files they made, the files they were given, who may ask, and who works.

Times are seconds since 1970 by the database's clock (`clock.now`); ids are 32 hexadecimal digits that cannot be guessed.
"""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from reverie.server.database.clock import now

STARTING, PROCESSING, SUCCEEDED, FAILED, CANCELED = "starting", "processing", "succeeded", "failed", "canceled"
STATES = (STARTING, PROCESSING, SUCCEEDED, FAILED, CANCELED)
FINISHED = (SUCCEEDED, FAILED, CANCELED)

Count = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts by itself for INTEGER alone


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


class Base(DeclarativeBase):
    """All tables; `migrations/` makes them."""


class Job(Base):
    """One request for work; only `reverie.server.queue` changes its state."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("owner", "key", name="job_owner_key"),
        Index("job_state_number", "state", "number"),
        Index("job_owner_number", "owner", "number"),
    )

    number: Mapped[int] = mapped_column(Count, primary_key=True)  # its place in the queue
    id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(200))
    model: Mapped[str] = mapped_column(Text)
    task: Mapped[str] = mapped_column(String(200))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    inputs: Mapped[dict[str, str]] = mapped_column(JSON)  # name -> id of an upload or an artifact
    batch_key: Mapped[str | None] = mapped_column(Text)  # jobs of equal keys may be run together
    key: Mapped[str | None] = mapped_column(String(200))  # idempotency: the same key is the same job
    body: Mapped[str] = mapped_column(String(64))  # SHA-256 of what was asked, to tell a repeated request from another
    state: Mapped[str] = mapped_column(String(10), default=STARTING)
    created: Mapped[float] = mapped_column(Double, default=now())
    started: Mapped[float | None] = mapped_column(Double)
    finished: Mapped[float | None] = mapped_column(Double, index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    alone: Mapped[bool] = mapped_column(default=False)  # its worker died once, and next time no other may suffer
    fence: Mapped[int] = mapped_column(Integer, default=0)  # grows with each claim: a claim of old is known by it
    worker: Mapped[str | None] = mapped_column(String(32), index=True)
    lease: Mapped[float | None] = mapped_column(Double)  # when the claim ends, unless it beats
    cancel: Mapped[bool] = mapped_column(default=False)  # wished for; the worker heeds it
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    preview: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # a PNG, while it is processing
    shown: Mapped[int | None] = mapped_column(Integer)  # the step that the preview is of
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)


class Artifact(Base):
    """A file that a job made; it is here when, and only when, its job has succeeded."""

    __tablename__ = "artifact"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    job: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), index=True)
    place: Mapped[str] = mapped_column(Text, unique=True)  # under the store's folder
    rank: Mapped[int] = mapped_column(Integer)  # its place among the files of its job, from 0
    name: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(String(200))
    media: Mapped[str] = mapped_column(String(200))
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    sha256: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Double, default=now())


class Upload(Base):
    """A file that a person gave; jobs name it by its id."""

    __tablename__ = "upload"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    place: Mapped[str] = mapped_column(Text, unique=True)  # under the store's folder
    name: Mapped[str] = mapped_column(Text)  # as the person calls it; never part of a path
    owner: Mapped[str] = mapped_column(String(200), index=True)
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    sha256: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Double, default=now(), index=True)


class Token(Base):
    """What lets a person in; the token itself is written nowhere."""

    __tablename__ = "token"

    digest: Mapped[str] = mapped_column(String(200), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    scope: Mapped[str] = mapped_column(String(20))  # admin or user
    created: Mapped[float] = mapped_column(Double, default=now())


class Worker(Base):
    """A process that works, as long as it is seen."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str] = mapped_column(String(200))
    process: Mapped[int] = mapped_column(Integer)
    started: Mapped[float] = mapped_column(Double, default=now())
    seen: Mapped[float] = mapped_column(Double, default=now())
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # as `contract.Facts`


class Home(Base):
    """One row: the database's own name. A store's folder has it too, so that no other database's server sweeps there."""

    __tablename__ = "home"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)


class Wish(Base):
    """A model that workers are to have in memory, or to let go of."""

    __tablename__ = "wish"

    model: Mapped[str] = mapped_column(String(400), primary_key=True)
    load: Mapped[bool] = mapped_column()
    number: Mapped[int] = mapped_column(BigInteger)  # grows with each wish: a worker heeds those it has not seen
