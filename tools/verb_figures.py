"""Make the figures of docs/encode.md, interpolate.md, augment.md and detect.md on the packaged digits.

    .venv/bin/python -m tools.verb_figures encode|directions|interpolate|augment|detect [--digits RUN] [--models FOLDER]

--digits: a run of `reverie train digits --steps 300 --seed 0`. --models: where models that are missing are trained and kept.
Everything is drawn and scored on digits that no model was trained on, but for augment's 200, which are the point there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import reverie
from reverie.codecs.image import ImageCodec
from reverie.codecs.sheets import grid
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.datasets import Digits
from reverie.evaluation.classifier import clopper_pearson
from reverie.metrics.features import DigitNet, _digit_net
from reverie.model import Model
from reverie.pictures import save_sheet
from reverie.tasks.augment import augment
from reverie.tasks.decode import decode
from reverie.tasks.detect import detect
from reverie.tasks.encode import encode
from reverie.tasks.interpolate import interpolate
from reverie.tasks.parts.latents import Latents, Solver, carried, errors

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"
LEFT_OUT = 9


def main() -> None:
    """Read the words, make the figures asked for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["encode", "directions", "interpolate", "augment", "detect"])
    words.add_argument("--digits", type=Path, default=Path("runs/digits"))
    words.add_argument("--models", type=Path, default=Path("runs/verbs"))
    words.add_argument("--seeds", default="0,1,2")
    words.add_argument("--strength", type=float, default=0.7)
    words.add_argument("--times", type=int, default=8)
    words.add_argument("--normals", type=int, default=240)
    words.add_argument("--anomalies", type=int, default=120)
    asked = words.parse_args()
    torch.set_num_threads(1)
    data = Digits().load()
    cut = split(data)
    train, held = data.subset(cut.train), data.subset(cut.held_out)
    seeds = [int(s) for s in asked.seeds.split(",")]
    if asked.what == "augment":
        augment_figures(asked.models, train, held, seeds, asked.strength, asked.times)
    elif asked.what == "detect":
        detect_figures(asked.models, data, train, held, seeds, asked.normals, asked.anomalies)
    else:
        model = reverie.load(asked.digits)
        {"encode": encode_figures, "directions": direction_figures, "interpolate": interpolate_figures}[asked.what](
            model, train, held, seeds
        )


def trained(folder: Path, name: str, items: np.ndarray, labels: np.ndarray, **options: object) -> Model:
    """The model of this name, trained first where it is not there."""
    if not (folder / name).exists():
        reverie.train(items, labels=labels, threads=1, device="cpu", **options).save(folder / name)
    return reverie.load(folder / name)


def encode_figures(model: Model, train: Data, held: Data, seeds: list[int]) -> None:
    """Round trips: the largest error and the PSNR, by solver."""
    x = torch.from_numpy(model.encode(held.items[:64]))
    for solver in (Solver(18), Solver(64), Solver(tolerance=1e-3), Solver(tolerance=1e-4), Solver(tolerance=1e-5)):
        started = time.monotonic()
        z = carried(model, solver.up, x, {})
        back = carried(model, solver.down, z, {})
        most, psnr = errors(x, back)
        again = np.stack([model.codec.encode(model.codec.decode(one)) for one in back.numpy()])
        same = (again == x.numpy()).reshape(len(x), -1).all(1).mean()
        print(f"{solver.words}: {most:.2g} at most, {psnr:.0f} dB, {same:.0%} of {len(x)} items bit for bit; "
              f"z {float(z.mean()):.3f} +- {float(z.std()):.3f}; {time.monotonic() - started:.0f} s", flush=True)  # fmt: skip


