"""What Reverie sees in a data set, as JSON and as a page to read: what `reverie info PATH` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reverie.data import picture_card, series_card, table_card
from reverie.data.dataset import Data

if TYPE_CHECKING:
    from rich.console import RenderableType

_KINDS = {"image": picture_card, "series": series_card, "table": table_card}


def card(data: Data) -> dict[str, Any]:
    """Describe a data set as plain JSON; what is in it, the card of its kind says."""
    return {
        "kind": data.kind,
        "source": data.source,
        "count": len(data),
        "bytes": int(data.bytes),
        "found": data.found,
        **_KINDS[data.kind].contents(data),
        "broken": [{"name": b.name, "reason": b.reason} for b in data.broken],
        "notes": list(data.notes),
        "held_out": data.held_out,
    }


def refused(card: dict[str, Any]) -> list[str]:
    """Why training would refuse the data that a card shows: what it says of each column that cannot be read."""
    return [column["about"] for column in card.get("columns", []) if column["kind"] == "unreadable"]


def text(card: dict[str, Any]) -> RenderableType:
    """Lay a card out for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(card["source"]), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, words in _KINDS[card["kind"]].rows(card):
        table.add_row(name, Text(words))
    return table
