"""What tuning found: trials beside the reference, in words and as JSON, and how the choice is kept in the model."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reverie
from reverie import files, storage
from reverie.errors import ReverieError
from reverie.evaluation.evaluate import LEVEL
from reverie.samples import Settings

# evaluations a sample; one way of each may be tried on the fresh seeds, and the interval is widened for as many
RUNGS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)


@dataclass(frozen=True)
class Ratio:
    """Distance of a way over distance of the reference, same seeds and items, with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Trial:
    """One way on the fresh seeds beside the reference: its distance, their ratio, its cost."""

    settings: Settings
    distance: float
    ratio: Ratio
    evaluations: float
    seconds: float

    def line(self) -> str:
        """Return it as one line for a person."""
        s = self.settings
        return (
            f"{s.steps} steps of {s.sampler}, grid {s.grid}, guidance {s.guidance:g}: {self.evaluations:.4g} evaluations "
            f"a sample, {self.seconds:.3g} s; distance {self.distance:.3g}, ratio {self.ratio.value:.3f} "
            f"[{self.ratio.low:.3f}, {self.ratio.high:.3f}]"
        )


@dataclass(frozen=True)
class Tuning:
    """What was found. chosen: None where no way was shown to be good enough.

    before: the model's default until now. tried: every way that was tried on the fresh seeds, the chosen last. seconds are
    for n samples. seeds: of the search and of the proof. notes: what a person should know of the items compared with.
    """

    chosen: Trial | None
    before: Trial
    reference: Trial
    tried: tuple[Trial, ...]
    tolerance: float
    n: int
    seeds: tuple[int, int]
    features: str
    features_hash: str
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        trials = {"chosen": self.chosen, "before": self.before, "reference": self.reference}
        return {
            **{k: None if t is None else _plain(t) for k, t in trials.items()},
            "tried": [_plain(t) for t in self.tried],
            "tolerance": self.tolerance,
            "n": self.n,
            "seeds": list(self.seeds),
            "metric": "frechet",
            "features": self.features,
            "features_hash": self.features_hash,
            "interval": f"{LEVEL:.0%} over {len(RUNGS)} tries",
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """Return it as lines for a person."""
        head = (
            f"Frechet distance to {self.n:,} held-out items, n = {self.n:,}, search on seed {self.seeds[0]}, proof on seed "
            f"{self.seeds[1]}; features: {self.features} {self.features_hash}"
        )
        notes = [f"Note: {note}" for note in self.notes]
        found = [*notes, head, f"reference: {self.reference.line()}", f"until now: {self.before.line()}"]
        found += [f"not shown: {t.line()}" for t in self.tried if t is not self.chosen]
        if self.chosen is None:
            return [
                *found,
                f"No way was shown to be within {self.tolerance:.0%} of the reference at this n; the model is left as it is. "
                "More held-out items and a larger -n narrow the interval; a larger --tolerance asks for less.",
            ]
        return [
            *found,
            f"chosen:    {self.chosen.line()}",
            f"The upper end of the ratio is within {1 + self.tolerance:g}. "
            f"{faster(self.chosen, self.reference, 'the reference')}; "
            f"{faster(self.chosen, self.before, 'the default until now')}.",
        ]


def faster(chosen: Trial, other: Trial, name: str) -> str:
    """How many times fewer evaluations, and how many times faster as measured."""
    return (
        f"{other.evaluations / chosen.evaluations:.3g} times fewer evaluations than {name}, measured "
        f"{other.seconds / chosen.seconds:.3g} times faster"
    )


def keep(run: Path, found: Tuning, weights: str) -> None:
    """Make what was chosen the default of the model in a folder, and note how it was found; nothing else of it changes.

    weights: SHA-256 of the weights that were tuned. Raises ReverieError where they are no longer the folder's.
    """
    assert found.chosen is not None
    with files.locked(run):
        about = storage.migrate(files.read_json(run / storage.DESCRIPTION), run)
        if files.sha256(run / storage.WEIGHTS) != weights:
            raise ReverieError(f"{run} was changed while it was tuned, so nothing was written. Tune it again.")
        about["sampling"] = found.chosen.settings.to_json()
        record = {"when": time.strftime("%Y-%m-%dT%H:%M:%S"), "reverie": reverie.__version__, **found.record()}
        if (earlier := about["training"].get("tuned")) is not None:
            record["earlier"] = earlier
        about["training"] = {**about["training"], "tuned": record}
        files.write_json(run / storage.DESCRIPTION, about)


def undo(run: Path) -> Settings:
    """Give the model in a folder back the defaults that it had before it was last tuned, and return them; only they change.

    A model that was tuned twice is then as it was after the first time. Raises ReverieError where it was never tuned.
    """
    with files.locked(run):
        about = storage.migrate(files.read_json(run / storage.DESCRIPTION), run)
        training = dict(about["training"])
        if (record := training.pop("tuned", None)) is None:
            raise ReverieError(f"{run} was not tuned, or that was undone: there is nothing to go back to.")
        if (earlier := record.get("earlier")) is not None:
            training["tuned"] = earlier
        about["sampling"] = record["before"]["settings"]
        about["training"] = training
        files.write_json(run / storage.DESCRIPTION, about)
    return Settings.from_json(about["sampling"])


def tuned_in_words(record: dict[str, Any]) -> str:
    """What `keep` noted, as one line."""
    chosen, reference, before = (record[k] for k in ("chosen", "reference", "before"))
    return (
        f"{record['when']}, within {record['tolerance']:.0%} of {reference['settings']['steps']:,} steps of "
        f"{reference['settings']['sampler']}: ratio {chosen['ratio']['value']:.3f} [{chosen['ratio']['low']:.3f}, "
        f"{chosen['ratio']['high']:.3f}], n = {record['n']:,}, seeds {', '.join(map(str, record['seeds']))}; "
        f"{chosen['evaluations']:.4g} evaluations a sample (before {before['evaluations']:.4g})"
    )


def _plain(trial: Trial) -> dict[str, Any]:
    return {**dataclasses.asdict(trial), "settings": trial.settings.to_json()}
