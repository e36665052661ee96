"""TensorBoard: event files in the run folder, which `tensorboard --logdir RUN` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from reverie.training.trackers.base import Event, Service, Tracker, figures

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True)
class TensorBoard(Service):
    """Event files for TensorBoard in RUN/tensorboard: figures, sheets of samples, and where each checkpoint is.

    Source: TensorBoard, https://www.tensorflow.org/tensorboard, written by torch.utils.tensorboard.
    """

    name: ClassVar[str] = "tensorboard"
    package: ClassVar[str] = "tensorboard"

    def follow(self, run: Path, settings: dict[str, Any], resumed_at: int | None) -> Tracker:
        """Begin to write, or go on: TensorBoard then leaves out what it was told of later steps."""
        from torch.utils.tensorboard import SummaryWriter

        purge = 0 if resumed_at is None else resumed_at + 1
        writer = SummaryWriter(str(run / "tensorboard"), purge_step=purge, flush_secs=30)
        if resumed_at is None:
            writer.add_text("settings", "\n".join(f"    {k}: {v}" for k, v in settings.items()), 0)
        return _Writer(writer, run)


class _Writer(Tracker):
    """Tells TensorBoard."""

    def __init__(self, writer: SummaryWriter, run: Path) -> None:
        self.writer, self.run = writer, run

    def tell(self, event: Event) -> None:
        """Write one event; all but steps are on disk at once."""
        for name, value in figures(event):
            self.writer.add_scalar(name, value, event.step)
        if event.kind == "samples":
            for name in ("raw", "ema"):
                with Image.open(self.run / event.values[name]) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                self.writer.add_image(f"samples/{name}", pixels, event.step, dataformats="HWC")
        if event.kind in ("note", "checkpoint"):
            self.writer.add_text(event.kind, event.values["text" if event.kind == "note" else "path"], event.step)
        if event.kind != "step":
            self.writer.flush()
