"""Synthetic tables beside a Gaussian copula, CTGAN and ForestDiffusion: the same rows, the same split, the same scores.

    python3.11 -m venv .venv-tables && .venv-tables/bin/pip install -r benchmarks/requirements-tables.txt       (once)
    pip download --no-deps ISLP && unzip the wheel somewhere                                                  (once)
    .venv/bin/python benchmarks/tables.py --islp FOLDER/ISLP/data [--only iris,wine] [--seeds 0,1,2] [--seconds 60]

Of each table a fifth of the rows is held out (--splits 0: by which seeds; several where a fifth of few rows says little). Reverie
trains for --seconds of processor time on one thread, so that what else the machine does counts for nothing, the peers as long,
and with --defaults as long as they are made for. Then each makes as many rows as training has, 2,000 at most unless more are held
out. Scores, all against the held-out rows, the real training rows' own beside them; c2st and coverage on as many rows made as are
held out, the others on all of them:

  shapes, trends    column shapes and column pair trends (reverie.metrics.columns, which agree with sdmetrics)
  c2st              AUC of a gradient-boosted classifier that tells samples from held-out rows, 5 folds: 0.5 is best
  tstr              a gradient-boosted model trained on samples and tested on held-out rows (accuracy or R2 of the target)
  coverage          share of held-out rows that have a sample no farther than their fifth neighbour (Naeem et al. 2020)
  closer            share of all samples nearer to a training than to a held-out row (as many of each, so 0.5 by chance, in the
                    mean over 20 draws of those training rows): above 0.55 is copying
  record            median distance of a sample to its closest training row, over that of held-out rows: below 1 is closer
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import reverie  # before torch: it sets GOMP_SPINCOUNT

# isort: split
import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.data.dataset import Data
from reverie.metrics.columns import ColumnPairTrends, ColumnShapes
from reverie.metrics.distances import nearest
from reverie.metrics.neighbours import Coverage

FEW = 50  # steps of a run that is timed, and four times as many
DEALS = 20  # of training rows, as many as are held out
MOST = 2000  # rows that are made of a table, unless more are held out
HERE = Path(__file__).resolve().parent
PEER_PYTHON = HERE.parent / ".venv-tables" / "bin" / "python"
ISLP = {"Default": "default", "Bikeshare": "bikers", "Wage": "wage", "Caravan": "Purchase"}
SKLEARN = ("breast_cancer", "wine", "iris", "diabetes")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--islp", type=Path, required=True)
    words.add_argument("--only", default=",".join([*SKLEARN, *ISLP]))
    words.add_argument("--seeds", default="0,1,2")
    words.add_argument("--splits", default="0")
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument(
        "--steps", type=int, help="of Reverie, where the machine is too busy to tell what the time holds"
    )
    words.add_argument("--contenders", default="reverie,copula,ctgan,forest")
    words.add_argument("--defaults", action="store_true")
    words.add_argument("--python", type=Path, default=PEER_PYTHON)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--limit", type=float, default=600, help="seconds after which a peer is given up")
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    found = []
    for name, split in itertools.product(asked.only.split(","), map(int, asked.splits.split(","))):
        frame, target = table(name, asked.islp)
        order = np.random.default_rng(split).permutation(len(frame))
        cut = len(frame) // 5
        count = min(len(frame) - cut, max(cut, MOST))
        held, train = (frame.iloc[part].reset_index(drop=True) for part in (order[:cut], order[cut:]))
        judge = Judge(train, held, target)
        again = train.iloc[np.random.default_rng(1).permutation(len(train))[:count]].reset_index(drop=True)
        found.append(say(name, "real rows", 0, 0.0, judge(again), {"split": split}))
        for seed in map(int, asked.seeds.split(",")):
            for contender in asked.contenders.split(","):
                made, took, about = (
                    ours(train, count, asked.seconds, seed, asked.threads, asked.steps)
                    if contender == "reverie"
                    else theirs(asked, contender, train, count, seed)
                )
                if made is None:
                    print(f"{name:14s} {contender:10s} seed {seed}  not done within {took:g} s", flush=True)
                    continue
                found.append(say(name, contender, seed, took, judge(made), {**about, "split": split}))
                if asked.json:
                    asked.json.write_text(json.dumps(found, indent=1))
    summary(found)


def table(name: str, islp: Path) -> tuple[pd.DataFrame, str]:
    """A table and the column that is predicted from the others."""
    if name in ISLP:
        return Rows.read(islp / f"{name}.csv").frame, ISLP[name]
    return getattr(datasets, f"load_{name}")(as_frame=True).frame, "target"


def ours(
    train: pd.DataFrame, n: int, seconds: float, seed: int, threads: int, steps: int | None = None
) -> tuple[pd.DataFrame, float, dict]:
    """Rows drawn from a model of Reverie's, at its defaults, of so many steps, or as many as the time holds by short runs."""
    names = [f"row {k}" for k in range(len(train))]
    data = Data(Rows(train), names, kind="table", source="train", held_out=0.1)

    def trained(steps: int) -> tuple[reverie.Model, float]:
        started = time.process_time()
        return reverie.train(data, steps=steps, seed=seed, threads=threads), time.process_time() - started

    trained(2)  # what is imported and allocated once
    if steps is None:
        (_, few), (_, more) = trained(FEW), trained(4 * FEW)
        steps = max(int((seconds - few) / ((more - few) / (3 * FEW))) + FEW, 1)
    model, took = trained(steps)
    return model.sample(n, seed=seed, batch=1024).items.frame, took, {"steps": model.record["step"]}


