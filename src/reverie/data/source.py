"""From a path, or the name of a packaged data set, to Data: the one way in for files.

Headers come first: they tell the size that all pictures will have, and whether that fits in memory. Then each picture
is decoded at full depth and resized at once, so that never more than two are held at their full size.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from reverie import registry
from reverie.codecs import files
from reverie.codecs.image import ImageCodec
from reverie.codecs.pixels import Header, Picture, UnreadableImage
from reverie.data import arrays, labels, prepared
from reverie.data.beside import read as read_beside
from reverie.data.columns import number
from reverie.data.dataset import Broken, Data, describe
from reverie.data.kinds import SUFFIXES, guess
from reverie.data.members import Folder, Members, Single, Zip
from reverie.data.memory import must_fit
from reverie.data.series import read_series
from reverie.data.tables import read_table
from reverie.data.wishes import Untold, Wish, parse
from reverie.errors import ReverieError, quoted

THREADS = 2
_ALIKE = 0.7  # of names, from which on one may have been meant for another
UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error)  # what reading a member's bytes may raise
Progress = Callable[[int, int], None]
Size = tuple[int, int]


class _Bearable(NamedTuple):
    """How many broken images are borne, as `read` says, and the option that bears more, where the caller has one."""

    most: float | int
    option: str | None = None

    def check(self, broken: list[Broken], total: int) -> None:
        """Refuse more broken images than a person allowed, naming them."""
        if len(broken) <= (self.most if isinstance(self.most, int) or self.most > 1 else self.most * total):
            return
        named = "; ".join(f"{name}: {reason}" for name, reason in broken[:5])
        named += f"; and {len(broken) - 5:,} more" if len(broken) > 5 else ""
        enough = math.ceil(1000 * len(broken) / total) / 10
        allow = f", or allow it with {self.option} {enough:g}%" if self.option else ""
        raise ReverieError(
            f"{len(broken):,} of {total:,} images cannot be read ({named}). "
            f"Remove {'them' if len(broken) > 1 else 'it'}{allow}."
        )


def read(
    path: str | Path,
    *,
    label_from: str = "folder",
    max_broken: float | int = 0.01,
    resolution: tuple[int, int] | None = None,
    condition: str | None = None,
    on_progress: Progress | None = None,
    option: str | None = None,
    finite: bool = True,
    kind: str | None = None,
    window: str | None = None,
) -> Data:
    """Read a folder, a zip of one, a .npz or .npy, one image, a table, or a packaged data set by its name.

    label_from: "folder" (the folder below the one that all files share, where there are two or more), "none", or
    "csv:COLUMN" of a table among the files. Arrays and packaged data bring their own labels: "none" drops them.
    max_broken: the share of images that may be unreadable (1.0: all but one), or, as an int or above 1, how many; they are
    named and skipped.
    resolution: (height, width) to bring pictures in files to; without it ImageCodec.plan chooses. Arrays stay as they
    are, and the codec resizes them as they are served.
    condition: what else is known of each picture, "label:style,number:age,image:sketches/", as `wishes` says; for files
    alone. on_progress: told (done, of how many) as pictures are decoded.
    option: how a person who calls this can raise max_broken, for the message; None where they cannot.
    finite: refuse arrays that hold NaN or infinite values; False keeps them, see `Data.usable`. Such files are broken anyway.

    kind: what the data is, image, table or series; without it what it holds decides, and the notes say why.
    window: into how many steps time series are cut, or "all".

    A folder that `reverie prepare` wrote, or a zip of it, is read as its items, with the groups they were given.

    Raises ReverieError for what is not there, empty, unreadable, too large for memory, or labelled in part.
    """
    if label_from not in ("folder", "none") and not (label_from.startswith("csv:") and label_from != "csv:"):
        raise ReverieError(f"Labels cannot be had from '{label_from}'. Give {labels.WAYS}.")
    place, bearable = Path(path).expanduser(), _Bearable(max_broken, option)
    if not place.exists():
        packaged = registry.registered("datasets")
        if str(path) not in packaged:
            raise ReverieError(_nowhere(place, list(packaged)))
        return _own_labels(packaged[str(path)]().load(), label_from, parse(condition))
    if (found := guess(place, kind)) is not None:
        if found.kind == "series":
            return read_series(found, label_from, condition, window)
        if window is not None:
            raise ReverieError(
                f"--window cuts time series, and {place} is a table ({found.why}). Leave it out, or give --kind series."
            )
        return read_table(found, label_from, condition)
    wishes = parse(condition)
    if place.is_dir():
        return _read_images(Folder(place), label_from, bearable, resolution, wishes, on_progress)
    try:
        with place.open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise ReverieError(f"{place} cannot be opened: {error.strerror}.") from error
    if place.suffix.lower() == ".npy" or head.startswith(b"\x93NUMPY"):
        return _own_labels(arrays.read_npy(place, finite), label_from, wishes)
    if place.suffix.lower() == ".npz":
        return _own_labels(arrays.read_npz(place, finite), label_from, wishes)
    if head.startswith(b"PK") or place.suffix.lower() == ".zip":
        return _read_images(Zip(place), label_from, bearable, resolution, wishes, on_progress)
    if files.sniff(head) or place.suffix.lower() in ImageCodec.suffixes:
        return _read_images(Single(place), "none", _Bearable(0), resolution, wishes, on_progress)
    raise ReverieError(
        f"{place} is no folder, zip, .npz, .npy, image or table. Give one of these, or a packaged data set's name."
    )


def _nowhere(path: Path, packaged: list[str]) -> str:
    beside = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] if path.parent.is_dir() else []
    words = f"There is no {path}: no such file or folder, nor a packaged data set ({', '.join(packaged)})."
    alike = {name: SequenceMatcher(None, Path(name).stem, path.stem).ratio() for name in [*beside, *packaged]}
    close = sorted((name for name in alike if alike[name] >= _ALIKE), key=lambda name: -alike[name])[:3]
    return f"{words} Did you mean {' or '.join(close)}?" if close else f"{words} Check the path."


def _own_labels(data: Data, label_from: str, wishes: list[Wish]) -> Data:
    """Let data that brings its labels keep them, or not."""
    if wishes:
        raise Untold(
            f"{data.source} is no folder of files, so --condition {wishes[0]} has nothing to read from. Leave it out, or give "
            "the values in Python: reverie.train(array, conditions={...})."
        )
    if label_from.startswith("csv:"):
        raise ReverieError(
            f"{data.source} brings its own labels; --label-from {label_from} is for files. Leave it out."
        )
    if label_from == "none":
        data.labels, data.classes = None, []
    return data


def _read_images(
    members: Members,
    label_from: str,
    bearable: _Bearable,
    resolution: tuple[int, int] | None,
    wishes: list[Wish],
    on_progress: Progress | None,
) -> Data:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of metadata gone wrong; what matters is an error, not this
        return _read_all(members, label_from, bearable, resolution, wishes, on_progress)


def _read_all(
    members: Members,
    label_from: str,
    bearable: _Bearable,
    resolution: tuple[int, int] | None,
    wishes: list[Wish],
    on_progress: Progress | None,
) -> Data:
    members = prepared.inside(members)
    found, broken, others = _survey(members)
    total = len(found) + len(broken)
    if not found:
        raise ReverieError(_nothing(members, broken, others))
    plan = ImageCodec.plan(found.values(), resolution)
    shape = (len(found), plan.height, plan.width, plan.channels)
    must_fit(
        math.prod(shape) * np.dtype(plan.dtype).itemsize,
        f"{members.path}: {len(found):,} images at {plan.height}x{plan.width} {plan.colour} {plan.dtype}",
    )
    told, table = _labels(members, list(found), label_from)
    items, headers, late = _decode(members, found, plan, on_progress)
    broken = sorted([*broken, *late])
    bearable.check(broken, total)
    if not headers:
        raise ReverieError(_nothing(members, broken, others))
    names = list(headers)
    unlabelled = 0 if told is None else sum(told[n] == labels.NO_LABEL for n in names)
    numbers, classes = (None, []) if told is None else number([told[n] for n in names], str(members.path))
    size = (plan.height, plan.width)
    beside = {w.name: read_beside(w, members, names, size, partial(_paired, on_progress)) for w in wishes}
    for used in {table, *(found.table for found in beside.values())} - {None}:
        others[PurePosixPath(str(used)).suffix.lower()] -= 1
    return Data(
        items,
        names,
        numbers,
        classes,
        source=str(members.path),
        broken=broken,
        notes=_notes(headers, plan, +others, members.hidden, unlabelled)
        + prepared.notes(members)
        + [note for found in beside.values() for note in found.notes],
        colour=plan.colour,
        found=describe(headers.values()),
        bytes=sum(members.sizes[n] for n in names),
        groups=prepared.groups_of(members, names),
        conditions={name: found.column for name, found in beside.items()},
    )


def _paired(
    on_progress: Progress | None, members: Members, names: list[str], choose: Callable[[set[Size]], Size]
) -> tuple[np.ndarray, str, list[str]]:
    """The pictures of a condition, at a size chosen from those they have, what channels mean, and what was changed."""
    found, broken, _ = _survey(members, set(names))
    sizes = {(header.height, header.width) for header in found.values()}
    if found and not broken:
        plan = ImageCodec.plan(found.values(), choose(sizes))
        shape = (len(names), plan.height, plan.width, plan.channels)
        must_fit(math.prod(shape) * np.dtype(plan.dtype).itemsize, f"{members.path}: {len(names):,} pictures")
        items, headers, broken = _decode(members, found, plan, on_progress)
    if broken or not found:
        named = "; ".join(f"{name}: {reason}" for name, reason in broken[:5])
        raise ReverieError(f"{members.path}: {len(broken):,} pictures of items cannot be read ({named}). Replace them.")
    place = {name: k for k, name in enumerate(headers)}
    return items[[place[n] for n in names]], plan.colour, _notes(headers, plan, Counter(), 0, 0)


def _survey(members: Members, only: set[str] | None = None) -> tuple[dict[str, Header], list[Broken], Counter[str]]:
    """Read every header, or only some: pictures by name, those that are broken, and how many other files by suffix.

    A file is a picture by its content; one that is called a picture by its suffix, and is none, is broken.
    """
    found: dict[str, Header] = {}
    broken: list[Broken] = []
    others: Counter[str] = Counter()
    for name, size in ((n, s) for n, s in members.sizes.items() if only is None or n in only):
        suffix = PurePosixPath(name).suffix.lower()
        try:
            with members.open(name) as file:
                if files.sniff(file.read(32)) is None and suffix not in ImageCodec.suffixes:
                    others[suffix or "without suffix"] += 1
                    continue
                found[name] = files.header(file, name)
        except UnreadableImage as error:
            broken.append(Broken(name, error.reason))
        except (*UNREADABLE, NotImplementedError) as error:
            broken.append(Broken(name, "0 bytes" if size == 0 else f"cannot be opened ({error})"))
    return found, broken, others


def _decode(
    members: Members, found: dict[str, Header], plan: ImageCodec, on_progress: Progress | None
) -> tuple[np.ndarray, dict[str, Header], list[Broken]]:
    """Decode and resize every picture, two at a time: (N, H, W, C), the headers of those N, and the broken ones."""
    items = np.empty((len(found), plan.height, plan.width, plan.channels), plan.dtype)
    names = list(found)

    def one(k: int) -> Header | Broken:
        name = names[k]
        try:
            picture: Picture = files.decode(members.read(name), name, found[name], max(plan.height, plan.width))
            items[k] = plan.conform(picture.pixels)
            return picture.header
        except UnreadableImage as error:
            return Broken(name, error.reason)
        except (ReverieError, *UNREADABLE) as error:
            return Broken(name, str(error))

    headers: dict[str, Header] = {}
    broken: list[Broken] = []
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for k, result in enumerate(pool.map(one, range(len(names)))):
                if isinstance(result, Broken):
                    broken.append(result)
                else:
                    items[len(headers)] = items[k]  # closes the gap that a broken one left, without a second copy
                    headers[names[k]] = result
                if on_progress is not None:
                    on_progress(k + 1, len(names))
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for all the others
    return items[: len(headers)], headers, broken


def _labels(members: Members, names: list[str], label_from: str) -> tuple[dict[str, str] | None, str | None]:
    """The label of each file, if any have one, and the table they were read from, if it was one."""
    if label_from == "none":
        return None, None
    if label_from == "folder":
        return labels.by_folder(names), None
    return labels.by_column(members, names, label_from.removeprefix("csv:"))


def _notes(
    headers: dict[str, Header], plan: ImageCodec, others: Counter[str], hidden: int, unlabelled: int
) -> list[str]:
    """What was changed, skipped and left out, counted."""
    changes = Counter(change for header in headers.values() for change in header.changes)
    notes = [f"{n:,} of {len(headers):,} images: {change}" for change, n in changes.most_common()]
    notes += plan.notes
    if unlabelled:
        notes.append(f"{unlabelled:,} of {len(headers):,} images have an empty label: made the class {labels.NO_LABEL}")
    if others:
        notes.append(
            f"skipped {others.total():,} file{'s' * (others.total() > 1)} not read as images ({_counted(others)})"
        )
    if hidden:
        notes.append(f"skipped {hidden:,} hidden files or folders")
    return notes


def _counted(others: Counter[str]) -> str:
    return ", ".join(f"{n:,} {suffix}" for suffix, n in others.most_common())


def _nothing(members: Members, broken: list[Broken], others: Counter[str]) -> str:
    """Say why there is no picture at all."""
    if not members.sizes:
        hidden = f" but {members.hidden:,} hidden ones" if members.hidden else ""
        return f"{members.path} is empty: it holds no files{hidden}. Put images into it."
    holds = [f"{_counted(others)} file{'s' * (others.total() > 1)}"] if others else []
    if broken:
        holds.append(f"{len(broken):,} broken ({'; '.join(f'{name}: {reason}' for name, reason in broken[:5])})")
    tables = [name for name in members.sizes if PurePosixPath(name).suffix.lower() in SUFFIXES]
    one = (
        f" Of its tables name one, such as {quoted(members.path / tables[0])}."
        if tables and members.path.is_dir()
        else ""
    )
    return (
        f"Nothing in {members.path} can be read as an image; it holds {' and '.join(holds)}. "
        f"Reverie reads PNG, JPEG, WebP, TIFF, BMP and GIF images.{one}"
    )
