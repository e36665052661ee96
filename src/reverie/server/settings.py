"""What a server can be told: every option and limit of `reverie serve`, once; flags and help are made from it."""

from __future__ import annotations

import dataclasses
import ipaddress
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from reverie.errors import ReverieError
from reverie.training.plan import seconds

FOLDER = ".reverie-server"  # in the folder of runs: what the server keeps


@dataclass(frozen=True)
class Settings:
    """Every option and limit of a server; `Annotated` fields say what each means."""

    runs: Annotated[Path, "Folder of run and model folders."]
    host: Annotated[str, "Address to listen at; another than this machine's own needs --token-file."] = "127.0.0.1"
    port: Annotated[int, "Port to listen at."] = 8000
    names: Annotated[str | None, "Other names that requests may call this server by, comma-separated."] = None
    database: Annotated[str | None, "sqlite:///FILE or postgresql+psycopg://... Default: SQLite, in RUNS."] = None
    workers: Annotated[int, "Processes that compute."] = 1
    device: Annotated[str, "auto, cpu, cuda or mps."] = "auto"
    threads: Annotated[int | None, "CPU threads of each worker. Default: all cores, shared among the workers."] = None
    token_file: Annotated[Path | None, "Whose tokens are taken: lines of NAME SCOPE SHA256, see docs/deploy.md."] = None
    models_kept: Annotated[int, "Models that a worker keeps in memory; the least recently used one goes first."] = 3
    lease: Annotated[float, "Seconds after which a job of a worker that says nothing goes to another."] = 30.0
    hang: Annotated[float, "Seconds without a step after which a worker is killed."] = 600.0
    together: Annotated[int, "Requests that are computed as one batch at most."] = 16
    padded: Annotated[int, "Batch that samples asked for as deterministic are filled up to."] = 16
    previews: Annotated[float, "Pictures of a job in progress, a second at most; 0 for none."] = 2.0
    most_queued: Annotated[int, "Jobs that wait at most; more are refused with 429."] = 10_000
    most_body: Annotated[int, "Bytes of a request's JSON at most."] = 1_000_000
    most_upload: Annotated[int, "Bytes of an upload at most."] = 1_000_000_000
    most_uploads: Annotated[int, "Bytes of all uploads of one owner at most; more are refused with 413."] = (
        20_000_000_000
    )
    most_unpacked: Annotated[int, "Bytes that a zip, .npz, .xlsx or .parquet may unpack to."] = 4_000_000_000
    most_pixels: Annotated[int, "Pixels of a picture at most."] = 50_000_000
    most_rows: Annotated[int, "Rows of a table at most."] = 10_000_000
    most_steps: Annotated[int, "Steps of a sampler at most."] = 1_000
    most_items: Annotated[int, "Samples, draws or frames of a job at most."] = 1_024
    most_training: Annotated[int, "Steps of a training at most."] = 100_000_000
    most_batch: Annotated[int, "Items computed at once at most."] = 256
    most_text: Annotated[int, "Characters of a parameter at most."] = 2_000
    most_watchers: Annotated[int, "Event streams and waiting requests that are open at once at most."] = 1_000
    most_time: Annotated[str, "Time of a job that is no training at most."] = "1h"
    most_budget: Annotated[str, "Time of a training at most."] = "24h"
    patience: Annotated[float, "Seconds between two parts of a request's body at most."] = 20.0
    keep_days: Annotated[float, "Days after which uploads and artifacts of finished jobs are removed."] = 30.0

    def check(self) -> None:
        """Refuse what cannot be, before anything is started; raises ReverieError that names the flag."""
        if not self.runs.is_dir():
            raise ReverieError(f"{self.runs} is not a folder. Name the one that holds run folders, such as runs/.")
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 0.0 if field.name in ("previews", "port") else 1e-9
            if isinstance(value, int | float) and not least <= value < math.inf:  # nor NaN, which no timer keeps
                raise ReverieError(f"--{field.name.replace('_', '-')} {value}: give a number above 0.")
        for name, text in (("--most-time", self.most_time), ("--most-budget", self.most_budget)):
            seconds(text, name)
        if self.port > 65_535:
            raise ReverieError(f"--port {self.port}: there are 1 to 65535.")
        if self.token_file is None and not self.loopback:
            raise ReverieError(
                f"--host {self.host} is open to other machines, and anybody there could use every model. Say who may: "
                "--token-file FILE; or stay on this machine with --host 127.0.0.1."
            )
        if self.token_file is None and self.names is not None:
            raise ReverieError(
                f"--names {self.names}: who calls this server so may come from elsewhere, by way of a proxy, and anybody there "
                "could use every model. Say who may: --token-file FILE."
            )

    @property
    def loopback(self) -> bool:
        """Whether it listens to this machine alone; of names only localhost is known to."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def folder(self) -> Path:
        """Where the server keeps its own files."""
        return self.runs / FOLDER
