"""What a verb needs of a model, and what it says to one that has it not."""

from __future__ import annotations

from reverie.core.processes import Gaussian
from reverie.errors import ReverieError
from reverie.model import Model


def one_field(model: Model, verb: str) -> None:
    """Refuse data of several fields."""
    codec = model.codec
    if codec.joint:
        raise ReverieError(
            f"`reverie {verb}` works on data of one field. A {codec.kind} has several ({', '.join(codec.fields)}), each "
            "with noise of its own kind. `sample`, `complete`, `augment`, `detect` and `evaluate` take it."
        )


def pictures(model: Model, verb: str) -> tuple[int, int]:
    """Height and width of a model's pictures; raises ReverieError for items that are none."""
    one_field(model, verb)
    axes, shape = model.codec.field.axes, model.codec.field.shape
    if axes[-2:] != ("height", "width"):
        raise ReverieError(f"`reverie {verb}` works on pictures; this model's items are of kind {model.codec.kind}.")
    return shape[-2], shape[-1]


def gaussian(model: Model, verb: str) -> Gaussian:
    """The model's process, which must be Gaussian; raises ReverieError elsewhere."""
    one_field(model, verb)
    process = model.denoiser.process
    if not isinstance(process, Gaussian):
        raise ReverieError(
            f"`reverie {verb}` needs a model of numbers under Gaussian noise, that is a Gaussian process; this one's is "
            f"{type(process).__name__}. Train one of another family, e.g. --family edm; `complete` and `restyle` take tokens too."
        )
    return process


def scores(model: Model, verb: str) -> Gaussian:
    """The model's process, where what the model says is E[x0 | x_t] of Gaussian noise; raises ReverieError elsewhere."""
    process = gaussian(model, verb)
    coupling = model.record.get("settings", {}).get("coupling", "independent")
    if coupling.partition(":")[0] != "independent":
        raise ReverieError(
            f"`reverie {verb}` needs E[x0 | x_t] of independent noise; this model was trained with --coupling {coupling}, which "
            "knows the flow's ODE alone. Train without it; `restyle` works."
        )
    return process
