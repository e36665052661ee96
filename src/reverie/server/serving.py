"""A whole server in one process and its workers: the web half in a thread, the supervisor beside it."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable

import uvicorn

from reverie.errors import ReverieError
from reverie.server import logs
from reverie.server.app import served
from reverie.server.connections import patient
from reverie.server.service import Service, url_of
from reverie.server.settings import Settings
from reverie.server.supervisor import Supervisor
from reverie.server.watching import Watchers
from reverie.server.worker import Pace
from reverie.training.setup import pick_device

log = logging.getLogger("reverie.server")
RUNNER = "reverie.server.runner:runner"
TICK = 0.1  # seconds between looks for a wish to end
KEPT = 5  # seconds that a connection stays open for a next request
FAREWELL = 2  # seconds that open answers are given when it ends


def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `told` is given the address once it answers. For the main thread of a process.

    Then no request is taken, workers end what they are on or give it back, and all are gone within ten seconds.
    Raises ReverieError for settings that cannot be, a port in use, and a database that does not answer.
    """
    logs.begin()
    settings = dataclasses.replace(settings, runs=settings.runs.resolve())
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    pick_device(settings.device)  # one that is not there would fail every job
    service = Service.open(settings)
    with listening(settings) as place:
        web = Web(
            service.watchers,
            uvicorn.Config(
                served(service), http=patient(settings.patience),
                log_config=None, access_log=False, server_header=False, lifespan="off",
                timeout_graceful_shutdown=FAREWELL, timeout_keep_alive=KEPT,
                h11_max_incomplete_event_size=65_536,
            ),
        )  # fmt: skip
        thread = threading.Thread(target=web.run, kwargs={"sockets": [place]}, name="web", daemon=True)
        with supervisor(settings):
            thread.start()
            while not asked.wait(TICK) and not web.started and thread.is_alive():
                pass
            if web.started:
                told(address(settings.host, place.getsockname()[1]))
            while not asked.wait(TICK) and thread.is_alive():
                pass
            web.should_exit = True
            if not asked.is_set():
                raise ReverieError("The web half of the server ended by itself; the log tells why.")
        thread.join(FAREWELL)
    service.database.close()
    log.info("ended")


class Web(uvicorn.Server):
    """A web server that ends the streams of those who watch jobs before it waits for answers to end."""

    def __init__(self, watchers: Watchers, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._watchers = watchers

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        self._watchers.end()
        await super().shutdown(sockets)


def supervisor(settings: Settings) -> Supervisor:
    """The workers of a server."""
    each = settings.threads or (None if settings.workers == 1 else max(1, (os.cpu_count() or 1) // settings.workers))
    settings = dataclasses.replace(settings, threads=each)
    pace = Pace(lease=settings.lease, hang=settings.hang, together=settings.together)
    keep = settings.keep_days * 86_400
    return Supervisor(
        url_of(settings), settings.folder, RUNNER, settings, workers=settings.workers, pace=pace, keep=keep
    )  # fmt: skip


def listening(settings: Settings) -> socket.socket:
    """A socket at the address that is asked for; raises ReverieError where it is not to be had."""
    try:
        family, _, _, _, place = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
    except OSError as error:
        raise ReverieError(
            f"{address(settings.host, settings.port)} cannot be listened at: {error.strerror or error}. "
            "Is another server there? Choose with --port (0: any that is free) and --host."
        ) from error
    return found


def address(host: str, port: int) -> str:
    """As a browser takes it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
