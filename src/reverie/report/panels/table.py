"""Tables in a report: rows, columns one by one, how they hang together, and what can be said of privacy."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
from markupsafe import Markup

from reverie.codecs import Codec
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.data.dataset import Data
from reverie.evaluation.audit import HELD
from reverie.evaluation.membership import STRONG
from reverie.model import Model
from reverie.report import charts, closest, marginals, pairs, table_page, words
from reverie.report.panels.base import Panel, Subject
from reverie.report.templates import template

ROWS = 8


class Table(Panel):
    """Tables: samples beside held-out rows, every column's distribution, all pairs of columns, and the closest records.

    Source: distance to the closest record, Park et al. 2018 (Data Synthesis based on Generative Adversarial Networks), section 5.
    """

    things: ClassVar[str] = "rows"
    nav: ClassVar[tuple[tuple[str, str], ...]] = (
        ("samples", "Samples"), ("columns", "Columns"), ("together", "Together"), ("copying", "Copying and privacy"),
    )  # fmt: skip
    footer: ClassVar[str] = (
        f"Rows show at most {closest.COLUMNS} columns, and the charts at most {marginals.MOST}; all are measured."
    )
    sheet: ClassVar[int] = 1200  # or its letters could not be read
    css: ClassVar[str] = "panels/table.css"

    def body(self, subject: Subject) -> Markup:
        """The sections, as HTML."""
        codec, audit = cast(TableCodec, subject.model.codec), subject.evaluation.audit
        made, held, train = (codec.numbers(x) for x in (subject.samples.x, subject.held_x, subject.train_x))
        mine, real = codec.records(made), codec.records(held)
        columns = marginals.marginals(codec.cells, real, mine)
        some = held[np.random.default_rng(0).permutation(len(held))[:HELD]]
        held_closest, held_ratios = closest.with_ratios(some, train)
        frame, truth = Rows.of(subject.samples.items).frame, Rows.of(subject.held_items).frame
        body = template("panels/table.html").render(
            audit=audit,
            n=len(made),
            held_n=len(held),
            samples=closest.table(frame, ROWS),
            held=closest.table(truth[frame.columns], ROWS),
            columns=columns[: marginals.MOST],
            every=len(columns),
            together=pairs.together(codec.cells, real, mine),
            distances=[("samples", closest.closest(made, train)), ("held-out rows", held_closest)],
            nearest=closest.beside(audit, frame, Rows.of(subject.train_items).frame, made, train),
            shown=min(closest.COLUMNS, frame.shape[1]),
            width=frame.shape[1],
            names=list(map(str, frame.columns[: closest.COLUMNS])),
            copying=Markup(charts.copying(list(audit.ratios), held_ratios)),
            strong=STRONG,
            percent=words.percent,
        )
        return Markup(body)

    def error_words(self, model: Model) -> str:
        """What the chart of the error by noise level shows."""
        return (
            "How far the model's guess of the clean row is off, at each noise level: squared errors of numbers, in standard "
            "deviations, and the log loss of words (0 for a sure and right guess), summed over the columns. Little noise leaves "
            "little to guess. Dashed: a guess by how often each column's values occur, in the mean over all levels."
        )

    def tile_width(self, codec: Codec) -> int:
        """Width in CSS pixels at which a picture of an item is shown."""
        return 280

    def data_page(self, data: Data, card: dict[str, Any]) -> str:
        """One page about data, as HTML text."""
        return table_page.build(data, card)
