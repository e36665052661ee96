"""What is told of jobs, their files and uploads, and to whom: another's are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from reverie.errors import ReverieError
from reverie.server.database.tables import STARTING, SUCCEEDED, Artifact, Job, Upload
from reverie.server.names import Called, called
from reverie.server.tokens import Caller


class NotThere(ReverieError):
    """There is nothing of that id, or it is another's."""


class Progress(BaseModel):
    """How far a job is."""

    step: int
    total: int
    eta: float = Field(description="Seconds that the rest will take, at the pace so far.")


class ArtifactTold(BaseModel):
    """A file that a job made."""

    id: str
    job: str
    rank: int = Field(description="Its place among the files of its job, from 0.")
    name: str
    media: str
    size: int = Field(description="Bytes.")
    created: float = Field(description="Seconds since 1970.")
    url: str


class InputTold(BaseModel):
    """A file that a job reads, as its owner calls it."""

    id: str
    name: str
    size: int = Field(description="Bytes.")
    url: str | None = Field(
        description="Where it is, of one that a job made; an upload's bytes are given to jobs alone."
    )


class JobTold(BaseModel):
    """A job as its owner sees it; times are seconds since 1970."""

    id: str
    model: str
    task: str
    state: str = Field(description="starting, processing, succeeded, failed or canceled.")
    parameters: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, InputTold] = Field(description="What its inputs are called, while they are kept.")
    created: float
    started: float | None
    finished: float | None
    attempts: int
    progress: Progress | None
    preview: str | None = Field(description="Where its newest picture is, while it is processing.")
    result: dict[str, Any] | None
    error: str | None
    artifacts: list[ArtifactTold]
    ahead: int | None = Field(description="Jobs before it in the queue, while it waits.")
    cancel: bool = Field(description="Whether it is to be canceled.")


class UploadTold(BaseModel):
    """A file that a person gave."""

    id: str
    name: str
    size: int = Field(description="Bytes.")
    created: float = Field(description="Seconds since 1970.")


def job_of(session: Session, id: str, caller: Caller) -> Job:
    """A job that the caller may see; raises NotThere."""
    job = session.scalar(select(Job).where(Job.id == id))
    if job is None or not _may_see(job.owner, caller):
        raise NotThere(f"There is no job {id}.")
    return job


def artifact_of(session: Session, id: str, caller: Caller) -> Artifact:
    """A file that the caller may see; raises NotThere."""
    found = session.get(Artifact, id)
    if found is None or not _may_see(found.owner, caller):
        raise NotThere(f"There is no artifact {id}.")
    return found


def upload_of(session: Session, id: str, caller: Caller) -> Upload:
    """An upload that the caller may see; raises NotThere."""
    found = session.get(Upload, id)
    if found is None or not _may_see(found.owner, caller):
        raise NotThere(f"There is no upload {id}.")
    return found


def jobs_told(session: Session, jobs: Sequence[Job]) -> list[JobTold]:
    """Jobs with their files and places in the queue."""
    files: dict[str, list[ArtifactTold]] = {job.id: [] for job in jobs}
    ended = [job.id for job in jobs if job.state == SUCCEEDED]  # others have none
    wanted = select(Artifact).where(Artifact.job.in_(ended)).order_by(Artifact.job, Artifact.rank)
    for file in session.scalars(wanted) if ended else ():
        files[file.job].append(artifact_told(file))
    waiting = _waiting(session, jobs)
    known = called(session, {id for job in jobs for id in job.inputs.values()})
    return [_job_told(job, files[job.id], waiting.get(job.number), known) for job in jobs]


def preview_at(id: str, shown: int | None) -> str | None:
    """Where a job's newest picture is; another step, another address, so that no cache shows an older one."""
    return None if shown is None else f"/v1/jobs/{id}/preview?step={shown}"


def artifact_told(file: Artifact) -> ArtifactTold:
    """A file, without where it lies."""
    return ArtifactTold(
        id=file.id, job=file.job, rank=file.rank, name=file.name, media=file.media, size=file.size, created=file.created,
        url=f"/v1/artifacts/{file.id}",
    )  # fmt: skip


def upload_told(upload: Upload) -> UploadTold:
    """An upload, without where it lies."""
    return UploadTold(id=upload.id, name=upload.name, size=upload.size, created=upload.created)


def _job_told(job: Job, artifacts: list[ArtifactTold], ahead: int | None, known: dict[str, Called]) -> JobTold:
    given = {name: _input_told(id, known[id]) for name, id in job.inputs.items() if id in known}
    return JobTold(
        id=job.id, model=job.model, task=job.task, state=job.state, parameters=job.parameters, inputs=job.inputs, files=given,
        created=job.created, started=job.started, finished=job.finished, attempts=job.attempts,
        progress=None if job.progress is None else Progress(**job.progress), preview=preview_at(job.id, job.shown),
        result=job.result, error=job.error, artifacts=artifacts, ahead=ahead, cancel=job.cancel,
    )  # fmt: skip


def _input_told(id: str, one: Called) -> InputTold:
    return InputTold(id=id, name=one.name, size=one.size, url=f"/v1/artifacts/{id}" if one.made else None)


def _waiting(session: Session, jobs: Sequence[Job]) -> dict[int, int]:
    """Of those of these jobs that wait, by their numbers: how many wait before them."""
    mine = [job.number for job in jobs if job.state == STARTING]
    if not mine:
        return {}
    queued = select(Job.number).where(Job.state == STARTING, Job.number <= max(mine)).order_by(Job.number)
    return {number: place for place, number in enumerate(session.scalars(queued))}


def _may_see(owner: str, caller: Caller) -> bool:
    return caller.admin or owner == caller.owner
