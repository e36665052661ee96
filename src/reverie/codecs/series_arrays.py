"""Time series in .npz: values (N, T, C) or (N, T), and beside them times, lengths, names of series and channels, and more."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reverie.codecs.series_frames import Found
from reverie.codecs.series_grid import gridded
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.codecs.series_times import evened, times_written
from reverie.errors import ReverieError
from reverie.files import write_text, write_whole

SAYS_SERIES = {"values", "times", "lengths"}  # arrays that an .npz of pictures does not have
_KNOWN = (*sorted(SAYS_SERIES), "channels", "names")
_SHAPE = "values are (series, steps, channels), or (series, steps) of one channel"


def says_series(path: Path) -> list[str]:
    """The arrays of an .npz whose names say that it holds series."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []
    return [name for name in names if name in SAYS_SERIES]


def read(path: Path) -> Found:
    """Series of an .npz, or of an .npy that is its values, NaN where nothing was observed.

    Raises ReverieError for objects, shapes that do not fit, infinite values.
    """
    arrays = _loaded(path)
    if "values" not in arrays:
        raise ReverieError(f"{path} holds {', '.join(arrays) or 'nothing'}. It needs 'values': {_SHAPE}.")
    values = arrays["values"]
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiub" or not values.size:
        raise ReverieError(f"{path}: values are {values.dtype} of shape {values.shape}; {_SHAPE}, all numbers.")
    dtype = str(values.dtype)
    values = (values if values.ndim == 3 else values[:, :, None]).astype(np.float64)
    if np.isinf(values).any():
        n, t, c = (int(k) for k in np.argwhere(np.isinf(values))[0])
        raise ReverieError(
            f"{path}: series {n}, step {t}, channel {c} is infinite. Give NaN where nothing was observed."
        )
    count, steps, width = values.shape
    names = _words(arrays, "names", count, path) or [str(k) for k in range(count)]
    channels = _words(arrays, "channels", width, path) or [f"channel {k}" for k in range(width)]
    lengths = _lengths(arrays, count, steps, path)
    times, axis = _times(arrays, lengths, (count, steps), path)
    static = {n: a for n, a in arrays.items() if n not in _KNOWN and a.shape == (count,)}
    unread = [n for n in arrays if n not in _KNOWN and n not in static]
    series = [
        Series(names[k], times[k], values[k, : lengths[k]], {n: a[k].item() for n, a in static.items()})
        for k in range(count)
    ]
    made, axis, notes = gridded(series, axis)
    windows = Windows.whole(made, channels, axis, Layout("arrays"), dtypes=(dtype,) * width, source=str(path))
    return Found(windows, notes + [f"arrays not read: {', '.join(unread)}"] * bool(unread))


def write(windows: Windows, series: Sequence[Series], path: Path, text: dict[str, str] | None = None) -> Path:
    """Write series whole as .npz, as `read` takes them; shorter ones are NaN behind their end."""
    path = path if path.suffix.lower() == ".npz" else path.with_name(path.name + ".npz")
    lengths, width = [len(one) for one in series], len(windows.channels)
    values = np.full((len(series), max(lengths), width), np.nan)
    for k, one in enumerate(series):
        values[k, : len(one)] = one.values
    kinds = set(windows.dtypes)
    exact = kinds.pop() if len(kinds) == 1 and not np.isnan(values).any() else "float64"
    exact = exact if exact.startswith(("int", "uint", "float")) else "float64"
    arrays: dict[str, Any] = {"values": (np.round(values) if "int" in exact else values).astype(exact)}
    if len(set(lengths)) > 1:
        arrays["lengths"] = np.array(lengths)
    if windows.axis.kind != "index":
        arrays["times"] = _padded([np.asarray(_plain(one.times, windows.axis)) for one in series])
    arrays |= {"channels": np.array(windows.channels), "names": np.array([one.name for one in series])}
    for name in series[0].static:
        told = [one.static[name] for one in series]
        numbers = all(isinstance(value, int | float) for value in told)
        arrays[name] = np.array(told if numbers else [str(value) for value in told])
    write_whole(path, lambda p: _savez(p, arrays))
    if text:
        write_text(path.with_suffix(".json"), next(iter(text.values())) if len(text) == 1 else json.dumps(text))
    return path