def direction_figures(model: Model, train: Data, held: Data, seeds: list[int], a: int = 4, b: int = 9) -> None:
    """From the mean latent of one class to that of another, added to items of the first; what a classifier calls the result."""
    some = [np.flatnonzero(train.labels == k)[:40] for k in (a, b)]
    means = [encode(model, train.items[s], steps=18).z.mean(0) for s in some]
    shares = np.linspace(0, 2, 5)
    called, strips = np.zeros((len(seeds), len(shares))), []
    for row, seed in enumerate(seeds):
        own = np.random.default_rng(seed).permutation(np.flatnonzero(held.labels == a))[:12]
        found = encode(model, held.items[own], steps=18)
        made = []
        for column, share in enumerate(shares):
            moved = Latents(found.z + share * (means[1] - means[0]), found.names, {}, found.solver, found.model)
            made.append(decode(model, moved).items)
            called[row, column] = (classified(made[-1]) == b).mean()
        strips += [model.codec.picture(items[k]) for k in range(2) for items in made]
    print(f"direction {a} to {b}, share called {b} at {np.round(shares, 2).tolist()}, n = 12 each seed:")
    print(np.round(called, 2).tolist(), "mean", np.round(called.mean(0), 2).tolist())
    captions = [f"{share:.1f}" for share in shares] * (len(strips) // len(shares))
    save_sheet(grid(strips, len(shares), captions), FIGURES / "directions.png")


def classified(items: list[np.ndarray]) -> np.ndarray:
    """What the shipped classifier calls digits."""
    codec, net = ImageCodec.fit(np.stack(items)), _digit_net()[0]
    assert isinstance(net, DigitNet)
    with torch.no_grad():
        return net(torch.from_numpy(np.stack([codec.encode(i) for i in items])))[1].argmax(1).numpy()


def interpolate_figures(model: Model, train: Data, held: Data, seeds: list[int]) -> None:
    """Three strips: between two digits, two seeds and two labels."""
    first = {k: held.items[np.flatnonzero(held.labels == k)[0]] for k in (3, 8)}
    rows = []
    for a, b in ((first[3], first[8]), ("seed:3", "seed:7"), ("label:3", "label:8")):
        made = interpolate(model, a, b, frames=10, steps=32)
        print(made.lines(), flush=True)
        rows += [model.codec.picture(item) for item in made.items]
    save_sheet(grid(rows, 10), FIGURES / "interpolate.png")


CLASSIFIERS = {
    "support vector machine": lambda: SVC(C=10.0, gamma="scale"),
    "random forest of 300": lambda: RandomForestClassifier(300, random_state=0),
    "nearest neighbour": lambda: KNeighborsClassifier(1),
}


def augment_figures(folder: Path, train: Data, held: Data, seeds: list[int], strength: float, times: int) -> None:
    """Classifiers on 200 digits, and on them and their variations by a model of those 200, judged on the other 1,597."""
    gains: dict[str, list[float]] = {name: [] for name in CLASSIFIERS}
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(train))
        some, others = order[:200], order[200:]
        items, labels = train.items[some], train.labels[some]
        test = flat(np.concatenate([held.items, train.items[others]]))
        truth = np.concatenate([held.labels, train.labels[others]])
        model = trained(folder, f"aug-{seed}", items, labels, steps=400, batch=64, seed=seed)
        made = augment(
            model, items, labels=labels.tolist(), times=times, strength=strength, guidance=1.0, steps=10, seed=seed
        )
        more, called = np.stack(made.items), np.array([int(word) for word in made.folders or []])
        both = np.concatenate([items, more]), np.concatenate([labels, called])
        for name, classifier in CLASSIFIERS.items():
            right = [classifier().fit(flat(x), y).predict(test) == truth for x, y in ((items, labels), both)]
            better = right[1].astype(float) - right[0]
            gains[name].append(better.mean())
            print(
                f"seed {seed}: {name}: gain {better.mean():+.2%} +- {1.96 * better.std() / len(better) ** 0.5:.2%}",
                flush=True,
            )
            for what, hits in zip(("200 real", f"200 real + {len(more)} variations"), right, strict=True):
                low, high = clopper_pearson(int(hits.sum()), len(hits))
                print(
                    f"seed {seed}: {name}, {what}: {hits.mean():.1%} [{low:.1%}, {high:.1%}], n = {len(hits)}",
                    flush=True,
                )
        if seed == seeds[0]:
            shown = [model.codec.picture(x) for k in range(8) for x in (items[k], *more[times * k : times * k + 1])]
            save_sheet(grid(shown, 2), FIGURES / "augment.png")
    for name, found in gains.items():
        words = ", ".join(f"{gain:+.1%}" for gain in found)
        print(f"{name}: gain {np.mean(found):+.1%} ({words}) over {len(seeds)} seeds")


def flat(items: np.ndarray) -> np.ndarray:
    """Pixels as a row each, in [-1, 1]."""
    return np.asarray(items).reshape(len(items), -1) / 127.5 - 1


def detect_figures(
    folder: Path, data: Data, train: Data, held: Data, seeds: list[int], normals: int, anomalies: int
) -> None:
    """A model of nine classes looks at the tenth, beside k-nearest neighbours."""
    usual, known = (
        held.subset(np.flatnonzero(held.labels != LEFT_OUT)).items,
        train.subset(np.flatnonzero(train.labels != LEFT_OUT)),
    )
    odd = data.items[data.labels == LEFT_OUT]
    for seed in seeds:
        model = trained(
            folder, f"det{LEFT_OUT}-{seed}", known.items, known.labels, steps=160, seed=seed, held_out=50
        )  # fmt: skip
        rng = np.random.default_rng(seed)
        made = detect(
            model, odd[rng.permutation(len(odd))[:anomalies]], fpr=0.05, seed=seed, train=known.items,
            normal=usual[rng.permutation(len(usual))[:normals]],
        )  # fmt: skip
        print(f"seed {seed}", *made.lines(), sep="\n  ", flush=True)
        if seed == seeds[0]:
            save_sheet(made.sheet(), FIGURES / "detect.png")


if __name__ == "__main__":
    main()
