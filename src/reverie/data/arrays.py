"""Data sets in NumPy's files, .npy and .npz; no pickle is ever opened."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from reverie.data.dataset import Data
from reverie.data.memory import must_fit
from reverie.errors import ReverieError

ITEMS = ("x", "images", "data", "arr_0")
LABELS = ("y", "labels")
# MemoryError too: the file's size has been weighed, so its header tells of more numbers than there are
UNREADABLE = (ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile)


def read_npy(path: Path, finite: bool = True) -> Data:
    """Read images from one array; see Data.from_arrays for its shape, and for `finite`."""
    must_fit(path.stat().st_size, str(path))
    items = _loaded(path)
    if not isinstance(items, np.ndarray):
        raise ReverieError(f"{path} is an archive of arrays, not one. Name it .npz.")
    return Data.from_arrays(items, name=path.name, finite=finite)


def read_npz(path: Path, finite: bool = True) -> Data:
    """Read images from the array called x, images, data or arr_0, and labels from y or labels where there are any."""
    try:
        with zipfile.ZipFile(path) as parts:
            must_fit(sum(info.file_size for info in parts.infolist()), str(path))
    except (zipfile.BadZipFile, OSError) as error:
        raise ReverieError(f"{path} cannot be read as .npz: {error}. Write it again with numpy.savez.") from error
    loaded = _loaded(path)
    if isinstance(loaded, np.ndarray):
        raise ReverieError(f"{path} is one array, not an archive of them. Name it .npy.")
    with loaded as archive:
        names = {name.lower(): name for name in archive.files}
        items = next((names[n] for n in ITEMS if n in names), None)
        if items is None:
            raise ReverieError(
                f"{path} holds the arrays {', '.join(archive.files) or '(none)'}; images must be called "
                f"{', '.join(ITEMS[:-1])} or {ITEMS[-1]}, and labels {' or '.join(LABELS)}. Rename them."
            )
        key = next((names[n] for n in LABELS if n in names), None)
        pixels = _member(archive, items, path)
        labels = None if key is None else _member(archive, key, path)
        unread = [n for n in archive.files if n not in (items, key)]
    if labels is not None:
        if labels.size != len(labels):
            raise ReverieError(f"{path}: labels of shape {labels.shape}; give one number or word per image.")
        labels = labels.reshape(-1)
    data = Data.from_arrays(pixels, labels, name=path.name, finite=finite)
    if unread:
        data.notes.append(f"arrays not read: {', '.join(unread)}")
    return data


def _loaded(path: Path) -> np.ndarray | np.lib.npyio.NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise _refusal(str(path), error) from error


def _member(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return archive[name]
    except UNREADABLE as error:
        raise _refusal(f"{path}, array {name},", error) from error


def _refusal(what: str, error: Exception) -> ReverieError:
    if "pickle" in str(error):
        return ReverieError(
            f"{what} holds pickled Python objects, which can run code when opened and are never read. "
            "Save a plain array of numbers, all images of one shape: numpy.save(path, numpy.stack(images))."
        )
    return ReverieError(f"{what} cannot be read as a NumPy array: {error}. Write it again with numpy.save.")