def _savez(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:  # a name without .npz would be given one
        np.savez(file, **arrays)


def _loaded(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix.lower() == ".npy":
            return {"values": np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, MemoryError, AttributeError, zipfile.BadZipFile) as error:
        why = (
            "holds Python objects, which can run code when opened"
            if "pickle" in str(error)
            else f"cannot be read ({error})"
        )
        raise ReverieError(
            f"{path} {why}. Write plain arrays with numpy.savez: {_SHAPE}, NaN where missing."
        ) from error


def _words(arrays: dict[str, np.ndarray], name: str, count: int, path: Path) -> list[str] | None:
    """Names, as many as there are things to name, all different."""
    if name not in arrays:
        return None
    found = [str(word) for word in arrays[name].reshape(-1)]
    if arrays[name].shape != (count,):
        raise ReverieError(f"{path}: {name} has shape {arrays[name].shape}; give {count} of them, one for each.")
    if twice := [word for word in found if found.count(word) > 1]:
        raise ReverieError(f"{path}: two {name} are '{twice[0]}'. Rename one.")
    return found


def _lengths(arrays: dict[str, np.ndarray], count: int, steps: int, path: Path) -> list[int]:
    """How many steps of each series there are."""
    found = arrays.get("lengths", np.full(count, steps))
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise ReverieError(f"{path}: lengths are {found.dtype} of shape {found.shape}; give {count} whole numbers.")
    if (odd := np.flatnonzero((found < 1) | (found > steps))).size:
        raise ReverieError(
            f"{path}: the length of series {odd[0]} is {found[odd[0]]}; give 1 to {steps}, the steps of values."
        )
    if found.max() < 2:
        raise ReverieError(f"{path} has one time stamp of each series. A series needs at least two.")
    return found.tolist()


def _times(
    arrays: dict[str, np.ndarray], lengths: list[int], shape: tuple[int, int], path: Path
) -> tuple[list[np.ndarray], Axis]:
    """The times of each series, and how they are told."""
    if "times" not in arrays:
        return [np.arange(n, dtype=np.float64) for n in lengths], Axis()
    found = arrays["times"]
    if found.shape not in (shape, shape[1:]) or found.dtype.kind not in "fiuM":
        raise ReverieError(
            f"{path}: times are {found.dtype} of shape {found.shape}; give {shape[1:]} or {shape}, numbers or dates."
        )
    each = [np.broadcast_to(found, shape)[k, :n] for k, n in enumerate(lengths)]
    axis = Axis("time", "number", None, str(found.dtype))
    if found.dtype.kind == "M":
        unit, count = np.datetime_data(found.dtype)
        own = f"datetime64[{unit}]" if unit in ("ms", "us", "ns") and count == 1 else "datetime64[s]"
        axis = Axis("time", "date", None, own)
        each = [np.where(np.isnat(t), np.nan, t.astype("datetime64[us]").astype(np.int64) / 1e6) for t in each]
    for k, t in enumerate(each):
        if (gone := np.flatnonzero(~np.isfinite(t.astype(np.float64)))).size:
            raise ReverieError(f"{path}: times, series {k}, step {gone[0]}: no time. Fill it in, or give lengths.")
        if (back := np.flatnonzero(np.diff(t.astype(np.float64)) <= 0)).size:
            raise ReverieError(
                f"{path}: times, series {k}: step {back[0] + 1} is not after step {back[0]}. Sort the steps by time, each once."
            )
    flat, axis = evened(np.concatenate([t.astype(np.float64) for t in each]), axis)
    return np.split(flat, np.cumsum(lengths)[:-1]), axis


def _plain(times: np.ndarray, axis: Axis) -> np.ndarray:
    """Times as an array of the file's own type, dates as datetime64."""
    if axis.kind == "number":
        return np.asarray(times_written(times, axis))
    own = axis.dtype if axis.format is None and "," not in axis.dtype else "datetime64[us]"
    return np.asarray(times_written(times, replace(axis, format=None, dtype=own)))


def _padded(times: Sequence[np.ndarray]) -> np.ndarray:
    """(T,) where all are the same, else (N, T), with what is no time behind the end of each."""
    if all(np.array_equal(t, times[0]) for t in times):
        return times[0]
    longest, dtype = max(map(len, times)), times[0].dtype
    nothing = np.datetime64("NaT") if dtype.kind == "M" else 0 if dtype.kind in "iu" else np.nan
    out = np.full((len(times), longest), nothing, dtype)
    for k, t in enumerate(times):
        out[k, : len(t)] = t
    return out