def theirs(
    asked: argparse.Namespace, peer: str, train: pd.DataFrame, n: int, seed: int
) -> tuple[pd.DataFrame | None, float, dict]:
    """Rows of a peer, made in its own environment; None where it took longer than the limit."""
    seconds = 0 if asked.defaults else asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "train.csv", Path(folder) / "made.csv"
        train.to_csv(source, index=False)
        words = [asked.python, HERE / "table_peers.py", peer, source, target, n, f"{seconds:g}", seed, asked.threads]
        threads = {"OMP_NUM_THREADS": str(asked.threads)}
        try:
            done = subprocess.run(
                list(map(str, words)),
                capture_output=True,
                text=True,
                cwd=folder,
                timeout=asked.limit,
                env=os.environ | threads,
            )
        except subprocess.TimeoutExpired:
            return None, asked.limit, {}
        if done.returncode:
            raise SystemExit(f"{peer} failed:\n{done.stderr[-2000:]}")
        about = json.loads(done.stdout.strip().splitlines()[-1])
        return pd.read_csv(target).astype(train.dtypes.to_dict()), about.pop("seconds"), about


class Judge:
    """The scores of rows against held-out ones."""

    def __init__(self, train: pd.DataFrame, held: pd.DataFrame, target: str) -> None:
        self.train, self.held, self.target = train, held, target
        self.codec = TableCodec.fit(
            Rows(pd.concat([train, held], ignore_index=True))
        )  # so that every category is known

    def __call__(self, every: pd.DataFrame) -> dict[str, float]:
        made = every.iloc[: len(self.held)]
        real, fake = self._records(self.held), self._records(every)
        return {
            "shapes": ColumnShapes()(real, fake),
            "trends": ColumnPairTrends()(real, fake),
            "c2st": self._told_apart(made),
            "tstr": self._useful(every),
            "coverage": Coverage()(self._far(self.held), self._far(made)),
            "closer": self._closer(every),
            "record": self._record(every),
        }

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        return self.codec.numbers(self.codec.encode_all(Rows(frame)))

    def _records(self, frame: pd.DataFrame) -> np.ndarray:
        return self.codec.records(self._numbers(frame))

    def _plain(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Numbers as they are, words as numbers."""
        coded = {}
        for c in frame:
            words = sorted(self.train[c].astype(str).unique())
            coded[c] = (
                frame[c].astype(float) if frame[c].dtype.kind in "iufb" else frame[c].astype(str).map(words.index)
            )
        return pd.DataFrame(coded)

    def _told_apart(self, made: pd.DataFrame) -> float:
        x = pd.concat([self._plain(self.held), self._plain(made)], ignore_index=True)
        y = np.repeat([0, 1], [len(self.held), len(made)])
        told = cross_val_predict(HistGradientBoostingClassifier(random_state=0), x, y, cv=5, method="predict_proba")
        return float(roc_auc_score(y, told[:, 1]))

    def _useful(self, learned_from: pd.DataFrame) -> float:
        x, test = self._plain(learned_from), self._plain(self.held)
        y, truth = x.pop(self.target), test.pop(self.target)
        if self.train[self.target].nunique() > 20:
            return float(r2_score(truth, HistGradientBoostingRegressor(random_state=0).fit(x, y).predict(test)))
        if y.nunique() < 2:
            return float((truth == y.iloc[0]).mean())
        return float((HistGradientBoostingClassifier(random_state=0).fit(x, y).predict(test) == truth).mean())

    def _far(self, frame: pd.DataFrame) -> np.ndarray:
        return self._numbers(frame).astype(np.float64)

    def _closer(self, made: pd.DataFrame) -> float:
        x, held, train = self._far(made), self._far(self.held), self._far(self.train)
        to_held, rng, found = nearest(x, held, 1)[0][:, 0], np.random.default_rng(2), []
        for _ in range(DEALS):
            to_train = nearest(x, train[rng.permutation(len(train))[: len(held)]], 1)[0][:, 0]
            found.append(np.mean((to_train < to_held) + 0.5 * (to_train == to_held)))
        return float(np.mean(found))

    def _record(self, made: pd.DataFrame) -> float:
        train = self._far(self.train)
        mine, theirs = (np.median(nearest(self._far(rows), train, 1)[0]) for rows in (made, self.held))
        return float(mine / theirs) if theirs else float("nan")


def say(name: str, contender: str, seed: int, took: float, scores: dict[str, float], about: dict) -> dict:
    """Print a row and keep it."""
    words = "  ".join(f"{k} {v:.3f}" for k, v in scores.items())
    print(f"{name:14s} {contender:10s} seed {seed}  {took:6.1f} s  {words}  {about or ''}", flush=True)
    return {"table": name, "contender": contender, "seed": seed, "seconds": took, **scores, **about}


def summary(found: list[dict]) -> None:
    """Means over tables of the mean of shapes and trends, and of each score."""
    frame = pd.DataFrame(found)
    frame["both"] = (frame["shapes"] + frame["trends"]) / 2
    scores = ["both", "shapes", "trends", "c2st", "tstr", "coverage", "closer", "record"]
    print(frame.groupby(["table", "contender"], sort=False)[scores].mean().round(3).to_string())
    print(frame.groupby("contender", sort=False)[scores].mean().round(3).to_string())


if __name__ == "__main__":
    main()
