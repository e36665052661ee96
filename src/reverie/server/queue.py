"""The queue: the only place that changes a job's state.

    starting --claim--> processing --succeed--> succeeded
       ^  \\                 |  |----fail------> failed
       |   `--cancel--.     |  `----reap------> failed, at the third attempt
       |               v     |
       |            canceled <--- a wish to cancel, once the worker gives back or is lost
       `---- give_back, reap, fail(again) ----'

Each function runs in the caller's transaction (`Database.writing`). A claim carries the job's fence, an integer that grows with
each claim: whoever comes with an older one has lost the job, and LostLease says so before anything is changed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import and_, delete, func, select, text
from sqlalchemy.orm import Session, load_only

from reverie.errors import ReverieError
from reverie.server.claims import Claim, Done, LostLease, Made, News
from reverie.server.database.clock import now
from reverie.server.database.tables import (
    CANCELED,
    FAILED,
    FINISHED,
    PROCESSING,
    STARTING,
    STATES,
    SUCCEEDED,
    Artifact,
    Job,
    Upload,
    Worker,
)

ATTEMPTS = 3
_HELD = load_only(Job.id, Job.owner, Job.state, Job.worker, Job.fence, Job.attempts, Job.cancel)  # of a job in hand
SUBMITTING = 7_265_766_573  # of PostgreSQL's advisory locks: submissions take turns, so limits and keys are exact


class QueueFull(ReverieError):
    """As many jobs wait as may wait; a place is free in about `retry_after` seconds."""

    def __init__(self, most: int, retry_after: int) -> None:
        super().__init__(f"{most} jobs wait already, and no more may. Try again in {retry_after} seconds.")
        self.retry_after = retry_after


class KeyReused(ReverieError):
    """An idempotency key came again with another request."""


class UnknownInput(ReverieError):
    """An input names no file of the job's owner."""


class StillNeeded(ReverieError):
    """What is to be removed is in use."""


def submit(
    session: Session, *, owner: str, model: str, task: str, parameters: dict[str, Any], inputs: dict[str, str],
    batch_key: str | None = None, key: str | None = None, most: int | None = None,
) -> Job:  # fmt: skip
    """Put a job at the end of the queue; with a `key` that its owner used before, give back the job of then.

    `inputs` maps names to ids of the owner's uploads or artifacts; at most `most` jobs may wait.
    Raises KeyReused, QueueFull, UnknownInput.
    """
    in_turn(session)
    asked = json.dumps([model, task, parameters, inputs], sort_keys=True)
    body = hashlib.sha256(asked.encode()).hexdigest()
    if key is not None:
        before = session.scalar(select(Job).where(Job.owner == owner, Job.key == key))
        if before is not None and before.body != body:
            raise KeyReused(f"The idempotency key {key!r} was used before for another request. Give a new key.")
        if before is not None:
            return before
    if most is not None and waiting(session) >= most:
        raise QueueFull(most, _until_a_place_is_free(session))
    if inputs:
        places(session, list(inputs.values()), owner, hold=True)
    job = Job(
        owner=owner, model=model, task=task, parameters=parameters, inputs=inputs, batch_key=batch_key, key=key, body=body
    )  # fmt: skip
    session.add(job)
    session.flush()
    return job


def waiting(session: Session) -> int:
    """How many jobs wait for a worker."""
    return session.scalar(select(func.count()).select_from(Job).where(Job.state == STARTING)) or 0


def depth(session: Session) -> dict[str, int]:
    """How many jobs are in each state."""
    rows = session.execute(select(Job.state, func.count()).group_by(Job.state))
    return dict.fromkeys(STATES, 0) | {row[0]: row[1] for row in rows}


def places(session: Session, ids: list[str], owner: str, *, hold: bool = False) -> dict[str, str]:
    """Where the files with these ids lie, under the store's folder; with `hold`, they stay till the transaction's end.

    Raises UnknownInput for an id that is no upload and no artifact of `owner`.
    """
    found: dict[str, str] = {}
    for table in (Upload, Artifact):
        wanted = select(table.id, table.place).where(table.id.in_(ids), table.owner == owner).order_by(table.id)
        rows = session.execute(wanted.with_for_update(read=True) if hold else wanted)
        found |= {row[0]: row[1] for row in rows}
    for id in ids:
        if id not in found:
            raise UnknownInput(f"There is no file {id!r}: it was never uploaded, or has expired. Upload it again.")
    return found


def claim(session: Session, worker: str, lease: float, together: int = 1) -> list[Claim]:
    """Take the oldest waiting job, and up to `together` - 1 more of its batch key, for `lease` seconds; [] where none waits.

    A job that was on a worker that died is taken alone.
    """
    line = select(Job).where(Job.state == STARTING).order_by(Job.number).with_for_update(skip_locked=True)
    first = session.scalars(line.limit(1)).first()
    if first is None:
        return []
    jobs = [first]
    if together > 1 and first.batch_key is not None and not first.alone:
        alike = (Job.batch_key == first.batch_key, Job.model == first.model, Job.task == first.task)
        others = line.where(*alike, Job.alone.is_(False), Job.number != first.number)
        jobs += session.scalars(others.limit(together - 1)).all()
    begun = moment(session)
    for job in jobs:
        job.state, job.worker, job.started, job.lease = PROCESSING, worker, begun, begun + lease
        job.attempts += 1
        job.fence += 1
        job.progress = None
    session.flush()
    return [
        Claim(j.id, j.fence, worker, j.owner, j.model, j.task, dict(j.parameters), dict(j.inputs), j.attempts)
        for j in jobs
    ]


