"""What a verb makes of items: each with its name and with what made it, written as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs import Codec
from reverie.samples import free_file, safe_name, save_table, write_item

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass
class Items:
    """Items with what made them: a sequence that can save itself.

    items: as the codec's files hold them. names: of the files, without suffix, all different; `folders` above them, or None.
    facts: what is kept with each, the verb and the model (`origin`) first. said: what a person should read. conditions: by
    name, a value for each, written as conditions.csv where they are words or numbers. columns: of the sheet. captions: under
    the pictures. shown: how many the sheet shows. film: whether the items are frames, of which a GIF is written beside their
    folder.
    """

    items: Any
    names: list[str]
    facts: list[dict[str, Any]]
    codec: Codec
    said: list[str] = field(default_factory=list)
    folders: list[str] | None = None
    columns: int | None = None
    captions: list[str] | None = None
    shown: int = 256
    film: bool = False
    conditions: dict[str, list[Any]] = field(default_factory=dict)
    film_at: Path | None = field(default=None, init=False)  # where it was written last

    def __len__(self) -> int:
        """How many there are."""
        return len(self.items)

    def __getitem__(self, k: int) -> np.ndarray:
        """One item."""
        return self.items[k]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The items in order."""
        return iter(self.items)

    def lines(self) -> list[str]:
        """What a person should read."""
        return [*self.said, *([] if self.film_at is None else [f"film: {self.film_at}"])]

    def sheet(self) -> Image:
        """The first of them as one picture."""
        from PIL import Image

        from reverie.codecs.sheets import grid

        if self.codec.together:
            return Image.fromarray(self.codec.sheet(self.items))
        captions = None if self.captions is None else self.captions[: self.shown]
        return grid([self.codec.picture(item) for item in self.items[: self.shown]], self.columns, captions)

    def save(self, folder: str | Path, about: dict[str, Any] | None = None) -> list[Path]:
        """Write every item at full depth with what made it inside, where the format allows; return the paths."""
        paths = []
        if self.codec.together:  # one file, of what made them all
            verb = self.facts[0]["verb"]
            place = free_file(Path(folder), self.codec, f"{verb}{'d' if verb.endswith('e') else 'ed'}")
            return [write_item(self.codec, self.items, place, {**self.facts[0], **(about or {})})]
        for k, item in enumerate(self.items):
            place = Path(folder) if self.folders is None else Path(folder) / safe_name(self.folders[k])
            paths.append(write_item(self.codec, item, place / self.names[k], {**self.facts[k], **(about or {})}))
        save_table(Path(folder), paths, self.conditions)
        if self.film:
            self.film_at = self._save_film(Path(folder))
        return paths

    def _save_film(self, folder: Path) -> Path:
        """The items one after the other, beside the folder."""
        from reverie.codecs.sheets import grid
        from reverie.pictures import free_place
        from reverie.tasks.parts.films import save_film

        frames = [grid([self.codec.picture(item)], 1) for item in self.items]
        return save_film(frames, free_place(folder.with_name(folder.name + ".gif")))


def plain_name(k: int, name: str) -> str:
    """The k-th item's name as that of a file without suffix: numbered, so that no two are one."""
    return f"{k:05d}-{safe_name(Path(name).stem)}"
