"""What `reverie detect` finds: scores, p-values and flags, what they are worth, and where in a picture the error lies."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import reverie
from reverie import files
from reverie.codecs import Codec
from reverie.errors import ReverieError
from reverie.evaluation.classifier import Share, share
from reverie.samples import free_file
from reverie.tasks.parts.anomaly import Auroc, Errors, FieldErrors, p_values
from reverie.tasks.parts.inputs import Inputs

if TYPE_CHECKING:
    from PIL.Image import Image

NORMAL, ANOMALOUS = "normal", "anomalous"
_HOTTEST = 5.0  # times the usual error: the brightest that a heat map shows
_SHOWN = 32
_STRIP = 16  # pixels that the errors of a row are high


@dataclass
class Findings:
    """Items with their scores, beside those of normal items that calibrate the threshold and of others that check it.

    near, near_check: the mean distance to the 5 nearest training items of the items and of the check half. classes: that the
    model was told in turn, none where it was not. notes: what a person should know of what was told.
    """

    given: Inputs
    codec: Codec
    fpr: float
    errors: Errors | FieldErrors
    calibration: Errors | FieldErrors
    check: Errors | FieldErrors
    near: np.ndarray
    near_check: np.ndarray
    settings: dict[str, Any]
    classes: list[str]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many items."""
        return len(self.given)

    @property
    def scores(self) -> np.ndarray:
        """(N,), higher is stranger."""
        return self.errors.scores

    @cached_property
    def p(self) -> np.ndarray:
        """(N,), conformal p-values."""
        return p_values(self.calibration.scores, self.scores)

    @property
    def flagged(self) -> np.ndarray:
        """(N,) bool, p at most the rate asked for."""
        return self.p <= self.fpr

    @property
    def seen(self) -> Share:
        """How many of the normal items that did not calibrate are flagged, with its exact 95 % interval."""
        return share(p_values(self.calibration.scores, self.check.scores) <= self.fpr)

    @cached_property
    def aurocs(self) -> tuple[Auroc, Auroc, str]:
        """Of the scores, of the nearest neighbours on the same items, and which items they were."""
        labels = np.array(self.given.labels or [])
        which = f"all {len(self):,} against {len(self.check.scores):,} normal held-out items"
        if set(labels.tolist()) == {NORMAL, ANOMALOUS}:
            which = f"{(labels == ANOMALOUS).sum():,} anomalous against {(labels == NORMAL).sum():,} normal"
        return self._auroc(self.scores, self.check.scores), self._auroc(self.near, self.near_check), which

    def _auroc(self, values: np.ndarray, check: np.ndarray) -> Auroc:
        """Of the items that are called anomalous against those called normal; where none are, of all against the check half."""
        labels = np.array(self.given.labels or [])
        if set(labels.tolist()) == {NORMAL, ANOMALOUS}:
            return Auroc.of(values[labels == NORMAL], values[labels == ANOMALOUS])
        return Auroc.of(check, values)

    @property
    def _comparable(self) -> bool:
        """Whether a rate of ranks says anything: of items that are known to be anomalous, or of more than one."""
        return set(self.given.labels or []) == {NORMAL, ANOMALOUS} or len(self) > 1

    def lines(self) -> list[str]:
        """What was flagged, the rate of false alarms that was seen, and how it compares with nearest neighbours."""
        seen, (own, near, which) = self.seen, self.aurocs
        return [
            f"{self.flagged.sum():,} of {len(self):,} flagged at a false-positive rate of {self.fpr:g}, "
            f"calibrated on {len(self.calibration.scores):,} normal items",
            f"of {seen.n:,} other normal items {seen.k:,} would be: {seen.value:.1%} [{seen.low:.1%}, {seen.high:.1%}]",
            *(
                [f"AUROC {own}, where 0.5 is chance and 1 perfect; by the 5 nearest training items {near} ({which})"]
                if self._comparable
                else []
            ),
            *self.notes,
        ]

    def sheet(self) -> Image:
        """The strangest items, each above its heat map."""
        from reverie.codecs.sheets import grid

        order, heat = np.argsort(-self.scores, kind="stable")[:_SHOWN], self._heat()
        pictures, captions = [], []
        for start in range(0, len(order), 8):
            row = order[start : start + 8]
            blank = np.full_like(heat[0], 255)
            pad = [blank] * (8 - len(row))
            pictures += (
                [self.codec.picture(self.given.items[k])[..., :3] for k in row] + pad + [heat[k] for k in row] + pad
            )
            captions += [f"p {self.p[k]:.2g}" for k in row] + [""] * (16 - len(row))
        return grid(pictures, 8, captions)

    def save(self, folder: Path, about: dict[str, Any]) -> list[Path]:
        """Write found.csv (name, score, p, flagged, near), found.json with all settings, and a heat map of each item.

        Of items that share a file also that file, with the error of each place beside it, 1 for what is usual. Where `folder` is
        called as such a file, that file alone, with score, p, flagged and knn5 of its part beside each place, and the settings.
        """
        from reverie.pictures import save_sheet
        from reverie.tasks.parts.items import plain_name

        folder, table = Path(folder), io.StringIO()
        if self.codec.together and folder.suffix.lower() in self.codec.suffixes:
            return self._save_file(free_file(folder, self.codec), about)
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["name", "score", "p", "flagged", "knn5", "nearest_label", "heat"])
        from PIL import Image

        for k, heat in enumerate(self._heat()):
            place = Path("heat") / f"{plain_name(k, self.given.names[k])}.png"
            save_sheet(Image.fromarray(heat), folder / place)
            numbers = [f"{self.scores[k]:.6g}", f"{self.p[k]:.6g}", int(self.flagged[k]), f"{self.near[k]:.6g}"]
            label = self.classes[self.errors.label[k]] if self.classes else ""
            writer.writerow([self.given.names[k], *numbers, label, place.as_posix()])
        files.write_text(folder / "found.csv", table.getvalue())
        files.write_json(folder / "found.json", self._figures(about))
        made = [folder / "found.csv", folder / "found.json"]
        if not self.codec.together:
            return made
        return [*made, self._places(folder / f"places{self.codec.suffixes[0]}")]

    def _figures(self, about: dict[str, Any]) -> dict[str, Any]:
        own, near, which = self.aurocs
        settings = {"reverie": reverie.__version__, **self.settings, **about}
        return settings | {
            "auroc": vars(own), "auroc_knn5": vars(near), "compared": which, "false_positives": vars(self.seen),
            "calibrated_on": len(self.calibration.scores),
        }  # fmt: skip

    def _save_file(self, place: Path, about: dict[str, Any]) -> list[Path]:
        """The items' own file with all that was found beside each place, and the settings as JSON beside it."""
        own = {"score": self.scores, "p": self.p, "flagged": self.flagged.astype(float), "knn5": self.near}
        path = self._places(place, own)
        files.write_json(path.with_suffix(".json"), self._figures(about))
        return [path, path.with_suffix(".json")]

    def _places(self, place: Path, own: dict[str, np.ndarray] | None = None) -> Path:
        """The items' own file with the error of each place, and what each item has of its own (N,), by name."""
        assert isinstance(self.errors, Errors)
        assert isinstance(self.calibration, Errors)
        heat = self.errors.heat(self.calibration)
        spread = {name: np.broadcast_to(values[:, None], heat.shape) for name, values in (own or {}).items()}
        return self.codec.write(self.codec.annotated(self.given.items, {"error": heat, **spread}), place)

    def _heat(self) -> np.ndarray:
        """(N, H, W, 3) uint8: dark where the error is as among normal items or less, bright where it is 5 times that."""
        from matplotlib import colormaps

        assert isinstance(self.errors, Errors)
        assert isinstance(self.calibration, Errors)
        heat = self.errors.heat(self.calibration)
        if heat.ndim == 2:  # one row of a place's errors, as a strip as wide as the item is in its picture
            wide = self.codec.picture(self.given.items[0]).shape[1] - sum(self.codec.margins)
            heat = np.repeat(heat[:, None, np.arange(wide) * heat.shape[1] // wide], _STRIP, 1)
        shown = (colormaps["inferno"](np.clip(heat / _HOTTEST, 0, 1))[..., :3] * 255).round().astype(np.uint8)
        return np.pad(shown, ((0, 0), (0, 0), self.codec.margins, (0, 0)), constant_values=255)


@dataclass
class TableFindings(Findings):
    """Findings of items that are one file: written as that file with the scores beside each item.

    forest, forest_check: scores of an isolation forest fitted to the training items, of the items and of the check half.
    """

    forest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    forest_check: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def lines(self) -> list[str]:
        """The same, with the isolation forest."""
        first, *rest = super().lines()
        return [first, *rest, f"isolation forest {self._auroc(self.forest, self.forest_check)} on the same"]

    def sheet(self) -> Image:
        """The items, the strangest first."""
        from PIL import Image

        order = np.argsort(-self.scores, kind="stable")
        given = self.given.some(order)
        return Image.fromarray(self.codec.sheet(self._beside(given.items, order), given.names))

    def save(self, folder: Path, about: dict[str, Any]) -> list[Path]:
        """Write the items with columns score, p, flagged, knn5 and forest, and all settings in a .json beside."""
        place = free_file(Path(folder), self.codec, "found")
        own, near, which = self.aurocs
        figures = {
            "auroc": vars(own), "auroc_knn5": vars(near), "auroc_forest": vars(self._auroc(self.forest, self.forest_check)),
            "compared": which, "false_positives": vars(self.seen), "calibrated_on": len(self.calibration.scores),
        }  # fmt: skip
        given = self.codec.as_written(self.given.items, place)
        path = self.codec.write(self._beside(given, np.arange(len(self))), place)
        settings = {"reverie": reverie.__version__, **self.settings, **about}
        files.write_json(path.with_suffix(".json"), {**settings, **figures})
        return [path, path.with_suffix(".json")]

    def _beside(self, items: Any, which: np.ndarray) -> Any:
        said = {
            "score": self.scores,
            "p": self.p,
            "flagged": self.flagged.astype(int),
            "knn5": self.near,
            "forest": self.forest,
        }
        return self.codec.annotated(items, {name: values[which] for name, values in said.items()})


def judged(labels: list[str]) -> list[str]:
    """What a column of normal and anomalous, 0 and 1, no and yes or false and true says; ReverieError for any other words."""
    said = {"normal": NORMAL, "anomalous": ANOMALOUS, "anomaly": ANOMALOUS}
    said |= dict.fromkeys(("0", "no", "false"), NORMAL) | dict.fromkeys(("1", "yes", "true"), ANOMALOUS)
    words = [label.lower() for label in labels]
    if odd := sorted(set(words) - set(said)):
        raise ReverieError(
            f"--label-from: a column that says what is anomalous holds normal and anomalous, 0 and 1 or no and yes; this one has "
            f"{', '.join(odd[:5])}."
        )
    return [said[word] for word in words]
