"""Make data fit to learn from by stated rules: the input stays as it is, and every file is accounted for in a row.

Rules, in this order; the first one that acts on a file decides what becomes of it:

    broken          it cannot be read, or holds NaN or infinite values: copied into quarantine/
    outlier         its values are unlike all others' (see outliers.RULE): clipped, dropped or kept
    duplicate       equal to the last bit, as a model sees it, to a file earlier in the order of names: dropped
    near duplicate  nearly equal to one (see near.RULE): dropped
"""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

import reverie
from reverie import files, registry
from reverie.codecs import files as images
from reverie.codecs.pixels import GREY_ALPHA, RGBA
from reverie.data import groups, near, prepared
from reverie.data.dataset import Data
from reverie.data.looks import looks
from reverie.data.members import Folder, Members, Zip
from reverie.data.outliers import RULE as OUTLIER_RULE
from reverie.data.outliers import bounds, outliers
from reverie.data.rows import Rows
from reverie.data.source import UNREADABLE, read
from reverie.data.split import digest, split
from reverie.errors import ReverieError

OUTLIERS = ("keep", "clip", "drop")
ARRAYS = (".npy", ".npz")
TABLES = (".csv", ".tsv")  # copied beside the items, so that labels can be read from them


@dataclass(frozen=True)
class Rules:
    """What to do. drop_near drops exact duplicates too. split_by: see groups.groups_of; label_from: see source.read."""

    drop_duplicates: bool = False
    drop_near: bool = False
    outliers: str = "keep"
    split_by: str | None = None
    label_from: str = "folder"


class Row(NamedTuple):
    """What became of one file: its name in the input, the rule that decided, what was done, and why."""

    file: str
    rule: str
    action: str
    why: str


class Result(NamedTuple):
    """What `prepare` did: the folder, a row for each file in the order of names, and in words how a split would fall."""

    folder: Path
    rows: list[Row]
    cut: str
    trainable: bool  # whether it can be split at all

    def counts(self) -> list[tuple[str, str, int]]:
        """How many rows there are of each rule and action, the commonest first."""
        found = Counter((row.rule, row.action) for row in self.rows)
        return [(rule, action, n) for (rule, action), n in found.most_common()]


def prepare(path: str | Path, output: str | Path, rules: Rules, overwrite: bool = False) -> Result:
    """Write a folder of what is fit to learn from, its quarantine, and a row for each file; see `prepared` for its layout.

    Files that stay are copied byte for byte under their own names (rows of an array are written as image files at full
    depth, in a folder for each class); tables (.csv, .tsv) are copied beside them. Judged is
    what a model would see, so after resizing; clipped is the file itself, at full size. The same input and rules
    give the same bytes. The folder appears whole or not at all; `overwrite` replaces one that `prepare` wrote, no other.

    Raises ReverieError for data that is no folder, zip or array, rules that cannot be met, and a folder in the way.
    """
    place, target = Path(path).expanduser(), Path(output).expanduser()
    if rules.outliers not in OUTLIERS:
        raise ReverieError(f"--outliers {rules.outliers}: give {', '.join(OUTLIERS[:-1])} or {OUTLIERS[-1]}.")
    _there(place)
    _free(target, place, overwrite)
    members, data = _opened(place, rules)
    told = _groups(members, data, rules)
    rows, limits = _judged(members, data, rules)
    target = target.resolve()

    done: list[Row] = []

    def fill(folder: Path) -> None:
        written = [_carried_out(folder, members, row, limits) for row in rows]
        done.extend(row for row, _ in written)
        named = None if told is None else {name: told[row.file] for row, name in written if name and row.file in told}
        _described(folder, done, named, rules, data)
        if overwrite and target.exists():
            shutil.rmtree(target)  # only now: the new one is whole

    files.write_folder(target, fill)
    return Result(Path(output), done, *_cut(target, rules))


