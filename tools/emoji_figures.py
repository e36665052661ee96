"""Figures of the example model of docs/emoji.md: sheet, curve, what its conditions are worth, held-out pairs.

    reverie train emoji-64px.zip --resolution 32x32 --label-from none --condition label:style,label:group \\
        --budget 60m -o runs/emoji
    python -m tools.emoji_figures runs/emoji
"""  # fmt: skip

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

import reverie
from reverie.codecs.sheets import grid, on_paper
from reverie.data.dataset import Data
from reverie.evaluation.classifier import clopper_pearson
from reverie.evaluation.sides import both_sides
from reverie.model import Model
from reverie.pictures import save_sheet
from reverie.training.trackers import read_log

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
GROUPS = ("smileys-emotion", "animals-nature", "food-drink", "objects")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run", type=Path)
    words.add_argument("--n", type=int, default=500)
    asked = words.parse_args()
    model = reverie.load(asked.run, threads=1)
    train, held = both_sides(asked.run, model)
    sheet(model)
    curve(asked.run)
    pairs(train, held)
    agreement(model, train, held, asked.n)


def sheet(model: Model) -> None:
    """Two of each style and group, guidance 2."""
    styles = model.conditions["style"].classes
    asked = [(style, group) for group in GROUPS for style in styles for _ in range(2)]
    told = {"style": [s for s, _ in asked], "group": [g for _, g in asked]}
    made = model.sample(len(asked), conditions=told, guidance=2.0, seed=0)
    save_sheet(
        grid([model.codec.picture(item).repeat(2, 0).repeat(2, 1) for item in made], 10), FIGURES / "emoji_samples.png"
    )


def curve(run: Path) -> None:
    """Held-out and training loss, and the held-out loss with wrong conditions told."""
    looks = [e for e in read_log(run / "metrics.jsonl") if e["event"] == "validation" and e["step"] > 0]
    figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
    minutes = [e["elapsed"] / 60 for e in looks]
    for name, values in {
        "held out, told its own conditions": [e["labels"]["told"] for e in looks],
        "held out, told nothing": [e["labels"]["untold"] for e in looks],
        "held out, told another's": [e["labels"]["wrong"] for e in looks],
        "training": [e["train"] for e in looks],
    }.items():
        axis.plot(minutes, values, marker="o", ms=3, label=name)
    axis.set(xlabel="minutes of training", ylabel="loss (EDM's F)", yscale="log")
    axis.legend(frameon=False)
    figure.savefig(FIGURES / "emoji_curve.png", dpi=120)


def pairs(train: Data, held: Data) -> None:
    """How many held-out items are of a subject that training has in another style, and of a (style, group) that it has."""
    subjects = {Path(name).stem for name in train.names}
    known = sum(Path(name).stem in subjects for name in held.names)
    print(
        f"{len(held)} held-out (subject, style) pairs; of {known} training has the subject in another style", flush=True
    )


def agreement(model: Model, train: Data, held: Data, n: int) -> None:
    """Do samples have the style and the group asked for? A random forest on pixels says, held-out items beside them."""
    chosen = np.random.default_rng(0).permutation(len(held))[:n]
    told = held.told(chosen)
    x, y = seen(model, train.items), seen(model, held.items)
    drawn = {w: seen(model, model.sample(len(chosen), conditions=told, guidance=w, seed=1).items) for w in (1.0, 2.0)}
    for name in ("style", "group"):
        truth = train.told(range(len(train)))[name]
        judge = RandomForestClassifier(300, random_state=0, n_jobs=1).fit(x, truth)
        own = held.told(range(len(held)))[name]
        shares = {"held-out items": judge.predict(y) == np.array(own)}
        shares |= {f"samples, guidance {w:g}": judge.predict(v) == np.array(told[name]) for w, v in drawn.items()}
        common = max(truth.count(word) for word in set(truth)) / len(truth)
        for what, hits in shares.items():
            low, high = clopper_pearson(int(hits.sum()), len(hits))
            print(
                f"{name}, {what}: {hits.mean():.1%} [{low:.1%}, {high:.1%}], n = {len(hits)}; chance {common:.1%}",
                flush=True,
            )


def seen(model: Model, items: object) -> np.ndarray:
    """Pictures on paper at 16x16, in a row each."""
    small = [
        Image.fromarray(on_paper(model.codec.picture(item))).resize((16, 16), Image.Resampling.BOX) for item in items
    ]
    return np.stack([np.asarray(one, np.float32).ravel() for one in small])


if __name__ == "__main__":
    main()
