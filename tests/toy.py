"""A model small enough to train in a second: the parts that tests share."""

import os
import signal

import numpy as np
import torch
from torch import nn

from reverie.data.dataset import Data
from reverie.training.trackers import Event, Tracker


class Tiny(nn.Module):
    """Two convolutions, told level and label: a person's own network, as in the README."""

    def __init__(self, channels=1, classes=3, width=8):
        super().__init__()
        self.told = nn.Embedding(classes + 1, width)
        self.level = nn.Linear(1, width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        self.classes = classes

    def forward(self, x, level, cond):
        e = self.level(level[:, None])
        if "label" in cond:
            label = cond["label"]
            e = e + self.told(torch.where(label.present, label.value, self.classes))
        return self.last(nn.functional.silu(self.first(x) + e[:, :, None, None]))


def tiny(seed=0, **options):
    torch.manual_seed(seed)
    return Tiny(**options)


def bars(count=90, size=8, seed=0):
    """Labelled pictures: class 0 a row, 1 a column, 2 a diagonal, at random places, with a little noise; uint8 (N, H, W, 1)."""
    rng = np.random.default_rng(seed)
    items = rng.integers(0, 40, (count, size, size, 1), dtype=np.uint8)
    labels = np.arange(count) % 3
    for item, label in zip(items, labels, strict=True):
        place = rng.integers(size)
        if label == 0:
            item[place] = 255
        elif label == 1:
            item[:, place] = 255
        else:
            item[np.arange(size), (np.arange(size) + place) % size] = 255
    return items, labels


def data(count=90, size=8):
    items, labels = bars(count, size)
    return Data.from_arrays(items, labels, name="bars")


class StopAt(Tracker):
    """Sends this process Ctrl-C once a step is reached."""

    def __init__(self, step):
        self.step = step

    def tell(self, event: Event) -> None:
        if event.kind == "step" and event.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)
