"""One peer of tables.py, in the benchmark's own environment: reads train.csv, writes N rows like it, says what it took.

    .venv-tables/bin/python benchmarks/table_peers.py PEER train.csv out.csv N SECONDS SEED THREADS

copula: a Gaussian copula as SDV has it, `copulas` between the transformers of `rdt`. ctgan: `ctgan` with as many epochs as
the seconds hold, 300 (its default) where SECONDS is 0. forest: `ForestDiffusion`, flow, at its defaults where SECONDS is 0, else
with as many copies of the data (duplicate_K) as fit the time, judged by a few of its noise levels, and where not even one copy
does, fewer levels (n_t).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

TRIAL = 3  # of ForestDiffusion's noise levels, by which its time is judged


def main() -> None:
    peer, source, target, n, seconds, seed, threads = sys.argv[1:8]
    warnings.filterwarnings("ignore")
    frame = pd.read_csv(source)
    np.random.seed(int(seed))
    started = time.process_time()
    made, about = {"copula": copula, "ctgan": ctgan, "forest": forest}[peer](
        frame, int(n), float(seconds), int(seed), int(threads)
    )
    made[list(frame.columns)].to_csv(target, index=False)
    print(json.dumps({"seconds": round(time.process_time() - started, 1), **about}))


def classes(frame: pd.DataFrame) -> list[str]:
    """Columns of words, and whole numbers of few values: what Reverie takes for categories too."""
    few = min(32, len(frame) / 5)
    return [c for c in frame if frame[c].dtype.kind not in "iuf" or (frame[c].nunique() <= few and whole(frame[c]))]


def whole(column: pd.Series) -> bool:
    return bool((column.dropna() % 1 == 0).all())


def copula(frame: pd.DataFrame, n: int, seconds: float, seed: int, threads: int) -> tuple[pd.DataFrame, dict]:
    from copulas.multivariate import GaussianMultivariate
    from rdt import HyperTransformer
    from rdt.transformers import FloatFormatter, UniformEncoder

    known = set(classes(frame))
    ways = {
        c: UniformEncoder() if c in known else FloatFormatter(enforce_min_max_values=True, learn_rounding_scheme=True)
        for c in frame
    }
    transformer = HyperTransformer()
    transformer.set_config(
        {"sdtypes": {c: "categorical" if c in known else "numerical" for c in frame}, "transformers": ways}
    )
    model = GaussianMultivariate(random_state=seed)
    model.fit(transformer.fit_transform(frame))
    return transformer.reverse_transform(model.sample(n)), {}


def ctgan(frame: pd.DataFrame, n: int, seconds: float, seed: int, threads: int) -> tuple[pd.DataFrame, dict]:
    import torch
    from ctgan.synthesizers import ctgan as module

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    frame = frame.dropna()
    done = 0

    def until(epochs: Iterable[int], **_: object) -> Iterator[int]:
        """Its progress bar, which its loop goes over: ended by the clock, as nothing in it depends on how many there are."""
        nonlocal done
        for epoch in epochs:
            yield epoch
            done += 1
            if seconds and time.process_time() - started > seconds:
                return

    module.tqdm = until
    started = time.process_time()
    model = module.CTGAN(epochs=1_000_000 if seconds else 300, enable_gpu=False)
    model.fit(frame, classes(frame))
    model.set_random_state(seed)
    return model.sample(n), {"epochs": done}


def forest(frame: pd.DataFrame, n: int, seconds: float, seed: int, threads: int) -> tuple[pd.DataFrame, dict]:
    from ForestDiffusion import ForestDiffusionModel

    known, codes, x = classes(frame), {}, frame.copy()
    for c in known:
        values = sorted(frame[c].unique(), key=str)
        codes[c] = values
        x[c] = frame[c].map({v: k for k, v in enumerate(values)})
    places = [list(frame.columns).index(c) for c in known]
    integers = [k for k, c in enumerate(frame) if c not in known and whole(frame[c])]
    binary = [k for k in places if len(codes[frame.columns[k]]) == 2]
    many = [k for k in places if k not in binary]

    def fitted(levels: int, copies: int) -> ForestDiffusionModel:
        return ForestDiffusionModel(
            x.to_numpy(float), n_t=levels, duplicate_K=copies, bin_indexes=binary, cat_indexes=many, int_indexes=integers,
            diffusion_type="flow", n_jobs=threads, seed=seed,
        )  # fmt: skip

    levels, copies = 50, 100
    if seconds:
        started = time.process_time()
        fitted(TRIAL, 1)
        one = max(time.process_time() - started, 1e-3) / TRIAL
        left = seconds - TRIAL * one
        levels = int(np.clip(left / one, TRIAL, 50))
        copies = int(np.clip(left / (50 * one), 1, 100))
    model = fitted(levels, copies)
    made = pd.DataFrame(model.generate(batch_size=n), columns=list(frame.columns))
    for c in known:
        made[c] = [codes[c][int(k)] for k in np.clip(np.rint(made[c]), 0, len(codes[c]) - 1)]
    return made, {"n_t": levels, "duplicate_K": copies}


if __name__ == "__main__":
    main()
