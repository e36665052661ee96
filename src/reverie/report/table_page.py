"""One page about a table."""

from __future__ import annotations

from typing import Any

from reverie.data.dataset import Data


def build(data: Data, card: dict[str, Any]) -> str:
    """Write the page, as HTML text."""
    raise NotImplementedError
