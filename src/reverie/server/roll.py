"""Who works: processes that are seen now and then, and the models that they are wished to have in memory."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from reverie.server.database.clock import now
from reverie.server.database.tables import Wish, Worker
from reverie.server.queue import in_turn


def enlist(session: Session, worker: str, host: str, process: int) -> None:
    """Note that a worker has begun."""
    session.add(Worker(id=worker, host=host, process=process))


def seen(session: Session, worker: str, facts: dict[str, Any]) -> None:
    """Note that a worker lives, and how it does."""
    session.execute(update(Worker).where(Worker.id == worker).values(seen=now(), facts=facts))


def alive(session: Session, lease: float) -> list[Worker]:
    """Workers that were seen in the last `lease` seconds."""
    return list(session.scalars(select(Worker).where(Worker.seen > now() - lease).order_by(Worker.started)))


def wish(session: Session, model: str, load: bool) -> None:
    """Have all workers read a model into memory, or let go of it; the last wish counts."""
    in_turn(session)
    last = newest_wish(session)
    session.merge(Wish(model=model, load=load, number=last + 1))


def newest_wish(session: Session) -> int:
    """The number of the last wish that there was."""
    return session.scalar(select(func.max(Wish.number))) or 0


def wishes(session: Session, after: int) -> list[Wish]:
    """Wishes that came after the one of that number, in order."""
    return list(session.scalars(select(Wish).where(Wish.number > after).order_by(Wish.number)))


def forget(session: Session, unseen: float) -> None:
    """Strike off workers that nobody has seen for `unseen` seconds: their machine was lost."""
    session.execute(delete(Worker).where(Worker.seen < now() - unseen))
