"""Weights & Biases: online, or offline in the run folder, to be sent later with `wandb sync`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from reverie import files
from reverie.errors import ReverieError
from reverie.training.trackers.base import Event, Service, Tracker, figures

_MODES = ("online", "offline", "disabled")
_KEPT = ("last", "all", "none")


@dataclass(frozen=True)
class Wandb(Service):
    """Weights & Biases: figures, sheets of samples, and the checkpoint as an artifact; mode=offline keeps it in RUN/wandb.

    project: where the run is filed. mode: online, offline or disabled; by default as WANDB_MODE says, else online.
    checkpoints: which are kept as artifacts: last, all or none.
    Source: Weights & Biases, https://docs.wandb.ai, by its own client.
    """

    project: str = "reverie"
    mode: str | None = None
    checkpoints: str = "last"

    name: ClassVar[str] = "wandb"
    package: ClassVar[str] = "wandb"

    def __post_init__(self) -> None:
        """Refuse what the client does not know."""
        if self.mode not in (None, *_MODES) or self.checkpoints not in _KEPT:
            raise ValueError(f"mode is one of {', '.join(_MODES)}; checkpoints one of {', '.join(_KEPT)}")

    def follow(self, run: Path, settings: dict[str, Any], resumed_at: int | None) -> Tracker:
        """Begin a run there, or go on with the one that this folder began; its name is kept in RUN/wandb.json."""
        import wandb

        place = run / "wandb.json"
        name = files.read_json(place)["id"] if resumed_at is not None and place.is_file() else secrets.token_hex(4)
        files.write_json(place, {"id": name, "project": self.project})
        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        mode: Any = self.mode
        try:
            there = wandb.init(
                id=name,
                project=self.project,
                name=run.name,
                dir=run,
                mode=mode,
                config=settings,
                resume="allow",
                settings=quiet,
            )
        except wandb.Error as error:
            raise ReverieError(
                f"Weights & Biases cannot be reached ({error}). Log in with `wandb login`, or --track wandb:mode=offline."
            ) from error
        there.define_metric("*", step_metric="step")
        return _Client(there, run, self.checkpoints)


class _Client(Tracker):
    """Tells Weights & Biases. Figures carry their own step, so that a run that went back is not refused."""

    def __init__(self, there: Any, run: Path, checkpoints: str) -> None:
        self.there, self.run, self.checkpoints = there, run, checkpoints
        self._newest: Path | None = None

    def tell(self, event: Event) -> None:
        """Send one event; the end of the run sends the checkpoint and lets go."""
        import wandb

        if found := dict(figures(event)):
            self.there.log({"step": event.step, **found})
        if event.kind == "samples":
            sheets = {f"samples/{k}": wandb.Image(str(self.run / event.values[k])) for k in ("raw", "ema")}
            self.there.log({"step": event.step, **sheets})
        if event.kind == "checkpoint":
            self._newest = self.run / event.values["path"]
            if self.checkpoints == "all":
                self._keep(event.step)
        if event.kind == "done":
            if self.checkpoints == "last":
                self._keep(event.step)
            self.there.finish()

    def _keep(self, step: int) -> None:
        """The newest checkpoint, a whole model, as an artifact."""
        import wandb

        if self._newest is not None and self._newest.is_dir():
            artifact = wandb.Artifact(f"checkpoint-{self.there.id}", "model", metadata={"step": step})
            artifact.add_dir(str(self._newest))
            self.there.log_artifact(artifact)
