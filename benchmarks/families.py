"""Every family on the digits after the same number of steps, each sampled as it says: what the choice costs and gives.

    .venv/bin/python benchmarks/families.py [--steps 400] [--seeds 0,1,2] [--only NAME,...] [--json FILE]

Same data, tiny network, batch, optimiser and seeds; 500 samples scored as `reverie evaluate` scores them. Steps, not seconds, are
fixed, so the load of the machine changes nothing but the times. It ranks these defaults at this size and budget, no more.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from geometric_beta import run, table

import reverie
from reverie.registry import registered


def main() -> None:
    """Run all, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", help="; ".join(registered("families")))
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    names = asked.only.split(",") if asked.only else list(registered("families"))
    rows = {}
    for name in names:
        rows[name] = [
            run({"train": {"family": name}, "sample": {}}, asked.steps, int(s)) for s in asked.seeds.split(",")
        ]
        values = ", ".join(f"{r['Frechet distance']:.2f}" for r in rows[name])
        took = ", ".join(f"{r['training, s']:.0f} + {r['sampling and scoring, s']:.0f} s" for r in rows[name])
        print(f"{name}: Frechet {values} ({took})", file=sys.stderr, flush=True)
    print(table(rows))
    if asked.json:
        about = {"command": "python benchmarks/families.py " + " ".join(sys.argv[1:]), "reverie": reverie.__version__}
        asked.json.write_text(json.dumps({**about, "steps": asked.steps, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
