"""Time series: forecasts, imputations, markets and anomalies beside baselines, on held-out parts of four real sets.

    pip download --no-deps aeon bokeh-sampledata skfolio, each wheel unzipped into one folder                 (once)
    python3 -m venv .venv-series && .venv-series/bin/pip install -r benchmarks/requirements-series.txt      (once; GARCH)
    .venv/bin/python benchmarks/series.py --data FOLDER --task forecast|impute|market|anomaly [--only italy,vowels]
        [--contenders seasonal,linear] [--seeds 0,1,2] [--seconds 60] [--models FOLDER] [--windows 120] [--json FILE]

The sets: series_data.py. What is hidden and how draws are scored: series_hidden.py. Risk and scenarios: series_market.py,
series_backtest.py. Faults: series_faults.py. A contender is a class in its task's CONTENDERS or DETECTORS.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import series_contenders
import series_faults
import series_hidden
import series_market
import series_reverie
import series_tables
from series_data import SETS, Set, write

Row = dict[str, Any]
FORECASTERS = {**series_contenders.CONTENDERS, "reverie": series_reverie.Reverie}
MARKETS = {**series_market.CONTENDERS, "reverie": series_reverie.ReverieMarket}
DETECTORS = {**series_faults.DETECTORS, "reverie": series_reverie.ReverieDetector}


def main() -> None:
    asked = arguments()
    if asked.files:
        print(*(path for name in asked.only for path in write(SETS[name](asked.data), asked.files)), sep="\n")
        return
    series_market.Garch.python = asked.python
    series_reverie.KEPT, series_reverie.SIZE = asked.models or series_reverie.KEPT, asked.size
    rows: list[Row] = []
    task = TASKS[asked.task]
    for row in task.run(asked):
        rows.append(row)
        if asked.json:
            about = {"command": shlex.join(sys.argv), "python": platform.python_version()}
            versions = {name: version(name) for name in ("numpy", "pandas", "scikit-learn", "reverie")}
            asked.json.write_text(json.dumps({**about, "versions": versions, "rows": rows}, indent=1) + "\n")
    print(f"\n{task.table(rows)}")


def arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = lambda text: text.split(",")  # noqa: E731
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--task", choices=list(TASKS), default="forecast")
    words.add_argument("--only", type=listed, help="sets; all (the market is stocks)")
    words.add_argument("--contenders", type=listed, help="all")
    words.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    words.add_argument("--seconds", type=float, default=60, help="of training, at most, for each contender and task")
    words.add_argument("--models", type=Path, help="keep Reverie's models there; found there, none is trained again")
    words.add_argument("--size", default=series_reverie.SIZE, help="of Reverie's networks")
    words.add_argument("--windows", type=int, help="of those held out, so many by chance (forecast and impute); all")
    words.add_argument("--draws", type=int, default=1000, help="of each day, for the market's risk")
    words.add_argument("--every", type=int, default=1, help="of the market's held-out days one in so many")
    words.add_argument("--python", type=Path, default=series_market.Garch.python, help="of the environment with arch")
    words.add_argument("--files", type=Path, help="write the sets as CSV files there, and do no more")
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    known = TASKS[asked.task].contenders
    asked.only = asked.only or list(SETS)
    asked.contenders = asked.contenders or list(known)
    for given, names in ((asked.only, SETS), (asked.contenders, known)):
        if set(given) - set(names):
            words.error(f"{', '.join(sorted(set(given) - set(names)))}: not among {', '.join(names)}")
    return asked


def hidden(asked: argparse.Namespace) -> Iterator[Row]:
    """Forecast or impute: each contender's draws of what each way hides, beside the seasonal one's of the same seed."""
    others = [who for who in asked.contenders if who != "seasonal"]
    for name in asked.only:
        found = SETS[name](asked.data)
        cut = series_hidden.some(found.testing(), asked.windows)
        for way in series_hidden.TASKS[asked.task]:
            mask = series_hidden.held_back(way, cut)
            for seed in asked.seeds:
                naive = None
                for who in ["seasonal", *others]:
                    started = time.monotonic()
                    contender = FORECASTERS[who]()
                    contender.fit(found, series_hidden.hide(way), asked.seconds, seed)
                    trained = time.monotonic()
                    draws = contender.draws(cut.hide(mask), series_hidden.DRAWS, seed)
                    took = {"fit_s": round(trained - started, 2), "draw_s": round(time.monotonic() - trained, 2)}
                    sums = series_hidden.scored(draws, cut.values, mask)
                    naive = naive or sums
                    row = {"set": name, "way": way, "contender": who, "seed": seed, "unit": found.unit, **took}
                    yield say({**row, **series_hidden.summary(sums, naive)})


def say(row: Row) -> Row:
    low, high = row["crps_interval"]
    print(
        f"{row['set']:8s} {row['way']:9s} {row['contender']:10s} seed {row['seed']}  CRPS {row['crps']:8.4f} "
        f"({row['crps_ratio']:.3f} [{low:.3f}, {high:.3f}] of seasonal)  MAE {row['mae']:8.4f} ({row['mae_ratio']:.3f})  "
        f"90 %: {row['cover90']:.3f}  {row['values']} values  {row['fit_s']:.1f} + {row['draw_s']:.1f} s",
        flush=True,
    )
    return row


def market(asked: argparse.Namespace) -> Iterator[Row]:
    """Scenarios and one-day-ahead risk."""
    found: Set = SETS["stocks"](asked.data)
    yield {"contender": "years before", "seed": 0, **series_market.years_before(found)}
    for who in asked.contenders:
        for seed in asked.seeds:
            started = time.monotonic()
            contender = MARKETS[who]()
            contender.fit(found, asked.seconds, seed)
            row = series_market.run(found, contender, seed, asked.draws, asked.every)
            yield {"contender": who, "seed": seed, "seconds": round(time.monotonic() - started, 1), **row}


def anomaly(asked: argparse.Namespace) -> Iterator[Row]:
    """Planted faults; each seed plants its own."""
    for name in asked.only:
        found = SETS[name](asked.data)
        for seed in asked.seeds:
            before, cut, names = series_faults.planted(found, seed)
            for who in asked.contenders:
                started = time.monotonic()
                contender = DETECTORS[who]()
                contender.fit(found, asked.seconds, seed)
                areas = series_faults.areas(contender.scores(before), contender.scores(cut), names)
                row = {"set": name, "contender": who, "seed": seed, "windows": len(names), **areas}
                words = "  ".join(f"{kind} {area:.3f}" for kind, area in areas.items())
                print(f"{name:8s} {who:11s} seed {seed}  {words}  {len(names)} windows", flush=True)
                yield {**row, "seconds": round(time.monotonic() - started, 1)}


class Task(NamedTuple):
    """How a task is run, who can run in it, and how its rows are shown."""

    run: Callable[[argparse.Namespace], Iterator[Row]]
    contenders: dict[str, Any]
    table: Callable[[list[Row]], str]


TASKS = {
    "forecast": Task(hidden, FORECASTERS, series_tables.hidden),
    "impute": Task(hidden, FORECASTERS, series_tables.hidden),
    "market": Task(market, MARKETS, series_tables.market),
    "anomaly": Task(anomaly, DETECTORS, series_tables.anomaly),
}


if __name__ == "__main__":
    main()
