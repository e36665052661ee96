"""One page about data, as the panel of its kind makes it."""

from __future__ import annotations

from typing import Any

from reverie.data.dataset import Data
from reverie.report import panels


def build(data: Data, card: dict[str, Any]) -> str:
    """Write the page, as HTML text. card: what `data.card.card` gave."""
    return panels.of(data.kind).data_page(data, card)
