"""Sheets of samples, as a person looks at them, and where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reverie.files import write_whole

if TYPE_CHECKING:
    from PIL import Image

    from reverie.samples import Samples


def free_place(path: Path) -> Path:
    """The path itself, or with the first number behind its name that is not taken: no file is replaced."""
    taken = path
    for k in range(2, 1_000_000):
        if not taken.exists():
            break
        taken = path.with_name(f"{path.stem}-{k}{path.suffix}")
    return taken


def sheet(samples: Samples, columns: int | None = None) -> Image.Image:
    """Samples as one picture, labelled where they have labels."""
    classes = len(set(samples.labels or []))
    if columns is None and 1 < classes <= 20 and len(samples) % classes == 0:
        columns = classes  # a column for each class, where labels come in turn
    from PIL import Image

    return Image.fromarray(samples.codec.sheet(samples.items, samples.labels, columns))


def save_sheet(picture: Image.Image, path: Path) -> Path:
    """Write a picture whole, as PNG."""
    write_whole(path, lambda p: picture.save(p, "PNG"))
    return path
