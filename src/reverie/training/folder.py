"""The folder of a run: whether one may begin there, and what it writes for a resume."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import reverie
from reverie import files, storage
from reverie.data.dataset import Data
from reverie.errors import ReverieError, quoted
from reverie.training import distributed
from reverie.training.settings import TrainSettings


def free(run: Path, overwrite: bool) -> Path:
    """Refuse a folder in use, before any data is read."""
    if run.exists() and (not run.is_dir() or any(p.name != files.LOCK for p in run.iterdir())):
        if not run.is_dir() or not (storage.is_run(run) or storage.is_model(run)):
            raise ReverieError(f"{run} is there already and is not a Reverie run; choose another place with -o.")
        if not overwrite and (storage.is_model(run) or storage.newest_checkpoint(run)):  # else it never came to a step
            raise ReverieError(
                f"{run} holds a run already. Go on with it: `reverie train --resume {quoted(run)}`; or replace it: "
                "--overwrite."
            )
    return run


def begun_with(run: Path) -> tuple[str | None, TrainSettings]:
    """Where the data of a run is, None for what was held in Python, and its settings; RUN/run.json must be there.

    Raises ReverieError, naming the file, where it does not hold them.
    """
    path = run / "run.json"
    about = files.read_json(path)
    data, settings = about.get("data", ""), about.get("settings")
    if data == "" or not isinstance(data, str | None) or not isinstance(settings, dict):
        raise ReverieError(f"{path} is damaged: it names no settings. Copy the run again, or start anew.")
    try:
        return data, TrainSettings.of(settings)
    except ReverieError as error:
        raise ReverieError(f"{path} cannot be used: {error} Copy the run again, or start anew.") from error


def begun_here(run: Path) -> str:
    """ "yes" where torchrun, starting anew after a death, finds the run that it began itself; else nothing."""
    ours = storage.is_run(run) and files.read_json(run / "run.json").get("launch") == distributed.launch_name()
    return "yes" if ours else ""


def begin(run: Path, path: Any, data: Data, settings: TrainSettings) -> None:
    """Make the folder, empty but for its lock (`free` has let it be replaced), and write what a resume needs."""
    for old in run.iterdir():
        if old.name != files.LOCK:  # held by this process, and only that way by no other
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    place = str(path) if isinstance(path, str | Path) else None
    if place is not None and Path(place).exists():
        place = str(Path(place).resolve())
    about = {"reverie": reverie.__version__, "data": place, "source": data.source, "settings": settings.to_json()}
    if (launch := distributed.launch_name()) is not None:
        about["launch"] = launch
    files.write_json(run / "run.json", about)
