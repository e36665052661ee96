"""Jobs for a runner, and who is told of them."""

from reverie.server.contract import Canceled, Work


class Heard:
    """Keeps what it is told; a job in `stop_at` is not wanted from that step on."""

    def __init__(self, stop_at=None):
        self.stop_at, self.steps, self.previews = stop_at or {}, [], []

    def step(self, id, step, total, preview):
        self.steps.append((id, step, total))
        if preview is not None:
            self.previews.append((id, preview))
        if step >= self.stop_at.get(id, 10**9):
            raise Canceled(id)


def job(place, id, model="toy", task="sample", inputs=None, **parameters):
    folder = place / id
    folder.mkdir(parents=True)
    return Work(id, model, task, parameters, inputs or {}, folder)
