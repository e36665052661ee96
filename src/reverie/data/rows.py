"""An array of pictures as if it were a folder of files, so that what is done to files can be done to its rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from reverie.codecs import files
from reverie.codecs.pixels import Header
from reverie.data.dataset import Data
from reverie.data.members import Members
from reverie.errors import ReverieError


class Rows(Members):
    """Row k as CLASS/k.png, or k.tif where PNG cannot hold it, at full depth; the classes are folders."""

    def __init__(self, path: Path, data: Data) -> None:
        self.data = data
        super().__init__(path)

    def _list(self) -> dict[str, int]:
        if odd := [c for c in self.data.classes if "/" in c or c.startswith(".")]:
            raise ReverieError(
                f"{self.path}: the label '{odd[0]}' cannot be a folder's name. Rename it, or leave labels out: --label-from none."
            )
        digits = len(str(len(self.data)))
        self._places = {
            f"{self._folder(k)}{k:0{digits}d}{files.suffixes(Header.of(item, self.data.colour))[0]}": k
            for k, item in enumerate(self.data.items)
        }
        return {name: self.data.items[k].nbytes for name, k in self._places.items()}

    def named(self) -> Data:
        """The data, its items called by the names of the files."""
        names = sorted(self._places, key=self._places.__getitem__)
        self.data.names = names
        return self.data

    def open(self, name: str) -> BinaryIO:
        """A row as the bytes of an image file."""
        item = self.data.items[self._places[name]]
        header = Header.of(item, self.data.colour)
        png = files.suffixes(header)[0] == ".png"
        return io.BytesIO(files.to_png(item, {}) if png else files.to_tiff(item, header.colour, ""))

    def _folder(self, k: int) -> str:
        return "" if self.data.labels is None else f"{self.data.classes[self.data.labels[k]]}/"
