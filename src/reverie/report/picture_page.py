"""One page about pictures: the card of data/picture_card.py, with the pictures that it speaks of beside the words.

One file that asks for nothing from outside: style inline, pictures as data URIs, bars as lengths, no script.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reverie import registry
from reverie.codecs import Codec
from reverie.data.dataset import Data
from reverie.report.templates import template
from reverie.report.tiles import Tile, tile, width

SHOWN = 24  # rows of anything that may be long, each with its pictures
SHEET = 48  # pictures on the first sheet
_IN_A_ROW = 4  # pictures of one group


def build(data: Data, card: dict[str, Any]) -> str:
    """Write the page, as HTML text. card: what `card(data)` gave."""
    codec = _codec(data)
    places = {name: k for k, name in enumerate(data.names)}

    def show(name: str, note: str = "") -> Tile:
        k = places[name]
        return tile(codec, codec.encode(data.items[k]), name, note)

    return template("picture_template.html").render(
        card=card,
        things=f"{data.kind}s",
        most=max(card["classes"].values(), default=1),
        sheet=[show(data.names[k]) for k in _spread(data)],
        duplicates=[[show(n) for n in group[:_IN_A_ROW]] for group in card["duplicates"]["groups"][:SHOWN]],
        near=[_group(group, show) for group in card["near"]["groups"][:SHOWN]],
        outliers=[(show(o["name"]), o["why"]) for o in card["outliers"]["items"][:SHOWN]],
        leaks=[(title, cut, _pairs(cut, show)) for title, cut in _cuts(card["leakage"])],
        shown=SHOWN,
        tile_width=width(codec),
    )


def _codec(data: Data) -> Codec:
    cls: Any = registry.find("codecs", data.kind)
    return cls.fit(data.items, colour=data.colour)


def _spread(data: Data) -> list[int]:
    """Places spread evenly over the data: over each class in turn where there are classes."""
    order = np.arange(len(data)) if data.labels is None else np.argsort(data.labels, kind="stable")
    return order[np.linspace(0, len(data) - 1, min(SHEET, len(data))).astype(int)].tolist()


def _group(group: dict[str, Any], show: Any) -> list[Tile]:
    like = [show(m["name"], f"{m['correlation']:.4f}") for m in group["like"][: _IN_A_ROW - 1]]
    return [show(group["first"]), *like]


def _cuts(leakage: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    named = (("The split that training makes, unless asked otherwise", "cut"), ("Your own folders", "own"))
    return [(title, leakage[key]) for title, key in named if leakage[key] is not None]


def _pairs(cut: dict[str, Any], show: Any) -> list[tuple[Tile, Tile]]:
    return [(show(p["name"], p["side"]), show(p["like"], p["on"])) for p in cut["pairs"][:SHOWN]]
