"""`reverie serve` as a process, people who ask it, and what it holds, for serve_load.py."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
IDLE = 3.0  # seconds after which a connection is not used again


class Client:
    """One person's connection, kept open; what is no 2xx raises."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.last = time.monotonic()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """JSON in, JSON or bytes out."""
        raw = isinstance(body, bytes)
        kind = {"content-type": "application/octet-stream" if raw else "application/json"}
        data = body if raw or body is None else json.dumps(body).encode()
        if time.monotonic() - self.last > IDLE:
            self.connection.close()  # the server has, or is about to
        self.connection.request(method, path, data, {**kind, **headers})
        answer, self.last = self.connection.getresponse(), time.monotonic()
        content = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if "json" in (answer.getheader("content-type") or "") else content

    def job(self, model: str, wait: int = 0, **parameters: Any) -> dict[str, Any]:
        """Submit one, and wait for it."""
        asked = {"model": model, "task": "sample", "parameters": parameters, "inputs": {}}
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        told: dict[str, Any] = self.ask("POST", "/v1/jobs", asked, **headers)
        return told

    def until_ended(self, id: str) -> dict[str, Any]:
        """Watch a job's events to the end; returns the last that is told of it."""
        self.connection.request("GET", f"/v1/jobs/{id}/events")
        blocks = self.connection.getresponse().read().decode().split("\n\n")
        last = [block for block in blocks if block.startswith("event: job")][-1]
        told: dict[str, Any] = json.loads(last.partition("data: ")[2])
        return told


class Server:
    """`reverie serve` as a process."""

    def __init__(self, runs: Path, database: str | None, threads: int, log: Path) -> None:
        at = [] if database is None else ["--database", database]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reverie", "serve", runs, "--port", "0", "--threads", str(threads), "--device", "cpu", *at],
            stdout=subprocess.PIPE, stderr=log.open("w"), text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"The server does not start: {line}{log.read_text()[-2000:]}")
        self.port = int(line.split("http://")[1].split()[0].rsplit(":", 1)[1])

    @property
    def workers(self) -> list[int]:
        """Processes of workers: children of the fork server, which is a child of ours."""
        return [grandchild for child in children(self.process.pid) for grandchild in children(child)]

    def processor(self) -> float:
        """Seconds of processor time of web process and workers."""
        return sum(processor(pid) for pid in (self.process.pid, *self.workers))

    def stop(self) -> float:
        """Ask it to end; returns how long it took."""
        begun = time.monotonic()
        self.process.terminate()
        self.process.wait(30)
        return time.monotonic() - begun


@contextlib.contextmanager
def serving(runs: Path, database: str | None, threads: int) -> Iterator[Server]:
    """A server over a new folder that holds the model, ended at the end."""
    with tempfile.TemporaryDirectory(prefix="reverie-load-") as place:
        own = Path(place) / "runs"
        shutil.copytree(runs, own)
        server = Server(own, database, threads, Path(place) / "log")
        try:
            yield server
        finally:
            took = server.stop()
            print(f"  the server ended {took:.1f} s after it was asked to")


def children(pid: int) -> list[int]:
    """Processes that a process began."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def processor(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def holdings(pid: int) -> tuple[float, int]:
    """Megabytes in memory, and open files, of a process."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6
    return resident, len(os.listdir(f"/proc/{pid}/fd"))
