"""Models that a worker keeps in memory: read when first asked for, read again when changed, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from reverie import api, storage
from reverie.model import Model
from reverie.server.places import model_at


@dataclass(frozen=True)
class Kept:
    """A model in memory, the SHA-256 of its weights (`storage.fingerprint`), and the folder it is from."""

    model: Model
    own: str
    folder: Path
    stamp: tuple[int, int]


class Models:
    """At most `most` models of a folder of runs, on one device."""

    def __init__(self, runs: Path, device: str, threads: int | None, most: int) -> None:
        self.runs, self.device, self.threads, self.most = runs, device, threads, most
        self.names: list[
            str
        ] = []  # those in memory, the least recently used first; made anew, as another thread reads it
        self.evaluations = 0  # of all networks, a batch at a time
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def get(self, name: str) -> Kept:
        """A model by name; raises NoModel, and ReverieError for one that cannot be read."""
        folder = model_at(self.runs, name)
        stamp = _stamp(folder)
        kept = self._kept.pop(name, None)
        if kept is None or kept.stamp != stamp:
            while len(self._kept) >= self.most:  # before the new one is read, so that memory never holds more
                self._kept.popitem(last=False)
            model = api.load(folder, device=self.device, threads=self.threads)
            kept = Kept(model, storage.fingerprint(model), folder, stamp)
            kept.model.denoiser.network.register_forward_pre_hook(self._count)
        self._kept[name] = kept
        self.names = list(self._kept)
        return kept

    def drop(self, name: str) -> None:
        """Let go of a model; nothing where it is not in memory."""
        self._kept.pop(name, None)
        self.names = list(self._kept)

    def _count(self, network: object, given: object) -> None:
        self.evaluations += 1


def _stamp(folder: Path) -> tuple[int, int]:
    """What changes when a model is written anew: its description is written last, and by a rename."""
    where = folder if storage.is_model(folder) else storage.newest_checkpoint(folder) or folder
    about = (where / storage.DESCRIPTION).stat()
    return about.st_mtime_ns, about.st_ino
