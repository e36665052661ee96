"""One page about several models side by side: which differences are real, all scores, samples, and settings.

One file that asks for nothing from outside: style inline, pictures as data URIs, no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reverie.evaluation.compare import LABELS, Comparison
from reverie.evaluation.evaluate import Evaluation
from reverie.report import facts, panels, words
from reverie.report.panels.image import sheet
from reverie.report.templates import template
from reverie.report.tiles import Tile, of_sheet, tile, width

PER_CLASS = 8
WITHOUT_CLASSES = 24
_ROWS = 12  # of items that are looked at together
_SHEET = 220  # pixels that a picture other than a small one is wide


class Row(NamedTuple):
    """One row of a table with a cell for each model. differs: whether the cells are not all the same."""

    title: str
    cells: list[str]
    differs: bool


class Score(NamedTuple):
    """One row of the table of scores; the cells are (value, interval, floor, whether nothing shown is better)."""

    title: str
    better: str
    measured: str
    cells: list[tuple[str, str, str, bool]]


def build(found: Comparison, command: str) -> str:
    """Write the page, as HTML text. command: what made it."""
    first = found.contenders[0].model
    page = template("compare_template.html")
    real = [d for d in found.differences if d.real]
    return page.render(
        names=found.names,
        lead=lead(found),
        real=[d.line(found.n) for d in real],
        others=[d.line(found.n) for d in found.differences if not d.real],
        looked_at=len(found.differences),
        scores=scores(found),
        groups=side_by_side(found),
        tables=[(name, rows(found, table)) for name, table in _tables(found)],
        versions=facts.versions(first),
        notes=found.notes,
        n=found.n,
        seed=found.seed,
        things=panels.of(first.codec.kind).things,
        tile_width=900 if first.codec.joint else min(width(first.codec), 64 if first.codec.bounded else _SHEET),
        command=command,
    )


def lead(found: Comparison) -> str:
    """What was done and what came of it, in a few sentences."""
    things = panels.of(found.contenders[0].model.codec.kind).things
    drew = f"{len(found.names)} models drew {found.n:,} samples each from the same seeds"
    done = f"{drew}, measured against the same {found.n:,} {things}."
    real = [d for d in found.differences if d.real]
    if not real:
        return f"{done} None of the {len(found.differences)} differences looked at is more than chance at this n."
    wins = {name: sum(d.a == name for d in real) for name in found.names}
    told = ", ".join(f"{name} better in {k}" for name, k in wins.items() if k)
    return f"{done} Of {len(found.differences)} differences looked at, {len(real)} are real: {told}."


def scores(found: Comparison) -> list[Score]:
    """Every score of every model; a cell is marked where no real difference goes against it and one speaks for it."""
    made = []
    for name in [s.name for s in found.evaluations[0].scores]:
        each = [e.score(name) for e in found.evaluations]
        marks = [_leads(found, name, who) for who in found.names]
        cells = [
            (words.number(s.value), f"[{words.number(s.low)}, {words.number(s.high)}]",
             f"{words.number(s.floor)} ± {s.floor_sd:.2g}", mark)
            for s, mark in zip(each, marks, strict=True)
        ]  # fmt: skip
        made.append(Score(each[0].title, each[0].better, f"{each[0].features} {each[0].features_hash}", cells))
    labels = [e.labels for e in found.evaluations if e.labels is not None]
    if len(labels) == len(found.names):
        cells = [
            (words.percent(x.samples.value), f"[{words.percent(x.samples.low)}, {words.percent(x.samples.high)}]",
             words.percent(x.held_out_alike), _leads(found, LABELS, who))
            for x, who in zip(labels, found.names, strict=True)
        ]  # fmt: skip
        made.append(Score("Label agreement", "higher", "SVC on raw values", cells))
    return made


def _leads(found: Comparison, metric: str, name: str) -> bool:
    real = [d for d in found.differences if d.real and d.metric == metric]
    return any(d.a == name for d in real) and not any(d.b == name for d in real)


def side_by_side(found: Comparison) -> list[tuple[str, list[tuple[str, list[Tile]]]]]:
    """For each class, each model's first samples: the same numbers of the same seed."""
    made = []
    if (codec := found.contenders[0].model.codec).joint:
        each = zip(found.names, found.samples, strict=True)
        return [("", [(n, [of_sheet(codec, s.items[:_ROWS], f"{n}, the first samples")]) for n, s in each])]
    groups, _ = sheet(found.samples[0])
    for group in groups:
        labels = found.samples[0].labels
        every = range(len(found.samples[0]))
        places = [k for k in every if labels is None or labels[k] == group.name]
        places = places[: PER_CLASS if group.name else WITHOUT_CLASSES]
        made.append((group.name, [(name, _tiles(found, k, places)) for k, name in enumerate(found.names)]))
    return made


def _tiles(found: Comparison, which: int, places: Sequence[int]) -> list[Tile]:
    samples, name = found.samples[which], found.names[which]
    asked = "" if samples.labels is None else f", asked for {samples.labels[places[0]]}"
    return [tile(samples.codec, samples.x[k], f"{name}, sample {samples.first + k}{asked}") for k in places]


def _tables(found: Comparison) -> list[tuple[str, list[facts.Table]]]:
    """Settings by kind, a table for each model."""
    each = list(zip(found.contenders, found.evaluations, found.samples, strict=True))
    return [
        ("Training", [facts.training(c.model) for c, _, _ in each]),
        ("Sampling", [facts.sampling(s, e.seed) for _, e, s in each]),
        ("Data", [facts.data(c.model) for c, _, _ in each]),
        ("Copying", [_copying(e) for _, e, _ in each]),
    ]


def _copying(evaluation: Evaluation) -> facts.Table:
    audit = evaluation.audit
    return [("nearest-training ratio, median", f"{audit.median:.3f} (held-out {audit.held_out_median:.3f})"),
            ("verdict", audit.verdict)]  # fmt: skip


def rows(found: Comparison, tables: list[facts.Table]) -> list[Row]:
    """The models' tables as one, every key of any in the order met; those that differ are told apart."""
    keys = dict.fromkeys(key for table in tables for key, _ in table)
    by_key: list[dict[str, Any]] = [dict(table) for table in tables]
    made = []
    for key in keys:
        cells = [str(one.get(key, "–")) for one in by_key]
        made.append(Row(key, cells, len(set(cells)) > 1))
    return made
