"""A real `reverie serve` under load: many single requests beside one batch, a long queue, and a soak.

    .venv/bin/python benchmarks/serve_load.py [--part together] [--part queue] [--part soak --minutes 10] [--json FILE]
        [--model RUNS/NAME] [--database URL] [--threads 1] [--rounds 5]

together  16 clients ask for one picture at a time, each when it has its last, and wait for it in one request (`Prefer: wait`).
          Beside it, in turn, round by round: `model.sample(16)` and its files, a plain loop of `model.sample(1)` and its files,
          in this process with as many threads as the worker has; and one job of 16 over HTTP. Pictures a second, the time of a
          request (p50, p99), and processor time a picture: of this process, or of web process and worker.
queue     8 clients submit 1,000 jobs as fast as they are taken, while the worker works: the time of a submission (p50, p99);
          then all are waited for, and counted.
soak      4 clients ask, watch events, fetch files, upload, cancel and list for some minutes: memory and open files of web process
          and workers, every half minute, and the slope over the second half.

Each part starts a server of its own on a free port, with SQLite in a new folder or with the database that is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fastapi
import numpy as np
import sqlalchemy
import torch
import uvicorn
from serve_process import Client, Server, holdings, serving

import reverie

AT_ONCE = 16


def spread(values: list[float]) -> dict[str, float]:
    """Least, middle and greatest."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def times(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    p50, p99 = np.quantile(seconds, (0.5, 0.99))
    return {"n": len(seconds), "p50_ms": 1e3 * float(p50), "p99_ms": 1e3 * float(p99)}


