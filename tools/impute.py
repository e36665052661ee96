"""How well a model fills in table cells that were taken away: python -m tools.impute TABLE.csv --seeds 0,1,2 --steps 1500.

Each seed: a fifth of the rows is the test, and of its cells a share is emptied at random. The model is trained on the others,
once with cells told (--entries) and once without. Numbers of few values are taken as words. Numbers: root mean squared error over
the training standard deviation of the mean of the draws, and how often the truth lies in the draws' 90 % interval; words: share
right of the commonest draw.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.preprocessing import OneHotEncoder

import reverie
from reverie.tasks.complete import complete

Figures = dict[str, float]


def scores(
    train: pd.DataFrame, test: pd.DataFrame, hole: pd.DataFrame, best: pd.DataFrame, draws: list[pd.DataFrame]
) -> Figures:
    """RMSE of numbers, coverage of the 90 % interval, accuracy of words; means over columns."""
    errors, inside, right = [], [], []
    for name in train.columns:
        gap = hole[name].to_numpy()
        truth, guess = test[name][gap], best[name][gap]
        if train[name].dtype.kind not in "if":
            right.append(float((truth.to_numpy() == guess.to_numpy()).mean()))
            continue
        errors.append(float(np.sqrt(np.mean((truth - guess.astype(float)) ** 2)) / train[name].std()))
        if draws:
            x = np.stack([d[name][gap].astype(float) for d in draws])
            low, high = np.quantile(x, [0.05, 0.95], axis=0, method="weibull")
            inside.append(float(((truth >= low) & (truth <= high)).mean()))
    return {"rmse": np.mean(errors), "coverage": np.mean(inside) if inside else np.nan, "accuracy": np.mean(right)}


def mean_and_mode(train: pd.DataFrame, holed: pd.DataFrame) -> pd.DataFrame:
    """Each column's mean or commonest value in its gaps."""
    return holed.fillna({n: c.mean() if c.dtype.kind in "if" else c.mode()[0] for n, c in train.items()})


def iterative(
    train: pd.DataFrame, holed: pd.DataFrame, draws: int, seed: int
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """scikit-learn's IterativeImputer at its defaults, words one-hot but for their first; draws by its posterior sampling."""
    words = [n for n, c in train.items() if c.dtype.kind not in "if"]
    numbers = [n for n in train.columns if n not in words]
    sets = [OneHotEncoder(sparse_output=False, handle_unknown="ignore", drop="first") for _ in words]
    make = make_column_transformer(*((one, [n]) for one, n in zip(sets, words, strict=True)), remainder="passthrough")
    x = make.fit_transform(train[words + numbers])
    y = make.transform(holed[words + numbers])
    at = 0
    places = {}
    for name, one in zip(words, [t for _, t, _ in make.transformers_[: len(words)]], strict=True):
        places[name] = (slice(at, at + len(one.categories_[0]) - 1), one.categories_[0])
        y[holed[name].isna().to_numpy(), places[name][0]] = np.nan
        at += len(one.categories_[0]) - 1

    def filled(sample: bool, k: int) -> pd.DataFrame:
        done = IterativeImputer(random_state=k, sample_posterior=sample).fit(x).transform(y)
        found = holed.copy()
        for name, (here, classes) in places.items():
            rest = 1 - done[:, here].sum(1, keepdims=True)
            best = classes[np.concatenate([rest, done[:, here]], 1).argmax(1)]
            found[name] = holed[name].where(holed[name].notna(), pd.Series(best, holed.index))
        for k, name in enumerate(numbers):
            found[name] = done[:, at + k]
        return found

    return filled(False, seed), [filled(True, seed + k) for k in range(draws)]


def one_seed(table: pd.DataFrame, seed: int, args: argparse.Namespace) -> dict[str, Figures]:
    """Every method on one split."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table))[: args.rows]
    test, train = (table.iloc[i].reset_index(drop=True) for i in (order[: len(order) // 5], order[len(order) // 5 :]))
    hole = pd.DataFrame(rng.random(test.shape) < args.share, columns=test.columns)
    holed = test.mask(hole)
    place = args.work / f"train-{seed}.csv"
    train.to_csv(place, index=False)
    found: dict[str, Figures] = {}
    for entries in (0.0, args.entries):
        start = time.monotonic()
        model = reverie.train(
            str(place), steps=args.steps, size=args.size, seed=seed, entries=entries, threads=1, device="cpu"
        )
        took = time.monotonic() - start
        method, start = "trained" if entries else "known", time.monotonic()
        made = complete(model, holed, samples=args.draws, method=method, batch=4096, seed=seed)
        draws = [made[k].frame for k in range(args.draws)]
        key = f"{method}, --entries {entries:g}"
        found[key] = scores(train, test, hole, made.best.frame, draws)
        found[key] |= {"train_s": took, "fill_s": time.monotonic() - start}
    found["mean / most frequent"] = scores(train, test, hole, mean_and_mode(train, holed), [])
    found["IterativeImputer"] = scores(train, test, hole, *iterative(train, holed, args.draws, seed))
    return found


def main() -> None:
    """Print every seed as JSON, and the means with their ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", default="1500")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--entries", type=float, default=0.25)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--draws", type=int, default=19)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--drop", default="", help="columns to leave out, such as a copy of another")
    parser.add_argument("--work", type=Path, default=Path("/tmp"))
    args = parser.parse_args()
    table = pd.read_csv(args.table)
    table = table.drop(columns=[c for c in args.drop.split(",") if c])
    for name, column in table.items():
        if column.dtype.kind in "if" and column.nunique() <= 32:
            table[name] = "v" + column.astype(str)
    each = []
    for seed in map(int, args.seeds.split(",")):
        each.append(one_seed(table, seed, args))
        print(json.dumps({"seed": seed, **each[-1]}), flush=True)
    for method in each[0]:
        words = []
        for figure in each[0][method]:
            values = [one[method][figure] for one in each]
            words.append(f"{figure} {np.mean(values):.3f} [{min(values):.3f}, {max(values):.3f}]")
        print(f"{method:28s} {'   '.join(words)}")


if __name__ == "__main__":
    main()
