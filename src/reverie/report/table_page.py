"""One page about a table: the card of data/table_card.py, with every column's distribution and how they hang together.

One file that asks for nothing from outside: style inline, charts as SVG, no script.
"""

from __future__ import annotations

from typing import Any

from reverie.data.dataset import Data
from reverie.data.table_card import LOOKED_AT, NOT_LEARNED, learned, split_words, told
from reverie.report import marginals, pairs
from reverie.report.templates import template

SHOWN = 24  # groups of duplicates


def build(data: Data, card: dict[str, Any]) -> str:
    """Write the page, as HTML text. card: what `card(data)` gave."""
    cells, records = learned(data.items)
    columns, tied = pairs.of_one(records, LOOKED_AT)
    return template("table_page.html").render(
        card=card,
        left_out=[c for c in card["columns"] if c["kind"] in NOT_LEARNED],
        columns=[(c, told(c, counted=False)) for c in card["columns"]],
        marginals=marginals.marginals(cells[: marginals.MOST], records) if cells else [],
        every=len(cells),
        map=tied,
        map_names=columns,
        split=split_words(card["split"]),
        shown=SHOWN,
    )