def beat(session: Session, claims: Sequence[Claim], lease: float) -> set[str]:
    """Hold claims for another `lease` seconds; returns the ids that are to stop: wished to be canceled, or lost."""
    jobs = _held(session, claims)
    until = moment(session) + lease
    for job in jobs.values():
        job.lease = until
    return {c.id for c in claims if c.id not in jobs or jobs[c.id].cancel}


def stopped(session: Session, claims: Sequence[Claim]) -> set[str]:
    """Which of these are to stop, as `beat` says it, but only looking."""
    jobs, wanted = (
        Job.__table__.c,
        set[tuple[str, int]](),
    )  # asked at every step: of the table, which costs less than of objects
    for worker in {claim.worker for claim in claims}:
        held = (jobs.worker == worker, jobs.state == PROCESSING, jobs.cancel.is_(False))
        wanted |= {(id, fence) for id, fence in session.execute(select(jobs.id, jobs.fence).where(*held))}
    return {claim.id for claim in claims if (claim.id, claim.fence) not in wanted}


def tell(session: Session, claim: Claim, progress: dict[str, Any], preview: bytes | None = None) -> None:
    """Note how far a job is, and how it looks (a PNG; None leaves the last one). Raises LostLease."""
    if tell_all(session, [News(claim, progress, preview)]):
        raise LostLease(claim)


def tell_all(session: Session, news: Sequence[News]) -> set[str]:
    """`tell` of several jobs, in one statement each way; returns ids of those that are lost, of which nothing is noted."""
    jobs = _held(session, [one.claim for one in news])
    for one in news:
        if (job := jobs.get(one.claim.id)) is not None:
            job.progress = one.progress
            if one.preview is not None:
                job.preview, job.shown = one.preview, one.progress["step"]
    return {one.claim.id for one in news} - set(jobs)


def succeed(session: Session, claim: Claim, result: dict[str, Any], artifacts: Sequence[Made]) -> None:
    """End a job well and announce its files, both or neither; a wish to cancel came too late. Raises LostLease."""
    if succeed_all(session, [Done(claim, result, artifacts)]):
        raise LostLease(claim)


def succeed_all(session: Session, done: Sequence[Done]) -> set[str]:
    """`succeed` of several jobs, in one statement each way; returns ids of those that are lost, of which nothing is announced."""
    jobs = _held(session, [one.claim for one in done])
    time = moment(session)
    for one in done:
        if (job := jobs.get(one.claim.id)) is not None:
            job.result, job.progress = one.result, one.progress or job.progress
            _end(job, SUCCEEDED, time)
            for rank, made in enumerate(one.artifacts):
                session.add(Artifact(job=job.id, owner=job.owner, rank=rank, **asdict(made)))
    return {one.claim.id for one in done} - set(jobs)


def fail(session: Session, claim: Claim, error: str, again: bool) -> None:
    """End a job badly; or, with `again`, have it tried once more, alone, while attempts are left. Raises LostLease."""
    job = _mine(session, claim)
    if again:
        _retry(session, job, error)
    else:
        job.error = error
        _end(job, FAILED, moment(session))


def give_back(session: Session, claim: Claim) -> None:
    """Leave a job undone, by no fault of its own: it waits in its old place, the attempt does not count. Raises LostLease.

    A job that is wished to be canceled is canceled.
    """
    job = _mine(session, claim)
    job.attempts -= 1
    _wait(session, job)


def cancel(session: Session, id: str) -> Job | None:
    """Cancel a waiting job at once, a processing one as soon as its worker heeds it; None where there is no such job."""
    job = session.scalar(select(Job).where(Job.id == id).with_for_update())
    if job is not None and job.state not in FINISHED:
        job.cancel = True
        if job.state == STARTING:
            _end(job, CANCELED, moment(session))
    return job


def reap(session: Session, worker: str | None = None, living: Sequence[str] = ()) -> list[str]:
    """Take jobs from those who hold them no longer: all of `worker`, which died, or all whose lease has ended. Returns ids.

    They wait again, to be claimed alone; the third time they have failed. Leases of workers that the caller sees to be `living`
    do not end: on a machine with too much to do their heart is late, and that is no fault of a job.
    """
    if worker is None:
        gone, why = (
            and_(Job.lease < now(), Job.worker.not_in(living)),
            "its lease ended: the worker, or its machine, was lost or stood still",
        )
    else:
        gone, why = Job.worker == worker, "the worker died or stood still while it was on it"
        session.execute(delete(Worker).where(Worker.id == worker))
    lost = select(Job).where(Job.state == PROCESSING, gone).order_by(Job.number).with_for_update(skip_locked=True)
    jobs = session.scalars(lost).all()
    for job in jobs:
        _retry(session, job, why)
    return [job.id for job in jobs]


