"""What Prometheus is told: of requests as they are answered, of the queue and the workers as the database knows them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from reverie.server import queue
from reverie.server.database.engine import Database
from reverie.server.database.tables import STARTING, Job, Worker
from reverie.server.security import App, Message, Receive, Scope, Send
from reverie.server.watching import Watchers

disable_created_metrics()  # a line more for each figure, of which nobody asks
RECENT = 500  # jobs whose waiting is told
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
_SHARES = (0.5, 0.9, 0.99)
_WORKERS = {
    "steps": ("reverie_worker_steps", "Steps of walks and trainings."),
    "step_seconds": ("reverie_worker_step_seconds", "Seconds that these took, but each job's first."),
    "evaluations": ("reverie_worker_network_evaluations", "Evaluations of networks, of a batch each (NFE)."),
    "jobs": ("reverie_worker_jobs", "Jobs that were taken."),
}


class Measures:
    """The figures of one server process."""

    def __init__(self, database: Database, watchers: Watchers) -> None:
        self.registry = CollectorRegistry()
        names = ("method", "route", "status")
        self.requests = Counter("reverie_requests", "Requests answered.", names, registry=self.registry)
        self.seconds = Histogram(
            "reverie_request_seconds",
            "Seconds to the first byte of an answer.",
            ("method", "route"),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(FromDatabase(database, watchers))

    def counted(self, app: App) -> App:
        """An application whose answers are counted, by route and not by path."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            start = time.monotonic()

            async def said(message: Message) -> None:
                if message["type"] == "http.response.start":
                    method = scope["method"] if scope["method"] in _METHODS else "other"
                    route = getattr(scope.get("route"), "path", "none")
                    self.requests.labels(method, route, str(message["status"])).inc()
                    self.seconds.labels(method, route).observe(time.monotonic() - start)
                await send(message)

            await app(scope, receive, said if scope["type"] == "http" else send)

        return call


class FromDatabase(Collector):
    """Looks at the database when it is asked."""

    def __init__(self, database: Database, watchers: Watchers) -> None:
        self.database, self.watchers = database, watchers

    def describe(self) -> list[Metric]:
        """Nothing is said before it is asked: no database is needed to begin."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All that is known now."""
        with self.database.reading() as session:
            found = [*_queue(session), *_waits(session), *_workers(session)]
        yield from found
        yield GaugeMetricFamily("reverie_watchers", "Event streams and waiting requests.", value=self.watchers.count)


def _queue(session: Session) -> Iterator[Metric]:
    depth = GaugeMetricFamily("reverie_jobs", "Jobs that are known, by state.", labels=["state"])
    for state, count in queue.depth(session).items():
        depth.add_metric([state], count)
    yield depth
    waits = select(func.min(Job.created)).where(Job.state == STARTING)
    oldest = session.scalar(waits)
    waited = max(0.0, queue.moment(session) - oldest) if oldest else 0.0
    yield GaugeMetricFamily("reverie_queue_oldest_seconds", "How long the first in the queue has waited.", value=waited)


def _waits(session: Session) -> Iterator[Metric]:
    last = select(Job.started - Job.created).where(Job.started.is_not(None)).order_by(Job.number.desc()).limit(RECENT)
    waits = sorted(max(0.0, wait or 0.0) for wait in session.scalars(last))
    told = GaugeMetricFamily(
        "reverie_queue_wait_seconds", f"Waits of the last {RECENT} jobs begun.", labels=["quantile"]
    )
    for share in _SHARES if waits else ():
        told.add_metric([str(share)], waits[min(len(waits) - 1, int(share * len(waits)))])
    yield told


def _workers(session: Session) -> Iterator[Metric]:
    workers = session.scalars(select(Worker).where(Worker.facts.is_not(None))).all()
    facts = [(worker.id[:8], worker.facts or {}) for worker in workers]
    yield GaugeMetricFamily("reverie_workers", "Workers that are known.", value=len(facts))
    for key, (name, meaning) in _WORKERS.items():
        counts = CounterMetricFamily(name, meaning, labels=["worker"])
        for id, fact in facts:
            counts.add_metric([id], fact.get(key, 0))
        yield counts
    memory = GaugeMetricFamily("reverie_worker_memory_bytes", "Memory in use.", labels=["worker", "of"])
    for id, fact in facts:
        for of, size in fact.get("memory", {}).items():
            memory.add_metric([id, of], size)
    yield memory
    models = GaugeMetricFamily("reverie_worker_models", "Models in memory.", labels=["worker"])
    for id, fact in facts:
        models.add_metric([id], len(fact.get("models", [])))
    yield models
