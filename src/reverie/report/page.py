"""One page about a model: what it made, how good that is, whether it copied, and how it came about.

One file that asks for nothing from outside: style inline, pictures as data URIs, charts as SVG in the page, no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from reverie.evaluation.evaluate import Evaluation, Score
from reverie.model import Model
from reverie.report import facts, history, panels, words
from reverie.report.panels import Subject
from reverie.report.templates import template
from reverie.samples import Samples


def build(
    *,
    model: Model,
    samples: Samples,
    evaluation: Evaluation,
    train_items: Sequence[Any] | np.ndarray,
    held_items: Sequence[Any] | np.ndarray,
    run: Path | None,
    command: str,
) -> str:
    """Write the page, as HTML text.

    samples, evaluation: what was measured, and what was found. train_items, held_items: the data as files hold it; the
    audit's places point into the first. run: the run folder, for its log, or None. command: what made this page.
    """
    encoded = (model.encode(items) for items in (train_items, held_items))
    subject = Subject(model, samples, evaluation, train_items, held_items, *encoded)
    panel = panels.of(model.codec.kind)
    cards = words.cards(evaluation)
    nats, too_much = facts.mismatch(model, samples)
    past = history.read(run, panel.sheet)
    page = template("template.html")
    return page.render(
        title=model.card.get("source") or "a model",
        intro=intro(model, samples, evaluation, panel.things),
        summary=words.summary(cards, words.short(evaluation)),
        cards=cards,
        tones=words.TONES,
        evaluation=evaluation,
        scores=[_row(score) for score in evaluation.scores],
        panel=panel,
        body=panel.body(subject),
        error_words=panel.error_words(model),
        past=past,
        noise_chart=Markup(past.noise.chart),
        learning_chart=Markup(past.learning.chart),
        nats=nats,
        too_much=too_much,
        most_nats=facts.MISMATCH,
        tables=[
            ("Training", facts.training(model)),
            ("Sampling", facts.sampling(samples, evaluation.seed)),
            ("Data", facts.data(model)),
            ("Versions and machine", facts.versions(model)),
        ],
        reproduce=facts.reproduce(model, run, command),
        tile_width=panel.tile_width(model.codec),
    )


def intro(model: Model, samples: Samples, evaluation: Evaluation, things: str) -> str:
    """What was done, in plain words."""
    card = model.card
    learned = f"{card['train']:,} {things}" if "train" in card else things
    classes = f" of {len(model.classes):,} classes" if model.classes else ""
    seconds = model.record.get("elapsed")
    spent = f" in {_duration(seconds)}" if seconds is not None else ""
    return (
        f"A network of {model.parameters:,} weights learned from {learned}{classes}{spent} how to turn noise into new ones. "
        f"Here are {len(samples):,} of its samples, measured against {evaluation.n:,} {things} that it never saw."
    )


def _row(score: Score) -> dict[str, Any]:
    """A score as the table shows it, with the places of its marks on a line from the least to the greatest, in percent."""
    marks = {"value": score.value, "low": score.low, "high": score.high, "floor": score.floor,
             "gaussian": score.gaussian, "noisy": score.noisy_copies}  # fmt: skip
    least, most = min(*marks.values(), 0.0), max(marks.values())
    span = (most - least) or 1.0
    options = ", ".join(
        ([] if score.p is None else [f"p = {score.p:.2g}"])
        + [f"{k} {facts.text(v)}" for k, v in score.options.items() if v is not None]
    )
    return {
        "score": score,
        "options": options,
        "shown": {k: words.number(v) for k, v in marks.items()} | {"floor_sd": f"{score.floor_sd:.2g}"},
        "at": {k: round(2 + 96 * (v - least) / span, 2) for k, v in marks.items()},
    }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