def _there(place: Path) -> None:
    """Refuse what is no folder, zip of one, array or packaged data set."""
    if place.is_dir() or (place.is_file() and (zipfile.is_zipfile(place) or place.suffix.lower() in ARRAYS)):
        return
    if not place.exists():
        packaged = registry.registered("datasets")
        if str(place) in packaged:
            return
        raise ReverieError(
            f"There is no {place}: no such file or folder, nor a packaged data set ({', '.join(packaged)}). Give a folder of "
            "images, a zip of one, a .npy or a .npz."
        )
    raise ReverieError(f"{place} is no folder, zip, .npy or .npz of images, which is what can be prepared.")


def _opened(place: Path, rules: Rules) -> tuple[Members, Data]:
    """The files, and what is read of them; an array's rows count as files."""
    if place.is_dir() or (place.exists() and place.suffix.lower() not in ARRAYS):
        members = prepared.inside(Folder(place) if place.is_dir() else Zip(place))
        _safe(members)
        return members, read(place, label_from=rules.label_from, max_broken=1.0)
    rows = Rows(place, read(place, label_from=rules.label_from, finite=False))
    return rows, rows.named().usable()


def _free(target: Path, place: Path, overwrite: bool) -> None:
    """Refuse to write where something is, or into the input or round it."""
    out, source = target.resolve(), place.resolve()
    if out == source or out in source.parents or source in out.parents:
        raise ReverieError(
            f"{target} and the input {place} lie in one another; the input is never changed. Choose another -o."
        )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / prepared.ABOUT).is_file():
        raise ReverieError(
            f"{target} is there already and was not written by reverie prepare; choose another place with -o."
        )
    if not overwrite:
        raise ReverieError(f"{target} holds prepared data already. Replace it with --overwrite, or choose another -o.")


def _safe(members: Members) -> None:
    """Refuse names that would be written outside the folder, or cannot be written down."""
    for name in members.sizes:
        if name.startswith("/") or ".." in name.split("/") or name[1:3] == ":/":
            raise ReverieError(f"{members.path} holds '{name}', which would be written outside the folder. Rename it.")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ReverieError(f"{members.path} holds {name!r}, a name that is no text. Rename it.") from error


def _groups(members: Members, data: Data, rules: Rules) -> dict[str, str] | None:
    """The group of each item: as asked for, or as the data had them."""
    if rules.split_by is not None:
        return groups.groups_of(members, data.names, rules.split_by)
    return None if data.groups is None else dict(zip(data.names, data.groups, strict=True))


def _judged(members: Members, data: Data, rules: Rules) -> tuple[list[Row], tuple[float, float, np.dtype]]:
    """A row for each file, in the order of names, and what values are clipped to, in which dtype."""
    seen = looks(data)
    found = outliers(seen)
    strange = {o.place: o for o in found}
    rows = {b.name: Row(b.name, "broken", "quarantined", b.reason) for b in data.broken}
    first: dict[bytes, int] = {}
    order = []
    for k, name in enumerate(data.names):
        if k in strange and (rules.outliers == "drop" or (rules.outliers == "clip" and strange[k].extreme)):
            rows[name] = Row(name, "outlier", "dropped" if rules.outliers == "drop" else "clipped", strange[k].why)
        elif (twin := first.setdefault(digest(data.items[k]), k)) != k:
            acts = rules.drop_duplicates or rules.drop_near
            rows[name] = Row(name, "duplicate", "dropped" if acts else "kept", _equal(data, k, twin))
        else:
            order.append(k)
    like = near.followers(seen.thumbnails, np.array(order, np.int64))
    for k in order:
        name, twin = data.names[k], int(like.partner[k])
        if twin >= 0:
            why = f"like {data.names[twin]}: correlation {like.correlation[k]:.4f}{_contradiction(data, k, twin)}"
            rows[name] = Row(name, "near duplicate", "dropped" if rules.drop_near else "kept", why)
        elif k in strange:
            rows[name] = Row(name, "outlier", "kept", strange[k].why)
        else:
            rows[name] = Row(name, "", "kept", "")
    for name in members.sizes.keys() - rows.keys():
        rows[name] = _other(name)
    hidden = [Row("(hidden)", "hidden", "left out", f"{members.hidden:,} hidden files or folders")] * bool(
        members.hidden
    )
    return [*(rows[n] for n in sorted(rows)), *hidden], (*bounds(seen, found), np.dtype(data.items[0].dtype))


