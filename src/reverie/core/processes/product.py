"""Several fields at once, each destroyed by its own process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.processes.base import Process
from reverie.errors import ReverieError

Fields = dict[str, Tensor]


@dataclass(frozen=True)
class Product(Process):
    """Named fields, independent given the data: q(x_t | x_0) is the product of the fields' own.

    A state is {field: tensor} and a prediction {field: prediction}; a denoiser sees all fields together.
    Source: Hoogeboom et al. 2022 (Equivariant Diffusion for Molecule Generation), section 3; Kotelnikov et al. 2023 (TabDDPM).
    """

    error: ClassVar[str] = "sum of the fields' errors"
    level: ClassVar[str] = "noise level of the first field"
    fields: Mapping[str, Process]

    def __post_init__(self) -> None:
        """Refuse a product of nothing."""
        if not self.fields:
            raise ReverieError("A Product process needs at least one field.")

    @property
    def schedule(self) -> Any:
        """That of the first field: time is common, how much it destroys is each field's own."""
        return next(iter(self.fields.values())).schedule

    def draw(self, noise: Noise, like: Fields, key: int = 0) -> Fields:
        """Each field's random numbers, from a part of the noise of its own."""
        return {k: p.draw(noise.of_part(i), like[k], key) for i, (k, p) in enumerate(self._on(like))}

    def prior(self, like: Fields, noise: Noise, t: Tensor) -> Fields:
        """Each field without data."""
        return {k: p.prior(like[k], noise.of_part(i), t) for i, (k, p) in enumerate(self._on(like))}

    def diffuse(self, x0: Fields, t: Tensor, eps: Fields) -> Fields:
        """Field by field."""
        return {k: p.diffuse(x0[k], t, eps[k]) for k, p in self._on(x0)}

    def forward(self, x_s: Fields, s: Tensor, t: Tensor, eps: Fields) -> Fields:
        """Field by field."""
        return {k: p.forward(x_s[k], s, t, eps[k]) for k, p in self._on(x_s)}

    def reverse(self, x_t: Fields, prediction: Fields, t: Tensor, s: Tensor, eps: Fields, eta: float = 1.0) -> Fields:
        """Field by field, from one prediction of all of them."""
        return {k: p.reverse(x_t[k], prediction[k], t, s, eps[k], eta) for k, p in self._on(x_t)}

    def mix(self, u: Fields, c: Fields, w: Tensor) -> Fields:
        """Each field in its own way."""
        return {k: p.mix(u[k], c[k], w) for k, p in self._on(u)}

    def reveal(self, x_t: Fields, value: Fields, known: Fields) -> Fields:
        """Each field in its own way."""
        return {k: p.reveal(x_t[k], value[k], known[k]) for k, p in self._on(x_t)}

    def pin(self, prediction: Fields, value: Fields, known: Fields) -> Fields:
        """Each field in its own way."""
        return {k: p.pin(prediction[k], value[k], known[k]) for k, p in self._on(prediction)}

    def temper(self, prediction: Fields, temperature: float) -> Fields:
        """Each field in its own way."""
        return {k: p.temper(prediction[k], temperature) for k, p in self._on(prediction)}

    def prior_mismatch(self, t: Tensor) -> float:
        """The largest of the fields'."""
        return max(p.prior_mismatch(t) for p in self.fields.values())

    def divergence(
        self, x0: Fields, prediction: Fields, x_t: Fields, t: Tensor, observed: Fields | None = None
    ) -> Tensor:
        """Sum of the fields' own, (B,)."""
        seen = observed or dict.fromkeys(self.fields)
        found = [p.divergence(x0[k], prediction[k], x_t[k], t, seen[k]) for k, p in self._on(x0)]
        return sum(found[1:], start=found[0])

    def _on(self, state: Fields) -> list[tuple[str, Process]]:
        """The fields in order; a state with others is an error."""
        if not isinstance(state, dict) or state.keys() != self.fields.keys():
            found = ", ".join(state) if isinstance(state, dict) else f"a {type(state).__name__}"
            raise ReverieError(f"This process has the fields {', '.join(self.fields)}; the state is {found}.")
        return list(self.fields.items())
