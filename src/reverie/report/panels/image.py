"""Pictures in a report: a sheet of samples, copies side by side, and film strips from noise to picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from markupsafe import Markup

from reverie.codecs import Codec
from reverie.data.dataset import Data
from reverie.model import Model
from reverie.report import charts, nearest, picture_page, strips, tiles
from reverie.report.panels.base import Panel, Subject
from reverie.report.templates import template
from reverie.report.tiles import EXACT, LARGEST, Tile, tile
from reverie.samples import Samples

CLASSES = 20  # shown on the sheet
PER_CLASS = 10
WITHOUT_CLASSES = 60
_ERROR = (
    "How far the model's guess of the clean picture is off, at each noise level. Little noise leaves little to guess; at great "
    "noise nothing beats the mean of all pictures (dashed)."
)
_SURPRISE = (
    "How surprised the model is by the values that were lost, at each level; its mean over all levels bounds the negative "
    "log-likelihood. Dashed: who knows how often each value occurs in each place, and nothing else."
)


@dataclass(frozen=True)
class Group:
    """Samples of one class; its name is empty where there are no classes."""

    name: str
    tiles: list[Tile]


class Image(Panel):
    """Pictures: samples by class, beside the training items nearest to them, and on their way out of noise.

    Source: the nearest training items beside each sample, Carlini et al. 2023, figure 3.
    """

    things: ClassVar[str] = "images"
    nav: ClassVar[tuple[tuple[str, str], ...]] = (
        ("samples", "Samples"), ("copying", "Copying"), ("process", "From noise to images"),
    )  # fmt: skip
    footer: ClassVar[str] = (
        f"Pictures of up to {EXACT} pixels a side are shown exactly; larger ones are reduced to {LARGEST} pixels for this page."
    )

    def body(self, subject: Subject) -> Markup:
        """The sections, as HTML."""
        model, samples = subject.model, subject.samples
        audit = subject.evaluation.audit
        beside = nearest.sides(model.codec, audit, samples.x, subject.held_x, subject.train_x)
        groups, left_out = sheet(samples)
        made = template("panels/image.html").render(
            things=self.things,
            evaluation=subject.evaluation,
            groups=groups,
            left_out=left_out,
            beside=beside,
            copying=Markup(charts.copying(beside.sample_ratios, beside.held_out_ratios)),
            reverse=strips.reverse(model, samples),
            forward=strips.forward(model, subject.held_x, samples),
            tokens=_tokens(model),
        )
        return Markup(made)

    def error_words(self, model: Model) -> str:
        """What the chart of the error by noise level shows."""
        return _SURPRISE if _tokens(model) else _ERROR

    def tile_width(self, codec: Codec) -> int:
        """Width in CSS pixels at which a picture of an item is shown."""
        return tiles.width(codec)

    def data_page(self, data: Data, card: dict[str, Any]) -> str:
        """One page about data, as HTML text."""
        return picture_page.build(data, card)


def _tokens(model: Model) -> bool:
    return model.codec.field.classes is not None


def sheet(samples: Samples) -> tuple[list[Group], str]:
    """Samples by class, in the order drawn, and in words what is not shown."""

    def tiles(places: list[int], what: str) -> list[Tile]:
        return [tile(samples.codec, samples.x[k], f"Sample {samples.first + k}{what}") for k in places]

    labels = samples.labels
    if labels is None:
        places = list(range(min(len(samples), WITHOUT_CLASSES)))
        return [Group("", tiles(places, ""))], f"The first {len(places):,} of {len(samples):,} samples."
    names = sorted(set(labels), key=_natural)
    by_class = {name: [k for k, label in enumerate(labels) if label == name][:PER_CLASS] for name in names[:CLASSES]}
    groups = [Group(name, tiles(places, f", asked for {name}")) for name, places in by_class.items()]
    classes = f"{CLASSES:,} of {len(names):,} classes" if len(names) > CLASSES else f"every class of {len(names):,}"
    return groups, f"The first {PER_CLASS} samples or fewer of {classes}; {len(samples):,} were drawn in all."


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers as numbers, before words."""
    number = name.isdecimal()
    return (not number, float(name) if number else 0.0, name)
