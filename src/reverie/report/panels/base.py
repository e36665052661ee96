"""What a kind of data brings to a report: the sections in which its samples and its copies are looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from markupsafe import Markup

from reverie.codecs import Codec
from reverie.data.dataset import Data
from reverie.evaluation.evaluate import Evaluation
from reverie.model import Model
from reverie.samples import Samples


@dataclass(frozen=True)
class Subject:
    """What a report is about: a model, its samples, what was found, and the data: items as files hold them, x encoded."""

    model: Model
    samples: Samples
    evaluation: Evaluation
    train_items: Any
    held_items: Any
    train_x: Any
    held_x: Any


class Panel(ABC):
    """The part of a report that is a kind's own.

    things: what its items are called. nav: (id, title) of its sections, in order. footer: what a
    reader should know of how things are shown.
    """

    things: ClassVar[str]
    nav: ClassVar[tuple[tuple[str, str], ...]]
    footer: ClassVar[str]
    sheet: ClassVar[int] = 600  # pixels a side of what was drawn on the way
    css: ClassVar[str] = ""  # a template of what its sections need beside the page's own style

    @abstractmethod
    def body(self, subject: Subject) -> Markup:
        """The sections, as HTML."""

    @abstractmethod
    def error_words(self, model: Model) -> str:
        """What the chart of the error by noise level shows."""

    @abstractmethod
    def tile_width(self, codec: Codec) -> int:
        """Width in CSS pixels at which a picture of an item is shown."""

    @abstractmethod
    def data_page(self, data: Data, card: dict[str, Any]) -> str:
        """One page about data, as HTML text. card: what `data.card.card` gave."""
