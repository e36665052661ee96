"""What made a file: the settings that every output carries, read back so that it can be made again."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reverie
from reverie.errors import ReverieError
from reverie.files import read_json, sha256
from reverie.model import Model
from reverie.samples import Settings
from reverie.storage import fingerprint

_SETTINGS = Settings.__dataclass_fields__


def origin(verb: str, model: Model) -> dict[str, Any]:
    """What everything that a verb gives says first of where it is from."""
    return {"verb": verb, "model_sha256": fingerprint(model)}


@dataclass(frozen=True)
class Saved:
    """A sample that was written before: how it was drawn.

    index: it is sample `index` of the seed. together: the first of those it was computed with, and how many they were.
    """

    path: Path
    settings: Settings
    seed: int
    index: int
    label: str | None
    conditions: dict[str, Any]
    together: tuple[int, int]

    @classmethod
    def read(cls, path: Path, model: str) -> Saved:
        """Read a sample of the model with this fingerprint; raises ReverieError for one of another model or verb."""
        made = read_made(path)
        if made.get("verb", "sample") != "sample":
            raise ReverieError(
                f"{path} was made by `reverie {made['verb']}`; --like repeats what `reverie sample` drew."
            )
        if made.get("model_sha256") not in (None, model):
            raise ReverieError(
                f"{path} was drawn by another model: its weights are {made['model_sha256'][:12]}, this model's {model[:12]}. "
                f"Give the one that drew it ({made.get('model', 'it does not say where that was')})."
            )
        try:
            settings = Settings.from_json({k: v for k, v in made.items() if k in _SETTINGS})
            first, count = made.get("together", (made["index"], 1))
            label, others, together = made.get("label"), dict(made.get("conditions", {})), (int(first), int(count))
            return cls(path, settings, int(made["seed"]), int(made["index"]), label, others, together)
        except (KeyError, TypeError, ValueError) as error:
            raise ReverieError(f"The settings in {path} are damaged ({type(error).__name__}: {error}).") from error

    def told(self, but: Collection[str]) -> dict[str, Any]:
        """Its label and other conditions, but some; a picture is the file that it was, if that is there and unchanged."""
        label = {} if self.label is None else {"label": self.label}
        return {n: restored(v, n, str(self.path)) for n, v in {**label, **self.conditions}.items() if n not in but}

    def line(self, asked: dict[str, Any]) -> str:
        """What is drawn, in words, and what was asked for beside it (None: nothing)."""
        had = {"seed": self.seed, "label": self.label, **vars(self.settings)}
        changed = [f"{k} {v} (it had {had[k]})" for k, v in asked.items() if v is not None and v != had[k]]
        again = f"like {self.path}: sample {self.index} of seed {self.seed}"
        return again + (f", but {', '.join(changed)}" if changed else ", again")


def restored(value: Any, name: str, whose: str) -> Any:
    """A condition's value as it was before `samples.plainly`; raises ReverieError for a picture that is not as it was."""
    if not isinstance(value, dict):
        return value
    place = Path(value.get("file", ""))
    if not place.is_file() or sha256(place) != value.get("sha256"):
        raise ReverieError(
            f"{whose} was made from a picture '{name}' ({value.get('file', 'an array')}) that is no longer as it was. "
            f"Give it again: --condition {name}=FILE."
        )
    return place


def read_made(path: Path) -> dict[str, Any]:
    """The settings in a PNG's text chunk, a TIFF's description, a JSON file, or the JSON file beside any other.

    Raises ReverieError for a file that is not there or carries none, and for settings of a newer Reverie.
    """
    if not path.is_file():
        raise ReverieError(f"There is no file {path}. Name one that `reverie sample` wrote.")
    beside = path.with_suffix(".json")
    found = _inside(path) if path.suffix.lower() != ".json" else read_json(path)
    if found is None and beside.is_file():
        found = read_json(beside)
    if found is None or "seed" not in found:
        raise ReverieError(
            f"{path} carries no settings of Reverie's, and there is no {beside.name} beside it: it was not drawn by "
            "`reverie sample`, or a program that re-saved it dropped them."
        )
    if _number(found.get("reverie", "0")) > _number(reverie.__version__):
        raise ReverieError(
            f"{path} was made by Reverie {found['reverie']}; this is {reverie.__version__}. Upgrade Reverie to repeat it."
        )
    return found


def _inside(path: Path) -> dict[str, Any] | None:
    """What the file itself says, or None."""
    import tifffile
    from PIL import Image, UnidentifiedImageError

    from reverie.codecs.files import sniff

    try:
        if sniff(path.read_bytes()[:32]) == "tiff":
            with tifffile.TiffFile(path) as tif:
                text = json.loads(tif.pages.first.description)["reverie"]
        else:
            with Image.open(path) as image:
                image.load()  # chunks of text may lie behind the pixels
                text = image.info["reverie"]
        found = json.loads(text)
    except (UnidentifiedImageError, tifffile.TiffFileError, KeyError, TypeError, ValueError, OSError, SyntaxError):
        return None
    return found if isinstance(found, dict) else None


def _number(version: str) -> tuple[int, ...]:
    """A version as something to compare; what is no number counts as 0."""
    return tuple(int(word) if word.isdecimal() else 0 for word in version.split("."))
