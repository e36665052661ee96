"""What Reverie sees in time series, as JSON and as rows to read: lengths, steps, gaps, channels, and how a run would cut them."""

from __future__ import annotations

from typing import Any

import numpy as np

from reverie.codecs.cells import Fixed
from reverie.codecs.channels import fitted
from reverie.codecs.series_items import Axis, Windows
from reverie.data.card_words import lines, size
from reverie.data.dataset import Data
from reverie.data.series_words import between, moment, steps
from reverie.data.split import few_held_out, split
from reverie.errors import ReverieError
from reverie.metrics.series import autocorrelations

CHANNELS = 40  # in the terminal; all are in the JSON
FAR = 3.0  # interquartile ranges beyond a quartile from which on a value is an outlier
_LOOKED_AT = 50_000  # steps of a series behind its autocorrelation
_CLEAR = 0.45  # the least score of a season, see `season`
_NEARLY = 0.8  # of the best score: what a season scores, its third, fifth ... multiple scores too
_MULTIPLES = 8  # of a season that are looked at


def contents(data: Data) -> dict[str, Any]:
    """Describe time series as plain JSON.

    series: how many, and the least, median and most steps. time: how it is told, the step (seconds or the file's units), share
    of steps that are just that long, first and last time. gaps: steps of regular series at which nothing was observed, in how
    many stretches, and the longest; of others, how much longer than the commonest step the longest is. channels: see
    `_channel`. static: columns that a series has one value of, and what condition they are told as. windows: how training cuts
    the series unless asked otherwise (length in steps, None for whole series), and the sides of the split; few: what to do where
    little is held out.
    """
    windows = Windows.of(data.items)
    lengths = [len(one) for one in windows.series]
    return {
        "series": {
            "count": len(lengths),
            "least": min(lengths),
            "median": float(np.median(lengths)),
            "most": max(lengths),
        },
        "time": _time(windows),
        "gaps": _gaps(windows),
        "channels": [_channel(windows, k) for k in range(len(windows.channels))],
        "static": dict(windows.told),
        "windows": {"length": windows.length, "count": len(windows), **_split(data)},
    }


def rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    """A card as (name, words), for a person."""
    told = [(name, words) for name, words in facts(card) if name != "channels"]
    width = min(24, max(len(c["name"]) for c in card["channels"]))
    channels = lines([f"{c['name']:<{width}}  {about(c)}" for c in card["channels"]], CHANNELS)
    made = [*told[:1], ("channels", f"{len(card['channels']):,}"), ("", channels), *told[1:]]
    return made + ([("notes", "\n".join(card["notes"]))] if card["notes"] else [])


def facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of the series as a whole, in words."""
    found, time, cut = card["series"], card["time"], card["windows"]
    long = steps_words(found)
    made = [
        ("series", f"{found['count']:,} of {long} ({size(card['bytes'])})"),
        ("time", time["words"]),
        ("gaps", gaps_words(card["gaps"])),
    ]
    if card["static"]:
        made.append(
            ("static", ", ".join(f"{c} (told as {name})" if c != name else c for c, name in card["static"].items()))
        )
    of = "whole series" if cut["length"] is None else f"windows of {cut['words']}"
    sides = cut.get("why") or f"{cut['train']:,} to train, {cut['held_out']:,} held out"
    if cut["length"] is not None and "why" not in cut:
        sides += " (the end of each series; what lies across the border is on neither side)"
    return [*made, ("a run", "; ".join([f"{cut['count']:,} {of}: {sides}", *cut.get("few", [])]))]


def about(c: dict[str, Any]) -> str:
    """A channel in one line."""
    if c["kind"] != "number":
        return f"{c['about']}: kept, not learned"
    parts = [f"{c['low']:g} to {c['high']:g}", f"mean {c['mean']:.4g}, sd {c['sd']:.4g}"]
    parts += [f"{c['missing']:,} missing ({c['missing_share']:.1%})"] if c["missing"] else []
    parts += [memory_words(c)]
    parts += [f"flat for {c['flat']:,} steps at the longest"] if c["flat"] > 1 else []
    parts += [f"{c['outliers']:,} outliers"] if c["outliers"] else []
    return ", ".join([*parts, *([] if c["drift"] is None else [drift_words(c)])])


def memory_words(c: dict[str, Any]) -> str:
    """How a channel hangs together with its past."""
    season = c["season"]
    told = f", {season['autocorrelation']:.2f} at {season['words']}" if season else ""
    return f"autocorrelation {c['autocorrelation']:.2f} at 1 step{told}"


def drift_words(c: dict[str, Any]) -> str:
    """Whether a channel stays where it was."""
    side = "above" if c["drift"] >= 0 else "below"
    return f"last third {abs(c['drift']):.2f} sd {side} the first" + (": it drifts" if abs(c["drift"]) > 0.5 else "")


def steps_words(found: dict[str, Any]) -> str:
    """How many steps series have."""
    if found["least"] == found["most"]:
        return f"{found['most']:,} steps"
    return f"{found['least']:,} to {found['most']:,} steps, median {found['median']:,.0f}"


def gaps_words(found: dict[str, Any]) -> str:
    """What is left out between the first and the last time."""
    if "count" not in found:
        return f"the longest step is {found['longest']}"
    if not found["count"]:
        return "none: something was observed at every step"
    return f"{found['steps']:,} steps without any value, in {found['count']:,} gaps, the longest of {found['longest']}"


def _time(windows: Windows) -> dict[str, Any]:
    axis = windows.axis
    first, last = min(one.times[0] for one in windows.series), max(one.times[-1] for one in windows.series)
    gone = _between(windows)
    even = float(np.isclose(gone, axis.step, rtol=0.02).mean()) if len(gone) else 1.0
    step = between(axis.step, axis)
    ends = f"{moment(first, axis)} to {moment(last, axis)}"
    regular = "" if axis.regular else f", not even: {even:.1%} of the steps are that long"
    words = (
        f"steps nobody dated, {windows.words}"
        if axis.kind == "index"
        else f"'{axis.name}', a step is {step}{regular}; {ends}"
    )
    return {"kind": axis.kind, "name": axis.name, "step": axis.step, "regular": axis.regular, "even": even,
            "first": moment(first, axis), "last": moment(last, axis), "words": words}  # fmt: skip


def _between(windows: Windows) -> np.ndarray:
    return np.concatenate([np.diff(one.times) for one in windows.series])


def _gaps(windows: Windows) -> dict[str, Any]:
    axis = windows.axis
    if not axis.regular:
        longest = float(_between(windows).max(initial=0.0))
        return {"longest": between(longest, axis), "times": longest / axis.step}
    runs = np.concatenate([_runs(np.isnan(one.values).all(1)) for one in windows.series])
    longest = int(runs.max(initial=0))
    return {"steps": int(runs.sum()), "count": len(runs), "longest": steps(longest, axis), "longest_steps": longest}


def _runs(mask: np.ndarray) -> np.ndarray:
    """Lengths of the stretches of true values (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[1::2] - edges[::2]


def _channel(windows: Windows, k: int) -> dict[str, Any]:
    """One channel: its range, mean and sd, missing values, what its past tells, outliers and how it drifts.

    flat: the longest run of one value, in steps. autocorrelation: at one step. season: the lag at which it is highest again, None
    where there is none. outliers: values more than 3 interquartile ranges beyond a quartile (Tukey 1977: far out). drift: see
    `_drift`, in sd.
    """
    each = [one.values[:, k] for one in windows.series]
    every = np.concatenate(each)
    seen = every[~np.isnan(every)]
    name, dtype = windows.channels[k], windows.dtypes[k]
    cells = fitted(name, dtype, every)
    said = {"name": name, "dtype": dtype, "about": cells.words, "missing": len(every) - len(seen),
            "missing_share": 1 - len(seen) / max(len(every), 1)}  # fmt: skip
    if isinstance(cells, Fixed):
        return said | {"kind": "constant"}
    low, high = np.quantile(seen, [0.25, 0.75])
    far = FAR * (high - low)
    sd = float(seen.std())
    lags = autocorrelation(windows, k)
    return said | {
        "kind": "number",
        "low": float(seen.min()),
        "high": float(seen.max()),
        "mean": float(seen.mean()),
        "sd": sd,
        "flat": max(int(_flat(x)) for x in each),
        "autocorrelation": float(lags[0]) if len(lags) else 0.0,
        "season": season(lags, windows.axis),
        "outliers": int(((seen < low - far) | (seen > high + far)).sum()) if far > 0 else 0,
        "drift": None if (drift := _drift(windows, each)) is None else drift / sd,
    }


def autocorrelation(windows: Windows, k: int) -> np.ndarray:
    """Autocorrelation of a channel at lags 1 .. a third of the longest series, of that series' last steps."""
    longest = max(windows.series, key=len).values[-_LOOKED_AT:, k]
    return autocorrelations(longest[None, None], len(longest) // 3)[0] if len(longest) > 3 else np.empty(0)


def season(lags: np.ndarray, axis: Axis) -> dict[str, Any] | None:
    """The lag p at whose multiples the autocorrelation r (lag 1 first) stands above that half-way between them; None for none.

    S(p) = sqrt(m) times the mean over j = 1 .. m of r(j p) - (r((j - 1/2) p) + r((j + 1/2) p)) / 2, m at most 8, as chance
    makes that mean vary as 1 / sqrt(m). Twice a season, or half of it, has high values in both places. The shortest of those
    that score about highest is taken.
    """
    scores = np.array([_comb(lags, p) for p in range(2, 2 * len(lags) // 3 + 1)])
    if not len(scores) or scores.max() < _CLEAR:
        return None
    first = int(np.argmax(scores >= _NEARLY * scores.max()))
    lag = (
        first + int(np.argmax(scores[first : first + max(1, first // 4)])) + 2
    )  # the top of the hill that begins there
    if lag == len(scores) + 1:  # it may go on rising beyond what is seen
        return None
    return {"lag": lag, "autocorrelation": float(lags[lag - 1]), "words": steps(lag, axis)}


def _comb(lags: np.ndarray, p: int) -> float:
    """S(p) of `season`."""
    j = np.arange(1, min(_MULTIPLES, int(len(lags) / p - 0.5)) + 1)
    if not len(j) or lags[p - 1] <= 0:
        return 0.0
    high, before, after = (lags[np.minimum((k * p).astype(np.int64), len(lags)) - 1] for k in (j, j - 0.5, j + 0.5))
    return float((high - (before + after) / 2).mean() * len(j) ** 0.5)


def _flat(x: np.ndarray) -> int:
    """The longest run of one value, 1 where none repeats."""
    return int(_runs(np.diff(x) == 0).max(initial=0)) + 1


def _drift(windows: Windows, each: list[np.ndarray]) -> float | None:
    """Mean of the last third less that of the first: of each series, or of short ones that begin at many dates, in their order.

    None where times only count the steps of each series: that an hour of the day is not like another is no drift.
    """
    starts = np.array([one.times[0] for one in windows.series])
    if windows.length is None and len(each) > 1:
        counted = windows.layout.kind == "wide" or np.isin(starts, (0, 1)).all()
        if windows.axis.kind == "index" or (windows.axis.kind == "number" and counted):
            return None
        if 2 * len(np.unique(starts)) > len(starts):
            found = [np.nanmean(x) if (~np.isnan(x)).any() else np.nan for x in each]
            return _rise(np.array(found)[np.argsort(starts, kind="stable")])
    rises = [rise for x in each if (rise := _rise(x)) is not None]
    return float(np.mean(rises)) if rises else 0.0


def _rise(x: np.ndarray) -> float | None:
    """Mean of the last third of some values less that of the first; None where a third is empty."""
    third = len(x) // 3
    first, last = x[:third], x[len(x) - third :]
    if not (~np.isnan(first)).any() or not (~np.isnan(last)).any():
        return None
    return float(np.nanmean(last) - np.nanmean(first))


def _split(data: Data) -> dict[str, Any]:
    windows: Windows = Windows.of(data.items)
    words = {} if windows.length is None else {"words": steps(windows.length, windows.axis)}
    try:
        cut = split(data)
    except ReverieError as error:
        return {**words, "why": str(error)}
    return {
        **words,
        "hash": cut.hash,
        "train": len(cut.train),
        "held_out": len(cut.held_out),
        "few": few_held_out(data, cut),
    }
