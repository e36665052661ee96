"""Runners that need no model: what a job does is written in its parameters."""

import json
import os
import time
from pathlib import Path

from reverie.errors import ReverieError
from reverie.server.contract import Canceled, Outcome


class Toy:
    """Each job makes two files of known content, slowly, and tells each of its steps."""

    def __init__(self, settings=None):
        self.loaded, self.evaluations = [], 0

    def keep(self, model, load):
        self.loaded = [*self.loaded, model] if load else [name for name in self.loaded if name != model]

    def run(self, work, told):
        return [outcome for job in work if (outcome := self.one(job, told, len(work)))]

    def one(self, job, told, company):
        asked = job.parameters
        for step in range(asked.get("steps", 2)):
            time.sleep(asked.get("seconds", 0.0))
            try:
                told.step(job.id, step + 1, asked.get("steps", 2), b"picture %d" % step)
            except Canceled:
                return None
            if asked.get("trace"):
                with Path(asked["trace"]).open("a") as file:
                    file.write(f"{job.id} {step + 1} {company}\n")
        if asked.get("do") == "point":
            raise ReverieError(f"{asked['at']} is no picture.")
        DEEDS[asked.get("do", "work")]()
        text = content(asked)
        parts = [text[: len(text) // 2], text[len(text) // 2 :]]
        for path in (job.folder / "a.txt", job.folder / "more" / "b.json"):
            path.parent.mkdir(exist_ok=True)
            with path.open("w") as file:  # in two parts, for a kill to come between
                for part in parts:
                    file.write(part)
                    file.flush()
        (job.folder / "scratch").write_text("not to be kept")
        given = {name: path.read_text() for name, path in job.inputs.items()}
        files = [job.folder / "a.txt", job.folder / "more" / "b.json"]
        return Outcome(job.id, {"n": asked.get("n"), "given": given, "company": company}, files)


def content(asked):
    return json.dumps(asked) * 200


def hang():
    time.sleep(3600)


def refuse():
    raise ReverieError("the mask has another size than the picture.")


def blow():
    raise MemoryError


def escape():
    raise ZeroDivisionError("a defect")


DEEDS = {
    "work": lambda: None, "exit": lambda: os._exit(9), "hang": hang, "refuse": refuse, "memory": blow, "defect": escape
}  # fmt: skip


def broken(settings):
    """A runner that cannot be made."""
    raise RuntimeError("no such model")
