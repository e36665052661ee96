"""Rows of a class that a model has not seen, told from the others: AUROC beside nearest neighbours and an isolation forest.

    .venv/bin/python benchmarks/table_detect.py --islp FOLDER/ISLP/data [--only wine] [--seeds 0,1,2] [--steps 300]

The normal rows are halved by the seed; a model learns from the one half. Of the other, 2,000 at most, one half calibrates, and
one is told from the anomalous rows, 1,000 at most; the column that says which is which is left out. Neighbours (the mean distance
to the 5 nearest rows of the first half) and scikit-learn's forest at its defaults see the same rows, encoded in the same way.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import cast

import reverie  # before torch: it sets GOMP_SPINCOUNT

# isort: split
import numpy as np
import pandas as pd
from sklearn import datasets

from reverie.codecs.cells import Category
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.data.dataset import Data
from reverie.tasks.detect import detect
from reverie.tasks.parts.anomaly import Auroc
from reverie.tasks.parts.findings import TableFindings

MOST = 1000
SETS = {
    "breast_cancer": ("target", 0, "malignant"),
    "wine": ("target", 2, "the third"),
    "iris": ("target", 2, "virginica"),
    "Default": ("default", "Yes", "defaulted"),
    "Caravan": ("Purchase", "Yes", "bought"),
    "OJ": ("Purchase", "MM", "Minute Maid"),
}
WAYS = ("detect", "knn5", "forest")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--islp", type=Path, required=True)
    words.add_argument("--only", default=",".join(SETS))
    words.add_argument("--seeds", default="0,1,2")
    words.add_argument("--steps", type=int, default=300)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    found = []
    for name in asked.only.split(","):
        normal, odd, what = sides(name, asked.islp)
        for seed in map(int, asked.seeds.split(",")):
            found.append({"table": name, "anomalous": what, "seed": seed, **judged(normal, odd, seed, asked)})
            print(found[-1], flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(found, indent=1))
    frame = pd.DataFrame(found)
    print(frame.groupby("table", sort=False)[list(WAYS)].agg(["mean", "min", "max"]).round(3).to_string())
    print(frame.groupby("table")[list(WAYS)].mean().mean().round(4).to_string())


def sides(name: str, islp: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Normal rows and anomalous ones, without the column that tells, and what the anomalous are."""
    column, odd, what = SETS[name]
    local = islp / f"{name}.csv"
    frame = Rows.read(local).frame if local.exists() else getattr(datasets, f"load_{name}")(as_frame=True).frame
    truth = frame.pop(column) == odd
    return frame[~truth].reset_index(drop=True), frame[truth].reset_index(drop=True), what


def judged(normal: pd.DataFrame, odd: pd.DataFrame, seed: int, asked: argparse.Namespace) -> dict[str, float]:
    """AUROC of each way, and how many rows hold a word that the model has not seen, which all three leave out."""
    order = np.random.default_rng(seed).permutation(len(normal))
    half = len(order) // 2
    seen = normal.iloc[order[:half]].reset_index(drop=True)
    data = Data(Rows(seen), [f"row {k}" for k in range(len(seen))], kind="table", source="normal rows", held_out=0.1)
    model = reverie.train(data, steps=asked.steps, seed=seed, threads=asked.threads)
    codec = cast(TableCodec, model.codec)
    odd = odd.iloc[np.random.default_rng(seed).permutation(len(odd))[:MOST]]
    unseen, odd = (legible(codec, rows) for rows in (normal.iloc[order[half : half + 2 * MOST]], odd))
    made = cast(TableFindings, detect(model, Rows(odd), fpr=0.2, normal=Rows(unseen), train=Rows(seen), batch=512))
    ways = {
        "detect": (made.check.scores, made.scores), "knn5": (made.near_check, made.near),
        "forest": (made.forest_check, made.forest),
    }  # fmt: skip
    found = {way: Auroc.of(*scores).value for way, scores in ways.items()}
    return {**found, "normal": len(made.check.scores), "odd": len(odd)}


def legible(codec: TableCodec, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without words that training had not: they are strange without any model."""
    odd = np.any(
        [c.unknown(frame[c.name]) for c in codec.cells if isinstance(c, Category)] or [np.zeros(len(frame))], 0
    )
    return frame[~odd.astype(bool)].reset_index(drop=True)


if __name__ == "__main__":
    main()
