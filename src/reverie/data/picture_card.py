"""What Reverie sees in a data set of pictures, as JSON and as rows to read."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from reverie.data import near, outliers
from reverie.data.card_words import lines, size
from reverie.data.dataset import Data
from reverie.data.looks import Looks, looks
from reverie.data.split import digest, digests, split
from reverie.errors import ReverieError

OWN_SIDES = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "validation",
             "valid": "validation", "validation": "validation", "dev": "validation", "held-out": "held-out",
             "held_out": "held-out", "holdout": "held-out"}  # fmt: skip


def contents(data: Data) -> dict[str, Any]:
    """Describe a data set as plain JSON.

    found: how many items there were of each size, colour and dtype, before any resizing; shape: what they are now,
    (H, W, C), or None where they differ. range: the smallest and largest value; values: mean of the items' means and of their
    contrasts. balance: smallest and largest class, and how many classes of equal size would say as much (exp of the
    entropy). duplicates: every group of items equal to the last bit, by name, and how many of these groups have members
    of different classes. near: groups of items nearly equal to their first one (near.RULE), exact copies counted once.
    outliers: by outliers.RULE, and why each. leakage: what lies on both sides of the split that training makes
    unless asked otherwise, and of folders called train, test, validation and the like.
    """
    seen = looks(data)
    groups = _duplicates(data)
    shapes = {item.shape for item in data.items}
    classes = {}
    if data.labels is not None:
        counts = np.bincount(data.labels, minlength=len(data.classes))
        classes = {name: int(n) for name, n in zip(data.classes, counts, strict=True)}
    return {
        "shape": list(shapes.pop()) if len(shapes) == 1 else None,
        "dtypes": sorted({str(item.dtype) for item in data.items}),
        "colour": data.colour,
        "range": [float(min(item.min() for item in data.items)), float(max(item.max() for item in data.items))],
        "values": {"mean": _plain(seen.mean.mean()), "contrast": _plain(seen.contrast.mean())},
        "classes": classes,
        "balance": _balance(list(classes.values())),
        "duplicates": {
            "groups": [[data.names[k] for k in group] for group in groups],
            "surplus": sum(len(group) - 1 for group in groups),
            "contradicting": sum(data.labels is not None and len(set(data.labels[group])) > 1 for group in groups),
        },
        "near": _near(data, seen, groups),
        "outliers": {
            "rule": outliers.RULE,
            "items": [{"name": data.names[o.place], "why": o.why} for o in outliers.outliers(seen)],
        },
        "leakage": _leakage(data, seen),
    }


def _plain(value: float) -> float | None:
    """A number that JSON can hold."""
    return float(value) if np.isfinite(value) else None


def _balance(counts: list[int]) -> dict[str, Any] | None:
    if not counts:
        return None
    share = np.array([n for n in counts if n]) / sum(counts)
    return {"least": min(counts), "most": max(counts), "effective": float(np.exp(-(share * np.log(share)).sum()))}


def _near(data: Data, seen: Looks, copies: list[list[int]]) -> dict[str, Any]:
    """Groups of items that nearly equal their first, with the correlation of each; of exact copies, the first stands for all."""
    again = {k for group in copies for k in group[1:]}
    like = near.followers(seen.thumbnails, np.array([k for k in range(len(data)) if k not in again], np.int64))
    groups = defaultdict(list)
    for k in np.flatnonzero(like.partner >= 0).tolist():
        groups[int(like.partner[k])].append({"name": data.names[k], "correlation": float(like.correlation[k])})
    return {
        "rule": near.RULE,
        "groups": [{"first": data.names[k], "like": members} for k, members in sorted(groups.items())],
        "surplus": sum(map(len, groups.values())),
    }


def _leakage(data: Data, seen: Looks) -> dict[str, Any]:
    """What lies on both sides: of the split that training makes, and of the folders that are named after sides."""
    found: dict[str, Any] = {"groups": None if data.groups is None else len(set(data.groups)), "cut": None, "own": None}
    try:
        cut = split(data)
        sides = np.full(len(data), "train", dtype=object)
        sides[cut.held_out] = "held-out"
        found["cut"] = {"hash": cut.hash, **_crossing(data, seen, sides)}
    except ReverieError as error:
        found["why"] = str(error)
    own = [
        next((OWN_SIDES[p.lower()] for p in PurePosixPath(n).parts[:-1] if p.lower() in OWN_SIDES), "")
        for n in data.names
    ]
    if all(own) and len(set(own)) > 1:
        found["own"] = _crossing(data, seen, np.array(own, dtype=object))
    return found


def _crossing(data: Data, seen: Looks, sides: np.ndarray) -> dict[str, Any]:
    """Items of one side that equal, or nearly equal, one of another; each is named once, with the one most like it."""
    contents = digests(data.items)
    count = {str(side): int((sides == side).sum()) for side in dict.fromkeys(sides)}
    smallest_first = sorted(count, key=lambda side: count[side])
    pairs, exact = [], 0
    for k, side in enumerate(smallest_first[:-1]):
        mine, others = np.flatnonzero(sides == side), np.flatnonzero(np.isin(sides, smallest_first[k + 1 :]))
        place = {contents[i]: int(i) for i in others[::-1]}
        like = near.across(seen.thumbnails, mine, others)
        for row, i in enumerate(mine.tolist()):
            twin = place.get(contents[i], int(like.partner[row]))
            if twin >= 0:
                same = contents[i] in place
                exact += same
                correlation = 1.0 if same else float(like.correlation[row])
                pairs.append({"name": data.names[i], "side": side, "like": data.names[twin], "on": str(sides[twin]),
                              "exact": same, "correlation": correlation})  # fmt: skip
    return {"sides": count, "exact": exact, "near": len(pairs) - exact, "pairs": pairs}


def rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    """A card as (name, words), for a person."""
    low, high = card["range"]
    made = [
        (f"{card['kind']}s", f"{card['count']:,} ({size(card['bytes'])})"),
        ("found", lines([f"{n:,} of {what}" for what, n in card["found"].items()])),
        ("values", f"{low:g} to {high:g}, {' and '.join(card['dtypes'])}"),
    ]
    if card["shape"]:
        height, width, channels = card["shape"]
        made.insert(2, ("as items", f"{height}x{width}, {channels} channel{'s' * (channels > 1)}"))
    if classes := card["classes"]:
        made.append((f"{len(classes):,} classes", lines([f"{name}: {n:,}" for name, n in classes.items()])))
    else:
        made.append(("classes", "none"))
    if (balance := card["balance"]) and balance["most"] != balance["least"]:
        made.append(
            (
                "balance",
                f"{balance['least']:,} to {balance['most']:,} a class, worth {balance['effective']:.1f} equal ones",
            )
        )
    made += [*_duplicate_rows(card["duplicates"]), *_near_rows(card["near"]), *_outlier_rows(card["outliers"])]
    made += _leakage_rows(card["leakage"])
    if broken := card["broken"]:
        made.append((f"{len(broken):,} broken, skipped", lines([f"{b['name']}: {b['reason']}" for b in broken])))
    if notes := card["notes"]:
        made.append(("notes", "\n".join(notes)))
    return made


def _duplicate_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["groups"]:
        return [("duplicates", "none")]
    words = lines([" = ".join(names[:4]) + (" = ..." if len(names) > 4 else "") for names in found["groups"]])
    if found["contradicting"]:
        words += f"\n{found['contradicting']:,} of these groups have members in different classes"
    return [(f"{found['surplus']:,} duplicates", words)]


def _near_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    words = []
    for group in found["groups"]:
        like = [f"{m['name']} ({m['correlation']:.4f})" for m in group["like"]]
        words.append(f"{group['first']} ~ " + ", ".join(like[:3]) + (", ..." if len(like) > 3 else ""))
    head = f"{found['surplus']:,} near duplicates" if words else "near duplicates"
    return [(head, lines(words) + f"\nrule: {found['rule']}" if words else "none")]


def _outlier_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not (items := found["items"]):
        return [("outliers", "none")]
    words = lines([f"{item['name']}: {item['why']}" for item in items])
    return [(f"{len(items):,} outliers", f"{words}\nrule: {found['rule']}")]


def _leakage_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    if found["cut"] is None:
        return [("split", found["why"]), *_own_rows(found)]
    groups = "" if found["groups"] is None else f", {found['groups']:,} groups kept whole"
    return [("split", _crossed(found["cut"]) + groups), *_leaks(found["cut"], "leak"), *_own_rows(found)]


def _own_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    own = found["own"]
    return [] if own is None else [("your folders", _crossed(own)), *_leaks(own, "leak between your folders")]


def _crossed(cut: dict[str, Any]) -> str:
    sides = ", ".join(f"{n:,} {side}" for side, n in cut["sides"].items())
    return f"{sides}: {cut['exact']:,} equal and {cut['near']:,} nearly equal across"


def _leaks(cut: dict[str, Any], title: str) -> list[tuple[str, str]]:
    if not cut["pairs"]:
        return []
    words = [f"{p['name']} ({p['side']}) {'=' if p['exact'] else '~'} {p['like']} ({p['on']})" for p in cut["pairs"]]
    return [(title, lines(words))]


def _duplicates(data: Data) -> list[list[int]]:
    """Places of items that are equal to the last bit, in groups of two or more."""
    groups = defaultdict(list)
    for k, item in enumerate(data.items):
        groups[digest(item)].append(k)
    return [group for group in groups.values() if len(group) > 1]