def remove(session: Session, id: str) -> list[str]:
    """Forget a job that has ended; returns the places of its files, which are removed after this is committed.

    Raises StillNeeded for one that has not ended, and where a job that has not is given one of its files.
    """
    job = session.scalar(select(Job).where(Job.id == id).with_for_update())
    if job is None:
        return []
    if job.state not in FINISHED:
        raise StillNeeded("The job has not ended yet. Cancel it first.")
    files = session.scalars(select(Artifact).where(Artifact.job == id).with_for_update()).all()
    if _in_use(session) & {file.id for file in files}:
        raise StillNeeded("A job that has not ended works on a file of this one.")
    session.execute(delete(Artifact).where(Artifact.job == id))
    session.delete(job)
    return [file.place for file in files]


def remove_upload(session: Session, id: str) -> list[str]:
    """Forget an upload; returns its place, as `remove` does. Raises StillNeeded where a job that has not ended is given it."""
    upload = session.scalar(select(Upload).where(Upload.id == id).with_for_update())
    if upload is None:
        return []
    if id in _in_use(session):
        raise StillNeeded("A job that has not ended works on this upload.")
    session.delete(upload)
    return [upload.place]


def expire(session: Session, older: float) -> list[str]:
    """Forget jobs that ended, and uploads that came, more than `older` seconds ago; returns the places of their files.

    What a job that has not ended is given stays. Files are removed after this is committed (`Store.remove`).
    """
    before = now() - older
    jobs = select(Job.id).where(Job.state.in_(FINISHED), Job.finished < before)
    files = session.scalars(select(Artifact).where(Artifact.job.in_(jobs)).with_for_update()).all()
    uploads = session.scalars(select(Upload).where(Upload.created < before).with_for_update()).all()
    # read after both are locked: a submission that named one of them is either seen here, or waits and finds it gone
    used = _in_use(session)
    kept = {file.job for file in files if file.id in used}
    old = [id for id in session.scalars(jobs) if id not in kept]
    unused = [upload for upload in uploads if upload.id not in used]
    session.execute(delete(Artifact).where(Artifact.job.in_(old)))
    session.execute(delete(Job).where(Job.id.in_(old)))
    session.execute(delete(Upload).where(Upload.id.in_([upload.id for upload in unused])))
    return [file.place for file in files if file.job not in kept] + [upload.place for upload in unused]


def _in_use(session: Session) -> set[str]:
    """Ids of files that jobs which have not ended are given."""
    open_jobs = session.scalars(select(Job.inputs).where(Job.state.not_in(FINISHED)))
    return {id for inputs in open_jobs for id in inputs.values()}


def in_turn(session: Session) -> None:
    """Wait for others who submit; SQLite's writers take turns anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": SUBMITTING})


def moment(session: Session) -> float:
    """The time by the database's clock."""
    return session.scalars(select(now())).one()


def _held(session: Session, claims: Sequence[Claim]) -> dict[str, Job]:
    """Jobs by id, of those claims that still hold; they stay as they are till the transaction's end."""
    fences = {claim.id: (claim.fence, claim.worker) for claim in claims}
    found = select(Job).where(Job.id.in_(fences), Job.state == PROCESSING).order_by(Job.number)
    jobs = session.scalars(found.options(_HELD).with_for_update())
    return {job.id: job for job in jobs if (job.fence, job.worker) == fences[job.id]}


def _mine(session: Session, claim: Claim) -> Job:
    try:
        return _held(session, [claim])[claim.id]
    except KeyError:
        raise LostLease(claim) from None


def _end(job: Job, state: str, time: float) -> None:
    job.state, job.finished = state, time
    job.worker = job.lease = job.preview = job.shown = None


def _wait(session: Session, job: Job) -> None:
    """Back to its place in the line, or out of it where that was wished."""
    if job.cancel:
        _end(job, CANCELED, moment(session))
        return
    job.state = STARTING
    job.worker = job.lease = job.progress = job.preview = job.shown = None


def _retry(session: Session, job: Job, why: str) -> None:
    job.alone = True
    if job.attempts >= ATTEMPTS and not job.cancel:
        job.error = f"Given up after {ATTEMPTS} attempts: {why}."
        _end(job, FAILED, moment(session))
    else:
        _wait(session, job)


def _until_a_place_is_free(session: Session) -> int:
    """Whole seconds, 1 to 60: how long the last 20 jobs took."""
    last = select(Job.finished - Job.started).where(Job.state == SUCCEEDED).order_by(Job.finished.desc()).limit(20)
    took = session.scalars(last).all() or [1.0]
    return min(60, max(1, math.ceil(sum(s or 0.0 for s in took) / len(took))))