def clocked(do: Callable[[], Any]) -> float:
    """Seconds that it took."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def together(asked: argparse.Namespace, runs: Path, name: str) -> dict[str, Any]:
    """Part one: 16 clients beside one batch of 16, a loop, and one job of 16."""
    model = reverie.load(runs / name, device="cpu", threads=asked.threads)
    noted: dict[
        str, list[tuple[float, float, list[float]]]
    ] = {}  # seconds and processor seconds a picture, and of requests
    with (
        serving(runs, asked.database, asked.threads) as server,
        tempfile.TemporaryDirectory() as place,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        clients = [Client(server.port) for _ in range(AT_ONCE)]

        def batch(seed: int) -> list[float]:
            return [clocked(lambda: model.sample(AT_ONCE, seed=seed).save(Path(place) / f"batch{seed}"))]

        def loop(seed: int) -> list[float]:
            return [
                clocked(lambda k=k: model.sample(1, seed=k).save(Path(place) / f"loop{seed}-{k}"))
                for k in range(AT_ONCE)
            ]

        def one_job(seed: int) -> list[float]:
            return [clocked(lambda: succeeded(clients[0].job(name, 60, n=AT_ONCE, seed=seed)))]

        def concurrent(seed: int) -> list[float]:
            def person(k: int) -> list[float]:
                return [
                    clocked(lambda e=e: succeeded(clients[k].job(name, 60, n=1, seed=seed * 10_000 + e * AT_ONCE + k)))
                    for e in range(asked.each)
                ]

            return [s for found in pool.map(person, range(AT_ONCE)) for s in found]

        ways = {
            "one batch of 16": (batch, AT_ONCE, time.process_time),
            "a plain loop": (loop, AT_ONCE, time.process_time),
            "one job of 16": (one_job, AT_ONCE, server.processor),
            "16 concurrent requests": (concurrent, AT_ONCE * asked.each, server.processor),
        }
        for turn in range(asked.rounds + 1):
            for way, (do, pictures, clock) in ways.items():
                before, begun = clock(), time.perf_counter()
                requests = do(turn)
                took, worked = time.perf_counter() - begun, clock() - before
                if turn:  # the first pays for what is done once
                    noted.setdefault(way, []).append((took / pictures, worked / pictures, requests))
    return {"rounds": asked.rounds, "each": asked.each, **compared(noted)}


def succeeded(told: dict[str, Any]) -> None:
    """Raise unless a job ended well."""
    if told["state"] != "succeeded":
        raise RuntimeError(f"a job is {told['state']}: {told['error']}")


def compared(ways: dict[str, list[tuple[float, float, list[float]]]]) -> dict[str, Any]:
    """What was noted of each way, and ratios within each round; prints a table."""
    found: dict[str, Any] = {}
    print(f"  {'':24s} {'pictures/s':>26s} {'request, ms':>18s} {'processor ms a picture':>26s}")
    for way, noted in ways.items():
        rate = spread([1 / wall for wall, _, _ in noted])
        worked = spread([1e3 * cpu for _, cpu, _ in noted])
        requests = times([s for _, _, seconds in noted for s in seconds])
        found[way] = {"pictures_per_second": rate, "processor_ms": worked, "requests": requests}
        print(
            f"  {way:24s} {rate['median']:8.1f} [{rate['min']:6.1f}, {rate['max']:6.1f}] {requests['p50_ms']:8.0f} "
            f"{requests['p99_ms']:8.0f} {worked['median']:10.1f} [{worked['min']:6.1f}, {worked['max']:6.1f}]"
        )
    ours = ways["16 concurrent requests"]
    for other in ("one batch of 16", "a plain loop", "one job of 16"):
        wall = spread([b[0] / a[0] for a, b in zip(ours, ways[other], strict=True)])
        cpu = spread([b[1] / a[1] for a, b in zip(ours, ways[other], strict=True)])
        found[f"throughput over {other}"] = {"wall": wall, "processor": cpu}
        print(
            f"  16 concurrent over {other:16s} {wall['median']:.2f}x [{wall['min']:.2f}, {wall['max']:.2f}]   "
            f"by processor time {cpu['median']:.2f}x [{cpu['min']:.2f}, {cpu['max']:.2f}]"
        )
    return found


def queued(asked: argparse.Namespace, runs: Path, name: str) -> dict[str, Any]:
    """Part two: many submissions at once, each timed; then every job is to have succeeded."""
    people, each = 8, asked.jobs // 8
    with serving(runs, asked.database, asked.threads) as server, ThreadPoolExecutor(people) as pool:
        succeeded(Client(server.port).job(name, 60, n=1, steps=1))

        def person(k: int) -> list[float]:
            client = Client(server.port)
            return [clocked(lambda e=e: client.job(name, n=1, steps=1, seed=k * each + e)) for e in range(each)]

        begun = time.perf_counter()
        seconds = [s for found in pool.map(person, range(people)) for s in found]
        took = time.perf_counter() - begun
        client = Client(server.port)
        while there_are(client, "starting", "processing"):
            time.sleep(1.0)
        if there_are(client, "failed", "canceled"):
            raise RuntimeError("not every job has succeeded")
        whole = time.perf_counter() - begun
    found = {
        "clients": people,
        "submissions_per_second": len(seconds) / took,
        **times(seconds),
        "max_ms": 1e3 * max(seconds),
    }
    print(
        f"  {len(seconds)} submissions by {people} clients in {took:.1f} s: {found['submissions_per_second']:.0f} a second, "
        f"p50 {found['p50_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms, max {found['max_ms']:.0f} ms (promised: p99 under 250 ms); "
        f"all had succeeded after {whole:.1f} s"
    )
    return {**found, "all_succeeded_s": whole, "under_250_ms": found["p99_ms"] < 250}


def there_are(client: Client, *states: str) -> bool:
    """Whether there are jobs in one of these states."""
    return any(client.ask("GET", f"/v1/jobs?state={state}&most=1")["jobs"] for state in states)


def soak(asked: argparse.Namespace, runs: Path, name: str) -> dict[str, Any]:
    """Part three: what people do, for some minutes, while memory and open files are looked at."""
    ended, wrong, done = threading.Event(), [], [0] * 4
    with serving(runs, asked.database, asked.threads) as server:
        succeeded(Client(server.port).job(name, 60, n=1))  # the worker has begun, and read the model

        def person(k: int) -> None:
            client, turn = Client(server.port), 0
            try:
                while not ended.is_set():
                    turn += 1
                    visit(client, name, k * 1_000_000 + turn)
                    done[k] = turn
            except Exception as error:
                wrong.append(repr(error))

        people = [threading.Thread(target=person, args=(k,)) for k in range(4)]
        [one.start() for one in people]
        looks, begun = [], time.monotonic()
        try:
            while time.monotonic() - begun < asked.minutes * 60 and not wrong:
                time.sleep(min(asked.every, 30.0))
                looks.append(look(server, time.monotonic() - begun, sum(done)))
        finally:
            ended.set()
            [one.join() for one in people]
        if wrong:
            raise RuntimeError(wrong[0])
    slopes = {
        key: slope([(at["s"], at[key]) for at in looks[len(looks) // 2 :]])
        for key in ("web_mb", "web_files", "workers_mb", "workers_files")
    }
    print("  slope an hour over the second half: " + ", ".join(f"{key} {value:+.1f}" for key, value in slopes.items()))
    return {"minutes": asked.minutes, "visits": sum(done), "looks": looks, "slope_per_hour": slopes}


def visit(client: Client, name: str, seed: int) -> None:
    """Sample and watch, fetch a file, list, look at a model, upload, and cancel one job."""
    told = client.until_ended(client.job(name, n=1 + seed % 4, steps=4, seed=seed)["id"])
    succeeded(told)
    client.ask("GET", told["artifacts"][0]["url"])
    client.ask("GET", "/v1/jobs?most=20")
    client.ask("GET", f"/v1/models/{name}")
    given = client.ask("POST", f"/v1/uploads?name={seed}.png", os.urandom(20_000))
    client.ask("DELETE", f"/v1/uploads/{given['id']}")
    late = client.job(name, n=64, steps=50, seed=seed)
    client.ask("POST", f"/v1/jobs/{late['id']}:cancel", {})
    client.ask("DELETE", f"/v1/jobs/{told['id']}")


def look(server: Server, seconds: float, visits: int) -> dict[str, float]:
    """Memory and open files now; printed."""
    web, files = holdings(server.process.pid)
    workers = [holdings(pid) for pid in server.workers]
    found = {
        "s": seconds, "visits": visits, "web_mb": web, "web_files": files,
        "workers_mb": sum(mb for mb, _ in workers), "workers_files": sum(many for _, many in workers),
    }  # fmt: skip
    print(
        f"  {seconds:5.0f} s  {visits:6d} visits   web {web:7.1f} MB, {files} files   "
        f"workers {found['workers_mb']:7.1f} MB, {found['workers_files']} files",
        flush=True,
    )
    return found


def slope(points: list[tuple[float, float]]) -> float:
    """Growth an hour, by least squares; 0 of fewer than two points."""
    if len(points) < 2:
        return 0.0
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[0] * 3600)


PARTS = {"together": together, "queue": queued, "soak": soak}


def main() -> None:
    """Run the parts; print a table of each, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="may be given again; default: all")
    parser.add_argument("--model", type=Path, help="a model's folder; default: one trained on digits for --steps")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--database", help="as of `reverie serve`; it should be empty")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=4, help="requests of each of the 16 clients in a round")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between looks of the soak")
    parser.add_argument("--json", help="also write the figures there")
    asked = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="reverie-load-") as place:
        runs, name = Path(place) / "runs", "digits" if asked.model is None else asked.model.name
        if asked.model is None:
            reverie.train("digits", steps=asked.steps, size=asked.size, threads=asked.threads, device="cpu").save(
                runs / name
            )
        else:
            shutil.copytree(asked.model, runs / name)
        result: dict[str, Any] = {
            "command": shlex.join(["python", *sys.argv]),
            "versions": {
                "reverie": reverie.__version__, "python": platform.python_version(), "torch": torch.__version__,
                "fastapi": fastapi.__version__, "uvicorn": uvicorn.__version__, "sqlalchemy": sqlalchemy.__version__,
            },
            "cores": os.cpu_count(), "threads": asked.threads, "load_before": load[0],
            "database": "postgresql" if (asked.database or "").startswith("postgresql") else "sqlite",
        }  # fmt: skip
        for part in asked.part or PARTS:
            print(f"\n{part} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)
            result[part] = PARTS[part](asked, runs, name)
    text = json.dumps(result, indent=1)
    print("\n" + text)
    if asked.json:
        Path(asked.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
