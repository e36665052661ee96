"""Reverie: train, sample, evaluate and serve diffusion models on your own data, on the machine you have.

import reverie
model = reverie.train("photos/", budget="10m")
images = model.sample(16, label="cat", seed=0)
model.save("cats"); model = reverie.load("cats")
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from reverie.errors import ReverieError

if TYPE_CHECKING:
    from reverie.api import compare, evaluate, load, outlook, resume, train, tune, untune
    from reverie.data.dataset import Data
    from reverie.model import Model

# OpenMP's waiting threads spin, and on a machine that does other work too they spin away the time they wait for. Digits
# trained a second by two threads on two cores, without and with this limit: 980 and 935 alone, 27 and 390 beside one busy
# process. OpenMP reads it when PyTorch is imported; a value that is set already stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
__all__ = [
    "Data", "Model", "ReverieError", "compare", "evaluate", "load", "outlook", "resume", "train", "tune", "untune",
]  # fmt: skip

_WHERE = dict.fromkeys(("train", "outlook", "resume", "load", "evaluate", "tune", "untune", "compare"), "reverie.api")
_WHERE |= {"Model": "reverie.model", "Data": "reverie.data.dataset"}


def __getattr__(name: str) -> Any:
    """Import PyTorch and the rest only when something is used, so that the command line answers at once."""
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'reverie' has no attribute {name!r}")