def _other(name: str) -> Row:
    if PurePosixPath(name).suffix.lower() in TABLES:
        return Row(name, "table", "copied", "labels and groups may be read from it")
    return Row(name, "not an image", "left out", f"{PurePosixPath(name).suffix or 'no suffix'}: not read as an image")


def _equal(data: Data, k: int, twin: int) -> str:
    return f"equals {data.names[twin]}{_contradiction(data, k, twin)}"


def _contradiction(data: Data, k: int, twin: int) -> str:
    if data.labels is None or data.labels[k] == data.labels[twin]:
        return ""
    mine, other = (data.classes[data.labels[i]] for i in (k, twin))
    return f", but is of class {mine}, not {other}: which is right?"


def _carried_out(
    folder: Path, members: Members, row: Row, limits: tuple[float, float, np.dtype]
) -> tuple[Row, str | None]:
    """Do to one file what its row says; returns the row, with what was seen while doing it, and the item's name if it is one."""
    if row.action in ("dropped", "left out"):
        return row, None
    try:
        content = members.read(row.file)
    except (*UNREADABLE, NotImplementedError) as error:
        return row._replace(action="left out", why=f"{row.why}; could not be copied either ({error})"), None
    name = row.file
    if row.action == "clipped":
        content, suffixes, changed = _clipped(content, name, *limits)
        if PurePosixPath(name).suffix.lower() not in suffixes:
            name = str(PurePosixPath(name).with_suffix(suffixes[0]))
            name = row.file + suffixes[0] if name in members.sizes else name
        row = row._replace(why=f"{row.why}; {changed}" + (f"; written as {name}" if name != row.file else ""))
    place = folder / (prepared.QUARANTINE if row.action == "quarantined" else prepared.ITEMS) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return row, None if row.action == "quarantined" else name


def _clipped(content: bytes, name: str, low: float, high: float, dtype: np.dtype) -> tuple[bytes, tuple[str, ...], str]:
    """A picture with its values brought within [low, high], which are in `dtype`'s scale; transparency stays."""
    picture = images.decode(content, name)
    pixels, header = picture.pixels.copy(), picture.header
    deeper = 1.0 if pixels.dtype == dtype else np.iinfo(dtype).max / np.iinfo(pixels.dtype).max
    colours = pixels[..., : pixels.shape[2] - (header.colour in (GREY_ALPHA, RGBA))]
    before = colours.copy()
    np.clip(colours, low / deeper, high / deeper, out=colours, casting="unsafe")
    suffixes = images.suffixes(header)
    written = images.to_png(pixels, {}) if suffixes[0] == ".png" else images.to_tiff(pixels, header.colour, "")
    changed = f"{int((before != colours).sum()):,} of {colours.size:,} values clipped to {low / deeper:g} .. {high / deeper:g}"
    return written, suffixes, changed


def _described(folder: Path, rows: list[Row], told: dict[str, str] | None, rules: Rules, data: Data) -> None:
    """Write the rows, and what reading the folder needs."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Row._fields)
    table.writerows(rows)
    (folder / prepared.ROWS).write_text(text.getvalue(), encoding="utf-8", newline="")
    about = {
        "reverie_prepared": prepared.FORMAT,
        "reverie": reverie.__version__,
        "source": data.source,
        "rules": {**asdict(rules), "near": near.RULE, "outlier": OUTLIER_RULE},
        "groups": told,
    }
    files.write_json(folder / prepared.ABOUT, about)


def _cut(target: Path, rules: Rules) -> tuple[str, bool]:
    """Read the folder as training will; say how its items fall on the two sides unless asked otherwise, and whether they can."""
    try:
        data = read(target, label_from=rules.label_from)
        cut = split(data)
    except ReverieError as error:
        return f"as it stands it cannot be trained on: {error}", False
    words = f"{len(cut.train):,} to train, {len(cut.held_out):,} held out unless asked otherwise"
    if data.groups is None:
        return words, True
    out = {data.groups[k] for k in cut.held_out}
    return f"{words}: {len(out):,} of {len(set(data.groups)):,} groups held out whole", True
