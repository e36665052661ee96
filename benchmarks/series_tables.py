"""What a person reads of series.py's rows: tables in Markdown, means over seeds with their spread."""

from __future__ import annotations

from typing import Any

import pandas as pd

Row = dict[str, Any]


def hidden(rows: list[Row]) -> str:
    """CRPS and MAE of the seasonal contender in the channels' units, and all others' as ratios to it."""
    frame = pd.DataFrame(rows)
    frame["low"], frame["high"] = zip(*frame["crps_interval"], strict=True)
    head = ["set", "hidden", *frame["contender"].unique()]
    blocks = []
    for score in ("crps", "mae"):
        lines = [head]
        for (name, way), part in frame.groupby(["set", "way"], sort=False):
            by = dict(iter(part.groupby("contender")))
            lines.append([name, way, *(cell(by.get(who), score) for who in head[2:])])
        blocks.append(f"{score.upper()}\n\n{markdown(lines)}")
    return "\n\n".join(blocks)


def cell(part: pd.DataFrame | None, score: str) -> str:
    """One contender: its ratio, half the range over seeds, the windows' 95 % interval, and the coverage of 90 %."""
    if part is None:
        return ""
    if part["contender"].iloc[0] == "seasonal":
        first = f"{part[score].mean():.4g} {part['unit'].iloc[0]}"
        return f"{first}; {part['cover90'].mean():.0%}" if score == "crps" else first
    ratio = part[f"{score}_ratio"]
    first = f"{ratio.mean():.3f} ±{(ratio.max() - ratio.min()) / 2:.3f}"
    if score == "mae":
        return first
    return f"{first} [{part['low'].mean():.3f}, {part['high'].mean():.3f}]; {part['cover90'].mean():.0%}"


def anomaly(rows: list[Row]) -> str:
    """AUROC over all faults and by kind, and the share of windows that score higher with their fault: means over seeds."""
    frame = pd.DataFrame(rows)
    kinds = [c for c in frame if c not in ("set", "contender", "seed", "windows", "seconds", "auroc")]
    kinds.sort(key=lambda name: "paired" in name)
    lines = [["set", "contender", "AUROC [min, max]", *kinds]]
    for (name, who), part in frame.groupby(["set", "contender"], sort=False):
        a = part["auroc"]
        by_kind = [f"{part[kind].mean():.3f}" if part[kind].notna().any() else "" for kind in kinds]
        lines.append([name, who, f"{a.mean():.3f} [{a.min():.3f}, {a.max():.3f}]", *by_kind])
    for who, part in frame.groupby("contender", sort=False):
        lines.append(["mean", who, f"{part['auroc'].mean():.3f}", *(f"{part[kind].mean():.3f}" for kind in kinds)])
    return markdown(lines)


def market(rows: list[Row]) -> str:
    """Risk one day ahead, then scenarios."""
    lines = [
        [
            "one day ahead",
            "VaR exceeded",
            "95 % interval",
            "Kupiec p",
            "independence p",
            "both p",
            "Z2 (p)",
            "mean VaR, ES",
        ]
    ]
    for row in rows:
        for level, r in row.get("risk", {}).items():
            low, high = r["interval"]
            lines.append(
                [
                    f"{label(row)}, {float(level):.0%}",
                    f"{r['exceeded']} of {row['days']}",
                    f"{low} to {high}: {'yes' if r['within'] else 'NO'}",
                    *(f"{r[test]:.3f}" for test in ("kupiec", "independence", "conditional")),
                    f"{r['z2']:+.2f} ({r['z2_p']:.3f})",
                    f"{r['var']:.2f} %, {r['es']:.2f} %",
                ]
            )
    names = [name for name in rows[0]["scenarios"] if name != "own"]
    made = [["scenarios", *names]]
    made += [[label(row), *(f"{row['scenarios'][name]:.3f}" for name in names)] for row in rows]
    made.append(["the held-out years' own", *(f"{rows[0]['held_out'][name]:.3f}" for name in names)])
    return f"{markdown(lines)}\n\n{markdown(made)}"


def label(row: Row) -> str:
    """Who, and which seed where it is one of several."""
    return f"{row['contender']}, seed {row['seed']}" if "risk" in row else row["contender"]


def markdown(lines: list[list[str]]) -> str:
    """A table, the first line its head."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])
