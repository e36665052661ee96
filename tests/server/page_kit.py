"""A server with three small models, and a browser that looks at its page and hears of every console error and every request."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reverie.data.source import read
from reverie.pictures import save_sheet
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.toy import bars, data

CHROMIUM = "/usr/bin/chromium"
OPTIONS = {"size": "tiny", "batch": 16, "threads": 1, "device": "cpu"}


def fill(runs, files):
    """RUNS/pictures (8x8, told a label), RUNS/people (a table) and RUNS/weather (series of 16 hours), as good as trained."""
    people, weather = table(files / "people.csv", 80), hours(files / "weather.csv", 640)
    for name, given, options in (
        ("pictures", data(), {}), ("people", read(people), {}), ("weather", read(weather, window="16"), {"window": "16"}),
    ):  # fmt: skip
        model = prepare(given, TrainSettings.of({**OPTIONS, **options})).model
        torch.manual_seed(0)
        with torch.no_grad():
            for weights in model.denoiser.parameters():
                weights += 0.05 * torch.randn_like(weights)
        model.save(runs / name)
        if name == "pictures":
            save_sheet(model.sample(4, steps=1).sheet(), runs / name / "samples" / "00000004-ema.png")


def table(path, rows, gaps=False):
    """Ages and a word that goes with them; gaps: every fifth age is missing."""
    rng = np.random.default_rng(0)
    ages = rng.integers(18, 70, rows)
    lines = [f"{'' if gaps and k % 5 == 0 else age},{'young' if age < 40 else 'old'}" for k, age in enumerate(ages)]
    path.write_text("\n".join(["age,word", *lines]) + "\n")
    return path


def hours(path, steps):
    """One number an hour."""
    rng = np.random.default_rng(0)
    values = 10 + np.cumsum(rng.standard_normal(steps)).round(3)
    stamps = np.datetime64("2026-01-01T00") + np.arange(steps)
    path.write_text("\n".join(["time,wind", *(f"{t}:00:00,{v:.3f}" for t, v in zip(stamps, values, strict=True))]) + "\n")
    return path


def picture(path, seed=3, size=8):
    """A grey picture of the model's own kind."""
    Image.fromarray(bars(1, size, seed)[0][0, ..., 0]).save(path)
    return path


def zipped(path, count=45):
    """Pictures in folders that are their labels."""
    items, labels = bars(count)
    with zipfile.ZipFile(path, "w") as archive:
        for k, (item, label) in enumerate(zip(items, labels, strict=True)):
            file = io.BytesIO()
            Image.fromarray(item[..., 0]).save(file, "PNG")
            archive.writestr(f"{label}/{k:03d}.png", file.getvalue())
    return path


@contextmanager
def serving(runs, log, *options):
    """The address of `reverie serve RUNS`, a process of its own."""
    command = [sys.executable, "-m", "reverie", "serve", str(runs), "--port", "0", "--threads", "1", *options]
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=os.environ)
        try:
            line = process.stdout.readline()
            assert " at http" in line, log.read_text()
            yield line.split(" at ")[1].split()[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


ANEW = """place => {
  document.querySelector("main").replaceChildren();
  if (location.hash === place) dispatchEvent(new Event("hashchange"));
  else location.hash = place;
}"""


class Look:
    """A page, and what it asked for and complained of."""

    def __init__(self, browser, address, **context):
        self.address, self.outside, self.errors = address, [], []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **context})
        self.context.route("**/*", self._asked)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, route):
        url = route.request.url
        if url.startswith((self.address + "/", "blob:", "data:")):
            route.continue_()
        else:
            self.outside.append(url)
            route.abort()

    def go(self, place, wait=".view > *"):
        """Open a place of the page anew; all but the first time without loading the scripts again."""
        if self.page.url == "about:blank":
            self.page.goto(f"{self.address}/#/{place}")
        else:
            self.page.evaluate(ANEW, f"#/{place}")
        self.page.wait_for_selector(wait)
        return self.page

    def give(self, name, value):
        """Put a value in the box of a field."""
        box = self.page.locator(f"[data-field={name}] input:not([type=range]):not([type=file])").first
        if not box.is_visible():
            self.page.locator("details.more > summary", has_text="More").first.click()
        box.fill(str(value))

    def upload(self, name, path):
        """Choose a file for a field, and wait until the server has it."""
        field = self.page.locator(f"[data-field={name}]")
        field.locator("input[type=file]").first.set_input_files(path)
        field.locator(".drop.is-full").first.wait_for()

    def submit(self, wait=".results"):
        """Press the form's button; the job that came of it, once it has ended."""
        with self.page.expect_response(lambda r: r.url.endswith("/v1/jobs") and r.request.method == "POST") as answer:
            self.page.click(".submit .is-main")
        assert answer.value.status == 202, answer.value.text()
        id = answer.value.json()["id"]
        self.page.wait_for_selector(f"[data-job='{id}'] :is({wait}, .trouble)")
        assert wait == ".trouble" or not self.page.locator(".trouble").count(), self.page.inner_text(".trouble")
        return self.json(f"/v1/jobs/{id}")

    def json(self, path):
        """What the API says."""
        return self.context.request.get(self.address + path).json()

    def check(self):
        """Say what should not have been, once."""
        outside, errors = self.outside.copy(), self.errors.copy()
        self.outside.clear()
        self.errors.clear()
        assert not outside, outside
        assert not errors, errors


def pixels(content):
    return np.array(Image.open(io.BytesIO(content)))


def installed():
    return Path(CHROMIUM).exists()
